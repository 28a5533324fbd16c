// Clients by hand that come back with what they know, by each way in: Socket.IO by WebSocket and by polling, and plain `/ws`.
// All answer the same questions: was it recovered, what came before it was told so, what came in all.
import http from 'node:http';
import WebSocket from 'ws';
import { PATIENCE, until, within } from './env.mjs';
import { ask } from './polling.mjs';
import { Listener, WsClient } from './sockets.mjs';

const RS = '\x1e';
const ANSWER_MS = 10000;

// Socket.IO. `auth` is what its CONNECT carries, in that order.
export class Member extends Listener {
  packets = []; // all but pings, as they came
  acks = new Map();
  sent = 0;
  constructor(base, auth) {
    super();
    Object.assign(this, { base, auth, isOpen: true });
    this.ended = new Promise((done) => (this.end = (how) => (this.isOpen && ((this.isOpen = false), done((this.how = how))))));
  }

  take(packet) {
    if (packet === '2') return this.say('3');
    this.packets.push(packet);
    if (packet[0] === '0') this.say(`40${this.auth === undefined ? '' : JSON.stringify(this.auth)}`);
    else if (packet.startsWith('42')) this.event(JSON.parse(packet.slice(packet.indexOf('['))));
    else if (packet.startsWith('43')) this.acks.get(Number(/^43(\d+)/.exec(packet)[1]))?.(JSON.parse(packet.slice(packet.indexOf('['))));
    else if (/^4[04]\{/.test(packet)) this.answer = { refused: packet[1] === '4', after: this.heard.length, ...JSON.parse(packet.slice(2)) };
    else if (packet === '1') this.end('told to');
  }

  event([event, ...args]) {
    const last = args.at(-1);
    if (typeof last === 'string') this.offset = last;
    this.heard.push({ event, data: args[0], args, offset: args.length > 1 && typeof last === 'string' ? last : undefined });
  }

  // The answer to its CONNECT: {sid, pid?} or {refused, message, data}.
  async answered(timeoutMs = ANSWER_MS) {
    await Promise.race([until('an answer to CONNECT', () => this.answer || this.how, timeoutMs), this.ended]);
    if (!this.answer) throw new Error(`not answered, but ended: ${this.how}`);
    return this.answer;
  }

  // Connected, and has heard the hello; resolves to itself.
  async there() {
    const { refused, message } = await this.answered();
    if (refused) throw new Error(message);
    [this.hello] = await this.hears('hello', 'portalcast:hello');
    return this;
  }

  get isRecovered() {
    return this.hello.data.recovered;
  }

  // What came before the answer to its CONNECT.
  get missed() {
    return this.heard.slice(0, this.answer.after).filter((h) => h.event !== 'metrics_update');
  }

  // What the official client would send next time.
  get ticket() {
    return { pid: this.answer.pid, ...(this.offset && { offset: this.offset }) };
  }

  // What an event of the client's is acknowledged with.
  async asks(event, ...args) {
    const id = this.sent++;
    const answer = new Promise((done) => this.acks.set(id, done));
    this.say(`42${id}${JSON.stringify([event, ...args])}`);
    const back = await within(answer, ANSWER_MS * PATIENCE);
    if (!back) throw new Error(`${event} was not answered`);
    return back[0];
  }
}

class ByWebSocket extends Member {
  constructor(base, auth) {
    super(base, auth);
    this.socket = new WebSocket(`${base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    this.socket.on('message', (bytes) => this.take(bytes.toString()));
    this.socket.on('error', () => {});
    this.socket.on('close', (code) => this.end(code));
  }

  say(packet) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(packet);
  }

  // Gone without a word.
  drop() {
    this.socket._socket?.resetAndDestroy();
    this.end('dropped');
  }

  close() {
    this.socket.terminate();
  }
}

class ByPolling extends Member {
  constructor(base, auth) {
    super(base, auth);
    this.agent = new http.Agent({ keepAlive: true });
    this.posts = Promise.resolve();
    this.poll().catch(() => this.end('cut'));
  }

  url() {
    return `${this.base}/socket.io/?EIO=4&transport=polling${this.sid ? `&sid=${this.sid}` : ''}`;
  }

  async poll() {
    while (this.isOpen) {
      const { status, body } = await ask('GET', this.url(), { agent: this.agent });
      if (status !== 200) return this.end(status);
      if (body[0] === '0') this.sid = JSON.parse(body.slice(1)).sid;
      for (const packet of body.split(RS)) this.take(packet);
    }
  }

  say(packet) {
    this.posts = this.posts.then(() => this.isOpen && ask('POST', this.url(), { body: packet, agent: this.agent })).catch(() => this.end('cut'));
  }

  drop() {
    this.end('dropped');
    for (const list of Object.values(this.agent.sockets)) for (const socket of [...list]) socket.resetAndDestroy();
    this.agent.destroy();
  }

  close() {
    this.drop();
  }
}

// `/ws`. Its rooms are its own business: it names them each time.
class Plain extends WsClient {
  constructor(base, auth) {
    super(base, {});
    this.auth = auth;
    this.ended = this.closed.then(({ code }) => (this.how = code));
    this.socket.on('open', () => this.send({ type: 'auth', ...auth }));
  }

  async there() {
    this.ready = await Promise.race([this.message('ready'), this.ended.then(() => undefined)]);
    if (!this.ready) throw new Error(`not let in, but ended: ${this.how}`);
    return this;
  }

  get isOpen() {
    return !this.closeCode;
  }

  get isRecovered() {
    return this.ready.recovered;
  }

  get offset() {
    return this.heard.at(-1)?.offset ?? this.ready.offset;
  }

  get ticket() {
    return { offset: this.offset };
  }

  drop() {
    this.socket._socket?.resetAndDestroy();
  }
}

const WAYS = { websocket: ByWebSocket, polling: ByPolling, ws: Plain };
export const SIO_WAYS = ['websocket', 'polling'];
export const ALL_WAYS = [...SIO_WAYS, 'ws'];

const opened = new Set();
export function member(way, service, auth) {
  const one = new WAYS[way](service.base, auth);
  opened.add(one);
  return one;
}
export function closeMembers() {
  for (const one of opened) one.close();
  opened.clear();
}
