// kill -9 of the state-manager in front of every single step that a webhook takes, from its first bytes to its 200 and on to
// its events on the exchange (tests/lib/kill-point.c): what was answered 200 is there, what was not can be sent again, and
// all of it is stored, published and heard once. KILLS=1000 goes on with steps at random; SEED=... repeats those.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, RUN_DIR, seededRandom, sleep, until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { checkAllHeard } from '../lib/load.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_points';
const NUMBER = '200000000000001';
const KILLS = Number(process.env.KILLS ?? 20);
const BEHIND = 12; // steps behind the answer that are tried, too
const MOST = 400; // a walk without end is a fault of this test's
const [WRITE, SYNC] = [/^pwrite/, /^fdatasync|^fsync/];
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
console.log(`# seed kill-points ${seed}`);

let world, browser, library;
const accepted = [];
const points = []; // {at, call, answered}
before(async () => {
  library = path.join(RUN_DIR, `kill-point-${process.pid}.so`);
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, path.join(ROOT, 'tests/lib/kill-point.c'), '-ldl'], { stdio: 'inherit' });
  world = await World.open('kill-points', { stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info' } });
  await world.channel(NUMBER, TENANT);
  browser = await world.browser(TENANT);
});
after(() => world.close());

// The next process is killed at that step of the webhook that has the word in it.
async function startToDie(at, word) {
  const { env } = world.sm;
  Object.assign(env, { LD_PRELOAD: library, KILL_WORD: word, KILL_AT: String(at), ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` });
  await world.sm.start();
}

// Until it is dead: each request of ours is some more steps.
const dies = () => until('the end of it', async () => world.sm.code !== undefined || (await world.sm.probe('/healthz').catch(() => {}), world.sm.code !== undefined), 20000);

// One webhook and its end; the sender repeats to the next process what this one did not answer.
async function die(at) {
  const word = `die-${points.length}-${at}-of-it`;
  await world.sm.kill();
  await startToDie(at, word);
  const message = textMessage(`44770090${String(points.length % 40).padStart(4, '0')}`, `0.${points.length}.${word}`);
  const body = JSON.stringify(inbound(NUMBER, [message]));
  const answer = await webhook(world.sm, body).catch(() => undefined);
  assert.ok(!answer || answer.status === 200, `${answer?.status} ${answer?.body}`);
  await dies();
  assert.equal(world.sm.code, 'SIGKILL');
  const said = [...world.sm.log(Infinity).matchAll(/^kill-point (\d+) before (\w+)$/gm)].at(-1);
  assert.equal(Number(said?.[1]), at, 'it died where it should');
  points.push({ at, call: said[2], answered: Boolean(answer), body });
  accepted.push(message.id);
  return points.at(-1);
}

// To a process that does not know the word: it lives.
async function repeat({ answered, body }) {
  for (const name of ['LD_PRELOAD', 'KILL_WORD', 'KILL_AT', 'ASAN_OPTIONS']) delete world.sm.env[name];
  await world.sm.start();
  for (let kept = answered; !kept; await sleep(20)) kept = (await webhook(world.sm, body).catch(() => undefined))?.status === 200;
}

test('killed at every step between the first byte and the answer, and some behind it', async () => {
  for (let at = 1, behind = 0; behind < BEHIND; at++) {
    assert.ok(at < MOST, `${at} steps and no answer`);
    const point = await die(at);
    behind = point.answered ? behind + 1 : 0;
    await repeat(point);
  }
  // Other threads take steps, too, never the same: the walk may pass over one, which is looked for behind the writes then.
  const sees = (call) => points.some((p) => !p.answered && call.test(p.call));
  const writes = points.filter((p) => !p.answered && WRITE.test(p.call));
  for (let i = 0; i < 40 && writes.length && !sees(SYNC); i++) await repeat(await die(writes[i % writes.length].at + 1));
  const unanswered = points.filter((p) => !p.answered);
  const calls = new Set(unanswered.map((p) => p.call));
  console.log(`# ${unanswered.length} steps in front of the answer, ${points.length - unanswered.length} behind it; calls: ${[...calls]}`);
  if (process.env.STORE !== 'mongo') for (const call of [WRITE, SYNC]) assert.ok(sees(call), `${call} is among ${[...calls]}`);
  assert.ok(unanswered.length > 10);
});

test(`killed at ${KILLS} steps at random`, async () => {
  const most = points.length + BEHIND;
  for (let i = 0; i < KILLS; i++) await repeat(await die(1 + Math.floor(random() * most)));
});

test('all that was answered, then or at last, is there once, in order, and was heard', async () => {
  await checkAllHeard(world, TENANT, browser, accepted);
  const stored = await world.messages(TENANT);
  assert.equal(stored.size, accepted.length, 'nothing is stored twice');
  await until('the end of the exchange', () => world.tap.of(TENANT, 'new_message').some((e) => e.data.messageId === accepted.at(-1)));
  const published = new Map(world.tap.of(TENANT, 'new_message').map((e) => [e.data.messageId, e.seq]));
  assert.deepEqual(accepted.filter((id) => !published.has(id)), [], 'all of it was on the exchange');
});
