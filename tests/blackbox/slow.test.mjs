// Clients on a thin line: they read on at their own pace, as long as they read at all, and cost the gateway next to nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { PATIENCE, sleep, until, within } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { ALL_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { gateway } from '../lib/services.mjs';
import { SlowLink } from '../lib/slow-link.mjs';
import { World } from '../lib/world.mjs';

const MB = 1 << 20;
const THIN = 125000; // bytes a second: 1 Mbit/s
const BEHIND = 4000;
const TEXT = 'x'.repeat(200);
const LAG_S = 3;
const PINGS = { PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', LOG_LEVEL: 'info', LAG_MAX_SECONDS: String(LAG_S * PATIENCE), ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1`.replace(/^:/, '') };

let world, other;
const links = [];
before(async () => {
  world = await World.open('slow', { tap: false, gateway: PINGS, stateManager: { LOG_LEVEL: 'info' } });
  other = await gateway(world.dir, world.amqpUrl, PINGS);
  world.services.push(other);
  await other.start();
});
after(() => world?.close());
afterEach(() => {
  closeMembers();
  links.splice(0).forEach((link) => link.close());
});

let tenants = 0;
const newTenant = () => `t_thin_${++tenants}`;
const authOf = (tenant, sub = 'ann') => ({ token: tokenOf(tenant, 'agent', { sub }) });
async function say(tenant, from, count) {
  let head;
  for (let i = 0; i < count; i += 500) {
    const events = Array.from({ length: Math.min(500, count - i) }, (_, k) => ({ event: 'n', data: { n: from + i + k, text: TEXT } }));
    const answer = await rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', events);
    assert.equal(answer.status, 202, answer.body);
    head = answer.json.at(-1).offset;
  }
  return head;
}
async function thin(service) {
  const link = await SlowLink.open(service.port, THIN);
  links.push(link);
  return link;
}
const numbers = (one) => one.of('n').map((h) => h.data.n);
const run = (from, count) => Array.from({ length: count }, (_, i) => from + i);
const rss = (service) => 1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${service.pid}/status`, 'utf8'))[1]);
const cuts = async (service) => (await service.metrics())['portalcast_gateway_sessions_closed_total{reason="slow_consumer"}'] ?? 0;

// The most that the gateway grows by, until the promise has its end.
async function growth(service, promise) {
  const before = rss(service);
  let [most, isDone] = [0, false];
  promise.then(() => (isDone = true), () => (isDone = true));
  while (!isDone) {
    most = Math.max(most, rss(service) - before);
    await sleep(50);
  }
  await promise;
  return most;
}
// It hears all that it missed over a thin line, at that line's pace, without being cut.
async function catchUp(way, service, auth, ticket, count, byteTime) {
  const link = await thin(service);
  const started = Date.now();
  const slow = member(way, link, { ...ticket, ...auth });
  await until(`${count} events over a thin line`, () => slow.of('n').length >= count || !slow.isOpen, 60000);
  assert.ok(slow.isOpen, `it was cut: ${slow.how}, with ${slow.of('n').length} of ${count}`);
  await slow.there();
  assert.equal(slow.isRecovered, true);
  assert.deepEqual(numbers(slow), run(5, count), 'in order, once');
  assert.ok(Date.now() - started > byteTime * 0.8, 'it was a thin line');
  return slow;
}

describe(`${BEHIND} events behind, over 1 Mbit/s`, () => {
  for (const way of ALL_WAYS)
    for (const [where, to] of [['of the gateway\'s memory', () => world.gw], ['of the log', () => other]])
      test(`${way}: catches up out ${where}, without being cut, in no memory`, async () => {
        const tenant = newTenant();
        const who = { fast: authOf(tenant, 'fast'), slow: authOf(tenant, 'slow') };
        const before = Object.fromEntries(await Promise.all(Object.entries(who).map(async ([name, auth]) => [name, await member(way, world.gw, auth).there()])));
        await say(tenant, 0, 5);
        for (const one of Object.values(before)) await one.hears('what came first', 'n', 5);
        const tickets = { fast: before.fast.ticket, slow: before.slow.ticket };
        closeMembers();
        await say(tenant, 5, BEHIND);
        // What the tenant itself takes, and room that was needed once and is not given back, is asked for by somebody fast.
        const fast = await member(way, to(), { ...tickets.fast, ...who.fast }).there();
        await fast.hears('all', 'n', BEHIND, 20000); // and stays: who leaves an answer to a poll unread is cut, too
        const cut = await cuts(to());
        const most = await growth(to(), catchUp(way, to(), who.slow, tickets.slow, BEHIND, (BEHIND * TEXT.length * 1000) / THIN));
        console.log(`# ${way}, out ${where}: the gateway grew by ${most >> 10} KB`);
        assert.ok(most <= MB * PATIENCE, `the gateway grew by ${most} bytes`);
        assert.equal(await cuts(to()), cut);
      });
});

describe('live, over a thin line', () => {
  for (const way of ALL_WAYS)
    test(`${way}: a burst that takes longer than LAG_MAX_SECONDS is heard whole, and others are not kept waiting`, async () => {
      const tenant = newTenant();
      const link = await thin(world.gw);
      const slow = await member(way, link, authOf(tenant)).there();
      const quick = await member('websocket', world.gw, authOf(tenant, 'quick')).there();
      const count = Math.ceil((2.5 * LAG_S * PATIENCE * THIN) / TEXT.length / 500) * 500;
      const before = await cuts(world.gw);
      const growing = growth(world.gw, until('all of them over a thin line', () => slow.of('n').length >= count || !slow.isOpen, 30000 * PATIENCE));
      await say(tenant, 0, count);
      await quick.hears('all of them', 'n', count, 20000);
      assert.ok(slow.of('n').length < count / 2, `${slow.of('n').length}: it is behind`);
      await growing;
      assert.ok(slow.isOpen, `it was cut: ${slow.how}`);
      assert.deepEqual([numbers(slow), numbers(quick)], [run(0, count), run(0, count)]);
      assert.equal(await cuts(world.gw), before);
    });
  for (const way of ['websocket', 'ws'])
    test(`${way}: who drains nothing at all is cut, and recovers`, async () => {
      const tenant = newTenant();
      const auth = authOf(tenant);
      const [dead, before] = [await member(way, world.gw, auth).there(), await cuts(world.gw)];
      await say(tenant, 0, 5);
      await dead.hears('what came first', 'n', 5);
      const ticket = dead.ticket;
      dead.socket._socket.pause();
      let n = 5;
      await until('the cut', async () => {
        if (n < 4500) await say(tenant, n, 500).then(() => (n += 500));
        return (await cuts(world.gw)) > before;
      }, LAG_S * 10000);
      dead.socket._socket.resume();
      assert.equal(await within(dead.ended, 5000 * PATIENCE), way === 'ws' ? 4413 : 1005);
      const again = await member(way, other, { ...ticket, ...auth }).there();
      await again.hears('all of it', 'n', n - 5, 20000);
      assert.deepEqual([again.isRecovered, numbers(again)], [true, run(5, n - 5)]);
    });
});
