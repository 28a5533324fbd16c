// The disk of the embedded store fails: full, I/O errors, slow, killed at each step of a commit. What is answered 200 is
// kept, what cannot be kept is refused, and all comes back by itself. Moments are random: SEED=... repeats a run, KILLS=...
// makes it longer.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Disk } from '../faults/layer.mjs';
import { StoreCheck } from '../faults/store-check.mjs';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { Gate } from '../lib/gate.mjs';
import { webhook } from '../lib/http.mjs';
import { Load, NUMBER, checkAllHeard } from '../lib/load.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_kept';
const KILLS = Number(process.env.KILLS ?? 60);
const STEPS = 90; // of a commit and what is around it: two for each write and sync
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
console.log(`# seed disk ${seed}`);

async function openWorld(name, env = {}) {
  const world = await World.open(name, { stateManager: false, gateway: false });
  const folder = path.join(world.dir, 'disk');
  fs.mkdirSync(folder);
  world.disk = new Disk(folder, world.dir);
  world.file = path.join(folder, 'portalcast.db');
  world.sm = await stateManager(world.dir, world.amqpUrl, { STORE_URL: `sqlite:${world.file}`, ...world.disk.env, ...env });
  world.services.push(world.sm);
  await world.sm.start();
  await world.channel(NUMBER, TENANT);
  return world;
}

const ready = async (world) => {
  const { status, body } = await world.sm.probe('/readyz');
  return { status, store: JSON.parse(body).store };
};
const metric = async (world, name) => (await world.sm.metrics())[name];

// What is in the log and in the state, of all that was sent: never anything twice.
async function stored(world) {
  const messages = await world.messages(TENANT);
  const { json } = await world.api(TENANT, 'GET', '/api/v1/events?limit=1000');
  const heard = json.items.filter((e) => e.event === 'new_message').map((e) => e.data.messageId);
  assert.equal(new Set(heard).size, heard.length, 'nothing twice in the log');
  assert.deepEqual([...messages.keys()].sort(), heard.sort(), 'log and state are one');
  return new Set(heard);
}

describe('a disk that fails', () => {
  let world, known;
  before(async () => (world = await openWorld('disk')));
  after(() => world.close());

  for (const [what, ...faults] of [
    ['is full', 'full 0'],
    ['takes small commits, and no larger ones', 'full 30000'],
    ['fails to write', 'eio-write 0'],
    ['fails to write the log only', 'eio-write 0 -wal'],
    ['fails to sync', 'eio-sync 0'],
    ['fails to sync, slowly', 'eio-sync 0', 'slow-sync 50'],
  ])
    test(`${what}: nothing is answered 200 that is not kept, the operator is told, and it comes back`, async () => {
      const before = await stored(world);
      const errors = await metric(world, 'portalcast_store_errors_total');
      const sent = Array.from({ length: 30 }, (_, i) => textMessage(`44770088${String(i % 9).padStart(4, '0')}`, `${what} ${i} ${'x'.repeat(2000)}`));
      const post = (message) => webhook(world.sm, inbound(NUMBER, [message]));
      world.disk.set(...faults);
      const taken = [];
      const refused = [];
      for (const message of sent) ((await post(message)).status === 200 ? taken : refused).push(message);
      assert.ok(refused.length > 10, `${refused.length} refused`);
      const answer = await world.api(TENANT, 'POST', '/api/v1/events', { event: 'order_created', data: { x: 'x'.repeat(200000) } }, 'service');
      assert.equal(answer.status, 503, answer.body);
      assert.ok(Number(answer.headers['retry-after']) >= 1);
      const seen = [];
      for (let i = 0; i < 40; i++) {
        if (i % 4 === 0 && known) assert.equal((await post(known)).status, 200, 'what is stored already');
        seen.push(await ready(world));
        await sleep(25);
      }
      const small = what.startsWith('takes small');
      if (!small) assert.deepEqual(seen.filter((s) => s.status !== 503 || s.store), [], 'not ready, as long as it lasts');
      if (!small) assert.equal(await metric(world, 'portalcast_store_works'), 0);
      assert.equal((await world.sm.probe('/healthz')).status, 200);
      assert.ok((await metric(world, 'portalcast_store_errors_total')) > errors);
      world.disk.heal();
      await until('it is ready', async () => (await ready(world)).status === 200);
      assert.equal(await metric(world, 'portalcast_store_works'), 1);
      for (const message of refused) assert.equal((await post(message)).status, 200);
      known = sent[0];
      assert.deepEqual(await stored(world), new Set([...before, ...sent.map((m) => m.id)]));
    });

  test('while nobody writes shows in /readyz all the same', async () => {
    world.disk.set('eio-write 0');
    await until('not ready', async () => (await ready(world)).status === 503);
    world.disk.heal();
    await until('ready', async () => (await ready(world)).status === 200);
  });

  test('that cannot be read answers 503 at every door, which says: again; nobody calls it damaged, and it comes back', async (t) => {
    const SECOND_LOOK_MS = 3000; // after that long the store looks again whether it is damaged
    await world.sm.stop();
    await world.sm.start(); // and has nothing in mind
    const gate = await new Gate().open(world.amqpUrl);
    t.after(() => gate.close());
    const kept = await stored(world);
    const [conversation] = await world.list(TENANT, '/api/v1/conversations');
    const call = async (...args) => {
      const { status, headers, json } = await world.api(TENANT, ...args);
      return [status, json?.error?.code, Number(headers['retry-after']) >= 1];
    };
    const ask = async (body) => {
      const answer = await gate.ask({ v: 1, tenantId: TENANT, ...body });
      return answer.ok ? [200] : [503, answer.error.code, true];
    };
    let sent = 0;
    const message = () => textMessage(`44770088${String(++sent % 9).padStart(4, '0')}`, `cannot be read ${sent}`);
    const doors = {
      webhook: async () => {
        const { status, headers, json } = await webhook(world.sm, inbound(NUMBER, [message()]));
        return [status, json?.error?.code, Number(headers['retry-after']) >= 1];
      },
      'a list': () => call('GET', '/api/v1/conversations'),
      messages: () => call('GET', `/api/v1/conversations/${conversation.id}/messages`),
      'the log': () => call('GET', '/api/v1/events?limit=1000'),
      event: () => call('POST', '/api/v1/events', { event: 'order_created', data: {} }, 'service'),
      reply: () => call('POST', `/api/v1/conversations/${conversation.id}/messages`, { text: 'hello' }),
      channel: () => call('PUT', '/api/v1/admin/channels/200000000000777', { tenantId: TENANT, displayPhoneNumber: '15550100200' }, 'platform-admin'),
      'rpc: a command': () => ask({ op: 'command', author: 'ann', command: 'send_message', conversationId: conversation.id, body: { text: 'hello' } }),
      'rpc: the past': () => ask({ op: 'replay', epoch: 'e', after: 0, limit: 100 }),
    };
    await world.api(TENANT, 'POST', '/api/v1/events', { event: 'order_created', data: {} }, 'service'); // what readers have in mind is stale
    world.disk.set('eio-read 0');
    const wrong = [];
    const states = [];
    for (const started = performance.now(); performance.now() - started < 2 * SECOND_LOOK_MS || states.length < 10; await sleep(100)) {
      for (const [door, open] of Object.entries(doors)) {
        const answer = await open();
        if (String(answer) !== String([503, 'UNAVAILABLE', true])) wrong.push(`${door}: ${answer}`);
      }
      states.push(await ready(world));
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(states.filter((s) => s.status !== 503 || s.store), [], 'not ready, as long as it lasts');
    assert.equal((await world.sm.probe('/healthz')).status, 200);
    world.disk.heal();
    await until('ready', async () => (await ready(world)).status === 200);
    assert.doesNotMatch(world.sm.log(), /malformed|damaged|code=INTERNAL|event=call_failed/);
    assert.deepEqual(await stored(world), kept);
    for (const [door, open] of Object.entries(doors)) assert.ok((await open())[0] < 300, door);
  });
});

describe('a slow disk', () => {
  const SLOW_MS = 6000; // each sync
  let world;
  before(async () => (world = await openWorld('disk-slow', { REQUEST_TIMEOUT_MS: '700' })));
  after(() => world.close());

  test('callers hear 503 long before it, nothing piles up, and what they send again is there once', async () => {
    const threads = world.sm.threads();
    world.disk.set(`slow-sync ${SLOW_MS}`);
    const sent = Array.from({ length: 200 }, (_, i) => textMessage(`44770087${String(i % 20).padStart(4, '0')}`, `slow ${i}`));
    const post = async (message) => {
      const started = performance.now();
      const { status, headers, json } = await webhook(world.sm, inbound(NUMBER, [message]));
      return { status, again: Number(headers['retry-after']), code: json?.error?.code, ms: performance.now() - started };
    };
    const answers = await Promise.all(sent.map(post));
    assert.deepEqual(answers.filter((a) => a.status !== 503 || a.code !== 'TIMEOUT' || !(a.again >= 1)), []);
    assert.deepEqual(answers.filter((a) => a.ms > SLOW_MS / 2).map((a) => a.ms), [], 'long before the disk');
    assert.equal(world.sm.threads(), threads);
    await until('it says that it does not store', async () => (await ready(world)).store === false);
    assert.equal((await world.sm.probe('/healthz')).status, 200);
    world.disk.heal();
    await until('it is ready', async () => (await ready(world)).status === 200, 20000);
    for (const message of sent) assert.equal((await post(message)).status, 200);
    assert.deepEqual(await stored(world), new Set(sent.map((m) => m.id)));
    await until('nobody waits', async () => (await metric(world, 'portalcast_queue_length')) === 0);
    assert.equal(world.sm.threads(), threads);
  });
});

describe(`kill -9 at the steps between request and answer, seed ${seed}`, () => {
  test(`${KILLS} times: what was answered 200 is stored and heard, once, in order`, async () => {
    const world = await openWorld('disk-kill');
    world.gw = await (await gateway(world.dir, world.amqpUrl)).start();
    world.services.push(world.gw);
    const browser = await world.browser(TENANT);
    const load = new Load(world, { workers: 3, pauseMs: 2 });
    for (let i = 0; i < KILLS; i++) {
      world.disk.set(`kill ${1 + Math.floor(random() * STEPS)}`);
      assert.equal(await world.sm.gone, 'SIGKILL');
      world.disk.heal();
      await world.sm.start();
    }
    await sleep(200);
    await load.stop();
    assert.ok(load.accepted.length > KILLS, `${load.accepted.length} accepted`);
    await checkAllHeard(world, TENANT, browser, load.accepted);
    await world.close();
  });
});
