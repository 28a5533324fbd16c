// Accepted means kept, in order and once, whatever is killed or away. Moments are random: SEED=... repeats a run.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Broker } from '../lib/broker.mjs';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
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

// Posts webhooks from several senders; one that is not answered 200 is posted again, as Meta does.
class Load {
  accepted = []; // message ids, answered 200
  refusals = []; // statuses other than 200
  constructor(world, { workers = 4, pauseMs = 5 } = {}) {
    this.world = world;
    this.running = true;
    this.done = Promise.all(Array.from({ length: workers }, (_, i) => this.work(i, pauseMs)));
  }

  async work(worker, pauseMs) {
    for (let i = 0; this.running; i++) {
      const message = textMessage(`4477009${String(worker).padStart(2, '0')}${String(i % 20).padStart(3, '0')}`, `${worker}.${i}`);
      const body = JSON.stringify(inbound(NUMBER, [message]));
      for (let kept = false; !kept && this.running; ) {
        try {
          const { status } = await webhook(this.world.sm, body);
          kept = status === 200;
          if (kept) this.accepted.push(message.id);
          else this.refusals.push(status);
        } catch {
          // killed under our hands: the outcome is unknown
        }
        if (!kept) await sleep(30);
      }
      await sleep(pauseMs);
    }
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

// Everything that was accepted is in the store and was heard by the browser: in order, without a gap, once.
async function checkAllHeard(world, tenant, browser, accepted) {
  const wanted = new Set(accepted);
  assert.equal(wanted.size, accepted.length);
  const heardIds = () => browser.of('new_message').map((h) => h.data.messageId);
  await until(`${wanted.size} messages in the browser`, () => {
    const heard = new Set(heardIds());
    const missing = accepted.filter((id) => !heard.has(id));
    if (missing.length) throw new Error(`${missing.length} of ${accepted.length} not heard, first ${missing[0]}; browser at ${browser.heard.at(-1)?.offset}; disconnects ${browser.disconnects}`);
    return true;
  }, 30000);
  await sleep(300);
  const heard = heardIds();
  assert.equal(new Set(heard).size, heard.length, 'nothing is heard twice');
  const seqs = browser.seqs();
  const first = seqs[0];
  const strays = seqs.filter((seq, i) => seq !== first + i);
  assert.deepEqual(strays.slice(0, 5), [], `offsets follow each other from ${first}`);
  assert.deepEqual(browser.disconnects, [], 'the browser kept its connection');
  const stored = await world.messages(tenant);
  assert.deepEqual(accepted.filter((id) => !stored.has(id)).slice(0, 5), [], 'every accepted message is stored');
  const texts = browser.of('new_message').map((h) => h.data.message.split('.').map(Number));
  const last = new Map();
  for (const [worker, i] of texts) {
    assert.ok(i > (last.get(worker) ?? -1), `worker ${worker}: ${i} after ${last.get(worker)}`);
    last.set(worker, i);
  }
}

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
    assert.ok(load.accepted.length > 200, `${load.accepted.length} accepted`);
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
