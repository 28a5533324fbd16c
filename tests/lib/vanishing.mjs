// Polling clients on bare sockets, many thousands in one process, that vanish in the middle of whatever they do.
import net from 'node:net';
import { PATIENCE } from './env.mjs';

// One connection, one request after another; what cannot come any more rejects.
class Line {
  text = '';
  constructor(port) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (part) => this.take(part.toString('latin1')));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.fail?.(new Error('cut')));
    this.socket.setTimeout(60000 * PATIENCE, () => this.socket.destroy());
  }

  take(part) {
    this.text += part;
    const end = this.text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const bytes = Number(/^content-length: (\d+)/im.exec(this.text)?.[1] ?? 0);
    if (this.text.length < end + 4 + bytes) return;
    const answer = { status: Number(this.text.slice(9, 12)), body: this.text.slice(end + 4, end + 4 + bytes) };
    this.text = this.text.slice(end + 4 + bytes);
    const done = this.done;
    this.done = this.fail = undefined;
    done?.(answer);
  }

  ask(method, target, body = '') {
    return new Promise((done, fail) => {
      if (this.socket.destroyed) return fail(new Error('cut'));
      Object.assign(this, { done, fail });
      this.socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\n${method === 'POST' ? `Content-Length: ${Buffer.byteLength(body)}\r\n` : ''}\r\n${body}`);
    });
  }

  // Only bytes, whatever becomes of them.
  say(text) {
    if (!this.socket.destroyed) this.socket.write(text);
  }
}

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';

// What a client is in the middle of when it goes.
const ENDS = {
  'in a held GET': () => {},
  'in a POST': (c) => c.line().say(`POST ${c.target()} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n42["half`),
  'in the head of a request': (c) => c.line().say(`GET ${c.target()} HTTP/1.1\r\nHost: x\r\nX-Half`),
  'in an upgrade': (c) => c.line().say(`GET ${c.target('websocket')} HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n`),
  'with a second GET': (c) => c.line().say(`GET ${c.target()} HTTP/1.1\r\nHost: x\r\n\r\n`),
  'with both, many at once': (c) => c.line().say(`POST ${c.target()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n3`.repeat(20)),
  'between two GETs': (c) => (c.isIdle = true),
};
export const WAYS_TO_GO = Object.keys(ENDS);

export class Vanishing {
  lines = [];
  events = 0;
  constructor(port, token) {
    Object.assign(this, { port, token });
  }

  line() {
    this.lines.push(new Line(this.port));
    return this.lines.at(-1);
  }

  target(transport = 'polling') {
    return `/socket.io/?EIO=4&transport=${transport}${this.sid ? `&sid=${this.sid}` : ''}`;
  }

  // Handshake and CONNECT; from then on it polls and answers pings, until it goes. True: it heard its answer.
  async open() {
    const post = this.line();
    const { body } = await post.ask('GET', this.target());
    this.sid = JSON.parse(body.slice(1)).sid;
    await post.ask('POST', this.target(), `40${JSON.stringify({ token: this.token })}`);
    const connected = new Promise((done) => (this.onConnected = done));
    this.polling = this.poll(this.line(), post).catch(() => this.onConnected(false));
    return connected;
  }

  async poll(get, post) {
    while (!this.isIdle) {
      const { status, body } = await get.ask('GET', this.target());
      if (status !== 200) break;
      const packets = body.split('\x1e');
      this.events += packets.filter((p) => p.startsWith('42')).length;
      if (packets.some((p) => p.startsWith('40'))) this.onConnected(true);
      if (packets.includes('2')) await post.ask('POST', this.target(), '3');
    }
    this.onConnected(false);
  }

  // Begins what it will be cut in.
  begin(way) {
    ENDS[way](this);
  }

  // Gone: by FIN or, when `isHard`, by RST.
  go(isHard) {
    for (const { socket } of this.lines) isHard ? socket.resetAndDestroy() : socket.destroy();
  }
}
