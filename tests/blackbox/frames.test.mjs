// WebSocket frames, after the groups of Autobahn's suite that concern us (1 echo, 2 ping, 3 reserved bits, 4 opcodes, 5 fragments,
// 6 UTF-8, 7 close, 9 sizes), byte by byte on every WebSocket that a gateway has: what is right comes back, what is wrong is
// closed with its code (RFC 6455, 7.4), and the gateway lives. 10, 12 and 13 are extensions, which it has none of.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, RUN_DIR, until } from '../lib/env.mjs';
import { gateway } from '../lib/services.mjs';

const MAX = 200000; // MAX_PAYLOAD
let service;
before(async () => {
  service = await gateway(RUN_DIR, 'amqp://guest:guest@127.0.0.1:9/', { PROFILE: 'conformance', JWT_SECRET: '', LOG_LEVEL: 'info', MAX_PAYLOAD: String(MAX), MESSAGE_RATE: '0', BYTE_RATE: '0', LAG_MAX_BYTES: '100000000', PING_INTERVAL_MS: '60000', CONNECT_TIMEOUT_MS: '60000' });
  await service.start();
});
after(() => service?.stop());

const bytes = (...parts) => Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(p) : Buffer.from(p))));
const [NONE, CUT] = ['no code', 'no close frame'];
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
// A client's frame; whatever is asked for, however wrong.
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = randomBytes(4), length, extended } = {}) {
  const body = bytes(payload);
  const n = length ?? body.length;
  const wide = extended ?? (n > 65535 ? 8 : n > 125 ? 2 : 0);
  const head = Buffer.alloc(2 + wide);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (wide === 8 ? 127 : wide ? 126 : n);
  if (wide === 8) head.writeBigUInt64BE(BigInt(n), 2);
  else if (wide) head.writeUInt16BE(n, 2);
  return mask ? bytes(head, mask, body.map((byte, i) => byte ^ mask[i % 4])) : bytes(head, body);
}
const closing = (code, reason = '') => frame(CLOSE, code === undefined ? '' : bytes([code >> 8, code & 255], reason));

// The ways in: how a message is said that carries some bytes, and what comes back for it.
const ENDPOINTS = {
  '/engine.io': { target: '/engine.io/?EIO=4&transport=websocket', greeting: 1, say: (b) => bytes('4', b), hear: (b) => bytes('4', b), binary: true },
  '/socket.io': { target: '/socket.io/?EIO=4&transport=websocket', greeting: 1, hello: ['40', 2], say: (b) => bytes('42["message","', b, '"]'), hear: (b) => bytes('42["message-back","', b, '"]') },
  '/ws': { target: '/ws', greeting: 0, say: (b) => bytes('{"type":"ping","x":"', b, '"}'), hear: () => bytes('{"type":"pong"}') },
};

const closed = [];
class Peer {
  frames = []; // [opcode, payload]
  rest = Buffer.alloc(0);
  static async open(endpoint) {
    const { target, greeting, hello } = endpoint;
    const peer = Object.assign(new Peer(), { endpoint });
    peer.socket = net.connect({ port: service.port, host: '127.0.0.1', noDelay: true });
    peer.socket.on('data', (part) => (peer.take(part), peer.look?.())).on('error', () => {});
    peer.socket.on('close', () => ((peer.isClosed = true), peer.look?.()));
    peer.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`);
    await peer.when('101', () => peer.head);
    assert.match(peer.head, /^HTTP\/1\.1 101 /);
    assert.doesNotMatch(peer.head, /extensions/i);
    await peer.heard(greeting);
    if (hello) await peer.write(frame(TEXT, hello[0])).heard(greeting + hello[1]);
    peer.frames.length = 0;
    return peer;
  }
  take(part) {
    this.rest = bytes(this.rest, part);
    if (!this.head) {
      const end = this.rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.rest.subarray(0, end).toString();
      this.rest = this.rest.subarray(end + 4);
    }
    for (;;) {
      if (this.rest.length < 2) return;
      assert.equal(this.rest[0] & 0xf0, 0x80, 'whole frames without reserved bits');
      let [at, n] = [2, this.rest[1]];
      if (n === 126) [at, n] = [4, this.rest.length < 4 ? Infinity : this.rest.readUInt16BE(2)];
      else if (n === 127) [at, n] = [10, this.rest.length < 10 ? Infinity : Number(this.rest.readBigUInt64BE(2))];
      if (this.rest.length < at + n) return;
      this.frames.push([this.rest[0] & 15, Buffer.from(this.rest.subarray(at, at + n))]);
      this.rest = this.rest.subarray(at + n);
    }
  }
  // What probe() gives once it gives something: asked again with everything that happens.
  when(what, probe) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`in vain: ${what}; heard ${JSON.stringify(this.frames.map(([o, p]) => [o, p.toString('latin1').slice(0, 40)]))}`)), 10000 * PATIENCE);
      this.look = () => {
        const found = probe();
        if (!found) return;
        clearTimeout(timer);
        this.look = undefined;
        done(found);
      };
      this.look();
    });
  }
  write(...parts) {
    for (const part of parts) this.socket.write(part);
    return this;
  }
  // The same in pieces of so many bytes, each a segment of its own.
  async chop(data, size) {
    for (let at = 0; at < data.length; at += size) {
      this.socket.write(data.subarray(at, at + size));
      await new Promise((done) => setImmediate(done));
    }
    return this;
  }
  async heard(count) {
    await this.when(`${count} frames`, () => this.frames.length >= count || this.isClosed);
    return this;
  }
  // Exactly these frames come, and then nothing: seen by a message behind them. A pong may come behind what follows its ping.
  async gets(...wanted) {
    const all = [...wanted, [TEXT, this.endpoint.hear('the end')]].map(([opcode, payload]) => [opcode, bytes(payload)]);
    this.write(frame(TEXT, this.endpoint.say('the end')));
    await this.heard(all.length);
    for (const isPong of [false, true]) {
      const [got, due] = [this.frames, all].map((list) => list.filter(([o]) => (o === PONG) === isPong));
      assert.deepEqual(got.map(([o, p]) => [o, p.length, p.toString('latin1').slice(0, 60)]), due.map(([o, p]) => [o, p.length, p.toString('latin1').slice(0, 60)]));
      due.forEach(([, p], i) => assert.ok(p.equals(got[i][1])));
    }
    this.socket.destroy();
  }
  // Closed with this code (or one of these; NONE: a close frame without; CUT: without a close frame,
  // as libwebsockets ends some), and the connection with it.
  async fails(code, before = []) {
    await this.when('a close frame', () => this.frames.some(([o]) => o === CLOSE) || this.isClosed);
    const close = this.frames.find(([o]) => o === CLOSE)?.[1];
    const said = !close ? CUT : close.length > 1 ? close.readUInt16BE(0) : close.length ? 'half a code' : NONE;
    assert.ok([code].flat().includes(said), `closed with ${said}; heard ${JSON.stringify(this.frames.map(([o, p]) => [o, p.toString('latin1').slice(0, 40)]))}`);
    assert.deepEqual(this.frames.filter(([o]) => o !== CLOSE).map(([o, p]) => [o, p.toString('latin1')]), before.map(([o, p]) => [o, bytes(p).toString('latin1')]));
    this.write(closing(1000));
    closed.push(this); // in seconds: who broke the framing cannot be understood any more
  }
}

const letters = (n) => 'x'.repeat(n);
const GOOD_UTF8 = ['\u03ba\u1f79\u03c3\u03bc\u03b5', '\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}', '\ufffe\uffff\u{1fffe}', '\u{1f600}\u200d\u2028'];
const BAD_UTF8 = ['80', 'bf', '8080', 'c0af', 'c080', 'c1bf', 'e08080', 'e09f80', 'f0808080', 'f08f8080', 'eda080', 'edadbf', 'edbfbf', 'eda080edb080', 'f4908080', 'f5808080', 'f888808080', 'fc8480808080', 'fe', 'ff', 'c3', 'c320', 'e282', 'e28220', 'f09f98', 'f09f9820', 'cebae1bdb9cf83cebcceb5eda080656469746564'].map((hex) => Buffer.from(hex, 'hex'));

for (const [name, endpoint] of Object.entries(ENDPOINTS)) {
  const { say, hear } = endpoint;
  const open = () => Peer.open(endpoint);
  const overhead = say('').length;
  const text = (payload, options) => frame(TEXT, say(payload), options);
  // One message in fragments of so many bytes.
  const fragments = (data, size, opcode = TEXT) => {
    const list = [];
    for (let at = 0; at < data.length || !at; at += size) list.push(frame(at ? CONTINUATION : opcode, data.subarray(at, at + size), { fin: at + size >= data.length }));
    return list;
  };

  describe(`${name}: 1, messages come back`, () => {
    for (const size of [0, 1, 125 - overhead, 126 - overhead, 127 - overhead, 128 - overhead, 65535 - overhead, 65536 - overhead, 65537].filter((n) => n >= 0))
      test(`text of ${size} and its wrapping, at once and in small pieces`, async () => {
        await (await open()).write(text(letters(size))).gets([TEXT, hear(letters(size))]);
        for (const piece of size > 1000 ? [997] : [1, 3]) await (await (await open()).chop(text(letters(size)), piece)).gets([TEXT, hear(letters(size))]);
      });
    test('masked with zeros, and with ones', async () => {
      for (const mask of [Buffer.alloc(4), Buffer.alloc(4, 255)]) await (await open()).write(text('m', { mask })).gets([TEXT, hear('m')]);
    });
    test('a hundred in one segment, in order', async () => {
      const all = Array.from({ length: 100 }, (_, i) => String(i));
      await (await open()).write(bytes(...all.map((i) => text(i)))).gets(...all.map((i) => [TEXT, hear(i)]));
    });
    if (endpoint.binary)
      test('binary of many sizes', async () => {
        for (const size of [0, 1, 125, 126, 127, 128, 65535, 65536]) {
          const data = randomBytes(size);
          await (await open()).write(frame(BINARY, data)).gets([BINARY, data]);
        }
      });
  });

  describe(`${name}: 2, pings`, () => {
    for (const payload of ['', 'Hello', randomBytes(1), Buffer.from([0, 255, 254, 253]), letters(125)])
      test(`with ${bytes(payload).length} bytes get a pong with the same`, async () => {
        await (await open()).write(frame(PING, payload)).gets([PONG, payload]);
        await (await (await open()).chop(frame(PING, payload), 1)).gets([PONG, payload]);
      });
    test('with 126 bytes are refused', async () => (await open()).write(frame(PING, letters(126))).fails([1002, CUT]));
    test('pongs that nobody asked for are nothing', async () => (await open()).write(frame(PONG), frame(PONG, 'what'), text('a')).gets([TEXT, hear('a')]));
    test('ten after each other, each its pong', async () => {
      const peer = await open();
      for (let i = 1; i <= 10; i++) await peer.write(frame(PING, `p${i}`)).heard(i);
      await peer.gets(...Array.from({ length: 10 }, (_, i) => [PONG, `p${i + 1}`]));
    });
    test('ten at once: a pong for one of them at least, and the connection lives', async () => {
      const peer = await (await open()).write(bytes(...Array.from({ length: 10 }, (_, i) => frame(PING, `p${i}`)))).heard(1);
      await peer.gets(...Array.from({ length: peer.frames.length }, (_, i) => [PONG, `p${i}`]));
    });
  });

  describe(`${name}: 3, reserved bits`, () => {
    for (const rsv of [1, 2, 3, 4, 5, 6, 7])
      test(`${rsv} is refused, on every kind of frame`, async () => {
        await (await open()).write(text('a', { rsv })).fails(1002);
        await (await open()).write(text('a'), frame(PING, 'p', { rsv })).fails(1002, [[TEXT, hear('a')]]);
        await (await open()).write(frame(CLOSE, '', { rsv })).fails(1002);
        await (await open()).write(text('', { fin: false }), frame(CONTINUATION, 'b', { rsv })).fails(1002);
      });
  });

  describe(`${name}: 4, opcodes`, () => {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
      test(`${opcode} is refused`, async () => {
        await (await open()).write(frame(opcode)).fails(1002);
        await (await open()).write(text('a'), frame(opcode, 'payload'), text('b')).fails(1002, [[TEXT, hear('a')]]);
      });
  });

  describe(`${name}: 5, fragments`, () => {
    const whole = say('in pieces');
    for (const [what, opcode] of [['ping', PING], ['pong', PONG], ['close', CLOSE]])
      test(`a ${what} in fragments is refused`, async () => (await open()).write(frame(opcode, '', { fin: false }), frame(CONTINUATION, '')).fails(1002));
    for (const size of [1, 2, 5, whole.length - 1, whole.length])
      test(`a text in pieces of ${size}`, async () => {
        await (await open()).write(...fragments(whole, size)).gets([TEXT, hear('in pieces')]);
        await (await open()).write(bytes(...fragments(whole, size))).gets([TEXT, hear('in pieces')]);
        await (await (await open()).chop(bytes(...fragments(whole, size)), 1)).gets([TEXT, hear('in pieces')]);
      });
    test('empty pieces in front, between and behind', async () => {
      const empty = frame(CONTINUATION, '', { fin: false });
      await (await open()).write(frame(TEXT, '', { fin: false }), empty, frame(CONTINUATION, whole, { fin: false }), empty, frame(CONTINUATION, '')).gets([TEXT, hear('in pieces')]);
    });
    test('pings between the pieces are answered at once', async () => {
      const [first, ...others] = fragments(whole, 4);
      const peer = await open();
      peer.write(first);
      for (const [i, next] of others.entries()) (await peer.write(frame(PING, `p${i}`)).heard(i + 1)).write(next);
      await peer.gets(...others.map((_, i) => [PONG, `p${i}`]), [TEXT, hear('in pieces')]);
    });
    test('a continuation of nothing is refused', async () => {
      for (const fin of [true, false]) await (await open()).write(frame(CONTINUATION, 'of what', { fin }), text('b')).fails(1002);
      await (await open()).write(text('a'), frame(CONTINUATION, 'of what')).fails(1002, [[TEXT, hear('a')]]);
      await (await open()).write(...fragments(whole, 4), frame(CONTINUATION, 'too much')).fails(1002, [[TEXT, hear('in pieces')]]);
    });
    test('a message that begins inside another is refused', async () => {
      for (const opcode of [TEXT, BINARY]) await (await open()).write(frame(TEXT, whole, { fin: false }), frame(opcode, 'another')).fails(1002);
    });
  });

  describe(`${name}: 6, UTF-8`, () => {
    for (const good of GOOD_UTF8)
      test(`${JSON.stringify(good)} is taken, cut anywhere`, async () => {
        await (await open()).write(text(good)).gets([TEXT, hear(good)]);
        for (const size of [1, 2, 3]) await (await open()).write(...fragments(say(good), size)).gets([TEXT, hear(good)]);
      });
    for (const bad of BAD_UTF8)
      test(`${bad.toString('hex')} is refused, in one frame, and cut into pieces anywhere`, async () => {
        await (await open()).write(text(bad)).fails(1007);
        await (await (await open()).chop(text(bad), 1)).fails(1007);
        const whole = say(bad);
        const start = whole.indexOf(bad);
        for (let at = start; at <= start + bad.length; at++) await (await open()).write(frame(TEXT, whole.subarray(0, at), { fin: false }), frame(CONTINUATION, whole.subarray(at))).fails(1007);
      });
    if (name === '/engine.io')
      test('a text that ends inside a character', async () => {
        for (const start of ['c3', 'e282', 'f09f98']) {
          const cut = bytes('4', Buffer.from(start, 'hex'));
          await (await open()).write(frame(TEXT, cut)).fails(1007);
          await (await open()).write(...fragments(cut, 1)).fails(1007);
        }
      });
  });

  describe(`${name}: 7, closing`, () => {
    test('without a code is answered so', async () => (await open()).write(closing()).fails([NONE, 1000]));
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
      test(`with ${code} is answered so`, async () => {
        await (await open()).write(closing(code)).fails(code);
        await (await open()).write(closing(code, 'why \u00e9')).fails(code);
      });
    test('with a reason of 123 bytes', async () => (await open()).write(closing(1000, letters(123))).fails(1000));
    test('with a reason of 124 bytes is refused', async () => (await open()).write(closing(1000, letters(124))).fails([1002, CUT]));
    test('with a reason that is no UTF-8 is refused', async () => (await open()).write(frame(CLOSE, [3, 232, 255])).fails([1002, 1007, CUT]));
    for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) test(`with ${code} is refused`, async () => (await open()).write(closing(code)).fails(1002));
    test('with half a code is refused', async () => (await open()).write(frame(CLOSE, [3])).fails(1002));
    test('what comes behind it counts for nothing', async () => {
      await (await open()).write(bytes(closing(1000), text('late'), frame(PING, 'late'), closing(1001))).fails(1000);
      await (await open()).write(bytes(text('a', { fin: false }), closing(1000), frame(CONTINUATION, 'late'))).fails(1000);
    });
    test('a message before it is answered first', async () => (await open()).write(bytes(text('a'), closing(1000))).fails(1000, [[TEXT, hear('a')]]));
  });

  describe(`${name}: 9, sizes`, () => {
    const most = MAX - overhead;
    test('the largest message comes back: at once, in fragments, in segments', async () => {
      await (await open()).write(text(letters(most))).gets([TEXT, hear(letters(most))]);
      for (const size of [64, 1024, 65536]) await (await open()).write(bytes(...fragments(say(letters(most)), size))).gets([TEXT, hear(letters(most))]);
      for (const size of [64, 2048]) await (await (await open()).chop(text(letters(most)), size)).gets([TEXT, hear(letters(most))]);
    });
    test('a byte more is refused: at once, in fragments, at the head already', async () => {
      await (await open()).write(text(letters(most + 1))).fails(1009);
      await (await open()).write(bytes(...fragments(say(letters(most + 1)), 1024))).fails(1009);
      await (await open()).write(text('', { length: MAX + 1 })).fails(1009);
      await (await open()).write(frame(TEXT, say(letters(most - 10)), { fin: false }), frame(CONTINUATION, 'y', { length: 11 })).fails(1009);
    });
    for (const [what, length] of [['2^31', 2n ** 31n], ['2^32', 2n ** 32n], ['2^40', 2n ** 40n], ['2^62', 2n ** 62n], ['2^63 - 1', 2n ** 63n - 1n], ['2^63', 2n ** 63n], ['2^64 - 1', 2n ** 64n - 1n]])
      test(`a frame of ${what} bytes is refused at its head`, async () => {
        for (const opcode of [TEXT, BINARY]) await (await open()).write(frame(opcode, 'and so on', { length })).fails(length < 2n ** 63n ? 1009 : [1002, CUT]);
        await (await open()).write(frame(PING, 'and so on', { length })).fails([1002, CUT]);
      });
    test('many small ones after each other', async () => {
      const peer = await open();
      for (let i = 0; i < 1000; i++) peer.write(text(String(i)));
      await peer.gets(...Array.from({ length: 1000 }, (_, i) => [TEXT, hear(String(i))]));
    });
  });
}

test('the gateway lives, all connections have ended, and nothing is left', async () => {
  await until('the end of each', () => closed.every((peer) => peer.isClosed));
  assert.equal((await service.probe('/healthz')).status, 200);
  await until('no session', async () => Object.entries(await service.metrics()).filter(([k]) => /_sessions\{/.test(k)).every(([, n]) => n === 0), 10000 * PATIENCE);
});
