// Engine.IO by hand: polling requests on connections of their own, WebSockets with everything they heard.
import http from 'node:http';
import net from 'node:net';
import WebSocket from 'ws';
import { PATIENCE, until, within } from './env.mjs';

export const RS = '\x1e';

// One request; resolves to {status, headers, body}. `agent`: undefined opens a connection of its own.
export function ask(method, url, { headers = {}, body, agent = false, signal } = {}) {
  return new Promise((done, fail) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const all = { ...headers, ...(bytes && { 'Content-Length': bytes.length }) };
    const r = http.request(url, { method, headers: all, agent, signal }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, raw: answer.rawHeaders, body: Buffer.concat(parts).toString() }));
      answer.on('error', fail);
    });
    r.setTimeout(20000 * PATIENCE, () => r.destroy(new Error(`no answer: ${method} ${url}`)));
    r.on('error', fail);
    r.end(bytes);
  });
}

// A session by polling.
export class PollSession {
  constructor(base, { path = '/socket.io/', query = '', headers = {}, agent } = {}) {
    Object.assign(this, { base, path, query, headers, agent });
  }
  url(transport = 'polling', more = '') {
    return `${this.base}${this.path}?EIO=4&transport=${transport}${this.sid ? `&sid=${this.sid}` : ''}${this.query}${more}`;
  }
  async open() {
    this.opened = await ask('GET', this.url(), { headers: this.headers, agent: this.agent });
    if (this.opened.status !== 200 || this.opened.body[0] !== '0') throw new Error(`no handshake: ${this.opened.status} ${this.opened.body}`);
    this.handshake = JSON.parse(this.opened.body.slice(1));
    this.sid = this.handshake.sid;
    return this;
  }
  get(options = {}) {
    return ask('GET', this.url(), { headers: this.headers, agent: this.agent, ...options });
  }
  post(body, options = {}) {
    return ask('POST', this.url(), { headers: this.headers, agent: this.agent, body, ...options });
  }
  // A GET that the server holds: resolves, once it surely has it, to {answer: a promise}.
  async held(gauge) {
    const before = gauge ? await gauge() : undefined;
    const answer = this.get();
    answer.catch(() => {});
    if (gauge) await until('a held GET', async () => (await gauge()) > before);
    else await new Promise((done) => setTimeout(done, 60));
    return { answer };
  }
  ws(options) {
    return new RawWs(this.url('websocket').replace('http', 'ws'), options);
  }
}

export class RawWs {
  heard = [];
  constructor(url, { protocols, headers } = {}) {
    this.socket = new WebSocket(url, protocols, { headers, perMessageDeflate: true });
    this.socket.on('message', (bytes, binary) => this.heard.push(binary ? bytes : bytes.toString()));
    this.socket.on('error', () => {});
    this.closed = new Promise((done) => this.socket.on('close', (code) => done((this.code = code))));
    this.socket.on('unexpected-response', (_, answer) => {
      let body = '';
      answer.on('data', (part) => (body += part));
      answer.on('end', () => (this.refusal = { status: answer.statusCode, headers: answer.headers, body }));
    });
  }
  // What the server answered in the place of a 101.
  refused() {
    return until('a refusal', () => this.refusal);
  }
  async opened() {
    await until('an open WebSocket', () => this.socket.readyState === WebSocket.OPEN);
    return this;
  }
  async next(count = 1) {
    await until(`${count} messages, has ${JSON.stringify(this.heard.map(String))}`, () => this.heard.length >= count, 5000);
    return this.heard.splice(0, count);
  }
  send(...messages) {
    for (const m of messages) this.socket.send(m);
    return this;
  }
  // The close code; fails when it stays open.
  async ends() {
    const code = await within(this.closed, 6000 * PATIENCE);
    if (code === undefined) throw new Error('the WebSocket stays open');
    return code;
  }
  close() {
    this.socket.terminate();
  }
}

// A connection to write bytes to as they are; `text` is all that came back.
export class RawSocket {
  text = '';
  isClosed = false;
  constructor(port) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (part) => (this.text += part.toString('latin1')));
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.isClosed = true));
  }
  write(bytes) {
    this.socket.write(bytes);
    return this;
  }
  hears(pattern, timeoutMs = 5000) {
    return until(`${pattern} in ${JSON.stringify(this.text.slice(-300))}`, () => pattern.exec(this.text), timeoutMs);
  }
  ends(timeoutMs = 5000) {
    return until('the end of the connection', () => this.isClosed, timeoutMs);
  }
  destroy() {
    this.socket.destroy();
  }
}
