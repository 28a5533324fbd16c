// portalctl backup, restore, replay and stats on stores in use. Moments are random: SEED=... repeats a run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BIN_DIR, PATIENCE, ROOT, claimPorts, seededRandom, sleep, until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { echo, inbound, receipts, text, textMessage } from '../lib/samples.mjs';
import { runProgram } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const NUMBERS = { t_one: '200000000000001', t_two: '200000000000002' };
const ORPHAN = '200000000000009';
const LATEST = ['shop_open', 'odd'];
const TENANTS = Object.keys(NUMBERS);
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
console.log(`# seed backup ${seed}`);

const ctl = (args, env = {}) => runProgram('portalctl', args, env, 60000);
const storeOf = (world) => world.sm.env.STORE_URL;

// Webhooks of both tenants, several at a time: messages, answers, receipts, and edits of conversations.
class Traffic {
  accepted = []; // {tenant, id}, answered 200
  constructor(world) {
    this.world = world;
    this.running = true;
    this.done = Promise.all(TENANTS.flatMap((tenant) => [0, 1].map((worker) => this.work(tenant, worker))));
  }

  async work(tenant, worker) {
    const number = NUMBERS[tenant];
    for (let i = 0; this.running; i++) {
      const customer = `4477008${worker}${String(i % 40).padStart(4, '0')}`;
      const message = textMessage(customer, `${worker}.${i}`);
      const { status } = await webhook(this.world.sm, inbound(number, [message]));
      assert.equal(status, 200);
      this.accepted.push({ tenant, id: message.id });
      if (i % 5 === 4) {
        const id = `wamid.out.${tenant}.${worker}.${i}`;
        assert.equal((await webhook(this.world.sm, echo(number, customer, 'an answer', id))).status, 200);
        assert.equal((await webhook(this.world.sm, receipts(number, [[id, 'delivered', customer]]))).status, 200);
        this.accepted.push({ tenant, id });
      }
    }
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

// What the API shows of a tenant.
async function picture(world, tenant) {
  const conversations = await world.list(tenant, '/api/v1/conversations');
  const messages = {};
  for (const { id } of conversations) messages[id] = await world.list(tenant, `/api/v1/conversations/${id}/messages`);
  const { timestamp, ...figures } = (await world.api(tenant, 'GET', '/api/v1/dashboard/stats')).json;
  return { conversations, messages, figures };
}

// Whatever the moment of the copy, its parts must be of one moment.
function checkConsistent({ conversations, messages, figures }, tenant) {
  const all = Object.values(messages).flat();
  assert.equal(figures.totalMessagesToday, all.length, `${tenant}: every message is counted once`);
  assert.equal(figures.activeConversations, conversations.length);
  assert.equal(figures.waitingConversations, conversations.filter((c) => c.direction === 'inbound').length);
  for (const c of conversations) assert.equal(c.lastMessage, messages[c.id][0].text, `${tenant}: the newest message of ${c.id}`);
}

const stats = async (url, more = []) => {
  const { code, stdout, stderr } = await ctl(['stats', '--json', '--store', url, ...more]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
};
const statsOf = async (url, tenant) => (await stats(url)).tenants.find((t) => t.tenantId === tenant);

async function backup(url, file) {
  const { code, stderr } = await ctl(['backup', '--store', url, file]);
  assert.equal(code, 0, stderr);
  return file;
}

async function restore(url, file, more = []) {
  const { code, stderr } = await ctl(['restore', '--store', url, ...more, file]);
  assert.equal(code, 0, stderr);
}

// A command of the shell's kind: one program's output is the other's input.
function pipe(from, to) {
  return new Promise((done) => {
    const env = { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? '' };
    const left = spawn(path.join(BIN_DIR, 'portalctl'), from, { env, stdio: ['ignore', 'pipe', 'ignore'] });
    const right = spawn(path.join(BIN_DIR, 'portalctl'), to, { env, stdio: [left.stdout, 'ignore', 'pipe'] });
    let stderr = '';
    right.stderr.on('data', (part) => (stderr += part));
    const codes = [left, right].map((p) => new Promise((gone) => p.on('exit', gone)));
    Promise.all(codes).then((ended) => done({ codes: ended, stderr }));
  });
}

const documentsOf = (file) =>
  fs.readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith('[') || line.startsWith('"'))
    .flatMap((line) => (line.startsWith('"') ? JSON.parse(JSON.parse(line)) : JSON.parse(line)));

// The documents of a backup as a restore leaves them: the last of a key holds. Without the mark of the restore itself.
function finalDocuments(file) {
  const found = new Map();
  let tenant;
  for (const line of fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    let value = JSON.parse(line);
    if (value.tenant) tenant = value.tenant;
    if (typeof value === 'string') value = JSON.parse(value);
    if (Array.isArray(value))
      for (const { kind, key, ...rest } of value) if (kind !== 'reply' || key !== 'restore') found.set(`${tenant} ${kind} ${key}`, rest);
  }
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe(`backup and restore, seed ${seed}`, () => {
  let world, traffic, final;
  const worlds = [];
  const copies = []; // {file, accepted before it began}
  const open = async (name, options) => {
    const opened = await World.open(name, options);
    worlds.push(opened);
    return opened;
  };
  before(async () => {
    world = await open('backup');
    for (const tenant of TENANTS) await world.channel(NUMBERS[tenant], tenant);
    traffic = new Traffic(world);
    for (let i = 0; i < 4; i++) {
      await sleep(100 + random() * 1200);
      const accepted = [...traffic.accepted];
      copies.push({ file: await backup(storeOf(world), path.join(world.dir, `while-${i}.jsonl`)), accepted });
    }
    await traffic.stop();
    assert.equal((await webhook(world.sm, text(ORPHAN, '447700900999', 'whose am I?'))).status, 200);
    await world.api('t_one', 'POST', '/api/v1/events', { event: 'shop_open', class: 'latest', key: 'shop', data: { open: true } }, 'service');
    // Line breaks in somebody's JSON: kept, although a backup has a document a line.
    const odd = `{"event": "odd", "data": {"a":\r\n [1,\n 2]}, "class": "latest", "key": "odd"}`;
    assert.equal((await world.api('t_one', 'POST', '/api/v1/events', odd, 'service')).status, 202);
    await until('all of it published', async () => (await stats(storeOf(world))).tenants.every((t) => t.unpublished === 0));
    final = await backup(storeOf(world), path.join(world.dir, 'final.jsonl'));
  });
  after(async () => {
    const ended = await Promise.allSettled(worlds.map((w) => w.close()));
    assert.deepEqual(ended.filter((e) => e.status === 'rejected').map((e) => e.reason.message), []);
  });

  test('copies taken while webhooks flow hold what was accepted before, and are of one moment', async () => {
    assert.ok(traffic.accepted.length > 100, `${traffic.accepted.length} accepted`);
    for (const [i, { file, accepted }] of copies.entries()) {
      assert.equal(fs.existsSync(`${file}.part`), false);
      assert.equal(fs.statSync(file).mode & 0o777, 0o600, 'messages and tokens are nobody else’s to read');
      const url = `sqlite:${path.join(world.dir, `while-${i}.db`)}`;
      await restore(url, file);
      const other = await open('backup-while', { gateway: false, stateManager: { STORE_URL: url } });
      for (const tenant of TENANTS) {
        const there = await picture(other, tenant);
        const ids = new Set(Object.values(there.messages).flat().map((m) => m.messageId));
        const missing = accepted.filter((a) => a.tenant === tenant && !ids.has(a.id));
        assert.deepEqual(missing.slice(0, 3), [], `copy ${i}, ${tenant}: ${missing.length} of ${accepted.length} are missing`);
        checkConsistent(there, tenant);
      }
      await other.close();
      worlds.splice(worlds.indexOf(other), 1);
    }
  });

  test('a restored store shows the same, under a new epoch, and goes on', async () => {
    const url = `sqlite:${path.join(world.dir, 'restored.db')}`;
    const offsets = Object.fromEntries((await stats(storeOf(world))).tenants.map((t) => [t.tenantId, t.offset]));
    await restore(url, final);
    const other = await open('backup-restored', { stateManager: { STORE_URL: url } });
    for (const tenant of TENANTS) assert.deepEqual(await picture(other, tenant), await picture(world, tenant), tenant);
    assert.equal((await other.api('t_one', 'GET', `/api/v1/admin/channels/${NUMBERS.t_one}`, undefined, 'platform-admin')).json.tenantId, 't_one');
    await until('the figures are announced', () => other.tap.of('t_one', 'metrics_update').length);
    assert.deepEqual(other.tap.of('t_one').filter((b) => b.type !== 'metrics_update'), [], 'nothing old is');

    const client = await other.plain('t_one', { offset: offsets.t_one });
    const ready = await client.message('ready');
    assert.equal(ready.recovered, false, 'the history of that offset is gone, and the client is told');
    await client.hears('the newest values', (h) => h.event === 'shop_open' && h.data.open === true);
    const [oldEpoch, oldSeq] = offsets.t_one.split('-');
    const message = textMessage('447700900111', 'after the restore');
    assert.equal((await webhook(other.sm, inbound(NUMBERS.t_one, [message]))).status, 200);
    const [{ offset }] = await client.hears('the new message', (h) => h.event === 'new_message' && h.data.messageId === message.id);
    const [epoch, seq] = offset.split('-');
    assert.notEqual(epoch, oldEpoch);
    assert.equal(Number(seq), Number(oldSeq) + 1, 'seqs go on');
    assert.equal((await other.api('t_one', 'POST', '/api/v1/events', { event: 'shop_open', class: 'latest', key: 'shop', data: { open: false } }, 'service')).status, 202);
    await client.hears('a newer value wins over the restored one', (h) => h.event === 'shop_open' && h.data.open === false);

    // The body that belonged to nobody came along.
    await other.channel(ORPHAN, 't_two');
    await until('what waited for its channel', async () => (await other.messages('t_two')).size === 1 + Object.values((await picture(world, 't_two')).messages).flat().length);

    const gone = await ctl(['replay', '--tenant', 't_one', '--store', url, '--after', `${epoch}-${Number(oldSeq) - 1}`]);
    assert.deepEqual([gone.code, gone.stdout], [3, ''], gone.stderr);
    assert.match(gone.stderr, /are gone/);
  });

  test('a backup of the restored store is the same backup', async () => {
    const url = `sqlite:${path.join(world.dir, 'again.db')}`;
    await restore(url, final);
    const again = await backup(url, path.join(world.dir, 'again.jsonl'));
    assert.deepEqual(finalDocuments(again), finalDocuments(final));
    assert.ok(documentsOf(final).some((d) => d.key === 'odd|odd'));
    assert.match(fs.readFileSync(again, 'utf8'), /"\[.*odd.*\\r\\n/, 'byte for byte');
  });

  test('through a pipe, one tenant only', async () => {
    const url = `sqlite:${path.join(world.dir, 'piped.db')}`;
    const { codes, stderr } = await pipe(['backup', '--store', storeOf(world), '-'], ['restore', '--store', url, '--tenant', 't_two', '-']);
    assert.deepEqual(codes, [0, 0], stderr);
    const { tenants, channels, quarantine } = await stats(url);
    assert.deepEqual([tenants.map((t) => t.tenantId), channels, quarantine.waiting], [['t_two'], 1, 0]);
  });

  test('a file that is not as it was written is refused before anything is', async () => {
    const lines = fs.readFileSync(final, 'utf8').split('\n');
    const tenantLine = lines.findIndex((line) => line.startsWith('{"tenant"'));
    const body = lines.findIndex((line) => /customer|447700/i.test(line) && line.startsWith('['));
    const edited = (change) => change([...lines]).join('\n');
    const broken = {
      'without its end': [edited((l) => l.slice(0, -2)), /cut off/],
      'cut within a line': [edited((l) => l).slice(0, -200), /cut off/],
      'a document changed': [edited((l) => ((l[body] = l[body].replace('4477', '4478')), l)), /was changed/],
      'a document missing': [edited((l) => (l.splice(body, 1), l)), /not that of the documents/],
      'two lines in another order': [edited((l) => (([l[tenantLine + 1], l[tenantLine + 2]] = [l[tenantLine + 2], l[tenantLine + 1]]), l)), /was changed/],
      'something behind it': [`${lines.join('\n')}{}\n`, /behind the end/],
      'of a newer version': [edited((l) => ((l[0] = l[0].replace('"format":1', '"format":2')), l)), /newer version/],
      'something else': ['hello\n', /no backup/],
      empty: ['', /cut off/],
    };
    for (const [name, [content, reason]] of Object.entries(broken)) {
      const file = path.join(world.dir, 'broken.jsonl');
      const store = path.join(world.dir, 'untouched.db');
      fs.writeFileSync(file, content);
      const { code, stderr } = await ctl(['restore', '--store', `sqlite:${store}`, file]);
      assert.equal(code, 1, name);
      assert.match(stderr, reason, name);
      assert.equal(fs.existsSync(store), false, `${name}: no store is made for it`);
    }
  });

  test('what is there already is not written over', async () => {
    const used = storeOf(world).replace('sqlite:', '');
    const locked = await ctl(['restore', '--store', storeOf(world), final]);
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, new RegExp(`in use by process ${world.sm.pid}`), 'the one that runs on it is named');
    const url = `sqlite:${path.join(world.dir, 'twice.db')}`;
    await restore(url, final, ['--tenant', 't_two']);
    const other = await open('backup-twice', { gateway: false, stateManager: { STORE_URL: url } });
    assert.equal((await webhook(other.sm, text(NUMBERS.t_two, '447700900112', 'new here'))).status, 200);
    await other.close();
    worlds.splice(worlds.indexOf(other), 1);
    const before = await stats(url);
    const refused = await ctl(['restore', '--store', url, final]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /t_two has a history/);
    assert.deepEqual(await stats(url), before, 't_one is not written either');
    await restore(url, final, ['--tenant', 't_one']);
    const again = await ctl(['restore', '--store', url, '--tenant', 't_one', final]);
    assert.deepEqual([again.code, /t_one has a history/.test(again.stderr)], [1, true], again.stderr);
    const nobody = await ctl(['restore', '--store', url, '--tenant', 't_nobody', final]);
    assert.deepEqual([nobody.code, /no tenant t_nobody/.test(nobody.stderr)], [1, true], nobody.stderr);
    assert.ok(fs.existsSync(used));
  });

  test('replay prints what was published; again on request, without anybody hearing it twice', async () => {
    const { offset } = await statsOf(storeOf(world), 't_one');
    const [epoch, head] = [offset.split('-')[0], Number(offset.split('-')[1])];
    const seen = () => world.tap.events.filter((e) => e.body.tenantId === 't_one' && e.body.seq);
    const published = new Map(seen().map((e) => [e.body.seq, e.raw]));
    assert.equal(published.size, head, 'the tap was there from the beginning');
    const replay = (more) => ctl(['replay', '--tenant', 't_one', '--store', storeOf(world), '--amqp', world.amqpUrl, ...more]);
    const seqsAfter = async (more) => {
      const { code, stdout, stderr } = await replay(more);
      assert.equal(code, 0, stderr);
      const bodies = stdout.split('\n').filter(Boolean);
      for (const body of bodies) assert.equal(body, published.get(JSON.parse(body).seq));
      return bodies.map((body) => JSON.parse(body).seq);
    };
    const from = (after, to = head) => Array.from({ length: to - after }, (_, i) => after + 1 + i);
    assert.deepEqual(await seqsAfter([]), from(0));
    assert.deepEqual(await seqsAfter(['--after', `${epoch}-${head - 7}`]), from(head - 7));
    assert.deepEqual(await seqsAfter(['--after', `${epoch}-5`, '--limit', '3']), [6, 7, 8]);
    assert.deepEqual(await seqsAfter(['--after', offset]), []);
    for (const [after, code] of [[`zzz-${head}`, 3], [`${epoch}-${head + 1}`, 3], ['rubbish', 2]]) {
      const answer = await replay(['--after', after]);
      assert.deepEqual([answer.code, answer.stdout], [code, ''], answer.stderr);
    }

    const client = await world.plain('t_one');
    const first = seen().length;
    assert.deepEqual(await seqsAfter(['--after', `${epoch}-${head - 20}`, '--publish']), from(head - 20));
    await until('the repeats on the exchange', () => seen().length === first + 20);
    for (const { key, raw, body } of seen().slice(first)) {
      assert.equal(raw, published.get(body.seq));
      assert.equal(key, `tenant.t_one.${body.type}`);
    }
    const message = textMessage('447700900113', 'a new one');
    assert.equal((await webhook(world.sm, inbound(NUMBERS.t_one, [message]))).status, 200);
    await client.hears('the new one', (h) => h.event === 'new_message' && h.data.messageId === message.id);
    const durable = client.news.filter((h) => !LATEST.includes(h.event));
    assert.ok(durable.length && durable.every((h) => Number(h.offset.split('-')[1]) > head), 'no repeat is heard');
    const away = await replay(['--publish', '--amqp', 'amqp://guest:guest@127.0.0.1:1/']);
    assert.deepEqual([away.code, away.stdout], [1, ''], 'nothing counts as sent that was not confirmed');
  });

  test('stats counts', async () => {
    const { tenants, channels, quarantine } = await stats(storeOf(world));
    assert.deepEqual(tenants.map((t) => t.tenantId), TENANTS);
    assert.deepEqual([channels, quarantine], [2, { waiting: 1, unreadable: 0 }]);
    for (const t of tenants) {
      const { conversations, figures } = await picture(world, t.tenantId);
      assert.deepEqual([t.open, t.waiting, t.messagesToday], [figures.activeConversations, figures.waitingConversations, figures.totalMessagesToday]);
      assert.equal(t.lastActivity, conversations[0].lastMessageAt);
      const events = (await world.api(t.tenantId, 'GET', '/api/v1/events?limit=1', undefined, 'service')).json;
      assert.equal(t.offset, events.head);
      assert.equal(t.oldest, events.items[0].at);
      assert.ok(t.entries > 10 && t.restoreUnfinished === false);
    }
    assert.deepEqual((await stats(storeOf(world), ['--tenant', 't_two'])).tenants.map((t) => t.tenantId), ['t_two']);
    assert.equal((await ctl(['stats', '--store', storeOf(world), '--tenant', 't_nobody'])).code, 1);
    const table = (await ctl(['stats'], { STORE_URL: storeOf(world) })).stdout.split('\n');
    assert.match(table[0], /^TENANT +OFFSET +UNSENT +LOG +OLDEST +OPEN +WAITING +TODAY +LAST ACTIVITY/);
    assert.deepEqual(table.slice(1, 3).map((line) => line.split(' ')[0]), TENANTS);
    assert.match(table.at(-2), /^2 tenants, 2 channels; in quarantine: 1 wait for a channel, 0 cannot be read$/);
  });

  test('what is not published yet shows', async () => {
    const url = storeOf(world);
    const { offset } = await statsOf(url, 't_two');
    await world.sm.stop();
    world.sm.env.AMQP_URL = 'amqp://guest:guest@127.0.0.1:1/';
    await world.sm.start({ wait: false });
    await until('it answers', async () => (await world.sm.probe('/healthz')).status === 200);
    for (let i = 0; i < 3; i++) assert.equal((await webhook(world.sm, text(NUMBERS.t_two, '447700900114', `unheard ${i}`))).status, 200);
    const now = await statsOf(url, 't_two');
    assert.equal(now.unpublished, 3);
    assert.notEqual(now.offset, offset);
    await world.sm.stop();
    world.sm.env.AMQP_URL = world.amqpUrl;
    await world.sm.start();
    await until('all of it published', async () => (await statsOf(url, 't_two')).unpublished === 0);
  });

  test('SQLite to MongoDB and back', async () => {
    const port = await claimPorts();
    const server = spawn(path.join(ROOT, 'tests/lib/mongo-server'), [path.join(world.dir, 'mongo'), String(port)], { stdio: 'inherit' });
    try {
      await until('the server', () => new Promise((done) => {
        const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), done(true)));
        socket.on('error', () => done(false));
      }), 30000);
      const mongo = `mongodb://127.0.0.1:${port}/portalcast`;
      await restore(mongo, final);
      const there = await backup(mongo, path.join(world.dir, 'mongo.jsonl'));
      assert.deepEqual(finalDocuments(there), finalDocuments(final));
      const refused = await ctl(['restore', '--store', mongo, final]);
      assert.equal(refused.code, 1);
      const back = `sqlite:${path.join(world.dir, 'back.db')}`;
      await restore(back, there);
      assert.deepEqual(finalDocuments(await backup(back, path.join(world.dir, 'back.jsonl'))), finalDocuments(final));
      const [a, b, c] = await Promise.all([stats(storeOf(world)), stats(mongo), stats(back)]);
      assert.deepEqual([b.channels, b.quarantine], [c.channels, c.quarantine]);
      assert.deepEqual([c.channels, c.quarantine], [a.channels, a.quarantine]);
      assert.deepEqual(b.tenants.map((t) => [t.tenantId, t.offset.split('-')[1]]), c.tenants.map((t) => [t.tenantId, t.offset.split('-')[1]]));
    } finally {
      server.kill('SIGKILL');
    }
  });

  test('a wrong call is told so', async () => {
    for (const args of [['backup'], ['restore'], ['backup', 'a', 'b'], ['replay'], ['replay', '--tenant', 't/x'], ['stats', 'what'], ['restore', '--what', 'x'], ['replay', '--tenant', 't', '--limit', '0']])
      assert.equal((await ctl(args)).code, 2, args.join(' '));
    for (const name of ['backup', 'restore', 'replay', 'stats']) {
      const { code, stdout } = await ctl([name, '--help']);
      assert.equal(code, 0);
      assert.match(stdout, /--store URL/);
    }
    for (const args of [['backup', path.join(world.dir, 'x.jsonl')], ['stats'], ['replay', '--tenant', 't_one']]) {
      const { code, stderr } = await ctl([...args, '--store', `sqlite:${path.join(world.dir, 'missing.db')}`]);
      assert.deepEqual([code, /unable to open/.test(stderr)], [1, true], stderr);
    }
    assert.equal(fs.existsSync(path.join(world.dir, 'x.jsonl')), false);
    assert.equal((await ctl(['backup', '--store', storeOf(world), path.join(world.dir, 'no/such/folder')])).code, 1);
  });
});
