// What may come between the log and a browser: repeats, any order, holes, a feed that was away while the log was trimmed, a store
// that begins anew. A browser hears each event once and in order, or is told to reload; never a silent gap. By every way in.
// What is passed on is random: SEED=... repeats it, EVENTS=5000 makes it longer.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Broker, BrokerProxy, Tap } from '../lib/broker.mjs';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { ALL_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const EVENTS = Number(process.env.EVENTS ?? 600); // of a tenant
const WAVES = 5;
const TENANTS = ['t_feed_a', 't_feed_b', 't_feed_c'];
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
const below = (n) => Math.floor(random() * n);
console.log(`# seed feed ${seed}`);

const worlds = [];
after(async () => {
  for (const world of worlds) await world.close();
});
afterEach(closeMembers);

const positionOf = (offset) => ({ epoch: offset.slice(0, offset.lastIndexOf('-')), seq: Number(offset.slice(offset.lastIndexOf('-') + 1)) });
const resyncs = (way, one) => (way === 'ws' ? one.messages.filter((m) => m.type === 'resync').length : one.of('resync').length);
async function publish(world, tenant, count, from = 0) {
  for (let i = 0; i < count; i += 200) {
    const list = Array.from({ length: Math.min(200, count - i) }, (_, k) => ({ event: 'n', data: { i: from + i + k } }));
    const answer = await rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', list);
    assert.equal(answer.status, 202, answer.body);
  }
}
const numbers = (one) => one.of('n').map((h) => h.data.i);

describe('between the exchange and the gateway', () => {
  let world, to;
  before(async () => {
    // The state-manager publishes to one exchange and the gateway hears another.
    world = await World.open('feed', { tap: false, stateManager: { LOG_LEVEL: 'info', EVENTS_EXCHANGE: 'published' }, gateway: { LOG_LEVEL: 'info', EVENTS_EXCHANGE: 'heard' } });
    worlds.push(world);
    world.tap = await new Tap(world.amqpUrl, 'published').open();
    to = await new Tap(world.amqpUrl, 'heard').open();
    worlds.unshift({ close: () => to.close() });
  });

  // What chance makes of a stream: near ones change places, some come again soon, or late, some never.
  function mangled(events) {
    const placed = [];
    events.forEach((e, i) => {
      if (random() < 0.05) return; // lost
      placed.push([i + (random() < 0.3 ? below(40) : 0), e]);
      while (random() < 0.25) placed.push([i + below(random() < 0.2 ? events.length : 20), e]);
    });
    return placed.sort((a, b) => a[0] - b[0]).map(([, e]) => e);
  }

  test('repeats, any order and holes, of three tenants at once: each event once, in order', async () => {
    const all = [];
    for (const tenant of TENANTS) for (const way of ALL_WAYS) all.push({ tenant, one: await member(way, world.gw, { token: tokenOf(tenant) }).there() });
    const before = await world.gw.metrics();
    // In waves: a gateway that has just compared heads has asked for a whole wave before any of it comes.
    for (let sent = 0; sent < EVENTS; sent += EVENTS / WAVES) {
      for (const tenant of TENANTS) await publish(world, tenant, EVENTS / WAVES, sent);
      const streams = await until('all on the first exchange', () => {
        const found = TENANTS.map((t) => world.tap.events.filter((e) => e.body.tenantId === t && e.body.seq > sent));
        return found.every((f) => new Set(f.map((e) => e.body.seq)).size === EVENTS / WAVES) && found;
      }, 20000);
      const queues = streams.map(mangled);
      while (queues.some((q) => q.length)) {
        const q = queues.filter((one) => one.length)[below(queues.filter((one) => one.length).length)];
        await Promise.all(q.splice(0, 1 + below(30)).map(({ key, raw }) => to.publish(key, raw)));
        if (random() < 0.1) await sleep(below(150));
      }
    }
    for (const { tenant, one } of all) {
      await one.hears(`all of ${tenant}`, 'n', EVENTS, 30000);
      await sleep(20);
      assert.deepEqual(numbers(one), Array.from({ length: EVENTS }, (_, i) => i));
      assert.deepEqual(one.of('n').map((h) => positionOf(h.offset).seq), Array.from({ length: EVENTS }, (_, i) => i + 1));
    }
    const now = await world.gw.metrics();
    const rose = (name) => now[name] - before[name];
    console.log(`# ${rose('portalcast_gateway_repeats_dropped_total')} repeats, ${rose('portalcast_gateway_events_early_total')} early, ${rose('portalcast_gateway_replays_total')} holes asked for`);
    for (const name of ['repeats_dropped', 'events_early', 'replays']) assert.ok(rose(`portalcast_gateway_${name}_total`) > 0, name);
  });
});

describe('a history that is not what it was', () => {
  let world, proxy;
  const KEPT = 50;
  before(async () => {
    proxy = await new BrokerProxy((await Broker.shared()).port).open();
    // The gateway alone is cut off: what nobody has published is not trimmed.
    world = await World.open('feed-anew', { tap: false, stateManager: { LOG_LEVEL: 'info', HOUSEKEEPING_SECONDS: '1', EVENT_RETENTION_COUNT: String(KEPT) }, gateway: false });
    world.gw = await gateway(world.dir, proxy.url(world.vhost), { LOG_LEVEL: 'info' });
    world.services.push(world.gw);
    await world.gw.start();
    worlds.push({ close: () => world.close().finally(() => proxy.down()) });
  });

  // What was heard has no gap that a resync does not stand in.
  function checkTold(way, one, resyncAt) {
    const heard = one.of('n').map((h) => ({ ...positionOf(h.offset), at: one.heard.indexOf(h) }));
    heard.forEach((h, i) => {
      const last = heard[i - 1];
      if (!last || (h.epoch === last.epoch && h.seq === last.seq + 1)) return;
      assert.ok(resyncAt !== undefined && last.at < resyncAt && resyncAt <= h.at, `from ${last.epoch}-${last.seq} to ${h.epoch}-${h.seq} without a word`);
    });
  }
  // Where in what it heard it was told to reload: behind so many.
  const marks = new Map();
  const watch = (way, one) => {
    if (way === 'ws') one.socket.on('message', (bytes) => JSON.parse(bytes).type === 'resync' && marks.set(one, one.heard.length));
  };
  const resyncAt = (way, one) => (way === 'ws' ? marks.get(one) : one.heard.findIndex((h) => h.event === 'resync'));

  for (const way of ALL_WAYS)
    test(`${way}: the log was trimmed while the gateway heard nothing: a live client is told to reload, and hears what follows`, async () => {
      await world.gw.waitReady(40000);
      const tenant = `t_trimmed_${way}`;
      const one = await member(way, world.gw, { token: tokenOf(tenant) }).there();
      watch(way, one);
      await publish(world, tenant, 10);
      await one.hears('what came first', 'n', 10);
      await proxy.down();
      try {
        for (let i = 10; i < 410; i += 20) await publish(world, tenant, 20, i);
        await until('a log that has dropped them', async () => {
          const { json } = await rest(world.sm, tokenOf(tenant), 'GET', '/api/v1/events?limit=1');
          return positionOf(json.items[0].offset).seq > 300;
        }, 20000);
        assert.equal(numbers(one).length, 10);
      } finally {
        await proxy.up();
      }
      await until('resync', () => resyncs(way, one), 30000);
      await publish(world, tenant, 5, 1000);
      await one.hears('what follows', (h) => h.data?.i === 1004, 1, 20000);
      assert.equal(resyncs(way, one), 1);
      assert.deepEqual(numbers(one).filter((i) => i >= 1000), [1000, 1001, 1002, 1003, 1004]);
      checkTold(way, one, resyncAt(way, one));
    });

  for (const way of ALL_WAYS)
    test(`${way}: another store, which counts from 1 again: who is there and who comes back is told, and hears what follows`, async () => {
      for (const service of [world.sm, world.gw]) await service.waitReady(40000);
      const tenant = `t_anew_${way}`;
      const [stays, goes] = [await member(way, world.gw, { token: tokenOf(tenant) }).there(), await member(way, world.gw, { token: tokenOf(tenant, 'agent', { sub: 'goes' }) }).there()];
      watch(way, stays);
      await publish(world, tenant, 30);
      for (const one of [stays, goes]) await one.hears('what came first', 'n', 30);
      const { ticket } = goes;
      goes.drop();
      await world.sm.stop();
      world.sm.env.STORE_URL = world.sm.env.STORE_URL.replace(/(\.db)?$/, `_${way}$1`);
      await world.sm.start();
      await publish(world, tenant, 3, 2000);
      await until('resync', () => resyncs(way, stays), 30000);
      const back = await until('somebody who gets in', async () => {
        const m = member(way, world.gw, { ...ticket, token: tokenOf(tenant, 'agent', { sub: 'goes' }) });
        return Promise.race([m.there(), m.ended.then(() => null)]);
      }, 20000);
      assert.equal(back.isRecovered, false, 'its offset of 30 is nothing here');
      await publish(world, tenant, 3, 3000);
      for (const one of [stays, back]) await one.hears('what follows', (h) => h.data?.i === 3002, 1, 20000);
      assert.deepEqual(numbers(back).filter((i) => i >= 3000), [3000, 3001, 3002]);
      assert.ok(!numbers(back).some((i) => i < 2000), 'nothing of the other history');
      checkTold(way, stays, resyncAt(way, stays));
    });
});
