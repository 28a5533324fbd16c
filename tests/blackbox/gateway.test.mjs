// The gateway: signing in over Socket.IO and /ws, rooms, walls between tenants, order and holes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Tap } from '../lib/broker.mjs';
import { sleep, until, within } from '../lib/env.mjs';
import { jwt, rawExchange, tokenOf } from '../lib/http.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const OFFSET = /^[A-Za-z0-9]+-\d+$/;
const ALLOWED = 'https://portal.example';
let world;
before(async () => {
  world = await World.open('gateway', {
    gateway: { PING_INTERVAL_MS: '700', PING_TIMEOUT_MS: '700', CONNECT_TIMEOUT_MS: '1500', ALLOWED_ORIGINS: `${ALLOWED},https://*.apps.example` },
  });
});
after(() => world.close());

async function publish(tenant, body) {
  const answer = await world.api(tenant, 'POST', '/api/v1/events', body, 'service');
  assert.equal(answer.status, 202, answer.body);
  return answer.json;
}
const now = () => Math.floor(Date.now() / 1000);

describe('Socket.IO', () => {
  test('portalcast:hello comes first, with rooms and an offset', async () => {
    const browser = await world.browser('t_hello', { claims: { sub: 'ann', teams: ['north'] } });
    const [hello] = await browser.hears('hello', 'portalcast:hello');
    assert.equal(browser.heard[0], hello);
    assert.equal(hello.data.recovered, false);
    for (const room of ['user:ann', 'role:agent', 'team:north']) assert.ok(hello.data.rooms.includes(room), `${room} in ${hello.data.rooms}`);
    assert.equal(typeof hello.offset, 'string');
    browser.close();
  });
  test('every event carries its offset last, in order', async () => {
    const browser = await world.browser('t_offset');
    const made = await publish('t_offset', Array.from({ length: 20 }, (_, i) => ({ event: 'tick', data: { i } })));
    const heard = await browser.hears('ticks', 'tick', 20);
    assert.deepEqual(heard.map((h) => h.offset), made.map((m) => m.offset));
    assert.deepEqual(heard.map((h) => h.args.length), Array(20).fill(2));
    assert.deepEqual(heard.map((h) => h.data.i), Array.from({ length: 20 }, (_, i) => i));
    browser.close();
  });
  test('the first of a tenant with a history hears what follows', async () => {
    await publish('t_past', Array.from({ length: 5 }, (_, i) => ({ event: 'past', data: i })));
    const browser = await world.browser('t_past');
    const [hello] = await browser.hears('hello', 'portalcast:hello');
    assert.match(hello.data.head, /-5$/);
    const [made] = [await publish('t_past', { event: 'after', data: 1 })];
    const [heard] = await browser.hears('after', 'after', 1, 3000);
    assert.equal(heard.offset, made.offset);
    assert.deepEqual(browser.of('past'), []);
    browser.close();
  });
  for (const [what, data] of [['a string', 'text'], ['null', null], ['a number', 12345678901234567890n], ['an array', [1, [2]]], ['deep text', { a: 'é\u2028\u{1f600}"\\' }]])
    test(`data may be ${what}`, async () => {
      const browser = await world.browser('t_data');
      await world.api('t_data', 'POST', '/api/v1/events', `{"event":"x","data":${typeof data === 'bigint' ? data : JSON.stringify(data)}}`, 'service');
      const [heard] = await browser.hears('x', 'x');
      assert.deepEqual(heard.args[0], typeof data === 'bigint' ? Number(data) : data);
      browser.close();
    });
  test('an event without data has null', async () => {
    const browser = await world.browser('t_data');
    await publish('t_data', { event: 'bare' });
    const [heard] = await browser.hears('bare', 'bare');
    assert.equal(heard.args[0], null);
    assert.match(heard.offset, OFFSET);
    browser.close();
  });
  test('rooms: tenant, user, role, team', async () => {
    const people = {
      ann: await world.browser('t_rooms', { claims: { sub: 'ann', teams: ['north'] } }),
      ann2: await world.browser('t_rooms', { claims: { sub: 'ann', teams: ['north'] } }),
      bob: await world.browser('t_rooms', { claims: { sub: 'bob', teams: ['south', 'north'] } }),
      eve: await world.browser('t_rooms', { role: 'supervisor', claims: { sub: 'eve' } }),
      other: await world.browser('t_rooms_other', { claims: { sub: 'ann', teams: ['north'] } }),
    };
    const cases = [
      [undefined, ['ann', 'ann2', 'bob', 'eve']],
      [[], ['ann', 'ann2', 'bob', 'eve']],
      [['user:ann'], ['ann', 'ann2']],
      [['role:supervisor'], ['eve']],
      [['team:north'], ['ann', 'ann2', 'bob']],
      [['team:north', 'user:ann', 'role:agent'], ['ann', 'ann2', 'bob']],
      [['user:nobody'], []],
      [['user:bob', 'role:supervisor'], ['bob', 'eve']],
    ];
    for (const [i, [rooms]] of cases.entries()) await publish('t_rooms', { event: 'case', data: i, ...(rooms && { rooms }) });
    await publish('t_rooms', { event: 'end', data: null });
    for (const [name, browser] of Object.entries(people)) {
      if (name !== 'other') await browser.hears('the end', 'end');
      const expected = cases.map(([, who], i) => (who.includes(name) ? i : -1)).filter((i) => i >= 0);
      assert.deepEqual(browser.of('case').map((h) => h.data), expected, `${name} hears his, each once`);
    }
    await sleep(100);
    assert.deepEqual(people.other.news, [], 'another tenant hears nothing');
    Object.values(people).forEach((b) => b.close());
  });
  for (const [what, token] of [
    ['missing', () => undefined],
    ['rubbish', () => 'abc.def.ghi'],
    ['signed by somebody else', () => jwt({ tenantId: 't', sub: 'a', role: 'agent' }, { secret: 'somebody-elses-secret-0123456789abcdef' })],
    ['expired', () => jwt({ tenantId: 't', sub: 'a', role: 'agent', exp: now() - 5 })],
    ['unsigned', () => `${jwt({ tenantId: 't', sub: 'a', role: 'agent' }, { header: { alg: 'none', typ: 'JWT' } }).split('.').slice(0, 2).join('.')}.`],
    ['a number', () => 42],
  ])
    test(`a token that is ${what} gets connect_error with a code`, async () => {
      const client = new SioClient(world.gw.base, token());
      await assert.rejects(client.connected(), (error) => {
        assert.equal(typeof error.message, 'string');
        assert.equal(typeof error.data?.code, 'string', `data.code in ${JSON.stringify(error.data)}`);
        return true;
      });
      client.close();
    });
  test('the tenant of the query or the payload does not count', async () => {
    const client = new SioClient(world.gw.base, undefined, { auth: { token: tokenOf('t_mine'), tenantId: 't_theirs' }, query: { tenantId: 't_theirs' } });
    await client.connected();
    await publish('t_theirs', { event: 'secret', data: 1 });
    await publish('t_mine', { event: 'own', data: 1 });
    await client.hears('own', 'own');
    assert.deepEqual(client.of('secret'), []);
    client.close();
  });
  test('pings keep it alive over several intervals', async () => {
    const browser = await world.browser('t_ping');
    await sleep(3500);
    assert.deepEqual(browser.disconnects, []);
    assert.ok(browser.socket.connected);
    await publish('t_ping', { event: 'after', data: 1 });
    await browser.hears('after', 'after');
    browser.close();
  });
  test('who does not answer pings is cut', async () => {
    const started = Date.now();
    const frames = [];
    const socket = new WebSocket(`${world.gw.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    socket.on('message', (bytes) => {
      frames.push(bytes.toString());
      if (frames.length === 1) socket.send(`40${JSON.stringify({ token: tokenOf('t_deaf') })}`);
    });
    await within(new Promise((done) => socket.on('close', done)), 8000);
    assert.equal(socket.readyState, WebSocket.CLOSED);
    assert.match(frames[0], /^0\{"sid":"[\w-]{26}","upgrades":\[\],"pingInterval":700,"pingTimeout":700,"maxPayload":\d+\}$/);
    assert.match(frames[1], /^40\{"sid":/);
    assert.deepEqual(frames.filter((f) => f === '2'), ['2'], 'one ping, no second while it is outstanding');
    assert.ok(Date.now() - started >= 1300, 'not before its time');
  });
  test('who does not sign in is cut', async () => {
    const started = Date.now();
    const client = new SioClient(world.gw.base, undefined, { autoConnect: false });
    client.socket.io.open();
    const reason = await new Promise((done) => client.socket.io.on('close', done));
    assert.ok(Date.now() - started < 8000, reason);
    client.close();
  });
  test('an unknown namespace is refused', async () => {
    const client = new SioClient(`${world.gw.base}/nowhere`, tokenOf('t_nsp'));
    await assert.rejects(client.connected(), /Invalid namespace/);
    client.close();
  });
  test('leaving does not end the others', async () => {
    const [one, two] = [await world.browser('t_leave'), await world.browser('t_leave')];
    one.close();
    await publish('t_leave', { event: 'still', data: 1 });
    await two.hears('still', 'still');
    two.close();
  });
  test('an old protocol is refused before the upgrade', async () => {
    const text = await rawExchange(world.gw.port, 'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n', { enough: /\r\n\r\n/ });
    assert.match(text, /^HTTP\/1\.1 400/);
  });
});

describe('/ws', () => {
  test('token in the first message', async () => {
    const client = await world.plain('t_ws');
    const ready = await client.message('ready');
    assert.equal(client.messages[0], ready);
    assert.equal(typeof ready.sid, 'string');
    assert.equal(ready.recovered, false);
    assert.ok(Array.isArray(ready.rooms));
    const made = await publish('t_ws', [{ event: 'a', data: { x: 1 } }, { event: 'b', data: null }]);
    await client.hears('both', (h) => ['a', 'b'].includes(h.event), 2);
    assert.deepEqual(client.heard.filter((h) => h.event !== 'metrics_update').map(({ event, data, offset }) => ({ event, data, offset })), [
      { event: 'a', data: { x: 1 }, offset: made[0].offset },
      { event: 'b', data: null, offset: made[1].offset },
    ]);
    client.close();
  });
  test('token in the query', async () => {
    const client = new WsClient(world.gw.base, { query: `?token=${tokenOf('t_ws2')}` });
    await client.message('ready');
    assert.ok(!world.gw.log(Infinity).includes(tokenOf('t_ws2').split('.')[1].slice(0, 30)), 'no token in the log');
    client.close();
  });
  test('token in the subprotocol', async () => {
    const client = new WsClient(world.gw.base, { protocols: ['portalcast', tokenOf('t_ws3')] });
    await client.message('ready');
    assert.equal(client.socket.protocol, 'portalcast');
    client.close();
  });
  test('ping gets pong', async () => {
    const client = await world.plain('t_ws4');
    client.send({ type: 'ping' });
    await client.message('pong');
    client.close();
  });
  test('who does not answer pings is cut', async () => {
    const started = Date.now();
    const socket = new WebSocket(`${world.gw.base.replace('http', 'ws')}/ws?token=${tokenOf('t_ws_deaf')}`, { autoPong: false });
    let pings = 0;
    socket.on('ping', () => pings++);
    const code = await within(new Promise((done) => socket.on('close', done)), 8000);
    assert.equal(code, 1001);
    assert.equal(pings, 1, 'one ping, no second while it is outstanding');
    assert.ok(Date.now() - started >= 1300, 'not before its time');
  });
  test('stays alive over several intervals', async () => {
    const client = await world.plain('t_ws5');
    await sleep(3500);
    assert.equal(client.closeCode, undefined);
    client.close();
  });
  for (const [what, message] of [
    ['no JSON', 'hello'],
    ['no object', '[1]'],
    ['no type', '{"token":"x"}'],
    ['an unknown type', '{"type":"dance"}'],
    ['an emit of an event nobody knows', '{"type":"emit","event":"dance","data":1,"id":"7"}'],
  ])
    test(`${what} is answered with an error, not silence`, async () => {
      const client = await world.plain('t_ws6');
      client.send(message);
      const answer = await Promise.race([client.message('error'), client.closed]);
      assert.ok(typeof answer.code === 'string' || answer.code >= 1000, JSON.stringify(answer));
      client.close();
    });
  test('a bad token: error and 4401', async () => {
    const client = new WsClient(world.gw.base, { token: 'abc.def.ghi' });
    assert.equal((await client.closed).code, 4401);
    client.close();
  });
  test('a bad token in the query: 4401', async () => {
    const client = new WsClient(world.gw.base, { query: '?token=abc' });
    assert.equal((await Promise.race([client.closed, client.refused.then((status) => ({ code: status === 401 ? 4401 : status }))])).code, 4401);
    client.close();
  });
  test('no token in time: 4408', async () => {
    const client = new WsClient(world.gw.base);
    assert.equal((await client.closed).code, 4408);
  });
  test('a token that expires while connected: 4401', async () => {
    const client = new WsClient(world.gw.base, { token: tokenOf('t_ws7', 'agent', { exp: now() + 2 }) });
    await client.message('ready');
    assert.equal((await client.closed).code, 4401);
  });
});

describe('origins', () => {
  const cases = [
    ['an allowed one', ALLOWED, true],
    ['one that matches the star', 'https://shop.apps.example', true],
    ['none at all (no browser)', undefined, true],
    ['a foreign one', 'https://evil.example', false],
    ['one that only begins like an allowed one', `${ALLOWED}.evil.example`, false],
    ['one with two labels for the star', 'https://a.b.apps.example', false],
    ['null', 'null', false],
    ['another scheme', 'http://portal.example', false],
  ];
  for (const [what, origin, allowed] of cases)
    test(`${what} ${allowed ? 'gets in' : 'is refused'}`, async () => {
      const client = new WsClient(world.gw.base, { token: tokenOf('t_origin'), headers: origin === undefined ? {} : { Origin: origin } });
      const outcome = await Promise.race([client.message('ready').then(() => 'in'), client.refused.then((status) => `refused ${status}`)]);
      assert.equal(outcome, allowed ? 'in' : 'refused 403');
      client.close();
    });
  test('the own origin is always allowed', async () => {
    const client = new WsClient(world.gw.base, { token: tokenOf('t_origin'), headers: { Origin: world.gw.base } });
    await client.message('ready');
    client.close();
  });
  test('a foreign origin does not open Socket.IO either', async () => {
    const client = new SioClient(world.gw.base, tokenOf('t_origin'), { extraHeaders: { Origin: 'https://evil.example' } });
    await assert.rejects(client.connected());
    client.close();
  });
});

// The state-manager publishes to one exchange and the gateway hears another; what passes between them is up to the test.
describe('order, repeats and holes', () => {
  let scripted;
  let to;
  before(async () => {
    scripted = await World.open('gateway-scripted', { tap: false, stateManager: { EVENTS_EXCHANGE: 'published' }, gateway: { EVENTS_EXCHANGE: 'heard' } });
    scripted.tap = await new Tap(scripted.amqpUrl, 'published').open();
    to = await new Tap(scripted.amqpUrl, 'heard').open();
  });
  after(async () => {
    await to.close();
    await scripted.close();
  });

  // Publishes n events through the API; resolves to their messages on the first exchange.
  async function made(tenant, count, make = (i) => ({ event: 'n', data: { i } })) {
    const from = scripted.tap.events.filter((e) => e.body.tenantId === tenant).length;
    const answer = await scripted.api(tenant, 'POST', '/api/v1/events', Array.from({ length: count }, (_, i) => make(i)), 'service');
    assert.equal(answer.status, 202, answer.body);
    return until('them on the first exchange', () => {
      const all = scripted.tap.events.filter((e) => e.body.tenantId === tenant).slice(from);
      return all.length >= count ? all : null;
    });
  }
  const pass = async (...events) => {
    for (const { key, raw } of events) await to.publish(key, raw);
  };
  const heardInOrder = async (browser, count, timeoutMs) => {
    await browser.hears('all', 'n', count, timeoutMs);
    await sleep(200);
    assert.deepEqual(browser.of('n').map((h) => h.data.i), Array.from({ length: count }, (_, i) => i));
    const seqs = browser.seqs();
    assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
  };
  const fetched = async () => (await scripted.gw.metrics()).portalcast_gateway_replays_total;

  test('in order: passed on at once, nothing fetched', async () => {
    const browser = await scripted.browser('t_order');
    const before = await fetched();
    await pass(...(await made('t_order', 10)));
    await heardInOrder(browser, 10, 1000);
    assert.equal(await fetched(), before);
  });
  test('repeats are heard once', async () => {
    const browser = await scripted.browser('t_repeat');
    const events = await made('t_repeat', 10);
    await pass(...events, ...events.slice().reverse(), ...events);
    await heardInOrder(browser, 10);
  });
  test('a changed order is put right without fetching', async () => {
    const browser = await scripted.browser('t_shuffle');
    const before = await fetched();
    const e = await made('t_shuffle', 6);
    await Promise.all([e[1], e[0], e[3], e[2], e[5], e[4]].map((x) => pass(x)));
    await heardInOrder(browser, 6);
    assert.equal(await fetched(), before, 'a hole waits a moment before it is fetched');
  });
  test('holes are fetched', async () => {
    const browser = await scripted.browser('t_hole');
    const e = await made('t_hole', 30);
    await pass(e[25], e[7], e[7], e[28], e[3]);
    await heardInOrder(browser, 30);
    assert.ok((await fetched()) > 0);
  });
  test('a large hole is fetched too', async () => {
    const browser = await scripted.browser('t_gap');
    for (let i = 0; i < 4; i++) await made('t_gap', 500, (k) => ({ event: 'n', data: { i: i * 500 + k, pad: 'x'.repeat(300) } }));
    await pass(scripted.tap.events.filter((x) => x.body.tenantId === 't_gap').at(-1));
    await heardInOrder(browser, 2000, 15000);
  });
  test('a lost last event is found by asking for the heads', async () => {
    const browser = await scripted.browser('t_tail');
    await made('t_tail', 3);
    await heardInOrder(browser, 3, 12000);
  });
  test('who comes in the middle hears what follows, without a hole', async () => {
    const early = await scripted.browser('t_middle');
    const e = await made('t_middle', 10);
    await pass(...e.slice(0, 5));
    await early.hears('five', 'n', 5);
    const late = await scripted.browser('t_middle');
    await pass(...e.slice(5));
    await heardInOrder(early, 10);
    await late.hears('the last', (h) => h.data?.i === 9);
    const seqs = late.seqs();
    assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
  });
  test('of the class latest only the newest is kept, also for who comes later', async () => {
    const early = await scripted.browser('t_latest');
    const price = (key, data) => ({ event: 'price', class: 'latest', key, data });
    const e = [];
    for (let i = 1; i <= 5; i++) e.push(...(await made('t_latest', 1, () => price('kettle', i))));
    e.push(...(await made('t_latest', 1, () => price('cup', 100))));
    await pass(e[1], e[4], e[2], e[0], e[3], e[5]);
    await early.hears('the newest', (h) => h.event === 'price' && h.data === 5);
    await early.hears('the other key', (h) => h.event === 'price' && h.data === 100);
    await sleep(200);
    const kettle = early.of('price').map((h) => h.data).filter((d) => d < 100);
    assert.deepEqual(kettle, [...kettle].sort((a, b) => a - b), 'never back to an older one');
    assert.equal(kettle.at(-1), 5);
    const late = await scripted.browser('t_latest');
    await late.hears('both current values', 'price', 2);
    await pass(e[2]);
    await sleep(300);
    assert.deepEqual(late.of('price').map((h) => h.data).sort((a, b) => a - b), [5, 100], 'an old value that comes again is dropped');
  });
  test('foreign events without a number are passed on, rubbish is not', async () => {
    const browser = await scripted.browser('t_foreign');
    await to.publish('tenant.t_foreign.typing', { type: 'typing', tenantId: 't_foreign', data: { who: 'x' } });
    await to.publish('tenant.t_foreign.bad', 'no JSON at all');
    await to.publish('tenant.t_foreign.bad', { type: 'bad', tenantId: 't_somebody_else', data: 1 });
    await to.publish('tenant.t_foreign.connect', { type: 'connect', tenantId: 't_foreign', data: 1 });
    await to.publish('tenant.t_foreign.typing', { type: 'typing', tenantId: 't_foreign', data: { who: 'y' } });
    await browser.hears('both', 'typing', 2);
    assert.deepEqual(browser.news.map((h) => h.data), [{ who: 'x' }, { who: 'y' }]);
  });
});

describe('the HTTP side', () => {
  test('the page, the health, the metrics', async () => {
    const page = await world.gw.probe('/');
    assert.equal(page.status, 200);
    assert.match(page.body, /<html/i);
    assert.equal((await world.gw.probe('/healthz')).status, 200);
    assert.equal((await world.gw.probe('/readyz')).status, 200);
    assert.ok(Object.keys(await world.gw.metrics()).length > 5);
  });
  for (const path of ['/../Makefile', '/%2e%2e/Makefile', '/..%2fMakefile', '/socket.io/../../Makefile', '/nothing.js'])
    test(`${path} is not served`, async () => {
      const text = await rawExchange(world.gw.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, { enough: /\r\n\r\n/ });
      assert.match(text, /^HTTP\/1\.1 4\d\d/);
    });
  test('an unknown upgrade on a used connection is refused, and the gateway lives', async () => {
    for (const protocol of ['foobarbaz', 'h2c']) {
      await rawExchange(world.gw.port, `GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, upgrade\r\nUpgrade: ${protocol}\r\n\r\n`, { timeoutMs: 1500 });
      assert.equal((await world.gw.probe('/healthz')).status, 200);
    }
  });
});
