// The Python client on each transport: everything of the protocol, and the real pair with a token.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { PATIENCE, until } from '../lib/env.mjs';
import { jwt, tokenOf, webhook } from '../lib/http.mjs';
import { PythonClient } from '../lib/python.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_python';
const NUMBER = '200000000000001';
const MIRROR = { PROFILE: 'conformance', RECOVERY: 'off', PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: String(1000 * PATIENCE), CONNECT_TIMEOUT_MS: String(1000 * PATIENCE), MAX_PAYLOAD: '1000000', JWT_SECRET: '' };
const WAYS = [['polling', 'polling'], ['websocket', 'websocket'], ['upgrade', 'websocket']];
let world;
let mirror;
before(async () => {
  world = await World.open('python');
  await world.channel(NUMBER, TENANT);
  mirror = await gateway(world.dir, 'amqp://guest:guest@127.0.0.1:9/', MIRROR);
  world.services.push(mirror);
  await mirror.start();
});
after(() => world?.close());
const clients = new Set();
afterEach(() => {
  clients.forEach((c) => c.kill());
  clients.clear();
});

async function client(service, way, options) {
  const made = new PythonClient(service.base, way, options);
  clients.add(made);
  made.first = await made.answer();
  return made;
}
const noSession = (service) => until('no session', async () => (await service.metrics())['portalcast_gateway_sessions{protocol="socketio"}'] === 0);

for (const [way, transport] of WAYS)
  describe(way, () => {
    test('events, calls both ways and bytes, in two namespaces, for longer than a few pings', async () => {
      const made = await client(mirror, way, { token: 'x', namespaces: ['/', '/custom'] });
      assert.deepEqual(made.first, { connected: true });
      const state = await made.tell('state');
      assert.equal(state.transport, transport);
      assert.equal(new Set([state.session, ...Object.values(state.ids)]).size, 3, 'each namespace has an id of its own, none is the session');
      for (const nsp of ['/', '/custom']) {
        const [auth] = await made.hears(nsp, 'auth');
        assert.deepEqual(auth, ['auth', { token: 'x' }]);
        const sent = [[1, 'h\u00e9llo \u{1f600}', { 3: [true, null] }], [], [Buffer.from([0, 255]), { in: [Buffer.alloc(0), Buffer.alloc(50000, 7)] }]];
        for (const args of sent) await made.tell('emit', nsp, 'message', ...args);
        const back = await made.hears(nsp, 'message-back', sent.length);
        assert.deepEqual(back, sent.map((args) => ['message-back', ...args]));
        for (const args of sent) assert.deepEqual(await made.call(nsp, 'message-with-ack', ...args), args);
        await made.tell('emit', nsp, 'message-with-call', 'who', Buffer.from([1]));
        assert.deepEqual(await made.hears(nsp, 'message-called'), [['message-called', 'answer', 'who', Buffer.from([1])]]);
      }
      const from = Date.now();
      await until('a second to pass', () => Date.now() - from > 1000);
      const later = await made.tell('state');
      assert.deepEqual([later.connected, later.session, later.disconnects], [true, state.session, []]);
      assert.deepEqual(await made.call('/', 'message-with-ack', 'still here'), ['still here']);
      await made.tell('disconnect');
      await noSession(mirror);
      assert.equal(await made.end(), 0, made.complaints);
    });
    test('a namespace that is not there is refused', async () => {
      const made = await client(mirror, way, { namespaces: ['/nowhere'] });
      assert.deepEqual(made.first, { refused: [['/nowhere', { message: 'Invalid namespace' }]] });
      await made.end();
      await noSession(mirror);
    });
    test('a token, hello, and every webhook once and in order', async () => {
      const made = await client(world.gw, way, { token: tokenOf(TENANT) });
      assert.deepEqual(made.first, { connected: true });
      await made.tell('emit', '/', 'nobody knows', Buffer.from([1]));
      const texts = Array.from({ length: 8 }, (_, i) => `${way} ${i}`);
      for (const text of texts) assert.equal((await webhook(world.sm, inbound(NUMBER, [textMessage('447700900701', text)]))).status, 200);
      const heard = await made.hears('/', 'new_message', texts.length);
      assert.deepEqual(heard.map(([, data]) => data.message), texts);
      assert.equal((await made.tell('heard', '/')).heard[0][0], 'portalcast:hello');
      await made.tell('disconnect');
      await noSession(world.gw);
      assert.equal(await made.end(), 0, made.complaints);
    });
    test('a token that is wrong or missing is refused with a message and a code', async () => {
      const wrong = jwt({ tenantId: TENANT, sub: 'a', role: 'agent' }, { secret: 'somebody-elses-secret-0123456789abcdef' });
      for (const [token, code] of [[wrong, 'TOKEN_INVALID'], ['', 'TOKEN_MISSING']]) {
        const made = await client(world.gw, way, { token });
        assert.deepEqual(made.first.refused?.map(([, { message, data }]) => [typeof message, data]), [['string', { code }]]);
        await made.end();
      }
      await noSession(world.gw);
    });
  });
