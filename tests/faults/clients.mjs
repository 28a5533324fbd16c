// The people of a run: browsers of every kind (links.mjs), several of each tenant, who listen, say something now and then,
// walk in and out of conversations, and lose their connection without anybody's fault.
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { SioBrowser, WsBrowser } from './links.mjs';
import { conversationRoom } from './marks.mjs';
import { ROLES, TEAMS, userOf } from './tenants.mjs';

const TRANSPORTS = ['websocket', 'polling', 'upgrade', 'ws'];
const AGAIN_MS = 300;
const ROOMS = 4; // that one is in at a time

export class Clients {
  all = [];
  running = false;

  // gatewayUrls(), apiUrls(): where one may connect now; talkMs: between two things that one does; dropShare, napShare: of those,
  // how many are a lost connection or a sleep (up to napMs); idleMs: after which a plain WebSocket takes a silent server for gone.
  constructor({ history, random, tenants, gatewayUrls, apiUrls, perTenant = 8, talkMs = 3000, dropShare = 0.02, napShare = 0.01, napMs = 8000, idleMs = 12000 }) {
    Object.assign(this, { history, random, tenants, gatewayUrls, apiUrls, perTenant, talkMs, dropShare, napShare, napMs, idleMs });
  }

  // Ends when all are connected for the first time.
  async start() {
    this.running = true;
    for (const tenant of this.tenants) for (let i = 0; i < this.perTenant; i++) this.all.push(this.open(tenant, i));
    await until('clients that are all connected', () => this.all.every((c) => c.wasLinked), 30000);
    this.lives = this.all.map((client) => this.live(client));
  }

  open(tenant, i) {
    const transport = TRANSPORTS[i % TRANSPORTS.length];
    const Kind = transport === 'ws' ? WsBrowser : SioBrowser;
    const random = seededRandom(Math.floor(this.random() * 2 ** 32));
    const pickUrl = (urls) => urls[Math.floor(random() * urls.length)];
    const user = userOf(tenant.id, `c${i}`);
    const { history, gatewayUrls, apiUrls, idleMs } = this;
    return new Kind({ history, name: user, tenant, user, role: ROLES[Math.floor(i / 2) % ROLES.length], team: String(i % TEAMS), transport, gatewayUrls, apiUrls, idleMs, random, pickUrl });
  }

  async live(client) {
    const { random } = client;
    while (this.running) {
      await sleep(this.talkMs * (0.2 + 1.6 * random()));
      if (!this.running) break;
      for (const room of client.lost?.splice(0) ?? []) await this.walk(client, 'join', room);
      await this.act(client);
    }
  }

  act(client) {
    const { random, tenant } = client;
    const { id } = tenant.conversations[Math.floor(random() * tenant.conversations.length)];
    const die = random();
    if (die < this.dropShare) return client.drop();
    if (die < this.dropShare + this.napShare) return client.nap(this.napMs * random());
    if (die < 0.55) {
      const room = conversationRoom(id);
      if (client.rooms.has(room)) return this.walk(client, 'leave', room);
      return client.rooms.size < ROOMS ? this.walk(client, 'join', room) : this.walk(client, 'leave', [...client.rooms][0]);
    }
    if (die < 0.65) return this.command(client, 'mark_read', { conversationId: id }, { conversationId: id });
    if (die < 0.75) return this.type(client);
    const key = this.tag(client);
    return this.command(client, 'send_message', { conversationId: id, text: key, clientMessageId: key }, { key, conversationId: id });
  }

  tag(client) {
    client.tags = (client.tags ?? 0) + 1;
    return `${client.tenant.id}/${client.user.slice(client.tenant.id.length + 1)}.${client.tags}`;
  }

  // In one of the rooms that it is in; whether that is heard is nobody's promise.
  async type(client) {
    const [room] = client.rooms;
    if (room) await client.ask('typing', { conversationId: room.slice(room.indexOf(':') + 1), isTyping: client.random() < 0.7 }).catch(() => {});
  }

  // Until it is answered, under the same name; every try stands in the history.
  async insist(client, sent, ask, told) {
    for (let attempt = 1; !this.hasGivenUp; attempt++) {
      while (!client.isLinked && !this.hasGivenUp) await sleep(50);
      this.history.add('sent', { sender: client.name, client: client.name, tenant: client.tenant.id, attempt, ...sent });
      const answer = await ask().catch((error) => ({ ok: false, error: { code: error.message } }));
      told(answer);
      if (answer.ok || !isTemporary(answer.error?.code)) return answer;
      await sleep(AGAIN_MS * (0.5 + client.random()));
    }
  }

  async command(client, event, argument, { key = this.tag(client), ...more }) {
    const way = event === 'send_message' ? 'command' : 'mark';
    const ask = async () => client.ask(event, argument);
    await this.insist(client, { way, key, ...more }, ask, ({ ok, id, error }) => this.history.add('answered', { key, ok, ...(id && { id }), ...(error && { error: error.code }) }));
  }

  async walk(client, how, room) {
    const key = this.tag(client);
    if (how === 'leave') client.rooms.delete(room);
    await this.insist(client, { way: how, key, room }, async () => client[how](room), ({ ok, error }) => {
      if (ok && how === 'join') client.rooms.add(room);
      this.history.add(how === 'join' ? 'joined' : 'left', { client: client.name, conn: client.conn, room, key, ok, ...(error && { error: error.code }) });
    });
  }

  // Nobody says anything of his own any more, and all that was said is answered.
  async quiet(timeoutMs = 60000) {
    this.running = false;
    const timer = setTimeout(() => (this.hasGivenUp = true), timeoutMs);
    await Promise.all(this.lives ?? []);
    clearTimeout(timer);
  }

  // All are there, and have heard the last event of their tenant. last: of Senders.sayLast()
  async settled({ last, timeoutMs = 30000 }) {
    await this.quiet();
    const waiting = () => this.all.filter((c) => !c.isLinked || c.catching || !c.lasts.has(last.get(c.tenant.id)));
    const deadline = Date.now() + timeoutMs;
    while (waiting().length && Date.now() < deadline) await sleep(50);
    await sleep(500); // what is heard twice would come now
    const late = waiting();
    this.history.add('settled', { late: late.map((c) => c.name) });
    if (late.length) throw new Error(`${late.length} have not heard the last event: ${late.slice(0, 5).map((c) => `${c.name} by ${c.transport} ${c.isLinked ? `at ${c.offset}` : 'not connected'}`).join(', ')}`);
  }

  async stop() {
    this.hasGivenUp = true;
    await this.quiet();
    for (const client of this.all) client.close();
  }
}

// No answer, a lost connection, or one that says that another time may do.
const isTemporary = (code) => !['INVALID', 'MALFORMED', 'UNKNOWN_EVENT', 'DENIED', 'NOT_FOUND', 'TOO_LARGE', 'CONFLICT', 'UNAUTHENTICATED', 'INTERNAL'].includes(code);
