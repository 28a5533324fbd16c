// Browsers that live through faults, one per user: the official Socket.IO client with nothing but its options, and a plain
// WebSocket that reconnects with its offset and rooms. What each hears, is told and is answered goes into the history.
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { rest } from '../lib/http.mjs';
import { sleep, within } from '../lib/env.mjs';
import { isTag, markOf, tenantOfTag } from './marks.mjs';
import { passFor } from './tenants.mjs';

const ANSWER_MS = 6000; // the gateway has given up by then
const NOWHERE = 'http://127.0.0.1:9';
const RECONNECT = { reconnectionDelay: 100, reconnectionDelayMax: 1000, timeout: 3000 };

class Browser {
  conn = 0;
  isLinked = false;
  rooms = new Set(); // conversation rooms that it is in, as far as it has been told
  lasts = new Set(); // of the news that end a run, those that it heard
  catching = 0; // catch-ups under way
  caughtUp = 0; // catch-ups in all

  // {history, name, tenant, user, role, team, transport, gatewayUrls, apiUrls, idleMs, pickUrl}
  constructor(options) {
    Object.assign(this, options);
  }

  token() {
    return passFor(this.tenant.id, this.role, { sub: this.user, teams: [this.team] });
  }

  // Where it connects next: while it is in a tunnel, where nobody is.
  gateway() {
    return this.isInTunnel ? NOWHERE : this.pickUrl(this.gatewayUrls());
  }

  // Gone, and nowhere to come back to for a while.
  async nap(ms) {
    this.isInTunnel = true;
    this.add('nap', { phase: 'begin' });
    this.drop();
    await sleep(ms);
    this.isInTunnel = false;
    this.add('nap', { phase: 'end' });
  }

  add(kind, fields) {
    this.history.add(kind, { client: this.name, conn: this.conn, ...fields });
  }

  heard(event, data, offset, more) {
    const key = markOf(event, data);
    const saysNothing = event === 'metrics_update' && offset === this.offset;
    if (offset && !more) this.offset = offset;
    if (saysNothing) return; // there are many
    if (isTag(data?.key) && data.key.includes('/last.')) this.lasts.add(data.key);
    const tenant = isTag(key) ? tenantOfTag(key) : undefined;
    this.add('heard', { ...(tenant && { tenant }), event, ...(key !== undefined && { key }), offset, ...(data?.slot && { slot: data.slot, value: data.value }), ...more });
  }

  // Told by the answer to a connection: its stream begins at `offset`.
  linked(fields) {
    const known = this.offset;
    const again = this.wasLinked;
    this.isLinked = this.wasLinked = true;
    this.add('linked', { tenant: this.tenant.id, user: this.user, role: this.role, team: this.team, transport: this.transport, ...fields });
    if (fields.recovered || !again) return;
    this.onLoss();
    if (known) this.catchUp(known);
  }

  unlinked(why, more) {
    if (!this.isLinked && !more) return;
    this.isLinked = false;
    this.add('unlinked', { why, ...more });
  }

  onResync(reason, offset, known) {
    this.add('resync', { reason, offset });
    if (known) this.catchUp(known);
  }

  // What it was told that it did not hear, over REST: all behind that offset.
  async catchUp(from) {
    const via = ++this.caughtUp;
    this.catching++;
    for (let after = from, complete = true; ; ) {
      const urls = this.apiUrls();
      const answer = await rest({ base: this.pickUrl(urls) }, this.token(), 'GET', `/api/v1/events?limit=500&after=${encodeURIComponent(after)}`).catch(() => undefined);
      if (this.isClosed) break;
      if (answer?.status !== 200) {
        await sleep(200);
        continue;
      }
      const { items, next, head } = answer.json;
      complete &&= answer.json.complete;
      for (const { event, data, offset } of items) this.heard(event, data, offset, { via });
      after = next;
      if (next !== head) continue;
      this.add('caught', { via, from, to: head, complete });
      break;
    }
    this.catching--;
  }
}

export class SioBrowser extends Browser {
  constructor(options) {
    super(options);
    const transports = this.transport === 'upgrade' ? {} : { transports: [this.transport] };
    this.socket = io(this.gateway(), { auth: (give) => give({ token: this.token() }), forceNew: true, ...RECONNECT, ...transports });
    const manager = this.socket.io;
    manager.on('reconnect_attempt', () => (manager.uri = this.gateway())); // as a name that leads to several
    manager.on('open', () => (this.conn++, (this.isAsking = true)));
    manager.on('close', (why) => this.isAsking && this.unanswered(why));
    this.socket.on('connect', () => ((this.isAsking = false), (this.answer = { sid: this.socket.id, recovered: this.socket.recovered === true })));
    this.socket.on('disconnect', (why) => this.gone(why));
    this.socket.on('connect_error', (error) => this.refused(error));
    this.socket.onAny((event, ...args) => this.take(event, args));
  }

  take(event, args) {
    const offset = typeof args.at(-1) === 'string' ? args.at(-1) : undefined;
    const known = this.offset;
    if (event === 'resync') this.onResync(args[0]?.reason, offset, known);
    if (event === 'portalcast:hello') return this.greeted(args[0], offset);
    this.heard(event, args[0], offset);
  }

  greeted({ recovered, head, rooms }, offset) {
    this.linked({ ...this.answer, said: recovered, offset, head, rooms });
    this.offset = offset;
  }

  gone(why) {
    if (this.answer && !this.isLinked) this.linked(this.answer); // it was told, but not yet where it stands
    this.answer = undefined;
    this.unlinked(why);
    if (why === 'io server disconnect' && !this.isClosed) setTimeout(() => this.socket.connect(), 1000);
  }

  // Its CONNECT had no answer; what came before that is kept by the library for the next one.
  unanswered(why) {
    this.isAsking = false;
    this.unlinked(why, { unanswered: true, kept: this.socket.receiveBuffer.length });
  }

  // The stock client tries again by itself, unless it was the namespace that was refused.
  refused(error) {
    this.isAsking &&= this.socket.active;
    if (this.socket.active || this.isClosed) return;
    this.add('refused', { message: error.message, code: error.data?.code });
    setTimeout(() => this.isClosed || this.socket.connect(), 1000);
  }

  // Its rooms were the session's, and that is over.
  onLoss() {
    this.lost = [...this.rooms, ...(this.lost ?? [])];
    this.rooms.clear();
  }

  // What an event of ours is answered; throws when nothing comes.
  async ask(event, argument) {
    if (!this.isLinked) throw new Error('not connected');
    return this.socket.timeout(ANSWER_MS).emitWithAck(event, argument);
  }

  join(room) {
    return this.ask('join_conversation', room.slice(room.indexOf(':') + 1));
  }

  leave(room) {
    return this.ask('leave_conversation', room.slice(room.indexOf(':') + 1));
  }

  // Gone without a word; by polling, with one. Not in the middle of an upgrade: the library cannot end one without mixing up
  // what it has heard.
  drop() {
    const { engine } = this.socket.io;
    if (engine?.transport?.ws) engine.transport.ws.terminate();
    else if (!engine?.upgrading) engine?.close();
  }

  close() {
    this.isClosed = true;
    this.socket.disconnect();
  }
}

export class WsBrowser extends Browser {
  answers = new Map();
  asked = 0;
  tries = 0;

  constructor(options) {
    super(options);
    this.connect();
  }

  connect() {
    const socket = new WebSocket(`${this.gateway().replace('http', 'ws')}/ws`, { handshakeTimeout: RECONNECT.timeout });
    this.socket = socket;
    this.lifeSign();
    socket.on('error', () => {});
    socket.on('open', () => {
      this.conn++;
      this.say({ type: 'auth', token: this.token(), ...(this.offset && { offset: this.offset }), rooms: [...this.rooms] });
    });
    socket.on('message', (bytes) => socket === this.socket && this.take(JSON.parse(bytes.toString())));
    socket.on('ping', () => this.lifeSign());
    socket.on('close', (code) => this.gone(code));
  }

  // A server that says nothing at all any more is none.
  lifeSign() {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.socket.terminate(), this.idleMs);
  }

  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  take({ type, event, data, offset, id, code, message, reason, ...ready }) {
    this.lifeSign();
    if (type === 'event') this.heard(event, data, offset);
    else if (type === 'ready') this.greeted(offset, ready);
    else if (type === 'resync') this.resync(reason, offset);
    else if (id !== undefined) this.answers.get(id)?.(type === 'ack' ? data : { ok: false, error: { code, message } });
    else if (type === 'error') this.add('refused', { message, code });
  }

  greeted(offset, { sid, recovered, rooms }) {
    this.tries = 0;
    this.linked({ sid, recovered, offset, rooms });
    this.offset = offset;
  }

  resync(reason, offset) {
    const known = this.offset;
    this.offset = offset;
    this.onResync(reason, offset, known);
  }

  gone(code) {
    clearTimeout(this.idle);
    this.unlinked(code);
    for (const give of this.answers.values()) give(undefined);
    if (this.isClosed) return;
    const pause = Math.min(RECONNECT.reconnectionDelayMax, RECONNECT.reconnectionDelay * 2 ** this.tries++);
    this.again = setTimeout(() => this.connect(), pause * (0.5 + Math.random()));
  }

  // It has named its rooms itself.
  onLoss() {}

  async ask(event, data) {
    return this.request({ type: 'emit', event, data });
  }

  async request(message) {
    if (!this.isLinked) throw new Error('not connected');
    const id = ++this.asked;
    const answered = new Promise((done) => this.answers.set(id, done));
    this.say({ ...message, id });
    const answer = await within(answered, ANSWER_MS);
    this.answers.delete(id);
    if (!answer) throw new Error('no answer');
    return answer;
  }

  join(room) {
    return this.request({ type: 'join', room });
  }

  leave(room) {
    return this.request({ type: 'leave', room });
  }

  drop() {
    this.socket.terminate();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.again);
    this.socket.close();
  }
}
