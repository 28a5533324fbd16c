// Tokens that are good no longer: refused over REST by every state-manager within a second, and told to the gateways.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import amqp from 'amqplib';
import { storeUrl } from '../lib/mongo.mjs';
import { until, within } from '../lib/env.mjs';
import { jwt, rest, tokenOf } from '../lib/http.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const DIRECT = 'amq.rabbitmq.reply-to';
let world, connection, channel;
before(async () => {
  world = await World.open('revocations', { gateway: false });
  connection = await amqp.connect(world.amqpUrl);
  channel = await connection.createChannel();
});
after(async () => {
  await connection?.close();
  await world.close();
});

const now = () => Math.floor(Date.now() / 1000);
const revoke = (body, role = 'platform-admin') => rest(world.sm, tokenOf('t_platform', role), 'POST', '/api/v1/admin/revocations', body);
// Issued well before any revocation of this test, unless told otherwise.
const token = (tenantId, sub, more = {}) => jwt({ tenantId, sub, role: ['agent', 'service'], iat: now() - 60, ...more });
const read = async (bearer, sm = world.sm) => (await rest(sm, bearer, 'GET', '/api/v1/conversations')).status;
const write = async (bearer, sm = world.sm) => (await rest(sm, bearer, 'POST', '/api/v1/events', { event: 'x' })).status;
const both = async (bearer, sm) => [await read(bearer, sm), await write(bearer, sm)];
const heard = (tenant) => world.tap.of(tenant, 'portalcast:revoked');
const isRefused = (bearer, sm) => until('both are refused', async () => (await both(bearer, sm)).every((s) => s === 401));

async function latest(...tenants) {
  const queue = await channel.consume(DIRECT, (m) => m && done(JSON.parse(m.content)), { noAck: true });
  let done;
  const answer = new Promise((resolve) => (done = resolve));
  channel.sendToQueue('state-manager.rpc', Buffer.from(JSON.stringify({ v: 1, op: 'heads', tenants, latest: true })), { replyTo: DIRECT, correlationId: 'c' });
  const { revocations } = await within(answer, 20000);
  await channel.cancel(queue.consumerTag);
  return revocations;
}

describe('a revocation', () => {
  test('of a user refuses all that were issued before it, and no others', async () => {
    const [ann, bob, later] = [token('t_user', 'ann'), token('t_user', 'bob'), token('t_user', 'ann', { iat: now() + 20 })];
    assert.deepEqual([await both(ann), await both(bob)], [[200, 202], [200, 202]]);
    const answer = await revoke({ tenantId: 't_user', sub: 'ann' });
    assert.equal(answer.status, 202, answer.body);
    const { before: at, offset, ...rest } = answer.json;
    assert.deepEqual(rest, { tenantId: 't_user', sub: 'ann' });
    assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60000, at);
    await isRefused(ann);
    await isRefused(jwt({ tenantId: 't_user', sub: 'ann', role: ['agent', 'service'], iat: undefined }));
    for (const good of [bob, later, token('t_user_2', 'ann')]) assert.deepEqual(await both(good), [200, 202]);
    await until('the event', () => heard('t_user').length);
    const [event] = heard('t_user');
    assert.deepEqual(event.data, { sub: 'ann', before: Date.parse(at) });
    assert.deepEqual([event.class, `${event.epoch}-${event.seq}`, event.rooms], ['durable', offset, undefined]);
  });
  test('is heeded by another state-manager and a started one, within a second', async () => {
    if (storeUrl(world.dir).startsWith('sqlite')) {
      const ann = token('t_again', 'ann');
      await revoke({ tenantId: 't_again', sub: 'ann' });
      await world.sm.kill();
      await world.sm.start();
      assert.deepEqual(await both(ann), [401, 401], 'from the first call on');
      return;
    }
    const second = await stateManager(world.dir, world.amqpUrl, { STORE_URL: world.sm.env.STORE_URL });
    world.services.push(second);
    await second.start();
    const ann = token('t_again', 'ann');
    assert.deepEqual(await both(ann, second), [200, 202]);
    await revoke({ tenantId: 't_again', sub: 'ann' });
    await isRefused(ann, second);
  });
  test('of a token by its id refuses that one alone', async () => {
    const [one, two, none] = [token('t_jti', 'ann', { jti: 'one' }), token('t_jti', 'ann', { jti: 'two' }), token('t_jti', 'ann')];
    assert.equal((await revoke({ tenantId: 't_jti', jti: 'one' })).status, 202);
    await isRefused(one);
    assert.deepEqual([await both(two), await both(none)], [[200, 202], [200, 202]]);
    assert.deepEqual(await latest('t_jti'), { t_jti: [{ jti: 'one', before: heard('t_jti')[0].data.before }] });
  });
  test('of a tenant refuses all of it, administrators of the platform that belong to it too', async () => {
    const admin = token('t_whole', 'root', { role: 'platform-admin' });
    const asAdmin = async () => (await rest(world.sm, admin, 'GET', '/api/v1/admin/tenants/t_else')).status;
    assert.equal(await asAdmin(), 200);
    assert.equal((await revoke({ tenantId: 't_whole', sub: 'ann' })).status, 202);
    assert.equal((await revoke({ tenantId: 't_whole', sub: null, jti: null })).status, 202);
    await isRefused(token('t_whole', 'bob'));
    await until('the administrator is refused', async () => (await asAdmin()) === 401);
    assert.deepEqual(await both(token('t_else', 'bob')), [200, 202]);
    await until('both events', () => heard('t_whole').length === 2);
    const { before: at } = heard('t_whole')[1].data;
    assert.deepEqual(await latest('t_whole', 't_else'), { t_whole: [{ before: at }], t_else: [] }, 'what it makes needless is not told');
    assert.equal((await revoke({ tenantId: 't_whole', sub: 'bob' })).status, 202);
    assert.equal((await latest('t_whole')).t_whole.length, 2);
  });
  test('again moves the moment on', async () => {
    const first = Date.parse((await revoke({ tenantId: 't_twice', sub: 'ann' })).json.before);
    await until('a later moment', () => Date.now() > first);
    const second = Date.parse((await revoke({ tenantId: 't_twice', sub: 'ann' })).json.before);
    assert.ok(second > first);
    assert.deepEqual(await latest('t_twice'), { t_twice: [{ sub: 'ann', before: second }] });
  });
  test('has names of any characters', async () => {
    const sub = 'ann "ö" \u{1f600}\\';
    await revoke({ tenantId: 't_names', sub });
    await isRefused(token('t_names', sub));
    assert.equal((await latest('t_names')).t_names[0].sub, sub);
  });
  test('is for administrators of the platform, and never half right', async () => {
    for (const role of ['agent', 'service', 'admin']) assert.equal((await revoke({ tenantId: 't_safe' }, role)).status, 403);
    for (const body of [{}, { tenantId: 'a.b' }, [], 5, { tenantId: 't_safe', sub: '' }, { tenantId: 't_safe', sub: 5 }, { tenantId: 't_safe', jti: 'x'.repeat(129) }, { tenantId: 't_safe', sub: 'a', jti: 'b' }])
      assert.equal((await revoke(body)).status, 422, JSON.stringify(body));
    assert.deepEqual(await latest('t_safe'), { t_safe: [] });
    assert.equal(heard('t_safe').length, 0);
  });
  test('is not shown to who catches up, and keeps nobody from coming to the end', async () => {
    const bearer = token('t_hidden', 'bob');
    await write(bearer);
    const { offset } = (await revoke({ tenantId: 't_hidden', sub: 'ann' })).json;
    const { json } = await rest(world.sm, bearer, 'GET', '/api/v1/events');
    assert.deepEqual([json.items.map((i) => i.event), json.next, json.head, json.complete], [['x'], offset, offset, true]);
  });
});
