// A broker that sends what no broker would, to every connection of both services, for a while: nothing crashes, nothing grows,
// webhooks are taken all the time, and once a real one stands there everything goes on. Its words are random: SEED=... repeats
// them; CONNECTIONS=20000 goes on for longer. Means most under sanitizers (make san).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Broker, BrokerProxy } from '../lib/broker.mjs';
import { PATIENCE, claimPorts, seededRandom, until } from '../lib/env.mjs';
import { FakeBroker, ILL } from '../lib/fake-broker.mjs';
import { Load, checkHeard } from '../lib/load.mjs';
import { FLAT, gateway, stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const CONNECTIONS = Number(process.env.CONNECTIONS ?? 200);
const NUMBER = '200000000000901';
const TENANT = 't_fake';
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
console.log(`# seed fake-broker ${seed}`);

let world, fake, proxy;
before(async () => {
  const port = await claimPorts();
  fake = await new FakeBroker(port, seededRandom(seed)).open();
  proxy = new BrokerProxy((await Broker.shared()).port);
  proxy.port = port;
  world = await World.open('fake-broker', { stateManager: false, gateway: false, proxy });
});
after(async () => {
  await fake.close();
  await world.close();
  if (proxy.server?.listening) await proxy.down();
});

const rss = (service) => 1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${service.pid}/status`, 'utf8'))[1]);
const measure = () => world.services.map((s) => ({ pid: s.pid, fds: s.fds(), threads: s.threads(), rss: rss(s) }));

describe(`a broker that means ill, seed ${seed}`, () => {
  let load, first;
  test('webhooks are taken from the start on', async () => {
    world.sm = await stateManager(world.dir, world.serviceUrl, { LOG_LEVEL: 'info', ...FLAT });
    world.gw = await gateway(world.dir, world.serviceUrl, { LOG_LEVEL: 'info', ...FLAT });
    world.services.push(world.sm, world.gw);
    for (const service of world.services) await service.start({ wait: false });
    for (const service of world.services) await until('it to live', async () => (await service.probe('/healthz')).status === 200);
    await world.channel(NUMBER, TENANT);
    load = new Load(world, { number: NUMBER, workers: 1, pauseMs: 100 });
    await until('webhooks to be taken', () => load.accepted.length > 5);
  });

  test(`${CONNECTIONS} connections of both end in all ways, and neither service`, async () => {
    await until('the first of them', () => fake.deeds.length > CONNECTIONS / 4, 120000);
    first = measure();
    await until('all of them', () => {
      for (const s of world.services) if (s.code !== undefined) throw new Error(`${s.name} ended with ${s.code}: ${s.log(30)}`);
      return fake.deeds.length >= CONNECTIONS;
    }, 400000);
    const done = fake.deeds.filter((d) => d.done);
    const kinds = new Set(done.map((d) => d.ill));
    console.log(`# ${fake.deeds.length} connections, ${done.length} came to their moment; ${kinds.size} of ${Object.keys(ILL).length + 1} kinds`);
    assert.ok(done.length > CONNECTIONS / 4, `${done.length} came to their moment`);
    assert.ok(kinds.size > Object.keys(ILL).length * 0.8, `${kinds.size} kinds`);
    // While one of many channels is open its memory is there; it goes with it.
    const grown = (was, now) => now.pid !== was.pid || now.fds > was.fds + 8 || now.threads > was.threads || now.rss > 1.5 * was.rss + 12e6 * PATIENCE;
    await until('files, threads and memory that are what they were', () => {
      const now = measure();
      if (now.some((m, i) => grown(first[i], m))) throw new Error(JSON.stringify([first, now]));
      return true;
    });
  });

  test('no line of a log is anybody else’s', () => {
    for (const service of world.services) assert.doesNotMatch(service.log(Infinity), /^time=x/m);
  });

  test('with a real one both are ready, and all that was accepted is heard', async () => {
    await fake.close();
    await proxy.up();
    for (const service of world.services) await service.waitReady(30000);
    const browser = await world.browser(TENANT);
    const from = load.accepted.length + load.sent.length;
    await until('more', () => load.accepted.length > from + 20);
    await load.stop();
    assert.deepEqual(load.refusals, [], 'no webhook was refused');
    await checkHeard(browser, load.accepted.slice(from));
    // What the other one had confirmed went nowhere; it is in the log all the same.
    const stored = await world.messages(TENANT);
    assert.deepEqual(load.accepted.filter((id) => !stored.has(id)), []);
  });
});
