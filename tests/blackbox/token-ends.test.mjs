// Tokens that end while somebody is connected by them, on every transport, at its own gateway and through another one, while
// events flow: each connection is closed in time, and nothing that is said later is heard over it or over one that tries again.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { jwt, rest, tokenOf } from '../lib/http.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const CLOSED_MS = 5000;
const LATE_MS = 1000 * PATIENCE; // between the end of a token and the last event that is on its way
let world, balancer;
before(async () => {
  world = await World.open('token-ends', { tap: false, stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info' } });
  const second = await gateway(world.dir, world.amqpUrl, { LOG_LEVEL: 'info' });
  world.services.push(second);
  await second.start();
  balancer = await new Balancer([world.gw.port, second.port]).open();
});
after(async () => {
  balancer?.close();
  await world?.close();
});

const seconds = () => Math.floor(Date.now() / 1000);
const COMES_BACK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
const sio = (transports) => (base, token) => new SioClient(base, token, { transports, ...COMES_BACK });
// By each of them until it is in; `isIn` whether it still is.
const WAYS = {
  'Socket.IO by WebSocket': sio(['websocket']),
  'Socket.IO by polling': sio(['polling']),
  'Socket.IO from polling to WebSocket': sio(['polling', 'websocket']),
  'Socket.IO, token of the handshake': (base, token) => new SioClient(base, undefined, { transports: ['websocket'], extraHeaders: { Authorization: `Bearer ${token}` }, ...COMES_BACK }),
  '/ws, first message': (base, token) => new WsClient(base, { token }),
  '/ws, query': (base, token) => new WsClient(base, { query: `?token=${token}` }),
  '/ws, subprotocol': (base, token) => new WsClient(base, { protocols: ['portalcast', token] }),
  '/ws, Authorization': (base, token) => new WsClient(base, { headers: { Authorization: `Bearer ${token}` } }),
};
const isPlain = (client) => client instanceof WsClient;
const isIn = (client) => (isPlain(client) ? client.socket.readyState === 1 : client.socket.connected);

async function everyone(token) {
  const made = [];
  for (const [way, open] of Object.entries(WAYS))
    for (const [where, base] of [['its gateway', world.gw.base], ['either gateway', balancer.base]]) {
      const client = open(base, token);
      world.browsers.push(client);
      made.push(Object.assign(client, { label: `${way}, at ${where}` }));
    }
  await Promise.all(made.map((c) => (isPlain(c) ? c.message('ready') : c.connected())));
  await Promise.all(made.filter((c) => /to WebSocket/.test(c.label)).map((c) => until('the upgrade', () => c.socket.io.engine.transport.name === 'websocket')));
  return made;
}
// Says the time of day to a tenant, all the while; by a token that is younger than any revocation here.
function clockOf(tenant) {
  const publisher = tokenOf(tenant, 'service', { iat: seconds() + 20 });
  let going = true;
  const run = (async () => {
    while (going) {
      assert.equal((await rest(world.sm, publisher, 'POST', '/api/v1/events', { event: 'clock', data: { at: Date.now() } })).status, 202);
      await sleep(40);
    }
  })();
  return { end: () => ((going = false), run) };
}

// All of them hear the clock, until `end` gives the moment from which on they must not; then goes on for a while.
async function endsAll(tenant, clients, end) {
  const clock = clockOf(tenant);
  for (const client of clients) await client.hears(`the clock by ${client.label}`, 'clock', 3);
  const from = await end();
  const open = () => clients.filter(isIn).map((c) => c.label);
  await until('the end of all of them', () => Date.now() >= from && !open().length, CLOSED_MS + Math.max(0, from - Date.now())).catch((error) => assert.deepEqual(open(), [], error.message));
  const last = Date.now();
  await sleep(1000 * PATIENCE + LATE_MS);
  await clock.end();
  for (const client of clients) {
    const times = client.of('clock').map((h) => h.data.at);
    assert.ok(times.at(-1) > from - 3000 * PATIENCE, `${client.label} heard it while the token was good`);
    assert.deepEqual(times.filter((at) => at > Math.min(last, from + LATE_MS)), [], `${client.label} heard what came later`);
    assert.ok(!isIn(client), `${client.label} is in again`);
  }
}

describe('a token ends', { concurrency: true }, () => {
  test('when it expires: so does every connection, and no second one gets in by it', async () => {
    const exp = seconds() + 4 * PATIENCE;
    const clients = await everyone(jwt({ tenantId: 't_ends', sub: 'ann', role: 'agent', exp }));
    await endsAll('t_ends', clients, () => exp * 1000);
    for (const client of clients) {
      if (isPlain(client)) assert.deepEqual(client.closeCode, { code: 4401, reason: 'the token has expired' }, client.label);
      else assert.equal(client.refusals.at(-1)?.data?.code, 'TOKEN_EXPIRED', `${client.label} tried again: ${client.disconnects}`);
    }
  });
  const ANN = { sub: 'ann', jti: 'j-1', role: 'agent' };
  const REVOKED = [
    ['by its user', 't_of_user', { sub: 'ann' }, { sub: 'bob' }],
    ['by its id', 't_of_token', { jti: 'j-1' }, { sub: 'ann', jti: 'j-2' }],
    ['with its whole tenant', 't_of_all', {}, { tenantId: 't_bystanders' }],
  ];
  for (const [what, tenantId, of, other] of REVOKED)
    test(`when it is revoked ${what}: so does every connection, and those of others go on`, async () => {
      const clients = await everyone(jwt({ ...ANN, tenantId, iat: seconds() - 60 }));
      const others = await everyone(jwt({ ...ANN, tenantId, iat: seconds() - 60, ...other }));
      await endsAll(tenantId, clients, async () => {
        const from = Date.now();
        const answer = await rest(world.sm, tokenOf('t_platform', 'platform-admin'), 'POST', '/api/v1/admin/revocations', { tenantId, ...of });
        assert.equal(answer.status, 202, answer.body);
        return from;
      });
      for (const client of clients) {
        if (isPlain(client)) assert.deepEqual(client.closeCode, { code: 4401, reason: 'the token has been revoked' }, client.label);
        else assert.deepEqual([client.disconnects.at(-1), client.socket.active], ['io server disconnect', false], client.label);
      }
      assert.deepEqual(others.filter((c) => !isIn(c)).map((c) => c.label), [], 'nobody else');
    });
});
