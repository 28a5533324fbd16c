// Browsers: the official Socket.IO client and a plain WebSocket, both keeping a record of all they hear.
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { PATIENCE, until, within } from './env.mjs';

export const OURS = /^portalcast:/;

export class Listener {
  heard = []; // {event, data, offset, args?}

  of(event) {
    return this.heard.filter((h) => h.event === event);
  }

  // Everything but our own framework events, the figures and who is there, which come when they like.
  get news() {
    return this.heard.filter((h) => !OURS.test(h.event) && !['metrics_update', 'presence_update'].includes(h.event));
  }

  // Waits until `count` events match.
  hears(what, match, count = 1, timeoutMs = 10000) {
    const test = typeof match === 'string' ? (h) => h.event === match : match;
    return until(`${what} (${count}x)`, () => {
      const found = this.heard.filter(test);
      return found.length >= count ? found : null;
    }, timeoutMs);
  }

  // The sequence numbers of the durable events heard: offsets are "<epoch>-<seq>".
  seqs() {
    return this.news.map((h) => Number(h.offset.slice(h.offset.lastIndexOf('-') + 1)));
  }
}

export class SioClient extends Listener {
  // `connect`: the io() of another release; `transports: undefined` is the client's own default.
  constructor(base, token, { connect = io, ...options } = {}) {
    super();
    this.socket = connect(base, { auth: token === undefined ? {} : { token }, transports: ['websocket'], forceNew: true, reconnection: false, ...options });
    this.disconnects = [];
    this.refusals = [];
    this.socket.on('connect_error', (error) => this.refusals.push(error));
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.onAny((event, ...args) => {
      const last = args.at(-1);
      this.heard.push({ event, data: args[0], offset: args.length > 1 && typeof last === 'string' ? last : undefined, args });
    });
  }

  // Resolves when connected; rejects with the connect_error.
  connected(timeoutMs = 10000) {
    return new Promise((done, fail) => {
      if (this.socket.connected) return done(this);
      const timer = setTimeout(() => fail(new Error('not connected in time')), timeoutMs * PATIENCE);
      this.socket.once('connect', () => (clearTimeout(timer), done(this)));
      this.socket.once('connect_error', (error) => (clearTimeout(timer), fail(error)));
    });
  }

  // What the server answers to an event; null when it does not in time.
  async asks(event, ...args) {
    const timeoutMs = 10000 * PATIENCE;
    return (await within(new Promise((done) => this.socket.emit(event, ...args, done)), timeoutMs)) ?? null;
  }

  close() {
    this.socket.disconnect();
  }
}

export class WsClient extends Listener {
  constructor(base, { query = '', protocols, headers, token, offset } = {}) {
    super();
    this.messages = [];
    this.socket = new WebSocket(`${base.replace('http', 'ws')}/ws${query}`, protocols, { headers });
    this.closed = new Promise((done) => this.socket.on('close', (code, reason) => done((this.closeCode = { code, reason: reason.toString() }))));
    this.refused = new Promise((done) => {
      this.socket.on('unexpected-response', (_, answer) => (done(answer.statusCode), answer.resume()));
    });
    this.socket.on('error', () => {});
    this.socket.on('message', (bytes) => {
      const message = JSON.parse(bytes.toString());
      this.messages.push(message);
      if (message.type === 'event') this.heard.push(message);
    });
    this.socket.on('open', () => token && this.send({ type: 'auth', token, ...(offset ? { offset } : {}) }));
  }

  send(message) {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  // What the server answers to a message: `ack` or `error` with its id.
  async asks(message) {
    const id = `q${this.messages.length}-${Math.random()}`;
    this.send({ ...message, id });
    return until(`an answer to ${message.type} ${message.event ?? ''}`, () => this.messages.find((m) => m.id === id));
  }

  message(type, timeoutMs = 10000) {
    return until(`a ${type} message`, () => this.messages.find((m) => m.type === type), timeoutMs);
  }

  opened(timeoutMs = 10000) {
    return until('an open WebSocket', () => this.socket.readyState === WebSocket.OPEN, timeoutMs);
  }

  close() {
    this.socket.terminate();
  }
}
