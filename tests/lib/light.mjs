// Clients that cost little, on bare sockets: Socket.IO by WebSocket, Socket.IO by polling, and plain `/ws`. Each does as the
// official client: keeps its pid and the last string it heard as offset, comes back by itself, and never asks anything twice.
// What it heard of the log is kept as ["<seq>", "<event>:<mark>"], so that it can be held against the log.
import net from 'node:net';

const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
const RS = '\x1e';
// What has no number of its own, or is said to one client alone.
const NOT_LOGGED = /^(portalcast:|metrics_update$|presence_update$|typing$|token_expiring$|resync$)/;
export const seqOf = (offset) => Number(offset.slice(offset.lastIndexOf('-') + 1));
export const markOf = (event, data) => `${event}:${data?.n ?? data?.messageId ?? data?.id ?? ''}`;

// A masked text frame; the mask is four zeros.
function frame(text, opcode = 1) {
  const body = Buffer.from(text);
  const head = body.length > 125 ? Buffer.from([0x80 | opcode, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0]) : Buffer.from([0x80 | opcode, 0x80 | body.length, 0, 0, 0, 0]);
  return Buffer.concat([head, body]);
}

// One connection that becomes a WebSocket.
class Pipe {
  rest = Buffer.alloc(0);
  constructor(port, target, on) {
    this.on = on;
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('connect', () => this.socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n`));
    this.socket.on('data', (part) => this.take(part));
    this.socket.on('error', () => {});
    this.socket.on('close', () => on.end());
  }

  take(part) {
    let bytes = this.rest.length ? Buffer.concat([this.rest, part]) : part;
    if (!this.isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return void (this.rest = bytes);
      if (!bytes.subarray(0, 12).toString('latin1').endsWith(' 101')) return this.drop();
      this.isOpen = true;
      bytes = bytes.subarray(end + 4);
      this.on.open?.();
    }
    for (;;) {
      if (bytes.length < 2) break;
      let [at, length] = [2, bytes[1] & 127];
      if (length === 126) {
        if (bytes.length < 4) break;
        [at, length] = [4, bytes.readUInt16BE(2)];
      } else if (length === 127) {
        if (bytes.length < 10) break;
        [at, length] = [10, Number(bytes.readBigUInt64BE(2))];
      }
      if (bytes.length < at + length) break;
      this.frame(bytes[0] & 15, bytes.subarray(at, at + length));
      bytes = bytes.subarray(at + length);
    }
    this.rest = bytes;
  }

  frame(opcode, body) {
    if (opcode === 1) this.on.text(body.toString());
    else if (opcode === 9) this.socket.write(frame(body, 10));
    else if (opcode === 8) this.socket.end();
  }

  say(text) {
    if (!this.socket.destroyed) this.socket.write(frame(text));
  }

  drop() {
    this.socket.resetAndDestroy();
  }
}

// One connection, one request after another.
class Line {
  text = '';
  constructor(port, onEnd) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (part) => this.take(part.toString('latin1')));
    this.socket.on('error', () => {});
    this.socket.on('close', onEnd);
  }

  take(part) {
    this.text += part;
    const end = this.text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const bytes = Number(/^content-length: (\d+)/im.exec(this.text.slice(0, end))?.[1] ?? 0);
    if (this.text.length < end + 4 + bytes) return;
    const [status, body] = [Number(this.text.slice(9, 12)), this.text.slice(end + 4, end + 4 + bytes)];
    this.text = this.text.slice(end + 4 + bytes);
    this.done(status, body);
  }

  ask(method, target, body, done) {
    this.done = done;
    if (!this.socket.destroyed) this.socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\n${method === 'POST' ? `Content-Length: ${body.length}\r\n` : ''}\r\n${body}`);
  }
}

// A session by polling: packets in, packets out, as if it were a Pipe.
class Polled {
  queue = [];
  constructor(port, on) {
    this.on = on;
    this.lines = [new Line(port, () => this.end()), new Line(port, () => this.end())];
    this.poll();
  }

  target() {
    return `/socket.io/?EIO=4&transport=polling${this.sid ? `&sid=${this.sid}` : ''}`;
  }

  poll() {
    this.lines[0].ask('GET', this.target(), '', (status, body) => {
      if (status !== 200) return this.drop();
      for (const packet of body.split(RS)) {
        if (packet[0] === '0') this.sid = JSON.parse(packet.slice(1)).sid;
        if (packet[0] === '1') return this.drop();
        this.on.text(packet);
      }
      if (!this.ended) this.poll();
    });
  }

  say(text) {
    this.queue.push(text);
    if (!this.posting) this.post();
  }

  post() {
    const body = this.queue.splice(0).join(RS);
    this.posting = true;
    this.lines[1].ask('POST', this.target(), body, (status) => {
      this.posting = false;
      if (status !== 200) return this.drop();
      if (this.queue.length) this.post();
    });
  }

  end() {
    if (this.ended) return;
    this.ended = true;
    for (const { socket } of this.lines) socket.destroy();
    this.on.end();
  }

  drop() {
    for (const { socket } of this.lines) socket.resetAndDestroy();
  }
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2000;

export class Light {
  log = []; // [seq, mark]
  gaps = []; // [from seq, to seq]: what it was told that it did not hear
  ends = []; // when its connection ended, ms
  foreign = []; // what the check of its owner did not like
  connects = 0;
  returns = 0; // connects that came with something to recover
  recovered = 0;
  tries = 0;

  // {port, kind: 'websocket' | 'polling' | 'ws', token, rooms?, slack?: ms without a ping before it gives up}
  constructor(options) {
    Object.assign(this, options);
    this.heardAt = Date.now();
    this.connect();
  }

  connect() {
    this.answered = false;
    const on = { text: (text) => this.take(text), end: () => this.gone(), open: () => this.kind === 'ws' && this.signIn() };
    if (this.kind === 'polling') this.link = new Polled(this.port, on);
    else this.link = new Pipe(this.port, this.kind === 'ws' ? '/ws' : '/socket.io/?EIO=4&transport=websocket', on);
  }

  signIn() {
    if (this.kind === 'ws') return this.link.say(JSON.stringify({ type: 'auth', token: this.token, ...(this.offset && { offset: this.offset }), ...(this.rooms && { rooms: this.rooms }) }));
    this.link.say(`40${JSON.stringify({ ...(this.pid && { pid: this.pid, ...(this.offset && { offset: this.offset }) }), token: this.token })}`);
  }

  take(text) {
    this.heardAt = Date.now();
    if (this.kind === 'ws') return this.message(JSON.parse(text));
    if (text[0] === '2') this.link.say('3');
    else if (text[0] === '0') this.signIn();
    else if (text.startsWith('42')) this.event(...JSON.parse(text.slice(2)));
    else if (text.startsWith('40')) this.connected(JSON.parse(text.slice(2)));
    else if (text.startsWith('44')) this.refusal = text;
  }

  message({ type, event, data, offset, recovered }) {
    if (type === 'event') this.event(event, data, offset);
    else if (type === 'ready') this.begins(recovered, offset);
    else if (type === 'resync') this.resyncs = (this.resyncs ?? 0) + 1;
    else if (type === 'error') this.refusal = data ?? JSON.stringify(event);
  }

  // The answer of Socket.IO; whether something is missing is said by portalcast:hello, right behind it.
  connected({ sid, pid }) {
    this.isSame = pid !== undefined && pid === this.pid;
    Object.assign(this, { sid, pid });
  }

  begins(recovered, offset) {
    if (this.connects++) {
      this.returns++;
      if (recovered) this.recovered++;
      else this.gaps.push([this.offset ? seqOf(this.offset) : this.start, seqOf(offset)]);
    } else this.start = seqOf(offset);
    this.offset = offset;
    this.answered = true;
    this.tries = 0;
  }

  event(name, data, ...more) {
    const offset = more.at(-1);
    if (name === 'portalcast:hello' && this.kind !== 'ws') this.begins(data.recovered && (this.isSame || !this.connects), data.recovered ? offset : data.head);
    if (name === 'resync') this.resyncs = (this.resyncs ?? 0) + 1;
    if (typeof offset === 'string') this.offset = offset;
    if (this.check && !this.check(name, data)) this.foreign.push([name, data]);
    if (!NOT_LOGGED.test(name)) this.log.push([seqOf(offset), markOf(name, data)]);
  }

  gone() {
    this.answered = false;
    if (this.isClosed) return;
    this.ends.push(Date.now());
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.tries++);
    this.timer = setTimeout(() => this.connect(), pause * (0.5 + Math.random()));
  }

  drop() {
    this.link.drop();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.link.drop();
  }
}
