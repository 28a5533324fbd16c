// Who is typing, over two gateways: heard by the conversation's room, never by the one who types, and over by itself.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_typing';
const OTHER = 't_elsewhere';
const NUMBER = '200000000000085';
let world, near, far, id, second;
before(async () => {
  world = await World.open('typing');
  near = world.gw;
  far = await gateway(world.dir, world.amqpUrl);
  world.services.push(far);
  await far.start();
  await world.channel(NUMBER, TENANT);
  id = await world.conversation(TENANT, NUMBER, '447700920001');
  second = await world.conversation(TENANT, NUMBER, '447700920002');
});
after(() => world.close());

async function agent(service, sub, { tenant = TENANT, conversation = id } = {}) {
  const client = new SioClient(service.base, tokenOf(tenant, 'agent', { sub }));
  world.browsers.push(client);
  await client.connected();
  if (conversation) assert.equal((await client.asks('join_conversation', conversation)).ok, true);
  return client;
}
async function plainAgent(service, sub) {
  const client = new WsClient(service.base, { token: tokenOf(TENANT, 'agent', { sub }) });
  world.browsers.push(client);
  await client.message('ready');
  assert.equal((await client.asks({ type: 'join', room: `conversation:${id}` })).type, 'ack');
  return client;
}
const types = (client, isTyping, conversationId = id) => client.asks('typing', { conversationId, isTyping });
const heardOf = (client, userId) => client.of('typing').map((h) => h.data).filter((d) => d.userId === userId);
const flags = (client, userId) => heardOf(client, userId).map((d) => d.isTyping);
const says = (client, userId, wanted, ms = 10000) => until(`${userId}: ${wanted}`, () => flags(client, userId).join() === wanted.join(), ms);

describe('typing', () => {
  test('is heard in the conversation on every gateway, also by the user’s other tab, not by the one who types', async () => {
    const ann = await agent(near, 'ann'), tab = await agent(far, 'ann'), bob = await agent(far, 'bob'), plain = await plainAgent(far, 'carl');
    const outside = await agent(far, 'dora', { conversation: second }), foreign = await agent(far, 'eve', { tenant: OTHER, conversation: null });
    assert.deepEqual(await types(ann, true), { ok: true });
    for (const client of [bob, tab, plain]) await says(client, 'ann', [true]);
    assert.deepEqual(heardOf(bob, 'ann'), [{ conversationId: id, userId: 'ann', isTyping: true }]);
    await sleep(600);
    await types(ann, false);
    for (const client of [bob, tab, plain]) await says(client, 'ann', [true, false]);
    for (const client of [ann, outside, foreign]) assert.deepEqual(client.of('typing'), []);
    const answer = await world.api(TENANT, 'GET', '/api/v1/events?limit=500', undefined, 'service');
    assert.ok(!answer.body.includes('"typing"'), 'it is not stored');
  });
  test('is not repeated to everybody, however often it is said; the last word counts', async () => {
    const ann = await agent(near, 'ann2'), bob = await agent(far, 'bob2');
    for (let i = 0; i < 30; i++) ann.socket.emit('typing', { conversationId: id, isTyping: true });
    await says(bob, 'ann2', [true]);
    for (let i = 0; i < 30; i++) ann.socket.emit('typing', { conversationId: id, isTyping: i % 2 === 1 });
    ann.socket.emit('typing', { conversationId: id, isTyping: false });
    await until('the last word', () => flags(bob, 'ann2').at(-1) === false);
    await until('no other', async () => (await sleep(1500), flags(bob, 'ann2').at(-1) === false));
    assert.ok(flags(bob, 'ann2').length <= 6, flags(bob, 'ann2').join());
  });
  test('ends by itself 8 s after it was last said', async () => {
    const ann = await agent(near, 'ann3'), bob = await agent(far, 'bob3'), carl = await plainAgent(near, 'carl3');
    const began = Date.now();
    await types(ann, true);
    await says(bob, 'ann3', [true]);
    await says(bob, 'ann3', [true, false], 20000);
    const took = Date.now() - began;
    assert.ok(took >= 7900, `not before: ${took} ms`);
    await says(carl, 'ann3', [true, false]);
    assert.deepEqual(ann.of('typing'), []);
  });
  test('ends with the connection, at once', async () => {
    const ann = await agent(near, 'ann4'), bob = await agent(far, 'bob4');
    await types(ann, true);
    await says(bob, 'ann4', [true]);
    const began = Date.now();
    ann.socket.io.engine.close();
    await says(bob, 'ann4', [true, false]);
    assert.ok(Date.now() - began < 6000 * PATIENCE, 'long before it would end by itself');
  });
  test('needs no join, but the right to the conversation', async () => {
    const ann = await agent(near, 'ann5', { conversation: null }), bob = await agent(far, 'bob5');
    const eve = await agent(near, 'eve5', { tenant: OTHER, conversation: null });
    const answer = await types(eve, true);
    assert.deepEqual([answer.ok, answer.error.code], [false, 'NOT_FOUND']);
    assert.deepEqual(await types(ann, true), { ok: true });
    await says(bob, 'ann5', [true]);
    assert.deepEqual(heardOf(bob, 'eve5'), []);
  });
  test('ends by itself when the gateway of the one who types is killed', async () => {
    const ann = await agent(far, 'ann6'), bob = await agent(near, 'bob6');
    await types(ann, true);
    await says(bob, 'ann6', [true]);
    await far.kill();
    await says(bob, 'ann6', [true, false], 20000);
    await far.start();
  });
});
