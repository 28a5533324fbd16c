// A small model of the whole system that makes up histories which keep every rule: for the tests of the checker, which then
// break them. It has tenants with their logs, clients that join, leave, are cut, come back and catch up, and their stores.
import { seededRandom } from '../lib/env.mjs';
import { conversationRoom, isLogged, markOf, seqOf } from './marks.mjs';

const TRANSPORTS = ['websocket', 'polling', 'upgrade', 'ws'];
const ROLES = ['agent', 'supervisor'];
export const LIMITS = { recoveryEvents: 12, recoveryBytes: 1e9 };

export class Made {
  records = [];
  clients = [];
  tenants = [];

  constructor(seed = 1, { tenants = 2, perTenant = 4 } = {}) {
    this.random = seededRandom(seed);
    for (let i = 0; i < tenants; i++) this.tenants.push(this.newTenant(i));
    for (const tenant of this.tenants) for (let i = 0; i < perTenant; i++) this.clients.push(this.newClient(tenant, i));
  }

  newTenant(i) {
    const id = `t_made_${i}`;
    const conversations = [0, 1, 2].map((k) => ({ id: `c_${i}_${k}`, version: 0 }));
    return { id, epoch: `e${i}`, head: 0, ord: 0, n: 0, items: [], bodies: [], messages: [], conversations, newest: new Map() };
  }

  newClient(tenant, i) {
    const name = `${tenant.id}.c${i}`;
    return { name, tenant, user: name, role: ROLES[i % 2], team: String(i % 2), transport: TRANSPORTS[i % 4], conn: 0, rooms: new Map(), at: 0, told: 0 };
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  add(kind, fields) {
    const n = this.records.length;
    const record = { n, t: n * 10, kind, ...fields };
    this.records.push(record);
    return record;
  }

  tag(tenant, who = 'w') {
    return `${tenant.id}/${who}.${++tenant.n}`;
  }

  offset(tenant, seq = tenant.head) {
    return `${tenant.epoch}-${seq}`;
  }

  // --- the log and the stores ---

  log(tenant, type, data, rooms) {
    const seq = ++tenant.head;
    tenant.bodies.push({ seq, type, data, ...(rooms && { rooms }) });
    if (!type.startsWith('portalcast:')) tenant.items.push({ event: type, data, offset: this.offset(tenant, seq), ...(rooms && { rooms }) });
    return seq;
  }

  // Says something until it is answered; the first try may be lost before it has done anything, or behind that.
  say(tenant, sent, effect) {
    const die = this.random();
    const base = { sender: 'w', tenant: tenant.id, ...sent };
    const first = this.add('sent', { ...base, attempt: 1 });
    if (die < 0.1) {
      this.add('answered', { key: sent.key, ok: false, error: 'ECONNRESET' });
      this.add('sent', { ...base, attempt: 2 });
    }
    const told = effect();
    this.random() < 0.3 && this.anybodyHears();
    if (die > 0.95) {
      this.add('answered', { key: sent.key, ok: false, status: 503 });
      this.add('sent', { ...base, attempt: 2 });
    }
    if (!(die > 0.9 && die < 0.92)) this.add('answered', { key: sent.key, ok: true, status: 202, ...told });
    return first;
  }

  anyRooms(tenant) {
    return this.pick([undefined, undefined, [`role:${this.pick(ROLES)}`], ['team:0'], [conversationRoom(this.pick(tenant.conversations).id)], [`user:${tenant.id}.c1`, 'team:1']]);
  }

  news(tenant = this.pick(this.tenants), rooms = this.anyRooms(tenant)) {
    const key = this.tag(tenant);
    return this.say(tenant, { way: 'event', key, class: 'durable', event: 'news', ...(rooms && { rooms }) }, () => ({ id: `e_${key}`, offset: this.offset(tenant, this.log(tenant, 'news', { key }, rooms)) }));
  }

  store(tenant, conversation, key, more) {
    const message = { id: `m_${key}`, conversationId: conversation.id, text: key, ord: ++tenant.ord, timestamp: new Date(tenant.ord * 1000).toISOString(), statusHistory: [], ...more };
    tenant.messages.push(message);
    conversation.version++;
    return message;
  }

  changed(tenant, conversation, key) {
    this.log(tenant, 'conversation_update', { id: conversation.id, conversationId: conversation.id, lastMessage: key, version: conversation.version });
  }

  webhook(tenant = this.pick(this.tenants)) {
    const [key, conversation] = [this.tag(tenant), this.pick(tenant.conversations)];
    this.say(tenant, { way: 'webhook', key, messageId: `wamid.${key}` }, () => {
      this.store(tenant, conversation, key, { direction: 'inbound', messageId: `wamid.${key}`, status: 'received' });
      this.log(tenant, 'new_message', { conversationId: conversation.id, messageId: `wamid.${key}`, message: key });
    });
  }

  outbound(tenant = this.pick(this.tenants)) {
    const [key, conversation] = [this.tag(tenant), this.pick(tenant.conversations)];
    this.say(tenant, { way: 'message', key, conversationId: conversation.id }, () => {
      const { id } = this.store(tenant, conversation, key, { direction: 'outbound', messageId: null, status: 'queued' });
      this.changed(tenant, conversation, key);
      return { id };
    });
  }

  // An echo and what became of it.
  echoed(tenant = this.pick(this.tenants)) {
    const [key, conversation] = [this.tag(tenant), this.pick(tenant.conversations)];
    const messageId = `wamid.${key}`;
    let message;
    this.say(tenant, { way: 'echo', key, messageId }, () => {
      message = this.store(tenant, conversation, key, { direction: 'outbound', messageId, status: 'sent' });
      this.changed(tenant, conversation, key);
    });
    for (const status of ['delivered', 'read'])
      this.say(tenant, { way: 'status', key: `${messageId}=${status}`, messageId }, () => {
        message.status = status;
        message.statusHistory.push({ status });
        this.log(tenant, 'status_update', { messageId, status, conversationId: conversation.id });
      });
  }

  price(tenant = this.pick(this.tenants), slot = this.pick(['kettle', 'desk'])) {
    const [key, rooms] = [this.tag(tenant), slot === 'desk' ? ['role:supervisor'] : undefined];
    const value = ++tenant.n;
    this.say(tenant, { way: 'event', key, class: 'latest', event: 'price', slot, value, ...(rooms && { rooms }) }, () => {
      tenant.newest.set(slot, { key, slot, value, rooms });
      for (const client of this.clients) if (client.isLinked && client.tenant === tenant) this.hears(client), this.hearsNewest(client, [slot]);
    });
  }

  // --- clients ---

  may(client, { rooms, offset }) {
    const { user, role, team } = client;
    return !rooms || rooms.some((room) => [`user:${user}`, `role:${role}`, `team:${team}`].includes(room) || seqOf(offset) > (client.rooms.get(room) ?? Infinity));
  }

  frame(client, event, data, offset, more) {
    const key = markOf(event, data);
    if (!more) client.told = seqOf(offset);
    this.add('heard', { client: client.name, conn: client.conn, ...(isLogged(event) && event === 'news' && { tenant: client.tenant.id }), event, key, offset, ...(data.slot && { slot: data.slot, value: data.value }), ...more });
  }

  // All that has come for it by now.
  hears(client) {
    for (const item of client.tenant.items) {
      if (seqOf(item.offset) <= client.at) continue;
      if (this.may(client, item)) this.frame(client, item.event, item.data, item.offset);
      client.at = seqOf(item.offset);
    }
    client.at = client.tenant.head;
  }

  hearsNewest(client, slots = [...client.tenant.newest.keys()]) {
    for (const slot of slots) {
      const newest = client.tenant.newest.get(slot);
      if (newest && this.may(client, { ...newest, offset: this.offset(client.tenant) })) this.frame(client, 'price', newest, this.offset(client.tenant, client.at));
    }
  }

  anybodyHears() {
    for (const client of this.clients) if (client.isLinked && this.random() < 0.4) this.hears(client);
  }

  rooms(client) {
    return [`user:${client.user}`, `role:${client.role}`, `team:${client.team}`, ...client.rooms.keys()];
  }

  isPlain(client) {
    return client.transport === 'ws';
  }

  link(client) {
    const { tenant, told, name, user, role, team, transport } = client;
    const isFirst = !client.conn++;
    const recovered = !isFirst && tenant.head - told <= LIMITS.recoveryEvents;
    client.at = told;
    const base = { client: name, conn: client.conn, tenant: tenant.id, user, role, team, transport, recovered };
    if (recovered && !this.isPlain(client)) this.hears(client);
    if (!recovered) {
      if (!this.isPlain(client)) client.rooms.clear();
      client.at = tenant.head;
    }
    for (const room of this.isPlain(client) ? client.rooms.keys() : []) client.rooms.set(room, client.at);
    this.add('linked', { ...base, offset: this.offset(tenant, client.at), rooms: this.rooms(client) });
    client.isLinked = true;
    client.told = client.at;
    if (recovered) this.hears(client);
    else if (!isFirst) this.catchUp(client, told);
    this.hearsNewest(client);
  }

  catchUp(client, from) {
    const via = (client.caught = (client.caught ?? 0) + 1);
    const token = { ...client, rooms: new Map() };
    for (const item of client.tenant.items) if (seqOf(item.offset) > from && this.may(token, item)) this.frame(client, item.event, item.data, item.offset, { via });
    this.add('caught', { client: client.name, conn: client.conn, via, from: this.offset(client.tenant, from), to: this.offset(client.tenant), complete: true });
  }

  cut(client) {
    client.isLinked = false;
    this.add('unlinked', { client: client.name, conn: client.conn, why: 'transport close' });
  }

  walk(client, how) {
    const { name, tenant, conn } = client;
    const room = how === 'join' ? conversationRoom(this.pick(tenant.conversations).id) : this.pick([...client.rooms.keys()]);
    const key = this.tag(tenant, 'walk');
    this.hears(client);
    this.add('sent', { sender: name, client: name, tenant: tenant.id, way: how, key, room, attempt: 1 });
    this.news(tenant, [room]);
    if (!this.isPlain(client)) this.log(tenant, 'portalcast:session', { room });
    if (how === 'join') client.rooms.set(room, Math.min(client.rooms.get(room) ?? Infinity, tenant.head));
    else client.rooms.delete(room);
    this.add(how === 'join' ? 'joined' : 'left', { client: name, conn, room, key, ok: true });
    if (how === 'join') this.news(tenant, [room]);
  }

  // --- a run ---

  step() {
    const client = this.pick(this.clients);
    const die = this.random();
    if (!client.isLinked) return die < 0.4 ? this.link(client) : this.news(client.tenant);
    if (die < 0.1) return this.cut(client);
    if (die < 0.2) return this.walk(client, client.rooms.size > 1 ? 'leave' : 'join');
    return this.pick([() => this.news(), () => this.news(), () => this.webhook(), () => this.outbound(), () => this.echoed(), () => this.price(), () => this.hears(client)])();
  }

  run(steps) {
    this.add('quiet', { id: 'before' });
    for (const client of this.clients) this.link(client);
    for (let i = 0; i < steps; i++) this.step();
    return this.end();
  }

  end() {
    for (const client of this.clients) if (!client.isLinked) this.link(client);
    for (const tenant of this.tenants) this.news(tenant, null);
    for (const client of this.clients) this.hears(client);
    this.add('settled', { late: [] });
    return this;
  }

  get stores() {
    return { tenants: Object.fromEntries(this.tenants.map((t) => [t.id, { events: t.items, head: this.offset(t), complete: true, messages: t.messages, conversations: t.conversations, bodies: t.bodies }])) };
  }
}
