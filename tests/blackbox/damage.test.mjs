// A damaged SQLite store is refused, or recovered as far as its log goes; both are said, and nothing crashes. Bits are
// flipped and ends cut off in copies: of one whose writer was killed, and of one that was closed. COPIES=... SEED=... for
// more, or for the same once more.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { StoreCheck } from '../faults/store-check.mjs';
import { seededRandom, until, within } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const COPIES = Number(process.env.COPIES ?? 108);
const STARTS = 16; // of them, with the whole program
const TENANT = 't_hurt';
const NUMBER = '200000000000051';
const PAGE = 4096;
const FRAME = PAGE + 24;
const WEBHOOK = 3; // messages, which are one commit
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
const below = (n) => Math.floor(random() * n);
console.log(`# seed damage ${seed}`);

function flip(bytes, from = 0, to = bytes.length) {
  for (let i = 0; i < 1 + below(6); i++) bytes[from + below(to - from)] ^= 1 << below(8);
  return bytes;
}
const rubbish = (bytes, from, n) => {
  for (let i = from; i < Math.min(from + n, bytes.length); i++) bytes[i] = below(256);
  return bytes;
};
const page = (bytes) => below(bytes.length / PAGE) * PAGE;
const copyPage = (bytes) => {
  const from = page(bytes);
  bytes.copy(bytes, page(bytes), from, from + PAGE);
  return bytes;
};

// file, what is done to it -> its new bytes
const DAMAGES = {
  'bits of the database': ['', (b) => flip(b)],
  'bits of the head of a page': ['', (b) => ((at) => flip(b, at, at + 12))(page(b))],
  'a page of zeros': ['', (b) => ((at) => b.fill(0, at, at + PAGE))(page(b))],
  'a page of rubbish': ['', (b) => ((at) => rubbish(b, at, PAGE))(page(b))],
  'a page in the place of another': ['', copyPage],
  'the head of the database': ['', (b) => rubbish(b, 0, 100)],
  'the magic of the database': ['', (b) => rubbish(b, 0, 16)],
  'a database cut off at a page': ['', (b) => b.subarray(0, page(b))],
  'a database cut off anywhere': ['', (b) => b.subarray(0, below(b.length))],
  'no database left': ['', () => Buffer.alloc(0)],
  'bits of the log': ['-wal', (b) => flip(b)],
  'bits at the end of the log': ['-wal', (b) => flip(b, b.length - 3 * FRAME)],
  'the head of the log': ['-wal', (b) => rubbish(b, 0, 32)],
  'a log cut off anywhere': ['-wal', (b) => b.subarray(0, below(b.length))],
  'a log cut off at a page': ['-wal', (b) => b.subarray(0, 32 + FRAME * below((b.length - 32) / FRAME))],
  'a log of rubbish': ['-wal', (b) => rubbish(b, 0, b.length)],
  'rubbish beside': ['-shm', (b) => rubbish(b, 0, b.length)],
  'a lock file of rubbish': ['.lock', (b) => rubbish(Buffer.alloc(5000), 0, 5000)],
};

describe(`a damaged store, seed ${seed}`, () => {
  const checker = new StoreCheck();
  const sources = {}; // name -> {dir, whole: what is in it}
  let world;

  async function fill(from, to) {
    for (let i = from; i < to; i++) {
      const messages = Array.from({ length: WEBHOOK }, (_, n) => textMessage(`4477005100${i % 9}${n}`, `${i}.${n} ${'x'.repeat(below(3000))}`));
      assert.equal((await webhook(world.sm, inbound(NUMBER, messages))).status, 200);
    }
  }

  async function keep(name) {
    const dir = path.join(world.dir, name);
    fs.cpSync(path.join(world.dir, 'store'), dir, { recursive: true });
    const whole = copyOf(name, 'whole');
    sources[name] = { dir, whole: await checker.look(path.join(whole, 'portalcast.db')) };
  }

  function copyOf(name, as) {
    const dir = path.join(world.dir, `copy-${as}`);
    fs.rmSync(dir, { recursive: true, force: true });
    fs.cpSync(path.join(world.dir, name), dir, { recursive: true });
    return dir;
  }

  before(async () => {
    world = await World.open('damage', { stateManager: false, gateway: false });
    const file = path.join(world.dir, 'store/portalcast.db');
    world.sm = await stateManager(world.dir, world.amqpUrl, { STORE_URL: `sqlite:${file}` });
    world.services.push(world.sm);
    await world.sm.start();
    await world.channel(NUMBER, TENANT);
    await fill(0, 60);
    await world.sm.stop();
    await keep('closed');
    await world.sm.start();
    await fill(60, 100);
    await world.sm.kill();
    await keep('killed');
  });
  after(async () => {
    await checker.stop();
    await world.close();
  });

  // Text that is other text nobody can know, SQLite has no checksums; it counts as there.
  const isText = (fault) => /^(event|message|conversation) /.test(fault);
  // So an answer may not be as it should, either.
  const otherText = (error) => (/is not as docs\/openapi.json has it/.test(error.message) ? 200 : Promise.reject(error));
  const size = (found) => [...['event', 'message'].map((word) => found[word].length + found.damaged.filter((d) => d.startsWith(`${word} `)).length), found.tenants[TENANT]?.seq];

  // One more copy, with damage of the kind done to it; undefined: the source has no such file.
  function damage(source, kind, as) {
    const [suffix, change] = DAMAGES[kind];
    const dir = copyOf(source, as);
    const file = path.join(dir, `portalcast.db${suffix}`);
    if (!fs.existsSync(file) || !fs.statSync(file).size) return undefined;
    const before = fs.readFileSync(file);
    const after = change(Buffer.from(before));
    fs.writeFileSync(file, after);
    return { file: path.join(dir, 'portalcast.db'), same: after.equals(before) };
  }

  test(`${COPIES} copies: none is opened that is not sound, what is missing is said, and nothing hangs`, async () => {
    const faults = [];
    const count = { refused: 0, whole: 0, shorter: 0 };
    for (let i = 0; i < COPIES; ) {
      const kind = Object.keys(DAMAGES)[i % Object.keys(DAMAGES).length];
      const source = random() < 0.6 ? 'killed' : 'closed';
      const copy = damage(source, kind, 'hurt');
      i++;
      if (!copy) continue;
      const found = await within(checker.look(copy.file), 60000);
      const where = `copy ${i}: ${kind}, ${source}`;
      if (!found) throw new Error(`${where}: no end`);
      if (found.refused) {
        count.refused++;
        continue;
      }
      const unsound = found.damaged.filter((d) => !isText(d));
      if (unsound.length) faults.push(`${where}: opened, but ${unsound[0]}`);
      const whole = size(sources[source].whole);
      const shorter = size(found).some((n, k) => !(n >= whole[k])); // what is half there counts as there and as damaged
      count[shorter ? 'shorter' : 'whole']++;
      if (!shorter) continue;
      const cut = /no database left|cut off/.test(kind);
      // A commit whose mark itself is damaged looks like one that a crash cut off: the last one's pages are dropped, and that is said.
      const isLast = /log/.test(kind) && size(found).every((n, k) => n >= whole[k] - WEBHOOK);
      if (isLast && /event=store_recovered .*dropped=[1-9]/.test(checker.said)) continue;
      if (!/event=store_(log_cut|recovered|made)/.test(checker.said) || (!cut && !/event=store_log_cut/.test(checker.said)))
        faults.push(`${where}: ${size(found)} of ${whole} events, messages, seq, and says ${checker.said || 'nothing'}`);
    }
    console.log(`# ${JSON.stringify(count)}`);
    assert.deepEqual(faults.slice(0, 8), [], `${faults.length} of ${COPIES}`);
    assert.ok(count.refused && count.whole && count.shorter, JSON.stringify(count));
  });

  test(`the state-manager itself on ${STARTS} of them: ends with one line that says why, or serves and ends well`, async () => {
    let refusals = 0;
    const kinds = Object.keys(DAMAGES);
    for (let i = 0; i < STARTS; i++) {
      const kind = kinds[below(kinds.length)];
      const copy = damage('killed', kind, `start-${i}`);
      if (!copy) continue;
      const sm = await stateManager(path.dirname(copy.file), world.amqpUrl, { STORE_URL: `sqlite:${copy.file}` });
      world.services.push(sm);
      await sm.start({ wait: false });
      const state = await until(`${kind}: an end or a start`, async () => (sm.code !== undefined ? 'ended' : (await sm.probe('/healthz').catch(() => ({}))).status === 200 && 'up'));
      if (state === 'ended') {
        refusals++;
        assert.equal(sm.code, 1, `${kind}\n${sm.log()}`);
        assert.match(sm.log(), /event=fatal code=\w+ text="/, kind);
        continue;
      }
      world.sm = sm;
      const calls = [
        () => webhook(sm, inbound(NUMBER, [textMessage('447700510000', 'after all')])),
        ...['/api/v1/conversations', '/api/v1/events?limit=1000', '/api/v1/dashboard/stats'].map((pathname) => () => world.api(TENANT, 'GET', pathname)),
      ];
      for (const call of calls) {
        const status = await call().then((answer) => answer.status, otherText);
        assert.ok([200, 500, 503].includes(status), `${kind}: ${status}`);
      }
      await sm.stop();
    }
    assert.ok(refusals > 0, 'some were refused');
  });
});
