// The official clients, old and new, on every transport, against the real pair: from a webhook to the page, once and in
// order; refusals; and everything that makes a client come back by itself, or not.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Door, MATRIX, Official } from '../lib/clients.mjs';
import { PATIENCE, sleep, until, within } from '../lib/env.mjs';
import { jwt, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_clients';
const NUMBER = '200000000000001';
const TIMERS = { PING_INTERVAL_MS: '250', PING_TIMEOUT_MS: '5000', CONNECT_TIMEOUT_MS: '60000' };
const COMES_BACK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
let world;
let door;
before(async () => {
  world = await World.open('portal-clients', { gateway: TIMERS });
  await world.channel(NUMBER, TENANT);
  door = await new Door(world.gw.port).open();
});
after(async () => {
  door?.close();
  await world?.close();
});
const clients = new Set();
afterEach(() => {
  clients.forEach((c) => c.close());
  clients.clear();
});

function client(token, options, base = world.gw.base) {
  const made = new Official(base, token, options);
  clients.add(made);
  return made;
}
async function joined(options, base) {
  const made = client(tokenOf(TENANT), options, base);
  await made.connected();
  return made;
}
const metric = async (name) => (await world.gw.metrics())[`portalcast_gateway_${name}`] ?? 0;
const sessions = () => metric('sessions{protocol="socketio"}');

let counter = 0;
async function post(count = 1) {
  const texts = Array.from({ length: count }, () => `message ${++counter}`);
  for (const text of texts) assert.equal((await webhook(world.sm, inbound(NUMBER, [textMessage('447700900701', text)]))).status, 200);
  return texts;
}
const textsHeard = (c) => c.of('new_message').map((h) => h.data.message);
const hearsExactly = async (c, texts) => {
  await c.hears('messages', 'new_message', texts.length);
  assert.deepEqual(textsHeard(c), texts);
};
const now = () => Math.floor(Date.now() / 1000);

for (const { name, version, transport, options } of MATRIX)
  describe(name, () => {
    test('hello first, then every webhook once and in order, while transports change and later', async () => {
      const made = await joined(options());
      const texts = await post(5);
      await made.endsOn(transport);
      texts.push(...(await post(5)));
      await hearsExactly(made, texts);
      assert.equal(made.heard[0].event, 'portalcast:hello');
      assert.equal(made.heard[0].data.recovered, false);
      const seqs = made.seqs();
      assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b), 'in the order of the stream, each once');
      assert.deepEqual([made.disconnects, made.refusals, made.opens], [[], [], 1]);
    });
    test('events nobody knows break nothing, with a call or with bytes', async () => {
      const made = await joined(options());
      let answered = 0;
      made.socket.emit('nobody knows', 1, () => answered++);
      made.socket.emit('nor this', { some: Buffer.from([1, 2]) }, () => answered++);
      made.socket.emit('nor that');
      await until('two more pings', ((from) => () => made.pings >= from + 2)(made.pings));
      await hearsExactly(made, await post(2));
      assert.deepEqual([made.disconnects, made.opens, answered], [[], 1, 0]);
    });
    test('leaves nothing behind, and can come again', async () => {
      const made = await joined(options());
      assert.equal(await sessions(), 1);
      const before = await metric('events_total');
      made.socket.disconnect();
      await until('no session', async () => (await sessions()) === 0);
      assert.deepEqual(made.disconnects, ['io client disconnect']);
      await until('its end in the log', async () => (await metric('events_total')) > before);
      const taken = await metric('events_total');
      await post();
      await until('the gateway to have had it', async () => (await metric('events_total')) > taken);
      assert.deepEqual(textsHeard(made), []);
      made.socket.connect();
      await made.connected();
      await made.hears('a second hello', 'portalcast:hello', 2);
      await hearsExactly(made, await post());
    });
    test('comes back by itself when its connections are cut, and hears what follows', async () => {
      const made = await joined({ ...options(), ...COMES_BACK }, door.base);
      await made.endsOn(transport);
      const first = await post(2);
      await hearsExactly(made, first);
      const back = new Promise((done) => made.socket.once('connect', () => done(true)));
      // Who polls may be between two requests, and then notices nothing.
      await until('the cut to be noticed', () => (door.cut(), made.disconnects.length));
      assert.ok(await within(back, 10000 * PATIENCE), 'connected again');
      await made.hears('a second hello', 'portalcast:hello', 2);
      await until('one session, as the one before is gone', async () => (await sessions()) === 1);
      await hearsExactly(made, [...first, ...(await post(2))]);
      assert.match(made.disconnects.join(), /^transport (error|close)$/);
    });
    test('a token that is wrong, missing or expired: connect_error with message and code, and no second attempt', async () => {
      const cases = [
        ['TOKEN_INVALID', jwt({ tenantId: TENANT, sub: 'a', role: 'agent' }, { secret: 'somebody-elses-secret-0123456789abcdef' })],
        ['TOKEN_MISSING', undefined],
        ['TOKEN_EXPIRED', jwt({ tenantId: TENANT, sub: 'a', role: 'agent', exp: now() - 5 })],
      ];
      const made = cases.map(([, token]) => client(token, { ...options(), ...COMES_BACK }));
      for (const [i, [code]] of cases.entries()) {
        await until(`a refusal, ${code}`, () => made[i].refusals.length);
        const [error] = made[i].refusals;
        assert.match(error.message, /token/);
        assert.deepEqual(error.data, { code });
      }
      await sleep(600);
      for (const c of made) assert.deepEqual([c.opens, c.refusals.length, c.socket.connected, c.heard], [1, 1, false, []], 'it did not try again');
    });
    test('a refused client connects with the token that its page fetched next', async () => {
      const tokens = [jwt({ tenantId: TENANT, sub: 'a', role: 'agent', exp: now() - 5 }), tokenOf(TENANT)];
      const made = client(undefined, { ...options(), auth: (give) => give({ token: tokens.shift() }) });
      await until('a refusal', () => made.refusals.length);
      // Older ones take the end of a connection that was being upgraded for that of the next; newer ones have closed it.
      await until('no upgrade under way', () => made.transport === transport || made.socket.io.engine.readyState === 'closed');
      made.socket.disconnect().connect(); // before 4.5 a refused socket has to be taken back first
      await made.connected();
      await hearsExactly(made, await post());
    });
    test('headers and query parameters of the page are welcome on every request', async () => {
      const made = await joined({ ...options(), extraHeaders: { 'x-portal': 'a, b; "c"' }, query: { v: '1.2', name: 'J\u00fcrgen & Co=?', sid: '', empty: '' } });
      await made.endsOn(transport);
      await hearsExactly(made, await post());
    });
    if (version === '4.8')
      test('works on the path without its last slash', async () => {
        const made = await joined({ ...options(), addTrailingSlash: false });
        await made.endsOn(transport);
        await hearsExactly(made, await post());
      });
  });

test('the token of the query counts, as one that a page of years ago sends', async () => {
  for (const { transport, options } of MATRIX) {
    const made = client(undefined, { ...options(), query: { token: tokenOf(TENANT) } });
    await made.connected();
    await made.endsOn(transport);
  }
});

test('a session whose token expires is ended on every transport, and the page is told before', async () => {
  const made = MATRIX.map(({ options }) => client(tokenOf(TENANT, 'agent', { exp: now() + 4 * PATIENCE }), options()));
  await Promise.all(made.map((c) => c.connected()));
  await until('the end of all', () => made.every((c) => c.disconnects.length));
  for (const c of made) assert.equal(c.of('token_expiring').length, 1);
  await until('no session', async () => (await sessions()) === 0);
});

test('all at once: each release on each way hears the same, also those that come back when the gateway is killed', async () => {
  const made = MATRIX.map(({ options }) => client(tokenOf(TENANT), { ...options(), ...COMES_BACK }));
  await Promise.all(made.map((c) => c.connected()));
  const first = await post(10);
  for (const c of made) await hearsExactly(c, first);
  await Promise.all(made.map((c, i) => c.endsOn(MATRIX[i].transport)));
  const polling = MATRIX.filter(({ transport }) => transport === 'polling').length;
  assert.deepEqual([await metric('transports{transport="polling"}'), await metric('transports{transport="websocket"}')], [polling, MATRIX.length - polling]);
  await world.gw.kill();
  await until('everybody to notice', () => made.every((c) => c.disconnects.length === 1), 20000);
  await world.gw.start();
  await until('everybody back', () => made.every((c) => c.socket.connected && c.of('portalcast:hello').length === 2), 20000);
  const second = await post(10);
  for (const c of made) await hearsExactly(c, [...first, ...second]);
});

test('the drain of a gateway that ends lets clients come back to the next', async () => {
  const made = MATRIX.map(({ options }) => client(tokenOf(TENANT), { ...options(), ...COMES_BACK }));
  await Promise.all(made.map((c) => c.connected()));
  await world.gw.stop();
  await world.gw.start();
  await until('everybody back', () => made.every((c) => c.socket.connected && c.of('portalcast:hello').length === 2), 20000);
  for (const c of made) assert.ok(!c.disconnects.includes('io server disconnect'), c.disconnects.join());
  const texts = await post(3);
  for (const c of made) await hearsExactly(c, texts);
});
