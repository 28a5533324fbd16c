// The store away, or slow: webhooks and calls are 503 within REQUEST_TIMEOUT_MS and never 200, nothing piles up, and it all comes
// back by itself; what was refused is taken when it is sent again, once. AWAY_SECONDS=600 for the length of a real outage.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createInterface } from 'node:readline';
import { PATIENCE, ROOT, claimPorts, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { lockStore } from '../lib/lock.mjs';
import { Mongo } from '../lib/mongo.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const AWAY_MS = Number(process.env.AWAY_SECONDS ?? 10) * 1000;
const LIMIT_MS = 800 * PATIENCE; // REQUEST_TIMEOUT_MS: answers are due within
const SLOW_MS = 5000 * PATIENCE;
const NUMBER = '200000000000911';
const TENANT = 't_away';
const rss = (service) => 1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${service.pid}/status`, 'utf8'))[1]);

// Senders that repeat what was refused, and remember every answer: {status, took, id}.
class Senders {
  answers = [];
  kept = [];
  running = true;
  constructor(world, workers = 4) {
    this.world = world;
    this.done = Promise.all(Array.from({ length: workers }, (_, i) => this.work(i)));
  }

  async work(worker) {
    for (let i = 0; this.running; i++) {
      const message = textMessage(`4477009401${worker}${i % 5}`, `${worker}.${i}`);
      const body = JSON.stringify(inbound(NUMBER, [message]));
      for (let status = 0; status !== 200 && this.running; await sleep(50)) {
        const from = performance.now();
        status = (await webhook(this.world.sm, body).catch(() => ({ status: 0 }))).status;
        this.answers.push({ status, took: performance.now() - from, at: performance.now() });
        if (status === 200) this.kept.push(message.id);
      }
    }
  }

  // The answers given from then on.
  since(at) {
    return this.answers.filter((a) => a.at - a.took >= at);
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

// What a store can suffer: where it lives, how that begins and ends.
const TROUBLES = {
  'SQLite, locked by somebody': async () => {
    let release;
    return { url: 'sqlite:store.db', begin: async (world) => (release = await lockStore(world)), end: () => release(), close: async () => release?.() };
  },
  'MongoDB, killed': async () => {
    const mongo = await Mongo.own();
    return { url: mongo.url('away'), begin: () => mongo.stop(), end: () => mongo.launch(), close: () => mongo.stop() };
  },
  'MongoDB, stopped in its tracks': async () => {
    const mongo = await Mongo.own();
    return { url: mongo.url('away'), begin: () => mongo.freeze(true), end: () => mongo.freeze(false), close: async () => (mongo.freeze(false), await mongo.stop()) };
  },
  [`MongoDB, ${SLOW_MS / 1000} s slow`]: async () => {
    const mongo = await Mongo.own();
    const port = await claimPorts();
    const proxy = spawn(path.join(ROOT, 'tests/lib/mongo-proxy'), [String(port), new URL(mongo.server).port], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: proxy.stdout })[Symbol.asyncIterator]();
    await lines.next();
    const tell = async (line) => (proxy.stdin.write(`${line}\n`), await lines.next());
    return {
      url: mongo.url('away').replace(/:\d+\//, `:${port}/`),
      begin: () => tell(`delay ${SLOW_MS}`),
      end: () => tell('pass'),
      close: async () => (proxy.stdin.end(), await mongo.stop()),
    };
  },
};

// All at the end: the first that closes takes a broker along that is this process's own.
const worlds = [];
after(async () => {
  for (const world of worlds) await world.close();
});

for (const [what, make] of Object.entries(TROUBLES))
  describe(what, () => {
    let world, trouble, senders, threads;
    before(async () => {
      trouble = await make();
      world = await World.open('store-away', { gateway: false, stateManager: { LOG_LEVEL: 'info', STORE_URL: trouble.url, REQUEST_TIMEOUT_MS: String(LIMIT_MS) } });
      worlds.push(world);
      await world.channel(NUMBER, TENANT);
      senders = new Senders(world);
      await until('webhooks to be taken', () => senders.kept.length > 20);
      threads = world.sm.threads();
    });
    after(async () => {
      await senders.stop();
      await world.sm.stop();
      await trouble.close();
    });

    test(`away for ${AWAY_MS / 1000} s: 503 within the limit, no 200, not ready, nothing piles up`, async () => {
      await trouble.begin(world);
      await until('the first refusal', () => senders.answers.at(-1)?.status === 503);
      const [from, size] = [performance.now(), rss(world.sm)];
      const calls = [];
      const most = { threads: 0 };
      while (performance.now() - from < AWAY_MS) {
        const asked = performance.now();
        const answer = await rest(world.sm, tokenOf(TENANT, 'service'), 'POST', '/api/v1/events', { event: 'x' });
        calls.push({ status: answer.status, took: performance.now() - asked, retry: Number(answer.headers['retry-after']) });
        most.threads = Math.max(most.threads, world.sm.threads());
        assert.equal((await world.sm.probe('/healthz')).status, 200);
        await sleep(200);
      }
      const answers = senders.since(from);
      assert.ok(answers.length > AWAY_MS / 500, `${answers.length} answers`);
      assert.deepEqual([...new Set([...answers, ...calls].map((a) => a.status))], [503]);
      assert.ok(calls.every((c) => c.retry >= 1), 'all say when to come again');
      const slowest = Math.max(...[...answers, ...calls].map((a) => a.took));
      assert.ok(slowest < 2 * LIMIT_MS, `the slowest took ${slowest.toFixed(0)} ms, the limit is ${LIMIT_MS}`);
      assert.equal((await world.sm.probe('/readyz')).status, 503);
      assert.ok(most.threads <= threads + 1, `${most.threads} threads, ${threads} before`);
      assert.ok(rss(world.sm) < size + 32e6 * PATIENCE, `${rss(world.sm)} bytes, ${size} before`);
    });

    test('comes back by itself; what was refused is there once', async () => {
      await trouble.end();
      const before = senders.kept.length;
      await until('webhooks to be taken again', () => senders.kept.length > before + 20, 30000);
      await until('readiness', async () => (await world.sm.probe('/readyz')).status === 200);
      await senders.stop();
      const stored = await until('all that was answered', async () => {
        const found = await world.messages(TENANT);
        return senders.kept.every((id) => found.has(id)) && found;
      });
      const ids = world.tap.of(TENANT, 'new_message').filter((e, i, all) => all.findIndex((o) => o.seq === e.seq) === i).map((e) => e.data.messageId);
      assert.equal(new Set(ids).size, ids.length, 'no message has two events');
      await until('all of them published', () => {
        const seen = new Set(world.tap.of(TENANT, 'new_message').map((e) => e.data.messageId));
        return [...stored.keys()].every((id) => seen.has(id));
      });
    });
  });
