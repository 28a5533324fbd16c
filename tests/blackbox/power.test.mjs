// The power is cut: what was answered is there, whatever part of what was not synced the disk has kept (SQLite). A real
// state-manager works under load while its disk is recorded; then the store is rebuilt as a cut may leave it at many moments,
// and opened. CUTS=... SEED=... for more, or for the same once more.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Disk } from '../faults/layer.mjs';
import { DiskImage, LEAVINGS, readJournal } from '../faults/power-cut.mjs';
import { StoreCheck } from '../faults/store-check.mjs';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const CUTS = Number(process.env.CUTS ?? 120);
const STARTS = 4; // of them, with the whole program
const ROUNDS = 36; // of each sender
const IDLE_MS = 600; // the log is written into the database when nothing is asked for a while
const TENANTS = ['t_one', 't_two', 't_three'];
const numberOf = (tenant) => `20000000000004${TENANTS.indexOf(tenant)}`;
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
const pick = (list) => list[Math.floor(random() * list.length)];
console.log(`# seed power ${seed}`);

// One thing after the other; whatever is answered 2xx is noted with how far the record was when the answer was read.
class Sender {
  refused = 0;
  constructor(world, disk, tenant, name, answered) {
    Object.assign(this, { world, disk, tenant, name, answered });
  }

  // more: what else is known of it, from the answer
  note(answer, what, more) {
    if (answer.status === 503) return void this.refused++;
    assert.ok(answer.status >= 200 && answer.status < 300, `${what}: ${answer.status} ${answer.body}`);
    this.answered.push({ at: this.disk.recorded(), tenant: this.tenant, what, ...more(answer.json) });
  }

  async hook(messages, what = 'message', number = numberOf(this.tenant)) {
    const answer = await webhook(this.world.sm, inbound(number, messages));
    for (const message of messages) this.note(answer, what, () => ({ key: what === 'message' ? message.id : message.text.body, message }));
  }

  call(method, pathname, body, role = 'agent') {
    return rest(this.world.sm, tokenOf(this.tenant, role), method, `/api/v1${pathname}`, body);
  }

  async round(i) {
    const text = `${this.name}.${i}`;
    const customer = `4477008${this.name.at(-1)}${String(i % 7).padStart(3, '0')}`;
    await this.hook([textMessage(customer, text)]);
    await this.hook([0, 1, 2].map((n) => textMessage(`${customer}${n}`, `${text}.${n}`)));
    const order = { event: 'order_created', data: { order: text, more: 'x'.repeat(random() * 9000) } };
    this.note(await this.call('POST', '/events', order, 'service'), 'event', ({ id, offset }) => ({ key: id, offset }));
    this.conversations ??= (await this.call('GET', '/conversations')).json.items;
    const { id } = pick(this.conversations);
    this.note(await this.call('POST', `/conversations/${id}/messages`, { text }), 'reply', (reply) => ({ key: reply.id }));
    this.note(await this.call('PATCH', `/conversations/${id}`, { tags: [text] }), 'version', ({ version }) => ({ key: id, version }));
    if (i % 5 === 0) await this.hook([textMessage(customer, `nobody ${text}`)], 'waiting', '200000000000999');
    const channel = `2100000000${this.name.charCodeAt(this.name.length - 1)}${i}`;
    const owner = { tenantId: this.tenant, displayPhoneNumber: '15550100200' };
    if (i % 7 === 0) this.note(await this.call('PUT', `/admin/channels/${channel}`, owner, 'platform-admin'), 'channel', () => ({ key: channel }));
  }

  async work(from, end) {
    for (let i = from; i < end; i++) await this.round(i);
  }
}

// What was answered before the cut and is not in the store.
function missing(answered, found, cutAt) {
  const events = new Map(found.event.map((e) => [e.id, e]));
  const heard = new Set(found.event.map((e) => e.data?.messageId));
  const messages = new Set(found.message.flatMap((m) => [m.messageId, m.id]));
  const versions = new Map(found.conversation.map((c) => [c.id, c.version]));
  const kept = {
    message: ({ key }) => heard.has(key) && messages.has(key),
    reply: ({ key }) => messages.has(key),
    event: ({ key, offset }) => events.has(key) && `${events.get(key).epoch}-${events.get(key).seq}` === offset,
    version: ({ key, version }) => versions.get(key) >= version,
    waiting: ({ key }) => found.waiting.some((bytes) => bytes.includes(`"${key}"`)),
    channel: ({ key }) => found.channel.includes(key),
  };
  return answered.filter((a) => a.at <= cutAt && !kept[a.what](a));
}

// The moments to cut at: some of those when names or the database change, some behind a sync that has failed, and others,
// most of them right before a sync.
function momentsOf(records, count, from = 0) {
  const where = (is) => records.flatMap((r, i) => (is(r) ? [i] : []));
  const rare = where((r) => !['write', 'size', 'sync-failed'].includes(r.op) && !/-wal$/.test(r.name)).flatMap((i) => [i - 1, i, i + 1]);
  const syncs = where((r) => r.op === 'sync');
  const failed = where((r) => r.op === 'sync-failed');
  const draws = [() => pick(rare), () => pick(failed) + Math.floor(random() * 400), () => pick(syncs) - 1, () => pick(syncs), () => Math.floor(random() * records.length)];
  const moments = Array.from({ length: count }, (_, n) => draws[n % draws.length]()).filter((i) => i >= 0 && i < records.length && records[i].end >= from);
  return [...new Set(moments)];
}

describe(`a power cut, seed ${seed}`, () => {
  let world, disk, folder, records, refused;
  const answered = [];
  const checker = new StoreCheck();

  async function start() {
    world.sm = await stateManager(world.dir, world.amqpUrl, { STORE_URL: `sqlite:${folder}/var/portalcast.db`, ...disk.env });
    world.services = [world.sm];
    await world.sm.start();
  }

  before(async () => {
    world = await World.open('power', { stateManager: false, gateway: false });
    folder = path.join(world.dir, 'disk');
    fs.mkdirSync(folder);
    disk = new Disk(folder, world.dir, { record: true });
    await start();
    for (const tenant of TENANTS) await world.channel(numberOf(tenant), tenant);
    const senders = TENANTS.flatMap((tenant) => ['a', 'b'].map((name) => new Sender(world, disk, tenant, `${tenant}-${name}`, answered)));
    const work = async (from, until) => {
      await Promise.all(senders.map((s) => s.work(from * ROUNDS, until * ROUNDS)));
      await sleep(IDLE_MS);
    };
    await work(0, 1 / 3);
    await world.sm.kill(); // what comes now is recovered from what was not checkpointed
    await start();
    await work(1 / 3, 2 / 3);
    await world.sm.stop(); // the end of the last handle removes the write-ahead log
    await start();
    const failing = setInterval(() => {
      disk.set('eio-sync 0 -wal'); // which loses for good what was not synced by then
      setTimeout(() => disk.heal(), 5);
    }, 40);
    await work(2 / 3, 1).finally(() => clearInterval(failing));
    await world.sm.kill();
    refused = senders.reduce((sum, s) => sum + s.refused, 0);
    records = readJournal(disk.journal);
    const checkpoints = records.filter(({ op, name }) => op === 'sync' && name.endsWith('.db')).length;
    assert.ok(checkpoints >= 4, `${checkpoints}: at the start, at the end, and while it was idle`);
  });
  after(async () => {
    await checker.stop();
    await world.close();
  });

  // Cuts at these moments, and calls judge(found, record, where, file) for each.
  async function cut(list, options, judge) {
    const image = new DiskImage(options);
    const moments = new Set(list);
    const file = path.join(world.dir, 'after/var/portalcast.db');
    let cuts = 0;
    for (const [i, record] of records.entries()) {
      image.take(record);
      if (!moments.has(i)) continue;
      const leaving = pick(Object.keys(LEAVINGS));
      image.leave(path.dirname(path.dirname(file)), leaving, random);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      const found = await checker.look(file);
      await judge(found, record, `record ${i} (${record.op} ${record.name}), left: ${leaving}`, file);
      cuts++;
    }
    return cuts;
  }

  test(`whatever a disk may keep at ${CUTS} moments: what was answered is there, and the log has no hole`, async () => {
    const faults = [];
    const cuts = await cut(momentsOf(records, CUTS), {}, (found, record, where) => {
      const lost = missing(answered, found, record.end);
      if (found.refused || found.damaged.length || lost.length)
        faults.push(`${where}: ${found.refused ?? ''} ${found.damaged.slice(0, 2)} ${lost.length} lost: ${JSON.stringify(lost.slice(0, 2).map(({ message, ...a }) => a))}`);
    });
    console.log(`# ${cuts} cuts in ${records.length} records, ${answered.length} answers, ${refused} refusals`);
    assert.deepEqual(faults.slice(0, 5), [], `${faults.length} of ${cuts} cuts`);
    assert.ok(answered.length > 1000 && refused > 0 && cuts > CUTS / 2, `${answered.length} answers, ${refused} refusals, ${cuts} cuts`);
  });

  test(`a state-manager started on it at ${STARTS} of them has it all, publishes what was not, and goes on`, async () => {
    const starts = [];
    const first = Math.min(...answered.map((a) => a.at));
    await cut(momentsOf(records, STARTS * 5, first).slice(0, STARTS), {}, async (found, record, where, file) => {
      world.tap.events.length = 0;
      const sm = await stateManager(world.dir, world.amqpUrl, { STORE_URL: `sqlite:${file}` });
      world.services = [(world.sm = await sm.start())];
      for (const [tenant, { epoch, n, seq, published }] of Object.entries(found.tenants)) {
        const messages = await world.messages(tenant);
        const wanted = answered.filter((a) => a.at <= record.end && a.tenant === tenant && a.what === 'message');
        assert.deepEqual(wanted.filter((a) => !messages.has(a.key)), [], where);
        if (published < n && seq) await until(`event ${seq} of ${tenant}, ${where}`, () => world.tap.of(tenant).some((e) => e.seq === seq));
        for (const { message } of wanted.slice(-1)) assert.equal((await webhook(sm, inbound(numberOf(tenant), [message]))).status, 200, 'sent again');
        const next = await rest(sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', { event: 'order_created', data: {} });
        assert.equal(next.json.offset, `${epoch}-${seq + 1}`, `nothing twice, then the next: ${where}`);
      }
      await sm.stop();
      starts.push(where);
    });
    assert.equal(starts.length, STARTS);
  });

  test('the model can see a loss: a disk that only says that it has synced loses what was answered', async () => {
    let lossy = 0;
    const cuts = await cut(momentsOf(records, 20), { liar: true }, (found, record) => (lossy += missing(answered, found, record.end).length > 0));
    assert.ok(lossy > cuts / 2, `${lossy} of ${cuts}`);
  });
});
