// A broker that means ill: it speaks AMQP 0-9-1 well enough to let a client in, and then, at a moment that chance decides, says
// something that no broker would. What it did to each connection is in `deeds`.
import net from 'node:net';

const END = 0xce;
const int = (bytes, value) => {
  const b = Buffer.alloc(bytes);
  if (bytes === 8) b.writeBigUInt64BE(BigInt(value));
  else b.writeUIntBE(Number(value), 0, bytes);
  return b;
};
const short = (text) => Buffer.concat([int(1, Buffer.byteLength(text)), Buffer.from(text)]);
const long = (text) => Buffer.concat([int(4, Buffer.byteLength(text)), Buffer.from(text)]);
const all = (...parts) => Buffer.concat(parts);

export const frame = (type, channel, payload, end = END) => all(int(1, type), int(2, channel), int(4, payload.length), payload, int(1, end));
const method = (channel, cls, id, args = Buffer.alloc(0)) => frame(1, channel, all(int(2, cls), int(2, id), args));
const header = (size, flags = 0, properties = Buffer.alloc(0), cls = 60) => frame(2, 1, all(int(2, cls), int(2, 0), int(8, size), int(2, flags), properties));
const body = (bytes) => frame(3, 1, Buffer.from(bytes));
const deliver = (tag, key = 'tenant.t_fake.n', consumer = 'c') => method(1, 60, 60, all(short(consumer), int(8, tag), int(1, 0), short('waba.agent-portal.events'), short(key)));
const returned = (key = 'inbound.enriched') => method(1, 60, 50, all(int(2, 312), short('NO_ROUTE'), short(''), short(key)));
const ack = (tag, multiple = 0) => method(1, 60, 80, all(int(8, tag), int(1, multiple)));
const nack = (tag, multiple = 0) => method(1, 60, 120, all(int(8, tag), int(1, multiple)));
const EVENT = JSON.stringify({ v: 1, id: 'e_1', type: 'n', tenantId: 't_fake', data: 1 });
const nested = (depth) => {
  let table = Buffer.alloc(0);
  for (let i = 0; i < depth && table.length < 60000; i++) table = all(short('a'), Buffer.from('F'), int(4, table.length), table);
  return table;
};
const random16 = (r, n) => Buffer.from(Array.from({ length: n }, () => Math.floor(r() * 256)));

// name: what is written when the moment has come. `r`: a generator of numbers in [0, 1).
const HUGE = 0xffffffffffffffffn;
export const ILL = {
  'noise': (r) => random16(r, 1 + Math.floor(r() * 400)),
  'another protocol': () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
  'another version': () => Buffer.from('AMQP\x00\x01\x00\x00', 'latin1'),
  'a wrong end of a frame': () => frame(1, 1, all(int(2, 60), int(2, 80), int(8, 1), int(1, 0)), 0x00),
  'a frame without content': () => frame(1, 1, Buffer.alloc(0)),
  'half a method number': () => frame(1, 1, int(2, 60)),
  'a method without its arguments': () => method(1, 60, 60),
  'an unknown method': () => method(1, 60, 999),
  'an unknown class': () => method(1, 9999, 10, int(8, 1)),
  'an unknown type of frame': () => frame(17, 1, Buffer.from('hello')),
  'a frame that is said to be huge': () => all(int(1, 1), int(2, 1), int(4, 0xffffffff), Buffer.alloc(64)),
  'a frame over the agreed size': () => frame(3, 1, Buffer.alloc(200000)),
  'a header out of nowhere': () => header(10),
  'a body out of nowhere': () => body('hello'),
  'a short header': () => all(deliver(1), frame(2, 1, int(2, 60))),
  'a header of another class': () => all(deliver(1), header(3, 0, Buffer.alloc(0), 85), body('abc')),
  'flags without end': () => all(deliver(1), header(3, 0xffff, Buffer.alloc(40, 0xff)), body('abc')),
  'properties that are cut off': () => all(deliver(1), header(3, 0x8000 | 0x2000, Buffer.from([200, 65])), body('abc')),
  'headers that are a table in tables': () => { const t = nested(3000); return all(deliver(1), header(3, 0x2000, all(int(4, t.length), t)), body('abc')); },
  'a table with a length of its own': () => all(deliver(1), header(3, 0x2000, all(int(4, 0x7fffffff), Buffer.from('\x01aS\x7f\xff\xff\xff', 'latin1'))), body('abc')),
  'a field of an unknown kind': () => { const t = all(short('a'), Buffer.from('?'), int(4, 7)); return all(deliver(1), header(3, 0x2000, all(int(4, t.length), t)), body('abc')); },
  'a body larger than was said': () => all(deliver(1), header(3), body('abcdefgh'.repeat(1000))),
  'a body in parts that are too many': () => all(deliver(1), header(10), body('abcdefgh'), body('abcdefgh'), body('abcdefgh')),
  'a body without an end': () => all(deliver(1), header(HUGE - 1n), ...Array.from({ length: 40 }, () => body('x'.repeat(4000)))),
  'empty parts of a body': () => all(deliver(1), header(3), ...Array.from({ length: 500 }, () => body('')), body('abc')),
  'a message inside another': () => all(deliver(1), header(100), body('abc'), deliver(2), header(3), body('abc')),
  'a heartbeat inside a message': () => all(deliver(1), frame(8, 0, Buffer.alloc(0)), header(3), frame(8, 0, Buffer.alloc(0)), body('abc')),
  'a heartbeat with content': () => frame(8, 1, Buffer.from('beat')),
  'a string that ends behind its frame': () => method(1, 60, 60, all(int(1, 255), Buffer.from('c'))),
  'deliveries that nobody asked for': () => all(...Array.from({ length: 200 }, (_, i) => all(deliver(HUGE - BigInt(i), `tenant.${'x'.repeat(200)}.${i}`, 'nobody'), header(EVENT.length), body(EVENT)))),
  'many channels': () => all(...Array.from({ length: 60 }, (_, i) => frame(1, i * 1063, all(int(2, 60), int(2, 80), int(8, 1), int(1, 0))))),
  'content on channel 0': () => frame(3, 0, Buffer.from('abc')),
  'acks of what was never sent': () => all(ack(HUGE), ack(0, 1), ack(1n << 63n, 1), ack(7), ack(7)),
  'nacks of what was never sent': () => all(nack(HUGE), nack(0, 1), nack(1n << 63n, 1)),
  'a return without a message': () => all(returned(), ack(1)),
  'a return of something else': () => all(returned('x'.repeat(255)), header(3), body('abc')),
  'a block without a reason': () => method(0, 10, 60),
  'blocked and unblocked, many times': () => all(...Array.from({ length: 100 }, (_, i) => (i % 2 ? method(0, 10, 61) : method(0, 10, 60, short('x'))))),
  'the end of another consumer': () => method(1, 60, 30, all(short('nobody'), int(1, 1))),
  'a close of the channel, cut off': () => method(1, 20, 40, int(2, 404)),
  'a close of the channel with a long word': () => method(1, 20, 40, all(int(2, 404), short('%s%n'.repeat(60)), int(2, 60), int(2, 40))),
  'a close of the connection with a forged line': () => method(0, 10, 50, all(int(2, 320), short('bye"\r\ntime=x level=error event=forged'), int(2, 0), int(2, 0))),
  'an answer to no question': () => all(method(1, 50, 11, all(short('q'), int(4, 0), int(4, 0))), method(1, 20, 11, int(4, 0)), method(0, 10, 41, int(1, 0))),
  'a request that servers get': () => method(1, 60, 40, all(int(2, 0), short('x'), short('y'), int(1, 0))),
  'the greeting again': () => method(0, 10, 10, all(int(1, 0), int(1, 9), int(4, 0), long('PLAIN'), long('en_US'))),
  'half a frame, and the end': () => frame(1, 1, all(int(2, 60), int(2, 80), int(8, 1), int(1, 0))).subarray(0, 9),
  'nothing, and the end': () => Buffer.alloc(0),
};

const KINDS = Object.keys(ILL);

// Moments at which it happens: with the n-th frame that the client sends.
const LAST_MOMENT = 14;

export class FakeBroker {
  deeds = [];
  sockets = new Set();
  constructor(port, random) {
    Object.assign(this, { port, random });
    this.server = net.createServer((socket) => this.take(socket));
  }

  open() {
    return new Promise((done) => this.server.listen(this.port, '127.0.0.1', () => done(this)));
  }

  async close() {
    const closed = new Promise((done) => this.server.close(done));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  // A valid frame in which some bits are turned over.
  bent(bytes) {
    const copy = Buffer.from(bytes);
    for (let i = 0, n = 1 + Math.floor(this.random() * 4); i < n && copy.length; i++) copy[Math.floor(this.random() * copy.length)] ^= 1 << Math.floor(this.random() * 8);
    return copy;
  }

  take(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
    // Two in three say something out of the table, in turn, at a moment; the others bend an answer. All end soon afterwards.
    const n = this.deeds.length;
    const deed = { at: Math.floor(this.random() * LAST_MOMENT), ill: n % 3 ? KINDS[(n - Math.floor(n / 3) - 1) % KINDS.length] : 'bent', done: false };
    this.deeds.push(deed);
    const state = { rest: Buffer.alloc(0), frames: 0, published: 0, greeted: false };
    const say = (bytes) => {
      if (deed.done || socket.destroyed) return;
      const isTime = state.frames >= deed.at;
      if (isTime && deed.ill === 'bent') [bytes, deed.done] = [this.bent(bytes), true];
      socket.write(bytes);
      if (isTime && deed.ill !== 'bent') {
        deed.done = true;
        socket.write(ILL[deed.ill](this.random));
      }
      if (deed.done) setTimeout(() => socket.destroy(), 20 + this.random() * 300);
    };
    socket.on('data', (part) => this.hear(state, part, say));
    setTimeout(() => socket.destroy(), 1500); // who does not notice, or waits for what was bent away
  }

  hear(state, part, say) {
    state.rest = all(state.rest, part);
    if (!state.greeted) {
      if (state.rest.length < 8) return;
      state.greeted = true;
      state.rest = state.rest.subarray(8);
      const table = this.random() < 0.2 ? nested(Math.floor(this.random() * 200)) : Buffer.alloc(0);
      return say(method(0, 10, 10, all(int(1, 0), int(1, 9), int(4, table.length), table, long('PLAIN AMQPLAIN'), long('en_US'))));
    }
    while (state.rest.length >= 8) {
      const size = state.rest.readUInt32BE(3);
      if (state.rest.length < size + 8) return;
      const type = state.rest[0];
      const payload = state.rest.subarray(7, 7 + size);
      state.rest = state.rest.subarray(size + 8);
      state.frames++;
      if (type === 1) this.answer(state, payload.readUInt16BE(0), payload.readUInt16BE(2), say);
    }
  }

  answer(state, cls, id, say) {
    const tune = () => all(int(2, this.pick([2047, 0, 1, 65535])), int(4, this.pick([131072, 131072, 0, 4096, 1, 0xffffffff])), int(2, this.pick([60, 60, 0, 1, 65535])));
    const answers = {
      '10.11': () => method(0, 10, 30, tune()),
      '10.40': () => method(0, 10, 41, short('')),
      '10.50': () => method(0, 10, 51),
      '20.10': () => method(1, 20, 11, long('')),
      '20.40': () => method(1, 20, 41),
      '40.10': () => method(1, 40, 11),
      '50.10': () => method(1, 50, 11, all(short('q'), int(4, 0), int(4, 1))),
      '50.20': () => method(1, 50, 21),
      '50.50': () => method(1, 50, 51),
      '60.10': () => method(1, 60, 11),
      '60.20': () => all(method(1, 60, 21, short('c')), deliver(1), header(EVENT.length), body(EVENT)),
      '60.40': () => ack(++state.published),
      '85.10': () => method(1, 85, 11),
    };
    const make = answers[`${cls}.${id}`];
    if (make) say(make());
  }
}
