// Accepted means kept, in order and once, whatever is killed or away. Moments are random: SEED=... repeats a run.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Broker } from '../lib/broker.mjs';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { Load, NUMBER, checkAllHeard } from '../lib/load.mjs';
import { World } from '../lib/world.mjs';

const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
console.log(`# seed durability ${seed}`);

let broker;
const worlds = [];
before(async () => (broker = await Broker.start()));
after(async () => {
  for (const world of worlds) await world.close().catch(() => {});
  await broker.stop();
});

async function openWorld(name) {
  const world = await World.open(name, { broker });
  worlds.push(world);
  await world.channel(NUMBER, 't_kept');
  const browser = await world.browser('t_kept');
  return { world, browser };
}

describe(`durability, seed ${seed}`, () => {
  test('kill -9 of the state-manager at 20 random moments loses nothing', async () => {
    const { world, browser } = await openWorld('durability-kill');
    const load = new Load(world);
    for (let i = 0; i < 20; i++) {
      await sleep(40 + random() * 500);
      await world.sm.kill();
      await world.sm.start();
    }
    await sleep(300);
    await load.stop();
    assert.ok(load.accepted.length > 100, `${load.accepted.length} accepted`);
    await checkAllHeard(world, 't_kept', browser, load.accepted);
    await world.close();
  });

  test('the broker stopped for 20 s: ingest goes on, then all events arrive', async () => {
    const { world, browser } = await openWorld('durability-broker');
    const load = new Load(world, { workers: 2, pauseMs: 15 });
    await sleep(500);
    await broker.stopApp();
    const before = load.accepted.length;
    await sleep(20000);
    const during = load.accepted.length - before;
    const heard = browser.of('new_message').length;
    await broker.startApp();
    await sleep(1000);
    await load.stop();
    assert.ok(during > 300, `${during} accepted while the broker was away`);
    assert.deepEqual(load.refusals, [], 'none refused');
    assert.ok(heard < before + during, 'the broker was really away');
    await checkAllHeard(world, 't_kept', browser, load.accepted);
    await world.close();
  });

  test("the gateway's queue deleted under load: it comes back, and nothing is missing", async () => {
    const { world, browser } = await openWorld('durability-queue');
    const load = new Load(world, { workers: 2, pauseMs: 10 });
    for (let i = 0; i < 3; i++) {
      await sleep(300 + random() * 500);
      const [queue] = await until('the queue of the gateway', async () => {
        const found = await broker.queues(world.vhost, 'waba.agent-portal.events.');
        return found.length ? found : null;
      });
      await broker.deleteQueue(world.vhost, queue);
    }
    await sleep(500);
    await load.stop();
    await checkAllHeard(world, 't_kept', browser, load.accepted);
    await world.close();
  });

  test('kill -9 of the gateway: a new connection hears what comes from then on', async () => {
    const { world } = await openWorld('durability-gateway');
    const load = new Load(world, { workers: 2, pauseMs: 10 });
    await sleep(300);
    await world.gw.kill();
    await world.gw.start();
    const browser = await world.browser('t_kept');
    const already = new Set(load.accepted);
    await sleep(500);
    await load.stop();
    const heard = await until('the last', () => {
      const ids = new Set(browser.of('new_message').map((h) => h.data.messageId));
      return ids.has(load.accepted.at(-1)) ? ids : null;
    });
    const late = load.accepted.filter((id) => !already.has(id)).slice(4);
    assert.deepEqual(late.filter((id) => !heard.has(id)), []);
    const seqs = browser.seqs();
    assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
    await world.close();
  });
});
