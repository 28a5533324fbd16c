// Every inbound message with its conversation on the queue of downstream consumers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import amqp from 'amqplib';
import { until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
const TENANT = 't_enriched';
const QUEUE = 'inbound.enriched';
let world;
let connection;
let channel;
let got = [];

const consume = () => channel.consume(QUEUE, (m) => m && got.push({ id: m.properties.messageId, ...JSON.parse(m.content) }), { noAck: true });
before(async () => {
  world = await World.open('enriched', { gateway: false });
  await world.channel(NUMBER, TENANT);
  connection = await amqp.connect(world.amqpUrl);
  channel = await connection.createChannel();
  await consume();
});
after(async () => {
  await connection?.close();
  await world.close();
});

test('each inbound message comes once, with its conversation', async () => {
  for (let i = 0; i < 5; i++) await webhook(world.sm, text(NUMBER, '447700900500', `number ${i}`));
  await until('all', () => got.length === 5);
  assert.deepEqual(got.map((g) => g.message.text), Array.from({ length: 5 }, (_, i) => `number ${i}`));
  const [first] = got;
  assert.equal(first.v, 1);
  assert.equal(first.tenantId, TENANT);
  assert.equal(first.message.direction, 'inbound');
  assert.equal(first.message.conversationId, first.conversation.id);
  assert.equal(first.conversation.contact.waId, '447700900500');
  assert.equal(first.id, first.message.id);
});

test("an agent's message is not one of them, nor an event of the same name", async () => {
  const before = got.length;
  await world.api(TENANT, 'POST', `/api/v1/conversations/${got[0].conversation.id}/messages`, { text: 'hello' });
  await world.api(TENANT, 'POST', '/api/v1/events', { event: 'new_message', data: { id: 'x', conversationId: 'y' } }, 'service');
  await webhook(world.sm, text(NUMBER, '447700900501', 'the next'));
  await until('the next', () => got.length > before);
  assert.deepEqual(got.slice(before).map((g) => g.message.text), ['the next']);
});

test('the queue deleted under load: every message comes, and the events too', async () => {
  got = [];
  for (let i = 0; i < 40; i++) {
    await webhook(world.sm, text(NUMBER, '447700900502', `load ${i}`));
    if (i === 15) await channel.deleteQueue(QUEUE);
  }
  await until('the queue again', async () => {
    const probe = await connection.createChannel();
    probe.on('error', () => {});
    return probe.checkQueue(QUEUE).then(() => probe.close().then(() => true), () => false);
  });
  await consume();
  const seen = () => new Set(got.filter((g) => g.message.text.startsWith('load')).map((g) => g.message.text)).size;
  // What lay unconsumed in the deleted queue went with it; all that was published after it must be here.
  await until('the rest', () => seen() >= 40 - 16, 15000);
  await until('the events', () => new Set(world.tap.of(TENANT, 'new_message').map((b) => b.data.message)).size >= 40 + 5 + 1, 15000);
});
