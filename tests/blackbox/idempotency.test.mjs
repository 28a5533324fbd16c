// Parallel calls under the same keys, some of them with another body: one effect for a key, one answer for those who said the
// same, 422 for the others - whichever came first, and after a kill -9, too. With STORE=mongo at two state-managers. Who says what is
// random: SEED=... repeats it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seededRandom, sleep } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000951';
const TENANT = 't_idempotent';
const [KEYS, CALLERS] = [24, 10];
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
const pick = (list) => list[Math.floor(random() * list.length)];
console.log(`# seed idempotency ${seed}`);

let world, managers, conversation;
before(async () => {
  world = await World.open('idempotency', { gateway: false, tap: false, stateManager: { LOG_LEVEL: 'info' } });
  managers = [world.sm];
  if (process.env.STORE === 'mongo') {
    const second = await stateManager(world.dir, world.amqpUrl, { STORE_URL: world.sm.env.STORE_URL });
    world.services.push(second);
    managers.push(await second.start());
  }
  await world.channel(NUMBER, TENANT);
  conversation = await world.conversation(TENANT, NUMBER, '447700960700');
});
after(() => world.close());

// What a key is used for: a path, a role, a body that says `words`, and where its effects are to be seen.
const USES = {
  message: {
    role: 'agent', path: () => `/conversations/${conversation}/messages`, body: (words) => ({ text: words }),
    effects: async () => (await world.list(TENANT, `/api/v1/conversations/${conversation}/messages`)).map((m) => ({ words: m.text, id: m.id })),
  },
  event: {
    role: 'service', path: () => '/events', body: (words) => ({ event: 'said', data: words }),
    effects: async () => (await log()).filter((e) => e.event === 'said').map((e) => ({ words: e.data, id: e.offset })),
  },
  'array of events': {
    role: 'service', path: () => '/events', body: (words) => [0, 1, 2].map(() => ({ event: 'thrice', data: words })),
    effects: async () => (await log()).filter((e) => e.event === 'thrice').map((e) => ({ words: e.data, id: e.offset })), times: 3,
  },
};
async function log() {
  const all = [];
  for (let after_ = ''; ; ) {
    const { json } = await world.api(TENANT, 'GET', `/api/v1/events?limit=500${after_ && `&after=${after_}`}`);
    all.push(...json.items);
    if (json.next === json.head) return all;
    after_ = json.next;
  }
}
// A call under a key, until somebody answers it.
async function call(use, key, words) {
  for (;;) {
    const answer = await rest(pick(managers), tokenOf(TENANT, USES[use].role), 'POST', `/api/v1${USES[use].path()}`, USES[use].body(words), { 'Idempotency-Key': key }).catch(() => undefined);
    if (answer && answer.status !== 503 && answer.status !== 429) return { words, status: answer.status, body: answer.body };
    await sleep(30);
  }
}

for (const [name, use] of Object.entries(USES))
  test(`${name}: ${KEYS} keys, ${CALLERS} callers each, two bodies, a kill -9 in between`, async () => {
    const keys = Array.from({ length: KEYS }, (_, i) => `${name.replaceAll(' ', '-')}-${seed}-${i}`);
    const calls = keys.flatMap((key) => Array.from({ length: CALLERS }, () => ({ key, words: `${key} ${pick(['one', 'two'])}` })));
    const order = calls.map((c) => [random(), c]).sort((a, b) => a[0] - b[0]).map(([, c]) => c);
    const answers = new Map(keys.map((key) => [key, []]));
    const ask = async ({ key, words }) => answers.get(key).push(await call(name, key, words));
    const first = Promise.all(order.slice(0, order.length / 2).map(ask));
    await sleep(random() * 60);
    await world.sm.kill();
    await world.sm.start();
    await first;
    await Promise.all(order.slice(order.length / 2).map(ask));

    const effects = await use.effects();
    for (const key of keys) {
      const own = effects.filter((e) => e.words.startsWith(`${key} `));
      assert.equal(own.length, use.times ?? 1, `${key} has ${own.length} effects`);
      const [{ words }] = own;
      const [same, other] = [answers.get(key).filter((a) => a.words === words), answers.get(key).filter((a) => a.words !== words)];
      assert.deepEqual([...new Set(same.map((a) => a.status))], [202]);
      assert.equal(new Set(same.map((a) => a.body)).size, 1, 'one answer for all');
      assert.deepEqual([...new Set(other.map((a) => a.status))], other.length ? [422] : []);
    }
  });
