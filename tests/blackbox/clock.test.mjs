// The wall clock of the services jumps, goes back, repeats a second, passes 2038; their timers do not care, tokens are
// judged by it, events keep their order, nothing is lost or comes twice.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WallClock } from '../faults/layer.mjs';
import { sleep, until } from '../lib/env.mjs';
import { jwt, rest, webhook } from '../lib/http.mjs';
import { Load, NUMBER, checkAllHeard } from '../lib/load.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_time';
const [SECOND, HOUR, DAY] = [1000, 3600e3, 86400e3];
// Good whatever the clocks say.
const LASTING = { iat: Math.floor((Date.now() - 2 * DAY) / 1000), exp: Math.floor((Date.now() + 20 * 365 * DAY) / 1000) };
const tokenAt = (ms, role = 'agent', more = {}) => jwt({ tenantId: TENANT, sub: `${role}-1`, role, iat: Math.floor(ms / 1000), exp: Math.floor(ms / 1000) + 1800, ...more });

const worlds = [];
after(async () => {
  for (const world of worlds) await world.close();
});

async function openWorld(name, env = {}, gatewayEnv = {}) {
  const world = await World.open(name, { stateManager: false, gateway: false });
  world.clock = new WallClock(world.dir);
  worlds.push(world);
  world.sm = await stateManager(world.dir, world.amqpUrl, { ...world.clock.env, ...env });
  world.services.push(world.sm);
  await world.sm.start();
  world.gw = await gateway(world.dir, world.amqpUrl, { ...world.clock.env, ...gatewayEnv });
  world.services.push(world.gw);
  await world.gw.start();
  await world.channel(NUMBER, TENANT);
  world.call = (method, pathname, body, { role = 'agent', headers } = {}) => rest(world.sm, tokenAt(world.clock.now(), role), method, `/api/v1${pathname}`, body, headers);
  return world;
}

const post = async (world, message) => assert.equal((await webhook(world.sm, inbound(NUMBER, [message]))).status, 200);
const log = async (world) => {
  const { json } = await world.call('GET', '/events?limit=1000');
  return json;
};

describe('jumps', () => {
  let world;
  before(async () => (world = await openWorld('clock', { HOUSEKEEPING_SECONDS: '1' }, { PING_INTERVAL_MS: '700', PING_TIMEOUT_MS: '3000', PRESENCE_LEASE_SECONDS: '6' })));

  test('of an hour, of days, of a second, forwards and back under load: all is heard in order, nobody is cut off, figures stay sane', async () => {
    const browser = await world.browser(TENANT, { claims: LASTING });
    const polling = await world.browser(TENANT, { claims: LASTING, transports: ['polling'] });
    const load = new Load(world, { workers: 2, pauseMs: 10 });
    await until('some messages', () => load.accepted.length > 5);
    for (const ahead of [HOUR, 0, -HOUR, 0, SECOND, 0, -SECOND, 0, 3 * DAY, 0, -3 * DAY, 0]) {
      world.clock.set(ahead);
      const [conversation] = (await world.call('GET', '/conversations?limit=1')).json.items;
      const answer = await world.call('POST', `/conversations/${conversation.id}/messages`, { text: `at ${ahead}` });
      assert.equal(answer.status, 202, answer.body);
      const count = load.accepted.length;
      await until('some more', () => load.accepted.length > count + 10);
      const { json: figures } = await world.call('GET', '/dashboard/stats');
      assert.ok(figures.avgResponseTime >= 0 && figures.totalMessagesToday >= 0 && figures.waitingConversations <= figures.activeConversations, JSON.stringify(figures));
      assert.ok(Math.abs(Date.parse(figures.timestamp) - world.clock.now()) < HOUR / 2, 'in the time that it is told');
      assert.deepEqual([(await world.sm.probe('/readyz')).status, (await world.gw.probe('/readyz')).status], [200, 200]);
    }
    await load.stop();
    assert.deepEqual(load.refusals, []);
    const mine = (h) => !/^at /.test(h.data?.message ?? ''); // the load's own
    for (const heard of [browser, polling]) heard.of = (event) => heard.heard.filter((h) => h.event === event && mine(h));
    await checkAllHeard(world, TENANT, browser, load.accepted);
    await checkAllHeard(world, TENANT, polling, load.accepted);
    for (const client of [browser, polling]) client.close();
  });

  test('timers go on while the clock stands an hour back', async () => {
    const one = await world.browser(TENANT, { claims: { ...LASTING, sub: 'one' } });
    const two = await world.browser(TENANT, { claims: { ...LASTING, sub: 'two' } });
    const { id } = (await world.call('GET', '/conversations?limit=1')).json.items[0];
    for (const client of [one, two]) assert.equal((await client.asks('join_conversation', id)).ok, true);
    one.socket.emit('typing', { conversationId: id, isTyping: true });
    await two.hears('typing', (h) => h.event === 'typing' && h.data.isTyping);
    world.clock.set(-HOUR);
    await two.hears('that it is over', (h) => h.event === 'typing' && h.data.isTyping === false);
    one.close();
    await two.hears('that he is gone', (h) => h.event === 'presence_update' && h.data.userId === 'one' && h.data.status === 'offline', 1, 20000);
    world.clock.set(0);
    two.close();
  });

  test('tokens are judged by the clock, sockets that are open stay', async () => {
    const token = tokenAt(Date.now());
    const open = new SioClient(world.gw.base, token);
    world.browsers.push(open);
    await open.connected();
    const tried = async () => {
      const client = new SioClient(world.gw.base, token);
      const refusal = await client.connected().then(() => undefined, (error) => error.data?.code);
      client.close();
      return [(await rest(world.sm, token, 'GET', '/api/v1/conversations')).status, refusal];
    };
    assert.deepEqual(await tried(), [200, undefined]);
    world.clock.set(HOUR);
    assert.deepEqual(await tried(), [401, 'TOKEN_EXPIRED']);
    world.clock.set(-HOUR); // made an hour from now
    assert.deepEqual(await tried(), [401, 'TOKEN_INVALID']);
    world.clock.set(0);
    assert.deepEqual(await tried(), [200, undefined]);
    const message = textMessage('447700900900', 'still there');
    await post(world, message);
    await open.hears('it', (h) => h.data?.messageId === message.id);
    assert.deepEqual(open.disconnects, []);
  });

  test('a session is recovered whatever the clock said when it began', async () => {
    for (const [then, now] of [[HOUR, 0], [0, HOUR], [0, -HOUR], [3 * DAY, 0]]) {
      world.clock.set(then);
      const client = new SioClient(world.gw.base, tokenAt(0, 'agent', LASTING), { reconnection: true, reconnectionDelay: 500 });
      world.browsers.push(client);
      await client.connected();
      await client.hears('hello', 'portalcast:hello');
      world.clock.set(now);
      client.socket.io.engine.close();
      const message = textMessage('447700900901', `missed, ${then} ${now}`);
      await post(world, message);
      const [, hello] = await client.hears('hello again', 'portalcast:hello', 2);
      assert.equal(hello.data.recovered, true, `${then} ${now}`);
      await client.hears('what was missed', (h) => h.data?.messageId === message.id);
      assert.equal(client.of('new_message').filter((h) => h.data.messageId === message.id).length, 1);
      client.close();
    }
    world.clock.set(0);
  });

  test('ahead drop nothing of what is kept for days', async () => {
    const key = { headers: { 'Idempotency-Key': 'once' }, role: 'service' };
    const body = { event: 'order_created', data: { orderId: 1 } };
    const first = await world.call('POST', '/events', body, key);
    const before = await log(world);
    assert.equal(before.complete, true);
    world.clock.set(60 * DAY);
    await until('it is noticed', () => /event=clock_jumped/.test(world.sm.log(Infinity)));
    await sleep(3500); // sweeps, each second
    const after = await log(world);
    assert.deepEqual([after.complete, after.items], [true, before.items]);
    assert.deepEqual((await world.call('POST', '/events', body, key)).json, first.json, 'the key is known');
    world.clock.set(0);
  });
});

describe('a year later', () => {
  test('the same signed webhook is no new message, although the log of that time is gone', async () => {
    const world = await openWorld('clock-year', { HOUSEKEEPING_SECONDS: '1' });
    const old = JSON.stringify(inbound(NUMBER, [textMessage('447700900910', 'a year ago')]));
    assert.equal((await webhook(world.sm, old)).status, 200);
    await post(world, textMessage('447700900910', 'soon after'));
    const { items } = await log(world);
    await world.sm.stop();
    world.clock.set(400 * DAY);
    await world.sm.start();
    await post(world, textMessage('447700900910', 'a year later'));
    await until('the log of that time is gone', async () => (await log(world)).items.every((e) => Date.parse(e.at) > Date.now() + DAY), 30000);
    const { json: since } = await world.call('GET', `/events?after=${items[0].offset}`);
    assert.equal(since.complete, false, 'and says so');
    const { head } = await log(world);
    assert.equal((await webhook(world.sm, old)).status, 200);
    assert.equal((await log(world)).head, head, 'no new event');
    const conversations = (await world.call('GET', '/conversations')).json.items;
    const messages = (await world.call('GET', `/conversations/${conversations[0].id}/messages`)).json.items;
    assert.deepEqual(messages.map((m) => m.text), ['a year later', 'soon after', 'a year ago']);
  });
});

describe('2038', () => {
  test('passes: webhooks, tokens, times of events, lists', async () => {
    const END = 2 ** 31 * SECOND; // 2038-01-19T03:14:08Z
    const world = await openWorld('clock-2038');
    world.clock.set(END - 3 * SECOND - Date.now());
    const client = new SioClient(world.gw.base, tokenAt(END - 60 * SECOND));
    world.browsers.push(client);
    await client.connected();
    const send = async (words) => {
      const message = textMessage('447700900920', words, { timestamp: String(Math.floor(world.clock.now() / 1000)) });
      await post(world, message);
      const [heard] = await client.hears(words, (h) => h.data?.messageId === message.id);
      return { at: Date.parse(heard.data.timestamp), sent: Number(message.timestamp) * 1000 };
    };
    const before = await send('before');
    await until('it passes', () => world.clock.now() > END + SECOND);
    const later = await send('after');
    assert.deepEqual([before.at, later.at], [before.sent, later.sent]);
    assert.ok(before.sent < END && later.sent >= END);
    const conversations = (await world.call('GET', '/conversations')).json.items;
    assert.equal(Date.parse(conversations[0].lastMessageAt), later.sent);
    const { items } = (await world.call('GET', `/conversations/${conversations[0].id}/messages`)).json;
    assert.deepEqual(items.map((m) => m.text), ['after', 'before']);
    const { headers, json } = await world.call('GET', '/dashboard/stats');
    for (const time of [headers.date, json.timestamp, (await log(world)).items.at(-1).at]) assert.ok(Date.parse(time) >= END - SECOND && Date.parse(time) < END + HOUR, time);
    assert.equal(json.totalMessagesToday, 2);
    const next = new SioClient(world.gw.base, tokenAt(world.clock.now()));
    world.browsers.push(next);
    await next.connected();
  });
});
