// The queue of other producers: their events are committed, come once, and what is no event is put aside with a reason.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import amqp from 'amqplib';
import { until } from '../lib/env.mjs';
import { World } from '../lib/world.mjs';

const QUEUE = 'waba.agent-portal.events';
const DEAD = 'waba.dead-letter';
let world;
let connection;
let channel;
before(async () => {
  world = await World.open('intake', {});
  connection = await amqp.connect(world.amqpUrl);
  channel = await connection.createChannel();
});
after(async () => {
  await connection?.close();
  await world.close();
});

const send = (body, options = {}) => channel.sendToQueue(QUEUE, Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)), { persistent: true, ...options });
const of = (tenant, type) => world.tap.of(tenant, type);
const left = async () => (await channel.checkQueue(QUEUE)).messageCount;
const metric = async (label) => {
  const { body } = await world.sm.probe('/metrics');
  return Number(body.match(new RegExp(`^portalcast_intake_total\\{result="${label}"\\} (\\d+)$`, 'm'))?.[1]);
};

describe('a foreign producer', () => {
  test('is heard by the browsers of the tenant, in sequence, and the queue ends empty', async () => {
    const browser = await world.browser('t_foreign');
    for (let i = 0; i < 50; i++) send({ type: 'new_message', tenantId: 't_foreign', data: { i } });
    await browser.hears('all', 'new_message', 50);
    assert.deepEqual(browser.of('new_message').map((h) => h.data.i), Array.from({ length: 50 }, (_, i) => i));
    await until('all on the exchange', () => of('t_foreign', 'new_message').length >= 50);
    assert.deepEqual(of('t_foreign', 'new_message').map((b) => b.seq), Array.from({ length: 50 }, (_, i) => i + 1));
    await until('an empty queue', async () => (await left()) === 0);
  });
  test('that repeats itself has one effect: by message-id, and by id', async () => {
    for (let i = 0; i < 3; i++) send({ type: 'x', tenantId: 't_repeat', data: 1 }, { messageId: 'm-1' });
    for (let i = 0; i < 3; i++) send({ id: 'i-1', type: 'x', tenantId: 't_repeat', data: 2 });
    send({ type: 'last', tenantId: 't_repeat' });
    await until('the last one', () => of('t_repeat', 'last').length === 1);
    assert.deepEqual(of('t_repeat', 'x').map((b) => b.data), [1, 2]);
  });
  test('may mean the same body twice, where it gives no id', async () => {
    for (let i = 0; i < 2; i++) send({ type: 'x', tenantId: 't_twice', data: 1 });
    await until('both', () => of('t_twice', 'x').length === 2);
  });
  test('has its rooms, class and key respected', async () => {
    send({ type: 'x', tenantId: 't_rooms', data: 1, rooms: ['user:ann'] });
    send({ type: 'x', tenantId: 't_rooms', data: 2, class: 'latest', key: 'k' });
    await until('both', () => of('t_rooms', 'x').length === 2);
    assert.deepEqual(of('t_rooms', 'x')[0].rooms, ['user:ann']);
    assert.equal(of('t_rooms', 'x')[1].class, 'latest');
  });
});

describe('what is no event', () => {
  for (const [what, body, reason] of [
    ['no JSON', Buffer.from('{"type":'), /not JSON/],
    ['bytes that are no text', Buffer.from([0xff, 0xfe]), /not JSON/],
    ['no tenant', { type: 'x' }, /tenantId/],
    ['a tenant id with a dot', { type: 'x', tenantId: 'a.b' }, /tenantId/],
    ['a reserved name', { type: 'connect', tenantId: 't_dead' }, /event must be/],
    ['rooms that are no array', { type: 'x', tenantId: 't_dead', rooms: 'r' }, /rooms/],
  ])
    test(`${what} becomes a dead letter with the reason`, async () => {
      send(body);
      let letter;
      await until('the dead letter', async () => (letter = await channel.get(DEAD, { noAck: true })));
      const { reason: why, queue } = JSON.parse(letter.content);
      assert.match(why, reason);
      assert.equal(queue, QUEUE);
      await until('an empty queue', async () => (await left()) === 0);
    });
});

test('an old binding of the exchange to the queue does not loop', async () => {
  await channel.bindQueue(QUEUE, 'waba.agent-portal.events', 'tenant.#');
  const before = await metric('own');
  send({ type: 'round', tenantId: 't_loop', data: 1 });
  await until('it came round and was dropped', async () => (await metric('own')) > before);
  await until('an empty queue', async () => (await left()) === 0);
  assert.equal(of('t_loop', 'round').length, 1);
  await channel.unbindQueue(QUEUE, 'waba.agent-portal.events', 'tenant.#');
});

test('kill -9 while the queue is drained: every event once', async () => {
  const tenant = 't_killed';
  for (let i = 0; i < 600; i++) send({ type: 'x', tenantId: tenant, data: i }, { messageId: `k-${i}` });
  await until('a beginning', () => of(tenant, 'x').length > 50);
  await world.sm.kill();
  await world.sm.start();
  await until('all', () => new Set(of(tenant, 'x').map((b) => b.data)).size === 600, 30000);
  const bySeq = new Map(of(tenant, 'x').map((b) => [b.seq, b.data]));
  assert.equal(bySeq.size, 600, 'no event has two sequence numbers');
  assert.equal(new Set(bySeq.values()).size, 600);
});
