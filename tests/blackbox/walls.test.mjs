// Names that are almost somebody else's: ids and rooms of another tenant or of more rights, mangled, in other letters, with
// wildcards, by every way in, while tenants of similar names are under load. Each is denied and logged; not one frame leaks.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

// Each hears only its own, though their names differ by a letter's case, a sign, an end.
const TENANTS = ['t_wall', 'T_wall', 't_Wall', 't-wall', 't_wall_', 't_wal', 't_wall1', '_t_wall'];
const [OWN, FOREIGN] = TENANTS;
const CAFE = 'caf\u00e9';
const CLAIMS = { sub: 'ann', teams: ['north', CAFE], rooms: ['vip'] };
// Rooms of the tenant that who has these claims is not in.
const WHOLE = (name) => !name.includes('\u0000'); // what a room of an event, or an address, can hold
const CLOSED = ['team:north ', 'team: north', 'TEAM:north', 'Team:North', 'team:NORTH', 'team:north\u0000', 'team:n\u043erth', 'team:\uff4eorth', 'team:north\u200d', 'team:cafe\u0301', 'team:CAF\u00c9', 'team:*', 'team:#', '*', '#', 'vip*', 'VIP', 'v\u0131p', 'user:ANN', 'user:ann ', 'user:ann\u0000', 'user:bob', 'user:', 'role:Agent', 'role:admin', 'role:platform-admin', 'tenant:t_wall', `tenant:${FOREIGN}`, FOREIGN, `${FOREIGN}/vip`, `${FOREIGN}.vip`, 'conversation', 'conversation:', 'conversation:*', 'Conversation:c_1', 'portalcast:presence', '__proto__', 'constructor'];

let world, bare;
const ids = {}; // of a conversation of each tenant
const clocks = [];
let going = true;
before(async () => {
  world = await World.open('walls', { tap: false, stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info', MESSAGE_RATE: '0' } });
  bare = await gateway(world.dir, world.amqpUrl, { RECOVERY: 'off', LOG_LEVEL: 'info', MESSAGE_RATE: '0' });
  world.services.push(bare);
  await bare.start();
  for (const [i, tenant] of TENANTS.entries()) {
    await world.channel(`20000000009${i}`, tenant);
    ids[tenant] = await world.conversation(tenant, `20000000009${i}`, '447700930001');
  }
  clocks.push(...TENANTS.map(load));
});
after(async () => {
  going = false;
  await Promise.all(clocks);
  await world?.close();
});

// What a tenant hears all the while, in every room: each says whose it is, and which room it is for.
async function load(tenant) {
  const rooms = [undefined, 'vip', 'user:ann', 'role:agent', 'team:north', `team:${CAFE}`, `conversation:${ids[tenant]}`, `conversation:${ids[FOREIGN]}`, `conversation:${ids[OWN]}`, ...CLOSED.filter(WHOLE)];
  while (going) {
    const events = rooms.map((room) => ({ event: 'canary', data: { owner: tenant, room: room ?? null }, ...(room && { rooms: [room] }) }));
    const answer = await rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', events);
    assert.equal(answer.status, 202, answer.body);
    await sleep(100);
  }
}
const OPEN = [null, 'vip', 'user:ann', 'role:agent', 'team:north', `team:${CAFE}`];
// A client has heard enough, and nothing but its tenant's, in its rooms.
async function heardOnlyItsOwn(client, tenant, more = []) {
  const from = client.of('canary').length;
  await client.hears('the canary', 'canary', from + 20);
  const strange = client.heard.filter(({ event, data }) => (event === 'canary' && !(data.owner === tenant && [...OPEN, ...more].includes(data.room))) || (event.startsWith('portalcast:') && !/^portalcast:(hello|cursor)$/.test(event)));
  assert.deepEqual(strange.slice(0, 3), []);
  for (const room of OPEN) assert.ok(client.of('canary').some((h) => h.data.room === room), `hears ${room}`);
}
const lines = (user) => [world.gw, bare].flatMap((s) => s.log(Infinity).split('\n')).filter((l) => /event=(join_refused|client_event_refused)/.test(l) && l.includes(`user="${user}"`));

// Ids of a conversation: those of the neighbour, and what may stand for one.
const mangled = (id) => [id.toUpperCase(), id.replace('c_', 'C_'), id.replace('c', '\u0441'), id.replace('_', '\uff3f'), `${id} `, ` ${id}`, `${id}\n`, `${id}\u0000`, `${id}\u200b`, `${id}%00`, `${id}#`, `${id}.*`, `${id},${ids[OWN]}`, `../${id}`, `${FOREIGN}/${id}`, `${FOREIGN}.${id}`, `conversation:${id}`, id.slice(0, -1), `${id}x`, encodeURIComponent(`${id}\t`)];
const STRANGE = ['', '*', '#', 'c_*', '%', '_', '__proto__', 'toString', 'x'.repeat(65), 'x'.repeat(10000), 0, 1e308, true, null, [], {}, { $ne: null }, { toString: 'x' }];
const strangeIds = () => [ids[FOREIGN], ...mangled(ids[FOREIGN]), ...mangled(ids[OWN]), ...STRANGE, [ids[FOREIGN]], { conversationId: ids[FOREIGN] }, { conversationId: [ids[OWN]] }, { id: ids[OWN] }];

const refusal = (m) => (m.type === 'ack' ? { ok: true } : { ok: false, error: { code: m.code } });
const KINDS = [
  ['Socket.IO by WebSocket', (token) => new SioClient(world.gw.base, token), (c, event, argument) => c.asks(event, argument)],
  ['Socket.IO by polling', (token) => new SioClient(world.gw.base, token, { transports: ['polling'] }), (c, event, argument) => c.asks(event, argument)],
  ['Socket.IO without recovery', (token) => new SioClient(bare.base, token), (c, event, argument) => c.asks(event, argument)],
  ['/ws', (token) => new WsClient(world.gw.base, { token }), async (c, event, data) => refusal(await c.asks({ type: 'emit', event, data }))],
];
async function enter(open, sub, tenant = OWN) {
  const client = open(tokenOf(tenant, 'agent', { ...CLAIMS, sub }));
  world.browsers.push(client);
  await (client instanceof WsClient ? client.message('ready') : client.connected());
  return client;
}

describe('an id of somebody else', () => {
  for (const [name, open, ask] of KINDS)
    test(`${name}: lets nobody in, and does nothing`, async () => {
      const sub = `mallory ${name}`;
      const client = await enter(open, sub);
      const asked = strangeIds();
      for (const event of ['join_conversation', 'mark_read', 'typing', 'send_message'])
        await Promise.all(asked.map(async (id) => {
          const argument = event === 'join_conversation' ? id : { conversationId: id?.conversationId ?? id, text: 'leak', isTyping: true };
          const answer = await ask(client, event, argument);
          assert.equal(answer?.ok, false, `${event} ${JSON.stringify(argument)}: ${JSON.stringify(answer)}`);
          assert.match(answer.error.code, /^(NOT_FOUND|INVALID|LIMITED|UNAVAILABLE)$/, `${event} ${JSON.stringify(argument)}`);
        }));
      assert.ok(lines(sub).length >= asked.length * 4 - 10, `${lines(sub).length} lines for ${asked.length * 4} refusals`);
      assert.equal((await ask(client, 'join_conversation', ids[OWN])).ok, true, 'the right one is right');
      const strange = client.heard.filter(({ event, data }) => event === 'canary' && data.owner !== OWN);
      assert.deepEqual(strange, []);
      assert.ok(client.of('canary').every((h) => h.data.room !== `conversation:${ids[FOREIGN]}`));
    });
  test('over REST: is not found, read or changed', async () => {
    const call = (method, id, rest_, body) => world.api(OWN, method, `/api/v1/conversations/${encodeURIComponent(id)}${rest_}`, body);
    const before = await world.api(FOREIGN, 'GET', `/api/v1/conversations/${ids[FOREIGN]}`);
    for (const id of [ids[FOREIGN], ...mangled(ids[FOREIGN]), ...mangled(ids[OWN])].filter((one) => !/[\u0000-\u001f]/.test(one)))
      for (const [method, at, body] of [['GET', ''], ['GET', '/messages'], ['PATCH', '', { status: 'closed' }], ['POST', '/messages', { text: 'leak' }], ['POST', '/read', {}], ['POST', '/correlate', { correlationId: 'x', system: 'y' }]]) {
        const answer = await call(method, id, at, body);
        assert.ok([404, 422].includes(answer.status), `${method} ${id}${at}: ${answer.status} ${answer.body}`);
        assert.ok(!answer.body.includes(FOREIGN) && !answer.body.includes('447700930001'), answer.body);
      }
    assert.deepEqual((await world.api(FOREIGN, 'GET', `/api/v1/conversations/${ids[FOREIGN]}`)).json, before.json);
    for (const tenant of TENANTS) assert.deepEqual([...(await world.messages(tenant)).values()].map((m) => m.text), ['hello'], tenant);
  });
});

describe('a room that the token does not give', () => {
  test('/ws: each join is denied, logged, and opens nothing', async () => {
    const client = await enter((token) => new WsClient(world.gw.base, { token }), 'ann');
    const asked = [...CLOSED, `conversation:${ids[FOREIGN]}`, ...mangled(ids[FOREIGN]).map((id) => `conversation:${id}`)];
    const before = lines('ann').length;
    for (const room of asked) {
      const answer = await client.asks({ type: 'join', room });
      assert.match(`${answer.code}`, /^(DENIED|NOT_FOUND|INVALID)$/, JSON.stringify([room, answer]));
    }
    const invalid = asked.length - asked.filter(WHOLE).length; // those are said to be malformed
    await until('a line for each', () => lines('ann').length - before >= asked.length - invalid);
    await heardOnlyItsOwn(client, OWN);
  });
  test('/ws: nor when named while signing in', async () => {
    const token = tokenOf(OWN, 'agent', CLAIMS);
    const client = new WsClient(world.gw.base);
    world.browsers.push(client);
    await client.opened();
    client.send({ type: 'auth', token, rooms: CLOSED.filter(WHOLE).concat(`conversation:${ids[FOREIGN]}`) });
    const ready = await client.message('ready');
    assert.deepEqual([...ready.rooms].sort(), ['role:agent', `team:${CAFE}`, 'team:north', 'user:ann', 'vip'].sort());
    await heardOnlyItsOwn(client, OWN);
  });
  test('by an event, a namespace, a query, a member of the payload: nothing', async () => {
    const auth = { token: tokenOf(OWN, 'agent', CLAIMS), rooms: CLOSED, room: `conversation:${ids[FOREIGN]}`, tenantId: FOREIGN, tenant: FOREIGN, role: 'platform-admin' };
    const client = new SioClient(world.gw.base, undefined, { auth, query: { tenantId: FOREIGN, room: 'vip', rooms: CLOSED.filter(WHOLE).join() }, extraHeaders: { 'X-Tenant-Id': FOREIGN } });
    world.browsers.push(client);
    await client.connected();
    for (const event of ['join', 'joinRoom', 'join-room', 'subscribe', 'join-tenant', 'register', 'user_role', 'portalcast:session']) client.socket.emit(event, `conversation:${ids[FOREIGN]}`, FOREIGN);
    await heardOnlyItsOwn(client, OWN);
    for (const namespace of [`/${FOREIGN}`, `/tenant.${FOREIGN}`, '/admin']) {
      const other = new SioClient(world.gw.base + namespace, tokenOf(OWN));
      await assert.rejects(other.connected(), { message: 'Invalid namespace' });
      other.close();
    }
  });
});

test('tenants whose names differ by a sign or a letter’s case share nothing', async () => {
  const clients = await Promise.all(TENANTS.flatMap((tenant) => [enter((token) => new SioClient(world.gw.base, token), 'ann', tenant), enter((token) => new WsClient(bare.base, { token }), 'ann', tenant)]));
  await Promise.all(clients.map((client, i) => heardOnlyItsOwn(client, TENANTS[i >> 1])));
  for (const [i, client] of clients.entries()) if (i % 2 === 0) assert.equal((await client.asks('join_conversation', ids[TENANTS[i >> 1]])).ok, true);
  await Promise.all(clients.map((client, i) => heardOnlyItsOwn(client, TENANTS[i >> 1], [`conversation:${ids[TENANTS[i >> 1]]}`])));
});
