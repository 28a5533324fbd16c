// Slow, broken and hostile clients of both transports: each costs bounded memory, is cut with a reason that the close code, the
// log and a metric show, and nobody else hears later because of it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Bystander } from '../lib/bystander.mjs';
import { PATIENCE, RUN_DIR, sleep, until, within } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { PollSession, RS, ask } from '../lib/polling.mjs';
import { gateway } from '../lib/services.mjs';
import { WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const NO_BROKER = 'amqp://guest:guest@127.0.0.1:9/';
const NEVER = { PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '60000' };
const ECHO = { PROFILE: 'conformance', RECOVERY: 'off', JWT_SECRET: '', ...NEVER };
const MB = 1 << 20;
const PAYLOAD = 100000;
// A sanitizer keeps freed memory for a while, up to 256 MB.
const QUARANTINE = PATIENCE > 1 ? 300 * MB : 0;
// How much longer a bystander's round trip may take, at the median, on a machine whose cores the attackers share.
const SLOWER_AT_MOST = 60;

const rss = (service) => 1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${service.pid}/status`, 'utf8'))[1]);
const metric = async (service, name) => (await service.metrics())[`portalcast_gateway_${name}`] ?? 0;
const closed = (service, reason) => metric(service, `sessions_closed_total{reason="${reason}"}`);
const sessions = (service) => metric(service, 'sessions{protocol="socketio"}');
const WS_ECHO = '/engine.io/?EIO=4&transport=websocket';

// A client that writes what it likes and reads when it likes.
class Peer {
  static all = new Set();
  parts = [];
  isClosed = false;
  constructor(port) {
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.socket.on('error', () => {});
    this.socket.on('close', () => (this.isClosed = true));
    Peer.all.add(this);
    this.socket.on('end', () => (this.isEnded = true));
  }
  read() {
    this.socket.on('data', (part) => this.parts.push(part));
    this.socket.resume();
    return this;
  }
  get bytes() {
    return Buffer.concat(this.parts);
  }
  write(bytes) {
    this.socket.write(bytes);
    return this;
  }
  // Written as the kernel takes it; false: the server has ended the connection.
  async drain() {
    while (this.socket.writableLength && !this.isClosed && !this.isEnded) await sleep(5);
    return !this.isClosed && !this.isEnded;
  }
  async upgrade(target = WS_ECHO) {
    this.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`);
    const head = [];
    await until('101 and the open packet', () => {
      const part = this.socket.read();
      if (part) head.push(part);
      return Buffer.concat(head).includes('"maxPayload"');
    });
    return this;
  }
  // The code of the close frame at the end of what was read.
  async closeCode() {
    await until('the end', () => this.isEnded || this.isClosed, 15000);
    const last = this.bytes.subarray(-200);
    const at = last.findLastIndex((byte, i) => byte === 0x88 && last[i + 1] === last.length - i - 2);
    return at < 0 ? undefined : last[at + 1] ? last.readUInt16BE(at + 2) : 'none';
  }
  destroy() {
    this.socket.destroy();
    Peer.all.delete(this);
  }
}
after(() => Peer.all.forEach((peer) => peer.destroy()));

// A masked frame; `length` may lie.
function frame(opcode, payload = '', { fin = true, length } = {}) {
  const body = Buffer.from(payload);
  const n = length ?? body.length;
  const extended = n > 65535 ? 8 : n > 125 ? 2 : 0;
  const head = Buffer.alloc(6 + extended);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (extended === 8 ? 127 : extended ? 126 : n);
  if (extended === 8) head.writeBigUInt64BE(BigInt(n), 2);
  else if (extended) head.writeUInt16BE(n, 2);
  return Buffer.concat([head, body]); // the mask is four zeros
}
const [TEXT, BINARY, PING] = [1, 2, 9];

describe('slow consumers', () => {
  const EVENT = 'x'.repeat(260000);
  const publish = async (tenant, body) => {
    const answer = await world.api(tenant, 'POST', '/api/v1/events', body, 'service');
    assert.equal(answer.status, 202, answer.body);
    return answer.json;
  };
  // `world.gw` cuts early who takes nothing; `roomy` lets them lag.
  let world, roomy;
  before(async () => {
    world = await World.open('hostile', { stateManager: { LOG_LEVEL: 'info' }, gateway: { ...NEVER, LOG_LEVEL: 'info', LAG_MAX_SECONDS: '2', RING_BYTES: '8388608' } });
    roomy = await gateway(world.dir, world.serviceUrl, { ...NEVER, LOG_LEVEL: 'info', RING_BYTES: '67108864' });
    world.services.push(roomy);
    await roomy.start();
  });
  after(() => world?.close());
  const cutSeen = (before) => until('the cut', async () => (await closed(world.gw, 'slow_consumer')) === before + 1);
  const isCut = async (tenant, before) => {
    await cutSeen(before);
    await until('a line in the log', () => new RegExp(`session_closed.* tenant=${tenant} reason=slow_consumer`).test(world.gw.log(Infinity)));
  };
  async function polled(tenant) {
    const session = await new PollSession(world.gw.base).open();
    await session.post(`40{"token":"${tokenOf(tenant)}"}`);
    assert.match((await session.get()).body, /^40\{/);
    return session;
  }

  test('a WebSocket that does not read is cut with 4413; its neighbour hears everything', async () => {
    const [slow, good] = [await world.plain('t_slow'), await world.plain('t_slow')];
    const [before, memory] = [await closed(world.gw, 'slow_consumer'), rss(world.gw)];
    slow.socket._socket.pause();
    const seqs = [];
    for (let i = 0; i < 30 && (await closed(world.gw, 'slow_consumer')) === before; i++) {
      const made = await publish('t_slow', Array.from({ length: 3 }, () => ({ event: 'big', data: EVENT })));
      seqs.push(...made.map((m) => Number(m.offset.split('-')[1])));
    }
    await cutSeen(before);
    slow.socket._socket.resume(); // in time for the close frame
    assert.deepEqual(await within(slow.closed, 10000 * PATIENCE), { code: 4413, reason: 'too slow; reconnect and recover' });
    await isCut('t_slow', before);
    assert.deepEqual(slow.seqs(), seqs.slice(0, slow.news.length), 'what it did hear has no holes');
    assert.ok(slow.news.length < seqs.length);
    await good.hears('all', 'big', seqs.length);
    assert.deepEqual(good.seqs(), seqs);
    assert.ok(rss(world.gw) - memory < 40 * MB + QUARANTINE, `${(rss(world.gw) - memory) / MB} MB more`);
    good.close();
  });
  test('a WebSocket that reads a byte a second is cut', async () => {
    const before = await closed(world.gw, 'slow_consumer');
    const slow = await new Peer(world.gw.port).upgrade('/socket.io/?EIO=4&transport=websocket');
    slow.write(frame(TEXT, `40{"token":"${tokenOf('t_byte')}"}`));
    await until('live', async () => (await metric(world.gw, 'live_sessions')) > 0);
    const timer = setInterval(() => slow.socket.read(1), 1000).unref();
    for (let i = 0; i < 30 && (await closed(world.gw, 'slow_consumer')) === before; i++) await publish('t_byte', Array.from({ length: 3 }, () => ({ event: 'big', data: EVENT })));
    await cutSeen(before);
    clearInterval(timer);
    slow.read();
    assert.equal(await slow.closeCode(), 'none', 'Socket.IO closes without a code');
    await isCut('t_byte', before);
    slow.destroy();
  });
  test('a client that does not poll is cut when something waits too long; nothing is kept for it', async () => {
    const [session, before] = [await polled('t_nopoll'), await closed(world.gw, 'slow_consumer')];
    await publish('t_nopoll', { event: 'one', data: 'more' });
    await isCut('t_nopoll', before);
    assert.equal((await session.get()).body, `6${RS}1`);
    assert.equal((await session.get()).body, '{"code":1,"message":"Session ID unknown"}');
  });
  test('a client that polls and does not read the answer is cut, too', async () => {
    const [session, before] = [await polled('t_unread'), await closed(world.gw, 'slow_consumer')];
    await publish('t_unread', { event: 'big', data: EVENT });
    const peer = new Peer(world.gw.port).write(`GET ${session.url().slice(world.gw.base.length)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const timer = setInterval(() => peer.socket.read(1), 1000).unref();
    await publish('t_unread', { event: 'one', data: 'more' });
    await isCut('t_unread', before);
    clearInterval(timer);
    peer.destroy();
  });
  test('one that lags within the bounds gets all durable events, few ephemeral ones, and the newest of the latest', async () => {
    const slow = new WsClient(roomy.base, { token: tokenOf('t_lag') });
    world.browsers.push(slow);
    await slow.message('ready');
    slow.socket._socket.pause();
    const skipped = await metric(roomy, 'ephemeral_skipped_total');
    const seqs = [];
    for (let i = 0; i < 9; i++) {
      const made = await publish('t_lag', [
        ...Array.from({ length: 3 }, () => ({ event: 'big', data: EVENT })),
        ...Array.from({ length: 5 }, (_, k) => ({ event: 'passing', data: 5 * i + k, class: 'ephemeral' })),
        { event: 'state', data: i, class: 'latest', key: 'k' },
      ]);
      seqs.push(...made.slice(0, 3).map((m) => Number(m.offset.split('-')[1])));
    }
    slow.socket._socket.resume();
    await slow.hears('all that is durable', 'big', seqs.length, 20000);
    await slow.hears('the newest', (h) => h.event === 'state' && h.data === 8);
    assert.deepEqual(slow.of('big').map((h) => Number(h.offset.split('-')[1])), seqs);
    assert.ok(slow.of('passing').length < 45, `${slow.of('passing').length} of 45 ephemeral`);
    await until('them to be counted', async () => (await metric(roomy, 'ephemeral_skipped_total')) > skipped);
    assert.ok(slow.of('state').length < 9, `${slow.of('state').length} of 9 values`);
    assert.equal(slow.of('state').at(-1).data, 8);
    await publish('t_lag', { event: 'passing', data: 'after', class: 'ephemeral' });
    await slow.hears('what comes once it has caught up', (h) => h.data === 'after');
    assert.equal(await closed(roomy, 'slow_consumer'), 0);
    slow.close();
  });
});

describe('hostile clients', () => {
  // `mirror` sends back what it is sent; `brief` waits for nobody; `stern` cuts who takes nothing for a second.
  let mirror, brief, stern, bystander, calm;
  const long = {};
  before(async () => {
    const dir = RUN_DIR;
    mirror = await gateway(dir, NO_BROKER, { ...ECHO, LOG_LEVEL: 'info', MAX_PAYLOAD: String(PAYLOAD), LAG_MAX_BYTES: '1000000' });
    brief = await gateway(dir, NO_BROKER, { ...ECHO, LOG_LEVEL: 'info', CONNECT_TIMEOUT_MS: String(1500 * PATIENCE), PING_INTERVAL_MS: '400', PING_TIMEOUT_MS: String(400 * PATIENCE) });
    stern = await gateway(dir, NO_BROKER, { ...ECHO, LOG_LEVEL: 'info', MAX_PAYLOAD: String(PAYLOAD), LAG_MAX_BYTES: '1000000000', LAG_MAX_SECONDS: '1' });
    await Promise.all([mirror.start(), brief.start(), stern.start()]);
    bystander = new Bystander(mirror.base.replace('http', 'ws') + WS_ECHO);
    calm = Math.max(1, await bystander.median(200));
    await startLongOnes();
  });
  after(async () => {
    await bystander?.end();
    await Promise.all([mirror.stop(), brief.stop(), stern.stop()]);
  });

  // What takes the server's longest deadlines begins first and is looked at last.
  async function startLongOnes() {
    const trickle = (peer, byte, everyMs) => setInterval(() => !peer.isEnded && !peer.isClosed && peer.write(byte()), everyMs).unref();
    const begin = (n, head, byte) =>
      Array.from({ length: n }, () => {
        const peer = new Peer(mirror.port).read().write(head);
        trickle(peer, byte, 300);
        return peer;
      });
    long.heads = begin(50, 'GET /healthz HTTP/1.1\r\nHost: x\r\n', () => 'X-A: b\r\n');
    long.dribble = begin(10, 'GE', () => 'T');
    const sessions = await Promise.all(Array.from({ length: 10 }, () => new PollSession(mirror.base, { path: '/engine.io/' }).open()));
    long.bodies = sessions.flatMap((s) => begin(1, `POST ${s.url().slice(mirror.base.length)} HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n`, () => 'x'));
    long.messages = await Promise.all(Array.from({ length: 10 }, () => new Peer(mirror.port).upgrade()));
    for (const peer of long.messages) {
      peer.read().write(frame(TEXT, '4', { fin: false }));
      trickle(peer, () => frame(0, 'x', { fin: false }), 300);
    }
  }
  // What one attack cost: the median round trip of the bystander meanwhile, and memory.
  async function during(t, attack, mostMb) {
    const memory = rss(mirror);
    const [, median] = await Promise.all([attack(), bystander.median()]);
    const more = (rss(mirror) - memory) / MB;
    t.diagnostic(`bystander ${median.toFixed(2)} ms, calm ${calm.toFixed(2)} ms; memory ${more.toFixed(1)} MB more`);
    assert.ok(median < SLOWER_AT_MOST * calm, `a bystander waits ${median} ms, ${calm} ms when it is calm`);
    assert.ok(more < mostMb + QUARANTINE / MB, `${more} MB more`);
  }

  test('own answers that nobody reads, by WebSocket: bounded in bytes', async (t) => {
    const before = await closed(mirror, 'slow_consumer');
    await during(t, async () => {
      const peers = await Promise.all(Array.from({ length: 20 }, () => new Peer(mirror.port).upgrade()));
      const big = frame(TEXT, `4${'x'.repeat(PAYLOAD - 1)}`);
      for (let i = 0; i < 200; i++) await Promise.all(peers.map(async (p) => (p.socket.writableLength < MB ? p.write(big) : sleep(1))));
      await until('all are cut', async () => (await closed(mirror, 'slow_consumer')) === before + 20, 20000);
      await until('lines in the log', () => mirror.log(Infinity).split('\n').filter((l) => /session_closed.*reason=slow_consumer/.test(l)).length === 20);
      peers.forEach((p) => p.destroy());
    }, 100);
  });
  test('own answers that nobody fetches, by polling', async (t) => {
    const before = await closed(mirror, 'slow_consumer');
    await during(t, async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => new PollSession(mirror.base, { path: '/engine.io/' }).open()));
      const body = `4${'x'.repeat(PAYLOAD - 1)}`;
      await Promise.all(all.map(async (s) => {
        for (let i = 0; i < 40; i++) assert.equal((await s.post(body)).body, 'ok');
      }));
      assert.equal(await closed(mirror, 'slow_consumer'), before + 20);
      for (const s of all) assert.equal((await s.get()).body, `6${RS}1`);
    }, 100);
  });
  test('one that takes nothing for a while is cut, though it may lag far', async () => {
    const peer = await new Peer(stern.port).upgrade();
    for (let i = 0; i < 150; i++) peer.write(frame(TEXT, `4${'x'.repeat(PAYLOAD - 1)}`));
    await until('the cut', async () => (await closed(stern, 'slow_consumer')) === 1);
    peer.destroy();
  });
  test('a frame that is said to be huge is refused at its head', async (t) => {
    await during(t, async () => {
      for (const length of [PAYLOAD + 1, 2 ** 32, 2 ** 53]) {
        const peer = (await new Peer(mirror.port).upgrade()).write(frame(TEXT, '4x', { length })).read();
        assert.equal(await peer.closeCode(), 1009, String(length));
        peer.destroy();
      }
    }, 10);
  });
  test('fragments that add up to more than a payload are refused, and cost no more', async (t) => {
    await during(t, async () => {
      const peers = await Promise.all(Array.from({ length: 20 }, () => new Peer(mirror.port).upgrade()));
      for (const p of peers) {
        p.read().write(frame(TEXT, '4', { fin: false }));
        for (let i = 0; i < 101; i++) p.write(frame(0, 'x'.repeat(1000), { fin: false }));
      }
      for (const p of peers) {
        assert.equal(await p.closeCode(), 1009);
        p.destroy();
      }
    }, 20);
  });
  test('heads of many headers, with a long one, or with a long address end the connection at once', async (t) => {
    const head = (target, ...lines) => ['GET ' + target + ' HTTP/1.1', 'Host: x', ...lines, '', ''].join('\r\n');
    const many = (n) => Array.from({ length: n }, (_, i) => `Q-${i}: b`);
    const long = 'x'.repeat(65536);
    const heads = [
      head('/healthz', ...many(10000)), head('/healthz', ...many(2000)), head('/healthz', `Q: ${long}`), head('/healthz', `Q${long}: b`), head('/healthz', `User-Agent: ${long}`),
      head(`/${'x'.repeat(MB)}`), head(`/healthz?${'x'.repeat(MB)}`), `${'X'.repeat(MB)} / HTTP/1.1\r\nHost: x\r\n\r\n`, `GET /healthz HTTP/1.1\r\nHost: x\r\nQ: ${'x'.repeat(MB)}`,
    ];
    await during(t, async () => {
      for (const bytes of heads) {
        const peers = Array.from({ length: 10 }, () => new Peer(mirror.port).read().write(bytes));
        await until(`the end of ${bytes.slice(0, 60)}`, () => peers.every((p) => p.isEnded || p.isClosed));
        for (const p of peers) {
          assert.match(p.bytes.toString(), /^(HTTP\/1\.[01] (400|403|414|431) |$)/);
          p.destroy();
        }
      }
      const fits = new Peer(mirror.port).read().write(head('/healthz', ...many(1000), 'Connection: close'));
      await until('an answer to what fits', () => /^HTTP\/1\.1 200 /.test(fits.bytes.toString()));
      fits.destroy();
    }, 20);
  });
  test('attachments that are announced: bounded when they come, and nothing when they do not', async (t) => {
    const announced = `4510-["message",${Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`).join()}]`;
    await during(t, async () => {
      const peers = await Promise.all(Array.from({ length: 200 }, () => new Peer(mirror.port).upgrade('/socket.io/?EIO=4&transport=websocket')));
      peers.forEach((p) => p.read().write(frame(TEXT, '40')).write(frame(TEXT, announced)));
      const senders = peers.slice(0, 20);
      for (let i = 0; i < 3; i++) senders.forEach((p) => p.write(frame(BINARY, 'x'.repeat(PAYLOAD - 1))));
      await until('the end of who sent more than two payloads', () => senders.every((p) => p.isEnded || p.isClosed));
      assert.ok(peers.slice(20).every((p) => !p.isEnded && !p.isClosed), 'the others may wait');
      peers.forEach((p) => p.destroy());
    }, 40);
  });
  test('10 000 tiny frames are answered, in order', async (t) => {
    await during(t, async () => {
      const peer = (await new Peer(mirror.port).upgrade()).read();
      const frames = Array.from({ length: 10000 }, (_, i) => frame(TEXT, `4${i}`));
      peer.write(Buffer.concat(frames));
      const wanted = Buffer.concat(Array.from({ length: 10000 }, (_, i) => Buffer.from([0x81, `4${i}`.length, ...Buffer.from(`4${i}`)])));
      await until('all echoes', () => peer.bytes.length >= wanted.length, 20000);
      assert.ok(peer.bytes.equals(wanted));
      peer.destroy();
    }, 20);
  });
  test('tiny frames and fragments without content from many who do not read', async (t) => {
    await during(t, async () => {
      const peers = await Promise.all(Array.from({ length: 20 }, () => new Peer(mirror.port).upgrade()));
      const tiny = Buffer.concat(Array.from({ length: 10000 }, () => frame(TEXT, '4')));
      const empty = Buffer.concat([frame(TEXT, '4', { fin: false }), ...Array.from({ length: 10000 }, () => frame(0, '', { fin: false }))]);
      peers.forEach((p, i) => p.write(i % 2 ? tiny : empty));
      await Promise.all(peers.map((p) => within(p.drain(), 10000)));
      peers.forEach((p) => p.destroy());
    }, 60);
  });
  test('a flood of WebSocket pings', async (t) => {
    await during(t, async () => {
      const peers = await Promise.all(Array.from({ length: 10 }, () => new Peer(mirror.port).upgrade()));
      const pings = Buffer.concat(Array.from({ length: 20000 }, () => frame(PING, 'abcdefgh')));
      peers.forEach((p) => p.write(pings));
      await Promise.all(peers.slice(5).map(async (p) => (await p.read().drain()) && until('a pong', () => p.bytes.includes(Buffer.from([0x8a, 8])))));
      await Promise.all(peers.slice(0, 5).map((p) => within(p.drain(), 5000)));
      peers.forEach((p) => p.destroy());
    }, 30);
  });
  test('a flood of POSTs for sessions that are not there', async (t) => {
    await during(t, async () => {
      const url = `${mirror.base}/engine.io/?EIO=4&transport=polling&sid=`;
      await Promise.all(Array.from({ length: 30 }, async (_, i) => {
        for (let k = 0; k < 30; k++) {
          const answer = await ask('POST', url + `nobody-${i}-${k}`, { body: 'x'.repeat(50000) }).catch(() => ({ status: 400 }));
          assert.equal(answer.status, 400);
        }
      }));
    }, 30);
  });
  test('a flood of POSTs of one session, each answered', async (t) => {
    await during(t, async () => {
      const session = await new PollSession(mirror.base, { path: '/engine.io/' }).open();
      for (let i = 0; i < 300; i++) assert.equal((await session.post('3')).body, 'ok');
      await session.post('1');
    }, 20);
  });
  test('a thousand handshakes that never say who they are are ended in time, and leave nothing', async () => {
    const [opened, before, memory] = [await metric(brief, 'sessions_opened_total'), await closed(brief, 'connect_timeout'), rss(brief)];
    const peers = [];
    for (let i = 0; i < 1000; i++) {
      const isWs = i % 2;
      const peer = new Peer(brief.port);
      peer.socket.on('data', (part) => !isWs || (part.at(-1) === 0x32 && part.at(-2) === 1 && peer.write(frame(TEXT, '3'))));
      peer.write(isWs
        ? `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`
        : 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n');
      peers.push(peer);
    }
    await until('all of them', async () => (await metric(brief, 'sessions_opened_total')) === opened + 1000, 20000);
    await until('nobody', async () => (await sessions(brief)) === 0, 20000);
    const timeouts = (await closed(brief, 'connect_timeout')) - before;
    assert.ok(timeouts >= 400, `${timeouts} ended by the connect timeout; who did not answer pings went before`);
    const more = (rss(brief) - memory) / MB;
    assert.ok(more < 40 + QUARANTINE / MB, `${more} MB more`);
    peers.forEach((p) => p.destroy());
  });
  test('who closes its sending side, and who answers no ping', async () => {
    const [gone, late] = [await closed(brief, 'peer_gone'), await closed(brief, 'ping_timeout')];
    const half = (await new Peer(brief.port).upgrade()).read();
    half.socket.end();
    await until('its end', async () => (await closed(brief, 'peer_gone')) === gone + 1);
    const dead = await new Peer(brief.port).upgrade();
    await until('its end', async () => (await closed(brief, 'ping_timeout')) === late + 1);
    dead.destroy();
  });
  test('heads, bodies and messages that never end are cut', async () => {
    await until('the end of heads', () => [...long.heads, ...long.dribble].every((p) => p.isEnded || p.isClosed), 25000);
    await until('the end of bodies', () => long.bodies.every((p) => p.isEnded || p.isClosed), 45000);
    for (const p of long.bodies) assert.match(p.bytes.toString(), /^HTTP\/1.1 408 /);
    for (const p of long.messages) assert.equal(await p.closeCode(), 1008);
  });
});
