// What the gateway gives out and what it refuses: the client bundle, CORS on every kind of answer, caps of addresses, users
// and tenants, rates of messages and bytes.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, ROOT, RUN_DIR, sleep, until, within } from '../lib/env.mjs';
import { headersOf, rawExchange, tokenOf } from '../lib/http.mjs';
import { PollSession, RS, RawSocket, RawWs, ask } from '../lib/polling.mjs';
import { gateway, runProgram } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const ALLOWED = 'https://portal.example';
const EVIL = 'https://evil.example';
const DIST = path.join(ROOT, 'tests/node_modules/socket.io-client/dist');
const VERSION = JSON.parse(fs.readFileSync(path.join(DIST, '../package.json'))).version;
const NO_BROKER = 'amqp://guest:guest@127.0.0.1:9/';
const NEVER = { PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '60000' };
const OPEN = { PROFILE: 'conformance', JWT_SECRET: '', ALLOWED_ORIGINS: ALLOWED, ...NEVER };
const UNKNOWN_TRANSPORT = '{"code":0,"message":"Transport unknown"}';

// `door` caps addresses and believes what proxies say; `street` caps them and believes nobody; `world` caps who signs in.
let door, street, world;
before(async () => {
  door = await gateway(RUN_DIR, NO_BROKER, { ...OPEN, SOCKET_IO_CLIENT_DIR: DIST, MAX_CONNECTIONS_PER_ADDRESS: '3', TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8,2001:db8:ffff::/48', MAX_PAYLOAD: '20000' });
  street = await gateway(RUN_DIR, NO_BROKER, { ...OPEN, MAX_CONNECTIONS_PER_ADDRESS: '2' });
  [world] = await Promise.all([
    World.open('limits', { gateway: { ...NEVER, MAX_CONNECTIONS_PER_USER: '2', MAX_CONNECTIONS_PER_TENANT: '4', MESSAGE_RATE: '20', BYTE_RATE: '1000', MAX_PAYLOAD: '1024' } }),
    door.start(),
    street.start(),
  ]);
});
after(() => {
  clients.forEach((client) => client.close());
  return Promise.all([world?.close(), door.stop(), street.stop()]);
});
// Whoever is left when a test fails.
const clients = [];
const mine = (client) => (clients.push(client), client);

const metric = async (service, name) => (await service.metrics())[`portalcast_gateway_${name}`] ?? 0;
const closed = (service, reason) => metric(service, `sessions_closed_total{reason="${reason}"}`);
const open = async (service) => (await metric(service, 'sessions{protocol="socketio"}')) + (await metric(service, 'sessions{protocol="ws"}'));
const hasCors = (headers, what) => {
  assert.equal(headers['access-control-allow-origin'], ALLOWED, what);
  assert.equal(headers['access-control-allow-credentials'], 'true', what);
  assert.match(headers.vary, /Origin/, what);
};

describe('client bundle', () => {
  const FILES = ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'].flatMap((name) => [name, `${name}.map`]);
  for (const file of FILES)
    test(`${file} is served with its version`, async () => {
      const bytes = fs.readFileSync(path.join(DIST, file), 'utf8');
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(method, `${door.base}/socket.io/${file}?v=1&transport=polling`, { headers: { Origin: ALLOWED } });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], file.endsWith('.map') ? 'application/json; charset=utf-8' : 'application/javascript; charset=utf-8');
        assert.equal(answer.headers['cache-control'], 'public, max-age=0');
        assert.equal(answer.headers.etag, `"${VERSION}"`);
        assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(bytes));
        assert.ok(answer.body === (method === 'GET' ? bytes : ''), 'the bytes of the file');
        hasCors(answer.headers);
      }
    });
  for (const [tag, status] of [[`"${VERSION}"`, 304], [`W/"${VERSION}"`, 304], [`"1.0.0", W/"${VERSION}"`, 304], ['*', 304], ['"1.0.0"', 200], [VERSION, 200], [`"${VERSION}`, 200]])
    test(`If-None-Match: ${tag} is answered ${status}`, async () => {
      const answer = await ask('GET', `${door.base}/socket.io/socket.io.min.js`, { headers: { Origin: ALLOWED, 'If-None-Match': tag } });
      assert.equal(answer.status, status);
      assert.equal(answer.body.length > 0, status === 200);
      assert.equal(answer.headers.etag, `"${VERSION}"`);
      assert.equal(answer.headers['cache-control'], 'public, max-age=0');
      hasCors(answer.headers);
    });
  for (const [method, name] of [
    ['GET', 'socket.io.msgpack.min.js'],
    ['GET', 'socket.io.msgpack.min.js.map'],
    ['GET', 'socket.io.esm.js'],
    ['GET', 'socket.io.js.gz'],
    ['GET', 'Socket.IO.js'],
    ['GET', 'x/socket.io.js'],
    ['GET', 'socket.io.js/'],
    ['GET', '../socket.io-client/package.json'],
    ['POST', 'socket.io.js'],
    ['DELETE', 'socket.io.js'],
  ])
    test(`${method} ${name} falls to the engine`, async () => {
      const answer = await ask(method, `${door.base}/socket.io/${name}`, { headers: { Origin: ALLOWED }, body: method === 'POST' ? 'x' : undefined });
      if (name.startsWith('..')) return assert.equal(answer.status, 404); // the path is another one
      assert.deepEqual([answer.status, answer.body], [400, UNKNOWN_TRANSPORT]);
      hasCors(answer.headers);
    });
  test('an Upgrade on the name of a file is no file', async () => {
    const ws = new RawWs(`${door.base.replace('http', 'ws')}/socket.io/socket.io.js`);
    assert.deepEqual(await ws.refused().then((r) => [r.status, r.body]), [400, 'Transport unknown']);
  });
  test('a package without all of them gives what it has; a folder that is none is refused at start', async () => {
    const dir = path.join(RUN_DIR, 'some-client/dist');
    fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(path.join(dir, '../package.json'), '{"name":"socket.io-client","version":"9.8.7-rc.1"}');
    fs.writeFileSync(path.join(dir, 'socket.io.js'), 'var io;');
    const service = await gateway(RUN_DIR, NO_BROKER, { ...OPEN, SOCKET_IO_CLIENT_DIR: dir });
    await service.start();
    try {
      const answer = await ask('GET', `${service.base}/socket.io/socket.io.js`);
      assert.deepEqual([answer.status, answer.headers.etag, answer.body], [200, '"9.8.7-rc.1"', 'var io;']);
      assert.equal((await ask('GET', `${service.base}/socket.io/socket.io.min.js`)).body, UNKNOWN_TRANSPORT);
    } finally {
      await service.stop();
    }
    for (const breakIt of [() => fs.writeFileSync(path.join(dir, '../package.json'), '{"version":"a b"}'), () => fs.rmSync(path.join(dir, '../package.json'))]) {
      breakIt();
      const run = await runProgram('portal-gateway', [], { ...service.env, GATEWAY_PORT: '0' });
      assert.notEqual(run.code, 0);
      assert.match(run.stdout + run.stderr, /package\.json/);
    }
  });
});

describe('CORS and origins', () => {
  const ROWS = [
    ['GET', '/socket.io/?EIO=4&transport=polling', 200],
    ['GET', '/socket.io/', 400],
    ['GET', '/socket.io/?EIO=4&transport=polling&sid=unknown', 400],
    ['POST', '/socket.io/?EIO=4&transport=polling&sid=unknown', 400, 'x'],
    ['POST', '/socket.io/?EIO=4&transport=polling', 400, 'x'],
    ['GET', '/socket.io/?EIO=3&transport=polling', 400],
    ['GET', '/ws', 426],
    ['GET', '/nothing', 404],
    ['POST', '/healthz', 405, 'x'],
    ['POST', '/', 413, 'x'.repeat(70000)],
    ['GET', '/healthz', 200],
    ['GET', '/readyz', 200],
    ['GET', '/', 200],
    ['OPTIONS', '/socket.io/?EIO=4&transport=polling&sid=unknown', 204],
    ['OPTIONS', '/socket.io/socket.io.js', 204],
  ];
  for (const [method, target, status, body] of ROWS)
    test(`${method} ${target}: ${status}, for the origin that asks`, async () => {
      const from = { 'X-Forwarded-For': `192.0.2.${ROWS.findIndex((r) => r[0] === method && r[1] === target) + 1}` };
      const answer = await ask(method, door.base + target, { headers: { ...from, Origin: ALLOWED }, body });
      assert.equal(answer.status, status, answer.body);
      hasCors(answer.headers);
      const foreign = await ask(method, door.base + target, { headers: { ...from, Origin: EVIL }, body });
      assert.equal(foreign.headers['access-control-allow-origin'], undefined);
      assert.match(foreign.headers.vary, /Origin/);
    });
  // Before anybody looks at the path.
  for (const [what, head, status] of [
    ['no length', '', 411],
    ['chunks', 'Transfer-Encoding: chunked\r\n', 411],
    ['a length that is none', 'Content-Length: 5x\r\n', 400],
    ['an expectation', 'Content-Length: 5\r\nExpect: 100-continue\r\n', 417],
    ['two hosts', 'Content-Length: 0\r\nHost: y\r\n', 400],
  ])
    for (const origin of [ALLOWED, EVIL])
      test(`${what}: ${status}, and a page of ${origin} may ${origin === EVIL ? 'not ' : ''}read it`, async () => {
        const text = await rawExchange(door.port, `POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\n${head}\r\n`, { enough: /\}\}$/ });
        assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
        if (origin === EVIL) assert.doesNotMatch(text, /^access-control/im);
        else hasCors(headersOf(text));
      });
  test('413 of a session has it', async () => {
    const session = await new PollSession(door.base, { headers: { Origin: ALLOWED, 'X-Forwarded-For': '192.0.2.100' } }).open();
    const answer = await session.post(`4${'x'.repeat(20000)}`);
    assert.equal(answer.status, 413);
    hasCors(answer.headers);
  });
  test('a page of a foreign origin opens no session, by whatever transport', async () => {
    const [before, refused] = [await open(street), await metric(street, 'origins_refused_total')];
    for (const query of ['EIO=4&transport=polling', 'EIO=3&transport=polling']) {
      const answer = await ask('GET', `${street.base}/socket.io/?${query}`, { headers: { Origin: EVIL } });
      assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [403, 'application/json', '{"code":4,"message":"Forbidden"}']);
    }
    for (const target of ['/socket.io/?EIO=4&transport=websocket', '/ws']) {
      const ws = new RawWs(street.base.replace('http', 'ws') + target, { headers: { Origin: EVIL } });
      assert.equal((await ws.refused()).status, 403);
    }
    assert.equal(await open(street), before);
    assert.equal(await metric(street, 'origins_refused_total'), refused + 4);
    const known = await ask('GET', `${street.base}/socket.io/?EIO=4&transport=polling&sid=unknown`, { headers: { Origin: EVIL } });
    assert.equal(known.body, '{"code":1,"message":"Session ID unknown"}', 'only handshakes are asked where they come from');
  });
  test('the own origin may always', async () => {
    const session = await new PollSession(door.base, { headers: { Origin: door.base, 'X-Forwarded-For': '192.0.2.101' } }).open();
    assert.equal(session.opened.headers['access-control-allow-origin'], door.base);
  });
});

describe('cap of an address', () => {
  const TRANSPORTS = ['polling', 'websocket', 'ws'];
  // A session from there: {status, headers} of the refusal, or {leave()}.
  async function arrive(service, transport, forwarded) {
    const headers = { Origin: ALLOWED, ...(forwarded && { 'X-Forwarded-For': forwarded }) };
    if (transport === 'polling') {
      const session = new PollSession(service.base, { headers });
      const answer = await ask('GET', session.url(), { headers });
      if (answer.status !== 200) return answer;
      session.sid = JSON.parse(answer.body.slice(1)).sid;
      return { status: 200, leave: () => session.post('1') };
    }
    const target = transport === 'ws' ? '/ws' : '/socket.io/?EIO=4&transport=websocket';
    const ws = mine(new RawWs(service.base.replace('http', 'ws') + target, { headers }));
    return until('an answer', () => ws.refusal ?? (ws.socket.readyState === 1 && { status: 200, leave: () => ws.close() }));
  }
  const fill = async (service, forwarded, count) => {
    const guests = [];
    for (let i = 0; i < count; i++) guests.push(await arrive(service, TRANSPORTS[i % 3], forwarded));
    assert.deepEqual(guests.map((g) => g.status), Array(count).fill(200));
    return guests;
  };

  test('one more gets 429 with Retry-After on every transport, until one of the others leaves', async () => {
    const guests = await fill(door, '198.51.100.1', 3);
    const refused = await metric(door, 'addresses_refused_total');
    for (const transport of TRANSPORTS) {
      const answer = await arrive(door, transport, '198.51.100.1');
      assert.equal(answer.status, 429, transport);
      assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
      hasCors(answer.headers, transport);
    }
    assert.equal(await metric(door, 'addresses_refused_total'), refused + 3);
    const other = await arrive(door, 'polling', '198.51.100.2');
    assert.equal(other.status, 200, 'another address');
    for (const guest of guests) {
      await guest.leave();
      const next = await until('its place', async () => {
        const answer = await arrive(door, 'websocket', '198.51.100.1');
        return answer.status === 200 ? answer : null;
      });
      assert.equal((await arrive(door, 'polling', '198.51.100.1')).status, 429);
      guests[guests.indexOf(guest)] = next;
    }
    for (const guest of [...guests, other]) await guest.leave();
  });
  test('what a client writes before its proxy counts for nothing', async () => {
    const guests = await fill(door, '9.9.9.9, 198.51.100.3', 3);
    for (const forwarded of ['1.2.3.4, 198.51.100.3', '198.51.100.3', 'unknown, 198.51.100.3:5000, 10.1.2.3', '198.51.100.3, 127.0.0.9', '::ffff:198.51.100.3'])
      assert.equal((await arrive(door, 'polling', forwarded)).status, 429, forwarded);
    for (const guest of guests) await guest.leave();
  });
  test('two header lines are one list', async () => {
    const guests = await fill(door, '198.51.100.8', 3);
    for (const [lines, status] of [[['9.9.9.9', '198.51.100.8'], 429], [['198.51.100.8', '198.51.100.9'], 200]]) {
      const socket = new RawSocket(door.port).write(`GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n${lines.map((l) => `X-Forwarded-For: ${l}\r\n`).join('')}Connection: close\r\n\r\n`);
      await socket.ends();
      assert.match(socket.text, new RegExp(`^HTTP/1.1 ${status} `), lines.join(' | '));
    }
    for (const guest of guests) await guest.leave();
  });
  test('an IPv6 client is its network', async () => {
    const guests = await fill(door, '2001:db8:1:2::1', 2);
    guests.push(...(await fill(door, '2001:db8:1:2:ffff::1', 1)));
    assert.equal((await arrive(door, 'polling', '[2001:db8:1:2::77]:5000, 2001:db8:ffff::1')).status, 429);
    const other = await arrive(door, 'polling', '2001:db8:1:3::1');
    assert.equal(other.status, 200);
    for (const guest of [...guests, other]) await guest.leave();
  });
  test('without trusted proxies the peer alone counts', async () => {
    const guests = [await arrive(street, 'polling', '198.51.100.1'), await arrive(street, 'websocket', '198.51.100.2')];
    assert.equal((await arrive(street, 'polling', '198.51.100.3')).status, 429);
    for (const guest of guests) await guest.leave();
    await until('nobody', async () => (await open(street)) === 0);
  });
  for (const transports of [['polling'], ['websocket']])
    test(`socket.io-client on ${transports} comes in by itself when there is room again`, async () => {
      const guests = await fill(door, '198.51.100.4', 3);
      const refused = await metric(door, 'addresses_refused_total');
      const client = mine(new SioClient(door.base, undefined, { transports, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100, extraHeaders: { 'X-Forwarded-For': '198.51.100.4' } }));
      await until('two tries', async () => (await metric(door, 'addresses_refused_total')) >= refused + 2);
      assert.equal(client.socket.connected, false);
      await guests[0].leave();
      await until('connected', () => client.socket.connected);
      client.close();
      for (const guest of guests.slice(1)) await guest.leave();
    });
  test('TRUSTED_PROXIES that is wrong is named at start', async () => {
    const run = await runProgram('portal-gateway', ['--check-config'], { DEMO: '1', TRUSTED_PROXIES: '10.0.0.0/8,proxy.local' });
    assert.notEqual(run.code, 0);
    assert.match(run.stdout + run.stderr, /TRUSTED_PROXIES: "proxy\.local"/);
  });
});

describe('caps of a user and of a tenant', () => {
  const claims = (sub) => ({ sub });
  const plain = (tenant, sub) => mine(new WsClient(world.gw.base, { token: tokenOf(tenant, 'agent', claims(sub)) }));
  const browser = (tenant, sub, options) => mine(new SioClient(world.gw.base, tokenOf(tenant, 'agent', claims(sub)), options));
  const end = async (...clients) => {
    clients.forEach((c) => c.close());
    await until('nobody', async () => (await open(world.gw)) === 0);
  };
  for (const [what, reason, text, fill] of [
    ['a user', 'too_many_connections', 'too many connections of this user', (t) => [plain(t, 'ann'), plain(t, 'ann')]],
    ['a tenant', 'too_many_of_tenant', 'too many connections of this tenant', (t) => ['a', 'b', 'c', 'd'].map((sub) => plain(t, sub))],
  ]) {
    const sub = what === 'a user' ? 'ann' : 'eve';
    test(`one more of ${what} on /ws is closed with 4429`, async () => {
      const inside = fill('t_cap');
      for (const client of inside) await client.message('ready');
      const before = await closed(world.gw, reason);
      const late = plain('t_cap', sub);
      assert.deepEqual(await within(late.closed, 10000 * PATIENCE), { code: 4429, reason: text });
      assert.deepEqual(late.messages, []);
      assert.equal(await closed(world.gw, reason), before + 1);
      await until('a line in the log', () => new RegExp(`session_closed.* protocol=ws tenant=t_cap reason=${reason}`).test(world.gw.log(Infinity)));
      const others = [plain('t_cap_other', sub), ...(what === 'a user' ? [plain('t_cap', 'bob')] : [])];
      for (const other of others) await other.message('ready');
      await end(...inside, ...others);
    });
    for (const transports of [['polling'], ['websocket']])
      test(`one more of ${what} on Socket.IO by ${transports} comes back until there is room`, async () => {
        const inside = fill('t_cap');
        for (const client of inside) await client.message('ready');
        const before = await closed(world.gw, reason);
        const late = browser('t_cap', sub, { transports, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 });
        const refusals = [];
        late.socket.on('connect_error', (error) => refusals.push(error.message));
        await until('three tries', async () => (await closed(world.gw, reason)) >= before + 3);
        assert.equal(late.socket.connected, false);
        assert.deepEqual(refusals, [], 'no refusal for good');
        inside[0].close();
        await until('connected', () => late.socket.connected);
        await late.hears('hello', 'portalcast:hello');
        await end(...inside, late);
      });
  }
});

describe('rates', () => {
  // MESSAGE_RATE 20: 200 at once. BYTE_RATE 1000: 10 000 at once.
  const cut = async (before) => {
    await until('the cut', async () => (await closed(world.gw, 'rate')) === before + 1);
    await until('a line in the log', () => /session_closed.*reason=rate/.test(world.gw.log(Infinity)));
  };
  for (const [what, messages] of [
    ['messages', (n) => Array.from({ length: n }, () => '{"type":"ping"}')],
    ['bytes', (n) => Array.from({ length: n / 20 }, () => JSON.stringify({ type: 'ping', pad: 'x'.repeat(950) }))],
  ]) {
    test(`too many ${what} on /ws: 4429, and the answers before it came`, async () => {
      const [client, before] = [await world.plain('t_rate'), await closed(world.gw, 'rate')];
      messages(300).forEach((m) => client.send(m));
      assert.deepEqual(await within(client.closed, 10000 * PATIENCE), { code: 4429, reason: 'too many messages' });
      const pongs = client.messages.filter((m) => m.type === 'pong').length;
      assert.ok(what === 'bytes' ? pongs >= 9 && pongs < 15 : pongs >= 199 && pongs < 300, `${pongs} answers`);
      await cut(before);
    });
    test(`as many ${what} as may come at once are no reason`, async () => {
      const client = await world.plain('t_rate');
      const wanted = messages(what === 'bytes' ? 180 : 190); // signing in counted too
      wanted.forEach((m) => client.send(m));
      await until('all answers', () => client.messages.filter((m) => m.type === 'pong').length === wanted.length);
      client.close();
    });
  }
  test('once used up, it grows again', async () => {
    const client = await world.plain('t_rate');
    for (let i = 0; i < 190; i++) client.send({ type: 'ping' });
    for (let i = 0; i < 15; i++) {
      await sleep(100); // ten a second of the twenty that it may
      client.send({ type: 'ping' });
    }
    await until('all answers', () => client.messages.filter((m) => m.type === 'pong').length === 205);
    client.close();
  });
  test('too many events by WebSocket: a Socket.IO client comes back by itself', async () => {
    const before = await closed(world.gw, 'rate');
    const client = await world.browser('t_rate', { reconnection: true, reconnectionDelay: 50 });
    for (let i = 0; i < 300; i++) client.socket.emit('nothing', i);
    await until('the end', () => client.disconnects.length);
    assert.deepEqual(client.disconnects, ['transport close']);
    await until('it is back', () => client.socket.connected);
    await cut(before);
    client.close();
  });
  test('too many packets in POSTs: the session is gone, and the held GET says so', async () => {
    const before = await closed(world.gw, 'rate');
    const session = await new PollSession(world.gw.base).open();
    await session.post(`40{"token":"${tokenOf('t_rate')}"}`);
    assert.match((await session.get()).body, /^40\{/);
    const held = session.get();
    const packets = Array.from({ length: 240 }, () => '42["n"]');
    for (const part of [packets.slice(0, 120), packets.slice(120, 240)]) assert.equal((await session.post(part.join(RS))).body, 'ok');
    assert.equal((await held).body, '1');
    assert.equal((await session.get()).body, '{"code":1,"message":"Session ID unknown"}');
    await cut(before);
  });
  test('POSTs of many bytes with nobody polling: the next GET is told', async () => {
    const before = await closed(world.gw, 'rate');
    const session = await new PollSession(world.gw.base).open();
    await session.post(`40{"token":"${tokenOf('t_rate')}"}`);
    for (let i = 0; i < 12; i++) await session.post(`42["n","${'x'.repeat(950)}"]`);
    await cut(before);
    assert.equal((await session.get()).body, `6${RS}1`);
    assert.equal((await session.get()).status, 400);
  });
  test('the profile of protocol suites has no rates', async () => {
    const session = await new PollSession(door.base, { path: '/engine.io/', headers: { 'X-Forwarded-For': '192.0.2.120' } }).open();
    const packets = Array.from({ length: 4000 }, () => '4x');
    assert.equal((await session.post(packets.join(RS))).body, 'ok');
    assert.equal((await session.get()).body.split(RS).length, 4000);
    await session.post('1');
  });
});
