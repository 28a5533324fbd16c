// A broker that is there and does nothing: an alarm of its memory, a link without anybody behind it, a process that is stopped.
// Callers do not feel it, and every connection of both services is given up within two heartbeats.
// ALARM_SECONDS=60 for a long alarm.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Broker, BrokerProxy } from '../lib/broker.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { Load, checkAllHeard } from '../lib/load.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const ALARM_MS = Number(process.env.ALARM_SECONDS ?? 9) * 1000;
const WINDOW_MS = 3000;
const NUMBER = '200000000000931';
const TENANT = 't_stalls';
const said = (service, words) => service.log(Infinity).split(words).length - 1;

let broker, proxy, world, browser;
before(async () => {
  broker = await Broker.start();
  proxy = await new BrokerProxy(broker.port).open();
  world = await World.open('stalls', { broker, proxy, tap: false, stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info' } });
  await world.channel(NUMBER, TENANT);
  browser = await world.browser(TENANT);
});
after(async () => {
  await broker.memoryAlarm(false).catch(() => {});
  await world?.close().finally(() => Promise.all([broker.stop(), proxy.down()]));
});

describe('an alarm of its memory', () => {
  const p99 = (list) => list.sort((a, b) => a - b)[Math.floor(list.length * 0.99)];
  const accepted = [];
  // What webhooks take, of two senders, for a while: [ms]
  async function latencies(ms) {
    const took = [];
    const until_ = performance.now() + ms;
    await Promise.all([0, 1].map(async (worker) => {
      for (; performance.now() < until_; await sleep(2)) {
        const message = textMessage(`4477009601${worker}0`, `${8 + worker}.${accepted.length}`);
        const from = performance.now();
        const { status } = await webhook(world.sm, inbound(NUMBER, [message]));
        took.push(performance.now() - from);
        assert.equal(status, 200);
        accepted.push(message.id);
      }
    }));
    return took;
  }

  test('does not show in how long a webhook takes; only the publisher waits', async () => {
    const [calm, alarmed] = [[], []];
    const threads = world.sm.threads();
    await latencies(1000);
    for (let spent = 0; spent < ALARM_MS; spent += WINDOW_MS) {
      calm.push(...(await latencies(WINDOW_MS)));
      await broker.memoryAlarm(true);
      await until('the state-manager to say that it is not ready', async () => (await latencies(100), (await world.sm.probe('/readyz')).status === 503));
      alarmed.push(...(await latencies(WINDOW_MS)));
      assert.ok(world.sm.threads() <= threads, `${world.sm.threads()} threads, ${threads} before`);
      await broker.memoryAlarm(false);
      await until('readiness', async () => (await world.sm.probe('/readyz')).status === 200);
    }
    console.log(`# p99 of ${calm.length} webhooks ${p99(calm).toFixed(1)} ms, of ${alarmed.length} under the alarm ${p99(alarmed).toFixed(1)} ms`);
    assert.ok(alarmed.length > 0.6 * calm.length, `${alarmed.length} webhooks, ${calm.length} without an alarm`);
    assert.ok(p99(alarmed) < 3 * p99(calm), `p99 ${p99(alarmed)} ms, without an alarm ${p99(calm)}`);
    await until('all of them', () => {
      const heard = new Set(browser.of('new_message').map((h) => h.data.messageId));
      return accepted.every((id) => heard.has(id));
    }, 20000);
    assert.ok(browser.socket.connected);
  });
});

describe('half-open', () => {
  let load;
  // who, what it says when it gives up
  const PARTS = [
    ['state-manager', 'relay_disconnected'], ['state-manager', 'intake_disconnected'], ['state-manager', 'rpc_disconnected'],
    ['portal-gateway', 'feed_down'], ['portal-gateway', 'rpc_down'],
  ];
  const serviceOf = (name) => world.services.find((s) => s.name === name);
  const node = () => Number(fs.readFileSync(path.join(broker.dir, 'node.pid'), 'utf8'));
  const WAYS = [
    ['a link whose other end is gone without a word', () => proxy.freeze(), async () => {}],
    ['a broker that is stopped in its tracks', () => process.kill(node(), 'SIGSTOP'), async () => process.kill(node(), 'SIGCONT')],
  ];

  for (const [what, begin, end] of WAYS)
    test(`${what}: each connection is given up within two heartbeats, and all is well afterwards`, async () => {
      for (const service of world.services) await service.waitReady();
      const beats = (await broker.ctl('list_connections', 'vhost', 'timeout', '--no-table-headers', '--quiet')).split('\n').filter((l) => l.startsWith(`${world.vhost}\t`)).map((l) => Number(l.split('\t')[1]));
      assert.ok(beats.length >= PARTS.length && beats.every((b) => b > 0), `${beats}`);
      const before = PARTS.map(([name, words]) => said(serviceOf(name), words));
      if (load) load.go();
      else load = new Load(world, { number: NUMBER, workers: 1, pauseMs: 200 });
      const from = performance.now();
      const took = new Map();
      begin();
      try {
        await until('all of them to give up', () => {
          PARTS.forEach(([name, words], i) => said(serviceOf(name), words) > before[i] && !took.has(words) && took.set(words, performance.now() - from));
          if (took.size < PARTS.length) throw new Error(JSON.stringify([...took]));
          return true;
        }, 4000 * Math.max(...beats));
        const taken = load.accepted.length;
        await until('webhooks to be taken', () => load.accepted.length > taken + 5);
      } finally {
        await end();
        await load.stop();
      }
      const inBeats = [...took].map(([part, ms]) => [part, ms / 1000 / Math.max(...beats)]);
      console.log(`# ${what}: ${inBeats.map(([part, n]) => `${part} ${n.toFixed(2)}`)} heartbeats`);
      // Looked at every second; the machine may be slow.
      assert.deepEqual(inBeats.filter(([, n]) => n > 2 + 0.3 * PATIENCE), []);
      assert.deepEqual(load.refusals, []);
      for (const service of world.services) await service.waitReady(40000);
      await checkAllHeard(world, TENANT, browser, load.accepted);
    });
});
