// What gateways ask of the state-manager about profiles: writes of clients, whose a room is, and who joins it. A gateway is
// played; the profile is the tickets' of deploy/profiles.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { Gate } from '../lib/gate.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { World } from '../lib/world.mjs';

const tenant = 't_farm';
let world, gate, ticket;
const claims = (sub, role, more = {}) => ({ tenantId: tenant, sub, role, roles: [role], ...more });
const write = (who, operation, more = {}, options) => gate.command(tenant, 'write', { author: who.sub, claims: who, operation: `tickets.${operation}`, ...more }, options);
const refused = (answer, code, what = '') => {
  assert.deepEqual([answer.ok, answer.error?.code], [false, code], JSON.stringify(answer));
  assert.ok(answer.error.message.includes(what), answer.error.message);
};
const fay = claims('fay', 'farmer', { name: 'Fay' });
const ada = claims('ada', 'admin');
const stored = async () => (await rest(world.sm, tokenOf(tenant, 'admin'), 'GET', `/api/support/tickets/${ticket}`)).json;

before(async () => {
  world = await World.open('resource-rpc', { gateway: false, stateManager: { PROFILE: 'tickets' } });
  gate = await new Gate().open(world.amqpUrl);
  const made = await write(fay, 'tickets.create', { body: { subject: 'Cow', message: 'is ill' } });
  assert.equal(made.ok, true, JSON.stringify(made));
  ticket = made.reply.ticketId;
});
after(async () => {
  await gate?.close();
  await world?.close();
});

describe('a write', () => {
  test('is what REST would do', async () => {
    const answer = await write(ada, 'tickets.message', { params: { id: ticket }, body: { message: 'coming' } });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    assert.deepEqual(answer.reply, await stored());
    assert.deepEqual(answer.reply.messages.map((m) => [m.sender, m.message]), [['farmer', 'is ill'], ['admin', 'coming']]);
    await until('its events', () => world.tap.of(tenant).filter((e) => ['new-message', 'ticket-updated'].includes(e.type)).length === 3);
  });
  test('under one key is done once, here and over REST', async () => {
    const say = () => write(fay, 'tickets.message', { params: { id: ticket }, body: { message: 'once' }, key: 'k-1' });
    const one = await say();
    assert.deepEqual(await say(), one);
    const token = tokenOf(tenant, 'farmer', { sub: 'fay' });
    const over = await rest(world.sm, token, 'POST', `/api/support/tickets/${ticket}/messages`, { message: 'once' }, { 'Idempotency-Key': 'k-1' });
    assert.deepEqual([over.status, over.json], [201, one.reply]);
    assert.equal((await stored()).messages.filter((m) => m.message === 'once').length, 1);
  });
  test('without a body says nothing, which may be enough', async () => {
    const notice = await write(ada, 'notifications.create', { body: { userId: 'fay', message: 'hi' } });
    const read = () => write(fay, 'notifications.read', { params: { id: notice.reply.id } });
    assert.deepEqual((await read()).reply, { ...notice.reply, read: true, version: 2 });
    assert.equal((await write(fay, 'notifications.read', { params: { id: notice.reply.id }, body: null })).reply.version, 2, 'it is read already');
    refused(await write(fay, 'tickets.create', { body: null }), 'INVALID', 'subject is required');
  });
  test('is refused like a call', async () => {
    const before_ = await stored();
    const say = (who, more) => write(who, 'tickets.message', { params: { id: ticket }, body: { message: 'x' }, ...more });
    refused(await say(claims('eve', 'farmer')), 'NOT_FOUND');
    refused(await say(claims('eve', 'agent')), 'DENIED');
    refused(await say(fay, { body: { message: '' } }), 'INVALID', 'message');
    refused(await say(fay, { body: { message: 'x', sender: 'admin' } }), 'INVALID', 'sender');
    refused(await say(fay, { body: { message: 'x', version: 1 } }), 'CONFLICT');
    refused(await say(fay, { body: 'x' }), 'INVALID', 'object');
    refused(await say(fay, { params: { id: 'TKT00000000' } }), 'NOT_FOUND');
    refused(await say(fay, { params: {} }), 'NOT_FOUND');
    for (const id of [null, 7, '', 'x'.repeat(129), 'a\nb', { a: 1 }]) refused(await say(fay, { params: { id } }), 'INVALID', 'id');
    refused(await say(fay, { params: [] }), 'INVALID', 'params');
    assert.deepEqual(await stored(), before_);
  });
  test('has to be one, and by who says so', async () => {
    for (const operation of ['tickets.list', 'tickets.get', 'tickets.none', 'none', '']) refused(await write(ada, operation, { params: { id: ticket } }), 'INVALID', 'operation');
    refused(await gate.command(tenant, 'write', { author: 'fay', operation: 7, claims: fay }), 'INVALID', 'operation');
    for (const wrong of [undefined, null, {}, [], 'x', { ...ada, sub: 'ada2' }, { ...ada, tenantId: 't_other' }])
      refused(await gate.command(tenant, 'write', { author: 'ada', operation: 'tickets.tickets.create', claims: wrong, body: {} }), 'INVALID', 'claims');
  });
});

describe('rooms', () => {
  const join = (author, room, more) => gate.command(tenant, 'session', { author, body: { pid: `p_${author}`, room, in: true, ...more } });
  test('are somebody\'s, or none', async () => {
    const { rooms } = await gate.ask({ op: 'rights', tenantId: tenant, rooms: [`ticket-${ticket}`, 'ticket-TKT00000000', 'ticket-', 'conversation:c_1', 'x'] });
    assert.deepEqual(rooms, { [`ticket-${ticket}`]: 'fay', 'ticket-TKT00000000': false, 'ticket-': false, 'conversation:c_1': false, x: false });
    assert.deepEqual((await gate.ask({ op: 'rights', tenantId: 't_other', rooms: [`ticket-${ticket}`] })).rooms, { [`ticket-${ticket}`]: false });
  });
  test('are joined by those whose they are, or whose token is enough', async () => {
    const own = await join('fay', `ticket-${ticket}`);
    assert.match(own.reply.offset, /-\d+$/);
    assert.deepEqual(await join('fay', `ticket-${ticket}`), own);
    refused(await join('bob', `ticket-${ticket}`), 'DENIED');
    assert.equal((await join('ada', `ticket-${ticket}`, { granted: true })).ok, true);
    refused(await join('ada', 'ticket-TKT00000000', { granted: true }), 'NOT_FOUND');
    refused(await join('bob', 'admin'), 'DENIED');
    assert.equal((await join('ada', 'admin', { granted: true })).ok, true);
    refused(await join('ada', 'conversation:c_1', { granted: true }), 'INVALID');
    const { sessions } = await gate.ask({ op: 'sessions', tenantId: tenant, after: '' });
    assert.deepEqual(sessions.map((s) => [s.pid, Object.keys(s.rooms)]), [['p_ada', [`ticket-${ticket}`, 'admin']], ['p_fay', [`ticket-${ticket}`]]]);
    assert.equal((await gate.command(tenant, 'session', { author: 'fay', body: { pid: 'p_fay', room: `ticket-${ticket}`, in: false } })).ok, true);
  });
});
