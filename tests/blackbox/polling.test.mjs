// Engine.IO's transports: every row of the wire specification, sections 2.1 to 2.11, by raw HTTP and raw WebSocket.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, RUN_DIR, sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { PollSession, RS, RawSocket, RawWs, ask } from '../lib/polling.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const ALLOWED = 'https://portal.example';
const NO_BROKER = 'amqp://guest:guest@127.0.0.1:9/';
const SETTINGS = { PROFILE: 'conformance', RECOVERY: 'off', JWT_SECRET: '', ALLOWED_ORIGINS: ALLOWED };
// `quick` has the timers of protocol suites; `lenient` pings as often, but waits for pongs; `calm` waits long, but for
// CONNECT and for upgrades; `patient` always.
let quick, lenient, calm, patient;
before(async () => {
  quick = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '200', CONNECT_TIMEOUT_MS: '1000' });
  lenient = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: String(2000 * PATIENCE), CONNECT_TIMEOUT_MS: '60000' });
  calm = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '1000', UPGRADE_TIMEOUT_MS: String(700 * PATIENCE), MAX_PAYLOAD: '20000' });
  patient = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '60000', UPGRADE_TIMEOUT_MS: '60000', LAG_MAX_BYTES: '1024' });
  await Promise.all([quick.start(), lenient.start(), calm.start(), patient.start()]);
});
after(() => Promise.all([quick.stop(), lenient.stop(), calm.stop(), patient.stop()]));

// Raw Engine.IO sessions: what is sent comes back, and nothing has to be connected to.
const echo = (service = calm, options = {}) => new PollSession(service.base, { path: '/engine.io/', ...options }).open();
const socketio = (service, options = {}) => new PollSession(service.base, options).open();
const metric = async (service, name) => (await service.metrics())[name] ?? 0;
const closed = (service, reason) => metric(service, `portalcast_gateway_sessions_closed_total{reason="${reason}"}`);
const error = (code, message) => JSON.stringify({ code, message });
const UNKNOWN_SID = error(1, 'Session ID unknown');
const BAD_REQUEST = error(3, 'Bad request');
async function isGone(session) {
  const answer = await session.get();
  assert.deepEqual([answer.status, answer.body], [400, UNKNOWN_SID]);
}
async function stillWorks(session) {
  const [held, posted] = [session.get(), session.post('4alive')];
  assert.equal((await posted).body, 'ok');
  assert.equal((await held).body, '4alive');
}
const upgradeHead = (target, more = '') =>
  `GET ${target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${more}\r\n`;

describe('routing and the query', () => {
  for (const target of [
    '/socket.io/?EIO=4&transport=polling',
    '/socket.io?EIO=4&transport=polling',
    '/socket.io/anything?EIO=4&transport=polling',
    '/socket.io/?transport=polling&x=%26sid%3D1&EIO=4&t=abc&y',
    '/socket.io/?EIO=%34&transport=%70olling',
    '/socket.io/?EIO=3&transport=nothing&EIO=4&transport=polling',
    '/socket.io/?EIO=4&transport=polling&sid=',
    '/socket.io/?EIO=4&transport=polling&sid=abc&sid=',
    '/socket.io/?EIO=4&transport=polling&b64=1',
    '/engine.io/?EIO=4&transport=polling',
    '/engine.io?EIO=4&transport=polling',
  ])
    test(`${target} opens a session`, async () => {
      const answer = await ask('GET', calm.base + target);
      assert.equal(answer.status, 200);
      assert.match(answer.body, /^0\{"sid":"[\w-]{20,}"/);
    });
  test('a session of one path is none of the other', async () => {
    const raw = await echo();
    raw.path = '/socket.io/';
    await isGone(raw);
  });
});

describe('order of checks', () => {
  const rows = [
    ['GET', '', 0, 'Transport unknown'],
    ['GET', '?EIO=3', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=carrier', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=polling&transport=', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=websocket&transport=abc&sid=x', 0, 'Transport unknown'],
    ['POST', '?transport=abc&sid=x', 0, 'Transport unknown'],
    ['GET', '?EIO=4&transport=polling&sid=abc', 1, 'Session ID unknown'],
    ['GET', '?EIO=3&transport=polling&sid=abc', 1, 'Session ID unknown'],
    ['GET', '?EIO=4&transport=websocket&sid=abc', 1, 'Session ID unknown'],
    ['GET', `?EIO=4&transport=polling&sid=${'x'.repeat(3000)}`, 1, 'Session ID unknown'],
    ['POST', '?EIO=4&transport=polling&sid=abc', 1, 'Session ID unknown'],
    ['PUT', '?EIO=4&transport=polling&sid=abc', 1, 'Session ID unknown'],
    ['POST', '?EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['POST', '?EIO=3&transport=websocket', 2, 'Bad handshake method'],
    ['PUT', '?EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['DELETE', '?EIO=4&transport=polling', 2, 'Bad handshake method'],
    ['GET', '?EIO=4&transport=websocket', 3, 'Bad request'],
    ['GET', '?EIO=3&transport=websocket', 3, 'Bad request'],
    ['GET', '?EIO=3&transport=polling', 5, 'Unsupported protocol version'],
    ['GET', '?EIO=5&transport=polling', 5, 'Unsupported protocol version'],
    ['GET', '?transport=polling', 5, 'Unsupported protocol version'],
    ['GET', '?EIO=4&transport=polling&EIO=3', 5, 'Unsupported protocol version'],
  ];
  for (const [method, query, code, message] of rows)
    test(`${method} ${query.slice(0, 70)}: ${code}`, async () => {
      const body = ['POST', 'PUT'].includes(method) ? '40' : undefined;
      const answer = await ask(method, `${calm.base}/socket.io/${query}`, { headers: { Origin: ALLOWED }, body });
      assert.equal(answer.status, 400);
      assert.equal(answer.body, error(code, message));
      assert.equal(answer.headers['content-type'], 'application/json');
      assert.equal(answer.headers['access-control-allow-origin'], ALLOWED);
      assert.equal(answer.headers['access-control-allow-credentials'], 'true');
      assert.match(answer.headers.vary, /Origin/);
      assert.equal(answer.headers['cache-control'], 'no-store');
    });
  test('HEAD is no handshake', async () => {
    const answer = await ask('HEAD', `${calm.base}/socket.io/?EIO=4&transport=polling`);
    assert.deepEqual([answer.status, answer.body], [400, '']);
  });
  test('control characters in Origin: 3, behind the transport', async () => {
    for (const [query, body] of [['?EIO=4&transport=polling', BAD_REQUEST], ['?EIO=4', error(0, 'Transport unknown')]]) {
      const socket = new RawSocket(calm.port).write(`GET /socket.io/${query} HTTP/1.1\r\nHost: x\r\nOrigin: http://a\x01b\r\nConnection: close\r\n\r\n`);
      await socket.ends();
      assert.match(socket.text, /^HTTP\/1\.1 400 /);
      // The server may refuse the head before anybody looks at it, as Node's own does.
      if (/"code":\d/.test(socket.text)) assert.ok(socket.text.endsWith(body), socket.text);
    }
  });
  test('a known sid with another EIO or transport: 3, and it lives on', async () => {
    const session = await echo();
    for (const url of [session.url().replace('EIO=4', 'EIO=3'), session.url().replace('EIO=4&', ''), session.url('websocket')])
      for (const method of ['GET', 'POST']) {
        const answer = await ask(method, url, { body: method === 'POST' ? '4x' : undefined });
        assert.deepEqual([method, answer.status, answer.body], [method, 400, BAD_REQUEST]);
      }
    await stillWorks(session);
  });
  test('other methods with a known sid change nothing', async () => {
    const session = await echo();
    for (const method of ['PUT', 'DELETE', 'PATCH', 'HEAD']) {
      const answer = await ask(method, session.url(), { body: ['PUT', 'PATCH'].includes(method) ? '4x' : undefined });
      assert.deepEqual([method, answer.status, answer.body], [method, 405, '']);
    }
    await stillWorks(session);
  });
  test('the old protocol is counted', async () => {
    const before = await metric(calm, 'portalcast_gateway_old_protocol_total');
    await ask('GET', `${calm.base}/socket.io/?EIO=3&transport=polling`);
    await new RawWs(`${calm.base.replace('http', 'ws')}/socket.io/?EIO=3&transport=websocket`).refused();
    assert.equal(await metric(calm, 'portalcast_gateway_old_protocol_total'), before + 2);
  });

  for (const [query, message] of [
    ['?EIO=4', 'Transport unknown'],
    ['?EIO=4&transport=abc', 'Transport unknown'],
    ['?EIO=4&transport=websocket&sid=abc', 'Session ID unknown'],
    ['?EIO=4&transport=polling&sid=abc', 'Session ID unknown'],
    ['?EIO=4&transport=polling', 'Bad request'],
    ['?EIO=3&transport=websocket', 'Unsupported protocol version'],
    ['?transport=websocket', 'Unsupported protocol version'],
  ])
    test(`an upgrade with ${query}: 400, ${message}`, async () => {
      const socket = new RawSocket(calm.port).write(upgradeHead(`/socket.io/${query}`));
      await socket.ends();
      assert.match(socket.text, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.match(socket.text, /\r\nConnection: close\r\n/i);
      assert.match(socket.text, /\r\nContent-Type: text\/html\r\n/i);
      assert.match(socket.text, new RegExp(`\r\nContent-Length: ${message.length}\r\n`, 'i'));
      assert.ok(socket.text.endsWith(`\r\n\r\n${message}`), socket.text);
    });
  test('an upgrade of a polling session with another EIO: 400', async () => {
    const session = await echo();
    const socket = new RawSocket(calm.port).write(upgradeHead(`/engine.io/?EIO=3&transport=websocket&sid=${session.sid}`));
    await socket.ends();
    assert.match(socket.text, /^HTTP\/1\.1 400 [^]*\r\n\r\nBad request$/);
    await stillWorks(session);
  });
  test('an upgrade elsewhere: 404', async () => {
    const socket = new RawSocket(calm.port).write(upgradeHead('/elsewhere'));
    await socket.ends();
    assert.match(socket.text, /^HTTP\/1\.1 404 /);
  });
});

describe('handshake', () => {
  test('five keys, the right headers', async () => {
    const session = await echo();
    const { opened, handshake } = session;
    assert.deepEqual(handshake, { sid: handshake.sid, upgrades: ['websocket'], pingInterval: 60000, pingTimeout: 60000, maxPayload: 20000 });
    assert.equal(opened.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(opened.headers['cache-control'], 'no-store');
    assert.equal(Number(opened.headers['content-length']), opened.body.length);
    assert.match(handshake.sid, /^[\w-]{20,}$/);
    assert.equal(opened.headers['set-cookie'], undefined);
    assert.notEqual((await echo()).sid, handshake.sid);
  });
  test('a session that begins on WebSocket has no upgrades', async () => {
    const ws = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket`);
    const [first] = await ws.next();
    assert.deepEqual(JSON.parse(first.slice(1)).upgrades, []);
    assert.equal(ws.socket.extensions, '', 'permessage-deflate is declined');
    ws.close();
  });
  test('a WebSocket client may talk before it has read the handshake', async () => {
    const socket = new RawSocket(calm.port);
    const masked = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
    socket.write(Buffer.concat([Buffer.from(upgradeHead('/engine.io/?EIO=4&transport=websocket')), masked('4early')]));
    await socket.hears(/^HTTP\/1\.1 101 [^]*0\{"sid":[^]*4early/);
    socket.destroy();
  });
  test('the first subprotocol offered is taken', async () => {
    const ws = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket`, { protocols: ['one', 'two'] });
    await ws.next();
    assert.equal(ws.socket.protocol, 'one');
    ws.close();
  });
  test('sessions are counted by transport', async () => {
    const read = async () => [await metric(patient, 'portalcast_gateway_transports{transport="polling"}'), await metric(patient, 'portalcast_gateway_transports{transport="websocket"}'), await metric(patient, 'portalcast_gateway_upgrades_total')];
    const [polling, websocket, upgrades] = await read();
    const session = await echo(patient);
    assert.deepEqual(await read(), [polling + 1, websocket, upgrades]);
    const ws = await session.ws().opened();
    ws.send('2probe');
    await ws.next();
    ws.send('5', '4there');
    await ws.next();
    assert.deepEqual(await read(), [polling, websocket + 1, upgrades + 1]);
    ws.close();
    await until('it is gone', async () => (await read())[1] === websocket);
  });
});

describe('packets', () => {
  test('text, binary, any number, in order', async () => {
    const session = await echo();
    const packets = ['4a', 'bAQIDBA==', '4', '4héllo €', 'b', 'bBQY=', `4${'x'.repeat(5000)}`];
    assert.equal((await session.post(packets.join(RS))).body, 'ok');
    const answer = await session.get();
    assert.equal(answer.body, packets.join(RS));
    assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.body));
  });
  for (const [what, payload] of [
    ['empty', ''],
    ['an unknown type', 'abc'],
    ['a type too high', '7'],
    ['an empty packet in front', `${RS}4a`],
    ['an empty packet behind', `4a${RS}`],
    ['an empty packet between', `4a${RS}${RS}4b`],
    ['bad base64', 'bA'],
    ['base64 of another alphabet', 'b__-_'],
    ['bytes that are no UTF-8', Buffer.from([0x34, 0xff, 0xfe])],
    ['a ping outside of a probe', '2'],
  ])
    test(`a payload with ${what} ends the session`, async () => {
      const session = await echo();
      const answer = await session.post(payload);
      assert.ok([200, 400].includes(answer.status), `${answer.status}`);
      const last = await session.get(); // it may have last words
      if (last.status === 200) assert.match(last.body, /^(4a|6\x1e1)$/);
      await session.get();
      await isGone(session);
    });
  test('what stands before a bad packet counts, what stands behind does not', async () => {
    const session = await echo();
    const { answer } = await session.held();
    await session.post(`4before${RS}x${RS}4behind`);
    assert.equal((await answer).body, `4before${RS}1`);
    await isGone(session);
  });
  test('pongs, noops, upgrades and opens that nobody asked for are harmless', async () => {
    const session = await echo();
    assert.equal((await session.post(`3${RS}3x${RS}6${RS}5`)).body, 'ok');
    await stillWorks(session);
  });
  test('b64=1: binary as text on a WebSocket, both ways', async () => {
    const ws = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket&b64=1`);
    await ws.next();
    ws.send(Buffer.from([1, 2, 3, 4]), '4text');
    assert.deepEqual(await ws.next(2), ['bAQIDBA==', '4text']);
    ws.close();
    const client = new RawWs(`${calm.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket&b64=1`);
    await client.next();
    client.send('40');
    await client.next(2);
    client.send('451-["message",{"_placeholder":true,"num":0}]', 'bAQIDBA==');
    assert.deepEqual(await client.next(2), ['451-["message-back",{"_placeholder":true,"num":0}]', 'bAQIDBA==']);
    client.close();
  });
  test('without it, a WebSocket has the naked bytes', async () => {
    const ws = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket`);
    await ws.next();
    ws.send(Buffer.from([1, 2, 3, 4]));
    assert.deepEqual(await ws.next(), [Buffer.from([1, 2, 3, 4])]);
    ws.close();
  });
});

describe('GET', () => {
  test('is held until there is something', async () => {
    const session = await echo();
    const { answer } = await session.held();
    let done = false;
    answer.then(() => (done = true));
    await sleep(200);
    assert.equal(done, false);
    await session.post('4now');
    assert.equal((await answer).body, '4now');
  });
  test('has all that was queued, at once and in order', async () => {
    const session = await echo();
    for (let i = 0; i < 20; i++) await session.post(`4${i}`);
    assert.equal((await session.get()).body, Array.from({ length: 20 }, (_, i) => `4${i}`).join(RS));
  });
  test('answers to one POST, many more than a socket would queue, are all there', async () => {
    const session = await echo();
    const packets = Array.from({ length: 3000 }, (_, i) => `4${i}`);
    assert.equal((await session.post(packets.join(RS))).body, 'ok');
    assert.equal((await session.get()).body, packets.join(RS));
  });
  test('a backlog over the bound of one answer comes whole, with the next ones', async () => {
    const session = await echo();
    const packets = Array.from({ length: 150 }, (_, i) => `4${String(i).padStart(3, '0')}${'x'.repeat(15000)}`);
    for (const packet of packets) await session.post(packet);
    const got = [];
    let answers = 0;
    while (got.length < packets.length) {
      got.push(...(await session.get()).body.split(RS));
      answers++;
    }
    assert.ok(answers > 1 && answers < 60, `${answers} answers`);
    assert.deepEqual(got, packets);
  });
  test('answers that nobody fetches are bounded in bytes', async () => {
    const session = await echo(patient);
    const before = await closed(patient, 'slow_consumer');
    let posts = 0;
    for (; (await closed(patient, 'slow_consumer')) === before && posts < 20; posts++) await session.post(`4${'x'.repeat(900000)}`);
    assert.ok(posts >= 4 && posts < 10, `${posts} posts`);
  });
  test('a second one ends the session: 1 to the first, 400 to the second', async () => {
    const session = await echo();
    const before = await closed(calm, 'transport_error');
    const { answer } = await session.held();
    const second = await session.get({ headers: { Origin: ALLOWED } });
    const first = await answer;
    assert.deepEqual([first.status, first.body], [200, '1']);
    assert.deepEqual([second.status, second.body], [400, '']);
    assert.equal(second.headers['access-control-allow-origin'], ALLOWED);
    assert.equal(await closed(calm, 'transport_error'), before + 1);
    await isGone(session);
  });
  test('one that goes away ends the session', async () => {
    const session = await echo();
    const before = await closed(calm, 'peer_gone');
    const abort = new AbortController();
    const held = session.get({ signal: abort.signal });
    held.catch(() => {});
    await sleep(60);
    abort.abort();
    await until('the session is gone', async () => (await closed(calm, 'peer_gone')) === before + 1, 3000);
    await isGone(session);
  });
  test('one right after an aborted one: 400', async () => {
    const session = await echo();
    const abort = new AbortController();
    session.get({ signal: abort.signal }).catch(() => {});
    await sleep(30);
    abort.abort();
    const answer = await session.get();
    assert.equal(answer.status, 400);
    await isGone(session);
  });
  test('with a body is refused', async () => {
    const session = await echo();
    const answer = await ask('GET', session.url(), { body: 'x' });
    assert.equal(answer.status, 400);
    await stillWorks(session);
  });
});

describe('POST', () => {
  test('is answered ok', async () => {
    const session = await echo();
    for (const type of ['text/plain;charset=UTF-8', 'text/plain', undefined]) {
      const answer = await session.post('4x', { headers: type ? { 'Content-Type': type } : {} });
      assert.deepEqual([answer.status, answer.body, answer.headers['content-type'], answer.headers['content-length'], answer.headers['cache-control']], [200, 'ok', 'text/html', '2', 'no-store']);
    }
  });
  test('octets end the session', async () => {
    const session = await echo();
    const answer = await session.post('4x', { headers: { 'Content-Type': 'application/octet-stream' } });
    assert.deepEqual([answer.status, answer.body], [400, '']);
    await isGone(session);
  });
  test('of exactly maxPayload is taken, of one byte more refused with 413, unread', async () => {
    const session = await echo();
    assert.equal((await session.post(`4${'x'.repeat(19999)}`)).body, 'ok');
    assert.equal((await session.get()).body.length, 20000);
    const socket = new RawSocket(calm.port).write(`POST ${new URL(session.url()).pathname}${new URL(session.url()).search} HTTP/1.1\r\nHost: x\r\nOrigin: ${ALLOWED}\r\nContent-Length: 20001\r\n\r\n4`);
    await socket.hears(/\r\n\r\n/);
    assert.match(socket.text, /^HTTP\/1\.1 413 /);
    assert.match(socket.text, /\r\nContent-Length: 0\r\n/i);
    assert.match(socket.text, /\r\nAccess-Control-Allow-Origin: https:\/\/portal\.example\r\n/i);
    await socket.ends();
    await stillWorks(session);
  });
  test('without a session is refused before its body comes', async () => {
    const socket = new RawSocket(calm.port).write('POST /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n');
    await socket.hears(/Session ID unknown/);
    await socket.ends();
  });
  const head = (session, length, more = '') => `POST ${new URL(session.url()).pathname}${new URL(session.url()).search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n${more}\r\n`;
  test('a second one while one comes in: 400, the first is cut, the session ends', async () => {
    const session = await echo();
    const first = new RawSocket(calm.port).write(`${head(session, 10)}4hal`);
    await sleep(100);
    const second = await session.post('4x');
    assert.deepEqual([second.status, second.body], [400, '']);
    await first.ends();
    assert.equal(first.text, '');
    await isGone(session);
  });
  test('one that goes away half-way ends the session', async () => {
    const session = await echo();
    const before = await closed(calm, 'transport_error');
    const socket = new RawSocket(calm.port).write(`${head(session, 10)}4hal`);
    await sleep(100);
    socket.destroy();
    await until('the session is gone', async () => (await closed(calm, 'transport_error')) === before + 1);
    await isGone(session);
  });
  test('head and body in segments of their own', async () => {
    const session = await echo();
    const socket = new RawSocket(calm.port).write(head(session, 9));
    await sleep(50);
    socket.write('4pie');
    await sleep(50);
    socket.write('cemea');
    await socket.hears(/\r\n\r\nok$/);
    assert.equal((await session.get()).body, '4piecemea');
    socket.destroy();
  });
  test('chunked: 411; Expect: 417', async () => {
    const session = await echo();
    const chunked = new RawSocket(calm.port).write(head(session, 3).replace('Content-Length: 3', 'Transfer-Encoding: chunked'));
    await chunked.hears(/^HTTP\/1\.1 411 /);
    const expecting = new RawSocket(calm.port).write(head(session, 3, 'Expect: 100-continue\r\n'));
    await expecting.hears(/^HTTP\/1\.1 417 /);
    await stillWorks(session);
  });
  test('GET and POST take turns on one connection', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const session = await echo(calm, { agent });
    for (let i = 0; i < 30; i++) {
      assert.equal((await session.post(`4${i}`)).body, 'ok');
      const answer = await session.get();
      assert.equal(answer.body, `4${i}`);
      assert.notEqual(answer.headers.connection, 'close');
    }
    agent.destroy();
  });
});

describe('heartbeat', () => {
  test('no GET is held for longer than the interval', async () => {
    const session = await echo(quick);
    assert.equal((await session.get()).body, '2');
    await session.post('3');
    assert.equal((await session.get()).body, '2');
  });
  test('pongs keep it alive, one ping at a time', async () => {
    const session = await echo(quick);
    for (let i = 0; i < 5; i++) {
      assert.equal((await session.get()).body, '2');
      assert.equal((await session.post('3')).body, 'ok');
    }
  });
  test('no pong: a held GET gets 1, later requests nothing', async () => {
    const session = await echo(quick);
    assert.equal((await session.get()).body, '2');
    const before = await closed(quick, 'ping_timeout');
    const answer = await session.get();
    assert.deepEqual([answer.status, answer.body], [200, '1']);
    assert.ok((await closed(quick, 'ping_timeout')) > before);
    await isGone(session);
  });
  test('the clock runs from when the ping was queued, to a few milliseconds', async () => {
    let late = 0;
    for (let i = 0; i < 5; i++) {
      const session = await echo(quick);
      await sleep(500); // nobody polls
      const answer = await session.get();
      if (answer.status !== 400) late++;
      else assert.equal(answer.body, UNKNOWN_SID);
    }
    assert.ok(late <= (PATIENCE > 1 ? 4 : 1), `${late} of 5 were there still`);
  });
  test('other packets are no pong', async () => {
    const session = await echo(quick);
    assert.equal((await session.get()).body, '2');
    const { answer } = await session.held();
    await session.post('4x');
    assert.equal((await answer).body, '4x');
    assert.equal((await session.get()).body, '1');
    await isGone(session);
  });
});

describe('close', () => {
  test('by the client: ok, a held GET gets a noop, and it is over', async () => {
    const session = await echo();
    const before = await closed(calm, 'client_closed');
    const { answer } = await session.held();
    const posted = await session.post('1');
    assert.deepEqual([posted.status, posted.body], [200, 'ok']);
    assert.equal((await answer).body, '6');
    assert.equal(await closed(calm, 'client_closed'), before + 1);
    await isGone(session);
  });
  test('by the client, with nobody polling', async () => {
    const session = await echo();
    assert.equal((await session.post(`4x${RS}1`)).body, 'ok');
    await isGone(session);
  });
  test('connect timeout with a held GET: 1, though pongs come', async () => {
    const session = await socketio(quick);
    let answer = await session.get();
    let pings = 0;
    for (; answer.body === '2'; answer = await session.get()) {
      pings++;
      await session.post('3');
    }
    assert.deepEqual([answer.status, answer.body], [200, '1']);
    assert.ok(pings >= 2, `${pings} pings`);
    await isGone(session);
  });
  const connectTimeouts = (count) => until('the session has timed out', async () => (await closed(calm, 'connect_timeout')) >= count);
  test('with nobody polling and nothing queued: noop and close to the next GET', async () => {
    const before = await closed(calm, 'connect_timeout');
    const session = await socketio(calm);
    await connectTimeouts(before + 1);
    assert.equal((await session.post('3')).body, 'ok');
    assert.equal((await session.get()).body, `6${RS}1`);
    await isGone(session);
  });
  test('with nobody polling: what was queued, then noop and close', async () => {
    const before = await closed(calm, 'connect_timeout');
    const session = await socketio(calm);
    await session.post('40/nowhere,');
    await connectTimeouts(before + 1);
    assert.equal((await session.get()).body, '44/nowhere,{"message":"Invalid namespace"}');
    assert.equal((await session.get()).body, `6${RS}1`);
    await isGone(session);
  });
  test('a packet that breaks Socket.IO closes it in order', async () => {
    const session = await socketio(calm);
    const { answer } = await session.held();
    assert.equal((await session.post('42["not connected"]')).status, 200);
    assert.equal((await answer).body, '1');
    await isGone(session);
  });
  test('drain: held GETs are told', async () => {
    const service = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, PING_INTERVAL_MS: '60000', CONNECT_TIMEOUT_MS: '60000', DRAIN_SECONDS: '1' });
    await service.start();
    const sessions = await Promise.all(Array.from({ length: 20 }, () => echo(service)));
    const idle = await echo(service);
    const held = await Promise.all(sessions.map((s) => s.held()));
    const stopped = service.stop();
    // One that came when its session was closed already hears it behind a NOOP.
    for (const { answer } of held) assert.match((await answer).body, /^(6\x1e)?1$/);
    await stopped;
    assert.ok(idle.sid);
  });
  test('MAX_CONNECTIONS counts polling sessions', async () => {
    const service = await gateway(RUN_DIR, NO_BROKER, { ...SETTINGS, MAX_CONNECTIONS: '2', PING_INTERVAL_MS: '60000' });
    await service.start();
    const first = await echo(service);
    await echo(service);
    const refused = await ask('GET', `${service.base}/engine.io/?EIO=4&transport=polling`);
    assert.equal(refused.status, 503);
    assert.ok(refused.headers['retry-after']);
    await first.post('1');
    await echo(service);
    await service.stop();
  });
});

describe('upgrade', () => {
  async function probed(service = calm, options = {}) {
    const session = await echo(service, options);
    const ws = await session.ws().opened();
    ws.send('2probe');
    assert.deepEqual(await ws.next(), ['3probe']);
    return { session, ws };
  }
  async function refusesPolling(session) {
    for (const method of ['GET', 'POST']) {
      const answer = await ask(method, session.url(), { body: method === 'POST' ? '4x' : undefined });
      assert.deepEqual([answer.status, answer.body], [400, BAD_REQUEST]);
    }
  }
  test('probe, then 5: the session has moved', async () => {
    const { session, ws } = await probed();
    ws.send('5', '4over');
    assert.deepEqual(await ws.next(), ['4over'], 'no open packet, and nothing else');
    await refusesPolling(session);
    ws.close();
  });
  test('GETs are released from 3probe on, and do not spin', async () => {
    const session = await echo();
    const { answer } = await session.held();
    const ws = await session.ws().opened();
    ws.send('2probe');
    assert.equal((await answer).body, '6');
    assert.deepEqual(await ws.next(), ['3probe']);
    let noops = 0;
    for (const until = Date.now() + 200; Date.now() < until; noops++) assert.equal((await session.get()).body, '6');
    assert.ok(noops >= 1 && noops <= 45, `${noops} noops in 200 ms`);
    ws.send('5', '4x');
    assert.deepEqual(await ws.next(), ['4x']);
    ws.close();
  });
  test('a GET is held as ever until 2probe comes', async () => {
    const session = await echo();
    const ws = await session.ws().opened();
    const { answer } = await session.held();
    await sleep(100);
    await session.post('4x');
    assert.equal((await answer).body, '4x');
    ws.close();
  });
  test('what is queued meanwhile comes right behind 5, in order, before what is new', async () => {
    const { session, ws } = await probed();
    for (let i = 0; i < 50; i++) await session.post(`4${i}`);
    await session.post('bAQID');
    ws.send('5', '4after');
    const heard = await ws.next(52);
    assert.deepEqual(heard.slice(0, 50), Array.from({ length: 50 }, (_, i) => `4${i}`));
    assert.deepEqual(heard.slice(50), [Buffer.from([1, 2, 3]), '4after']);
    ws.close();
  });
  test('a GET during the probe has what was queued', async () => {
    const { session, ws } = await probed();
    await session.post('4queued');
    assert.equal((await session.get()).body, '4queued');
    ws.send('5', '4x');
    assert.deepEqual(await ws.next(), ['4x']);
    ws.close();
  });
  test('5 without a probe is taken; a GET that is still held gets 1', async () => {
    const session = await echo();
    const { answer } = await session.held();
    const ws = await session.ws().opened();
    ws.send('5');
    assert.equal((await answer).body, '1');
    ws.send('4x');
    assert.deepEqual(await ws.next(), ['4x']);
    await refusesPolling(session);
    ws.close();
  });
  test("Python's order: 2probe, 5 and a message back to back, before any poll", async () => {
    const session = await echo();
    const ws = await session.ws().opened();
    ws.send('2probe', '5', '4first');
    assert.deepEqual(await ws.next(2), ['3probe', '4first']);
    ws.close();
  });
  for (const packet of ['4x', '2', '2probex', '3', '1', '', Buffer.from('2probe')])
    test(`${JSON.stringify(String(packet))}${typeof packet === 'string' ? '' : ' in binary'} first: that WebSocket is closed, polling goes on`, async () => {
      const session = await echo(patient);
      const ws = await session.ws().opened();
      ws.send(packet);
      assert.equal(await ws.ends(), 1005);
      assert.deepEqual(ws.heard, []);
      await stillWorks(session);
      const again = await session.ws().opened();
      again.send('2probe', '5', '4x');
      assert.deepEqual(await again.next(2), ['3probe', '4x']);
      again.close();
    });
  test('anything but 5 behind 3probe too', async () => {
    const { session, ws } = await probed(patient);
    ws.send('4x');
    assert.equal(await ws.ends(), 1005);
    await stillWorks(session);
  });
  test('the WebSocket is lost during the probe: polling goes on, GETs are held again', async () => {
    const { session, ws } = await probed();
    ws.close();
    await until('a GET is held again', async () => {
      const abort = new AbortController();
      const raced = await Promise.race([session.get().then((a) => a.body), sleep(150).then(() => 'held')]);
      abort.abort();
      return raced === 'held';
    });
    // That GET is there still.
    assert.equal((await session.post('4x')).body, 'ok');
    await stillWorks(session);
  });
  test('no 5 in time: the WebSocket is closed, polling goes on', async () => {
    const silent = await echo();
    const idle = await silent.ws().opened();
    const { session, ws } = await probed();
    assert.equal(await ws.ends(), 1005);
    assert.equal(await idle.ends(), 1005);
    await stillWorks(session);
    await stillWorks(silent);
  });
  test('a second WebSocket is closed, the first goes on: during the probe and after it', async () => {
    const { session, ws } = await probed();
    const second = session.ws();
    assert.equal(await second.ends(), 1005);
    assert.deepEqual(second.heard, []);
    ws.send('5', '4x');
    assert.deepEqual(await ws.next(), ['4x']);
    const third = session.ws();
    assert.equal(await third.ends(), 1005);
    ws.send('4y');
    assert.deepEqual(await ws.next(), ['4y']);
    ws.close();
  });
  test('a session that began on WebSocket cannot be taken over', async () => {
    const ws = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket`);
    const [first] = await ws.next();
    const { sid } = JSON.parse(first.slice(1));
    const thief = new RawWs(`${calm.base.replace('http', 'ws')}/engine.io/?EIO=4&transport=websocket&sid=${sid}`);
    const refused = await thief.refused();
    assert.deepEqual([refused.status, refused.body], [400, 'Bad request']);
    await refusesPolling({ url: () => `${calm.base}/engine.io/?EIO=4&transport=polling&sid=${sid}` });
    ws.send('4x');
    assert.deepEqual(await ws.next(), ['4x']);
    ws.close();
  });
  test('the session ends during the probe: so does the WebSocket', async () => {
    const { session, ws } = await probed();
    await session.post('1');
    assert.equal(await ws.ends(), 1005);
    await isGone(session);
  });
  test('1 over the WebSocket closes at once', async () => {
    const { session, ws } = await probed();
    ws.send('5', '1');
    assert.equal(await ws.ends(), 1005);
    await isGone(session);
  });
  test('pings go on after the upgrade', async () => {
    const { ws } = await probed(quick);
    ws.send('5');
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(await ws.next(), ['2']);
      ws.send('3');
    }
    ws.close();
  });
  test('a ping that nobody fetched by polling comes over the WebSocket, and is waited for anew', async () => {
    const session = await echo(lenient);
    const ws = await session.ws().opened();
    await sleep(350);
    ws.send('2probe', '5');
    assert.deepEqual(await ws.next(2), ['3probe', '2']);
    ws.send('3');
    assert.deepEqual(await ws.next(), ['2']);
    assert.equal(await ws.ends(), 1005);
  });
  test('b64=1 with the upgrade', async () => {
    const session = await echo(calm, { query: '&b64=1' });
    await session.post('bAQID');
    const ws = await session.ws().opened();
    ws.send('2probe', '5', Buffer.from([4]));
    assert.deepEqual(await ws.next(3), ['3probe', 'bAQID', 'bBA==']);
    ws.close();
  });
  test('a foreign origin does not get the WebSocket of a session', async () => {
    const session = await echo();
    const ws = session.ws({ headers: { Origin: 'https://evil.example' } });
    assert.equal((await ws.refused()).status, 403);
    await stillWorks(session);
    const own = session.ws({ headers: { Origin: ALLOWED } });
    await own.opened();
    own.close();
  });
  test('two hundred at once', async () => {
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const session = await echo(patient);
        const { answer } = await session.held();
        const ws = await session.ws().opened();
        ws.send('2probe');
        assert.equal((await answer).body, '6');
        assert.deepEqual(await ws.next(), ['3probe']);
        await session.post(`4${i}`);
        ws.send('5');
        assert.deepEqual(await ws.next(), [`4${i}`]);
        ws.close();
      }),
    );
  });
});

describe('CORS', () => {
  test('every kind of answer of a session has it, for the origin that asked', async () => {
    const session = await echo(calm, { headers: { Origin: ALLOWED } });
    const { answer } = await session.held();
    const posted = await session.post('4x');
    for (const a of [session.opened, posted, await answer, await session.post('')]) {
      assert.equal(a.headers['access-control-allow-origin'], ALLOWED);
      assert.equal(a.headers['access-control-allow-credentials'], 'true');
      assert.match(a.headers.vary, /Origin/);
    }
    const foreign = await ask('GET', new PollSession(calm.base).url(), { headers: { Origin: 'https://evil.example' } });
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
  });
  test('preflights are answered before any session is looked for', async () => {
    for (const query of ['', '?EIO=4&transport=polling&sid=unknown']) {
      const answer = await ask('OPTIONS', `${calm.base}/socket.io/${query}`, { headers: { Origin: ALLOWED, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'x-one,x-two' } });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers['access-control-allow-methods'], 'GET,HEAD,PUT,PATCH,POST,DELETE');
      assert.equal(answer.headers['access-control-allow-headers'], 'x-one,x-two');
      assert.equal(answer.headers['access-control-allow-origin'], ALLOWED);
      assert.match(answer.headers.vary, /Origin/);
      assert.match(answer.headers.vary, /Access-Control-Request-Headers/);
    }
  });
});

describe('a tenant, by every transport', () => {
  let world;
  before(async () => {
    world = await World.open('polling', { tap: false, gateway: { PING_INTERVAL_MS: '700', PING_TIMEOUT_MS: '2000' } });
  });
  after(() => world.close());
  const publish = async (tenant, events) => {
    const answer = await world.api(tenant, 'POST', '/api/v1/events', events, 'service');
    assert.equal(answer.status, 202, answer.body);
    return answer.json;
  };
  for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']])
    test(`${transports.join(', then ')}: every event once and in order`, async () => {
      const tenant = `t_by_${transports.join('_')}`;
      const clients = await Promise.all(Array.from({ length: 5 }, () => world.browser(tenant, { transports })));
      const made = [];
      for (let i = 0; i < 60; i++) made.push(...(await publish(tenant, [{ event: 'tick', data: i }, { event: 'tock', data: i }])));
      for (const client of clients) {
        await client.hears('tocks', 'tock', 60);
        assert.deepEqual(client.news.map((h) => h.offset), made.map((m) => m.offset));
        assert.equal(client.socket.io.engine.transport.name, transports.at(-1));
        assert.deepEqual(client.disconnects, []);
        client.close();
      }
    });
  test('more events between two polls than one write takes', async () => {
    const tenant = 't_burst';
    const session = await new PollSession(world.gw.base).open();
    await session.post(`40${JSON.stringify({ token: tokenOf(tenant) })}`);
    assert.match((await session.get()).body, /^40\{/);
    await publish(tenant, Array.from({ length: 300 }, (_, i) => ({ event: 'x', data: i })));
    const heard = [];
    await until('all of them', async () => {
      const { body } = await session.get();
      if (body.startsWith('2')) await session.post('3');
      heard.push(...body.split(RS).filter((p) => p.startsWith('42["x"')));
      return heard.length >= 300;
    });
    assert.deepEqual(heard.map((p) => JSON.parse(p.slice(2))[1]), Array.from({ length: 300 }, (_, i) => i));
  });
  test('a token of the handshake request counts', async () => {
    for (const options of [{ query: `&token=${tokenOf('t_hand')}` }, { headers: { Authorization: `Bearer ${tokenOf('t_hand')}` } }]) {
      const session = await new PollSession(world.gw.base, options).open();
      await session.post('40');
      assert.match((await session.get()).body, /^40\{"sid":/);
    }
  });
  test('a client that goes away leaves nothing behind', async () => {
    const name = 'portalcast_gateway_transports{transport="polling"}';
    await until('all are gone', async () => (await metric(world.gw, name)) === 0, 8000);
    const clients = await Promise.all(Array.from({ length: 10 }, () => world.browser('t_leave', { transports: ['polling'] })));
    assert.equal(await metric(world.gw, name), 10);
    clients.forEach((client) => client.close());
    await until('all are gone', async () => (await metric(world.gw, name)) === 0, 3000);
  });
});
