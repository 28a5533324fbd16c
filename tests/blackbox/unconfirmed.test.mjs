// What the broker has not confirmed was not published: cut between publish and confirm at any byte, refused, unroutable where it
// must be routed, without an exchange or a channel. It is counted, kept and published again; repeats are heard once. Cuts are
// random: SEED=... repeats them, CUTS=500 makes more.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Broker, EXCHANGE, Witness } from '../lib/broker.mjs';
import { claimPorts, seededRandom, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { Load, checkAllHeard } from '../lib/load.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const CUTS = Number(process.env.CUTS ?? 25);
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
console.log(`# seed unconfirmed ${seed}`);
const UNCONFIRMED = 'portalcast_events_unconfirmed_total';
const BACKLOG = 'portalcast_unpublished_tenants';

// The frames of AMQP 0-9-1 but for confirms (section 4.2.3; basic.ack is method 80 of class 60).
class Unconfirming {
  rest = Buffer.alloc(0);
  pass(part) {
    const frames = [];
    this.rest = Buffer.concat([this.rest, part]);
    for (let n; this.rest.length >= 8 && this.rest.length >= (n = this.rest.readUInt32BE(3) + 8); this.rest = this.rest.subarray(n))
      if (this.rest[0] !== 1 || this.rest.readUInt32BE(7) !== (60 << 16) + 80) frames.push(this.rest.subarray(0, n));
    return Buffer.concat(frames);
  }
}

// Between the state-manager and the broker. cutAfter(n): from now on no answer comes back to the publisher, and when n more bytes
// of it have reached the broker, or it waits for answers for long, its connection is gone. hush(): it gets no confirm any more.
class Scissors {
  links = new Set();
  count = 0; // of connections so far
  constructor(target) {
    this.target = target;
    this.server = net.createServer((near) => this.take(near));
  }

  async open() {
    this.port = await claimPorts();
    await new Promise((done) => this.server.listen(this.port, '127.0.0.1', done));
    return this;
  }

  url(vhost) {
    return `amqp://guest:guest@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
  }

  take(near) {
    this.count++;
    const far = net.connect(this.target, '127.0.0.1');
    const end = () => (near.destroy(), far.destroy(), this.links.delete(link));
    const link = { near, far, head: '', isRelay: false, left: undefined, end };
    this.links.add(link);
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', end);
    near.on('data', (part) => {
      if (link.head.length < 4096 && (link.head += part.toString('latin1')).includes('state-manager relay')) link.isRelay = true;
      if (link.left === undefined || part.length < link.left) {
        if (link.left !== undefined) link.left -= part.length;
        return far.write(part);
      }
      near.pause();
      far.write(part.subarray(0, link.left), () => setTimeout(end, 30)); // the broker has read it by then
      link.left = 0;
    });
    far.on('data', (part) => link.left === undefined && near.write(link.filter ? link.filter.pass(part) : part));
  }

  publisher() {
    return until('a publisher', () => [...this.links].find(({ isRelay }) => isRelay));
  }

  async hush() {
    (await this.publisher()).filter = new Unconfirming();
  }

  // All connections there are.
  cut() {
    for (const { end } of this.links) end();
  }

  // Resolves when it is done.
  async cutAfter(bytes) {
    const link = await this.publisher();
    link.left = bytes;
    await Promise.race([until('the cut', () => link.near.destroyed), sleep(700)]);
    link.end();
  }

  close() {
    this.cut();
    this.server.close();
  }
}

let world, scissors, broker;
before(async () => {
  broker = await Broker.shared();
  scissors = await new Scissors(broker.port).open();
  world = await World.open('unconfirmed', { broker, proxy: scissors, tap: false, stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info' } });
});
after(async () => {
  await world?.close().finally(() => scissors.close());
});

const metric = async (name) => (await world.sm.metrics())[name];
let rows = 0;
// A tenant with a browser and a witness on the exchange.
async function row() {
  const [number, tenant] = [`20000000000094${rows}`, `t_unconfirmed_${rows++}`];
  await world.channel(number, tenant);
  return { number, tenant, browser: await world.browser(tenant), witness: await new Witness(broker, world.vhost, `tenant.${tenant}.#`).open() };
}
// All that was accepted came on the exchange, in order but for repeats; resolves to what came there.
async function onExchange({ witness }, accepted) {
  const bodies = await witness.statement((all) => {
    const ids = new Set(all.map((b) => b.data?.messageId));
    const missing = accepted.filter((id) => !ids.has(id)).length;
    if (missing) throw new Error(`${missing} of ${accepted.length} accepted messages never came on the exchange`);
    return true;
  });
  const seqs = bodies.filter((b) => b.seq).map((b) => b.seq);
  const firsts = [...new Set(seqs)];
  assert.deepEqual(firsts.filter((seq, i) => seq !== firsts[0] + i).slice(0, 3), [], 'in order, without a gap');
  return seqs;
}

test(`cut ${CUTS} times between publish and confirm: published again, heard once`, async () => {
  const it = await row();
  const before = await metric(UNCONFIRMED);
  const load = new Load(world, { number: it.number, workers: 3, pauseMs: 5 });
  try {
    for (let i = 0; i < CUTS; i++) {
      await until('somebody who publishes', async () => (await metric('portalcast_broker_connected{part="relay"}')) === 1);
      await scissors.cutAfter(1 + Math.floor(random() ** 2 * 6000));
    }
  } finally {
    await load.stop();
  }
  await until('nothing left', async () => (await metric(BACKLOG)) === 0, 20000);
  await checkAllHeard(world, it.tenant, it.browser, load.accepted);
  const seqs = await onExchange(it, load.accepted);
  const repeats = seqs.length - new Set(seqs).size;
  console.log(`# ${CUTS} cuts: ${seqs.length} events on the exchange, ${repeats} of them repeats; ${(await metric(UNCONFIRMED)) - before} were unconfirmed`);
  assert.ok(repeats > 0, 'some had reached the broker and were not known to');
  assert.ok((await metric(UNCONFIRMED)) > before, 'that was counted');
});

describe('not taken by the broker: counted, not marked as published, published again', () => {
  const admin = (use) => broker.withChannel(world.vhost, use);
  const permit = (write) => broker.ctl('set_permissions', '-p', world.vhost, 'guest', '.*', write, '.*');
  // what is wrong, how it begins and ends, and whether it lasts (else the publisher mends it itself)
  const TROUBLES = [
    ['the exchange is missing', () => broker.deleteExchange(world.vhost), async () => {}, false],
    [
      'the channel is closed, since it may not write',
      async () => {
        await permit('^state-manager');
        scissors.cut(); // a channel that is in use may do what it could before
      },
      () => permit('.*'),
      true,
    ],
    [
      'a queue refuses: nack',
      () => admin(async (channel) => {
        await channel.assertQueue('full', { durable: true, arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
        await channel.bindQueue('full', EXCHANGE, 'tenant.#');
      }),
      () => admin((channel) => channel.deleteQueue('full')),
      true,
    ],
    ['inbound.enriched is missing: returned', () => admin((channel) => channel.deleteQueue('inbound.enriched')), async () => {}, false],
  ];
  for (const [what, begin, end, lasts] of TROUBLES)
    test(what, async () => {
      await until('nothing left', async () => (await metric(BACKLOG)) === 0, 20000);
      const it = await row();
      const before = await metric(UNCONFIRMED);
      await begin();
      const load = new Load(world, { number: it.number, workers: 1, pauseMs: 10 });
      try {
        await until('it to be counted', async () => (await metric(UNCONFIRMED)) > before, 20000);
        if (lasts) {
          await until('a backlog', async () => (await metric(BACKLOG)) > 0);
          const taken = load.accepted.length;
          await until('webhooks to be taken', () => load.accepted.length > taken + 20);
          await sleep(2500); // the next look at what is unpublished
          assert.ok((await metric(BACKLOG)) > 0, 'it stays unpublished');
        }
      } finally {
        await end().finally(async () => (await sleep(300), load.stop()));
      }
      assert.deepEqual(load.refusals, []);
      await until('nothing left', async () => (await metric(BACKLOG)) === 0, 20000);
      await checkAllHeard(world, it.tenant, it.browser, load.accepted);
      if (what !== 'the exchange is missing') await onExchange(it, load.accepted); // which took the witness's binding along
    });

  test('no confirm, though the broker is alive: after ten seconds it is published again', async () => {
    const it = await row();
    const before = await metric(UNCONFIRMED);
    await scissors.hush();
    const message = textMessage('447700960501', '0.0');
    assert.equal((await webhook(world.sm, inbound(it.number, [message]))).status, 200);
    await until('it to be counted', async () => (await metric(UNCONFIRMED)) > before, 20000);
    await until('nothing left', async () => (await metric(BACKLOG)) === 0);
    await checkAllHeard(world, it.tenant, it.browser, [message.id]);
    const seqs = await onExchange(it, [message.id]);
    assert.ok(seqs.length > new Set(seqs).size, 'the broker had it');
  });

  test('each enriched message that was returned came after all', async () => {
    const it = await row();
    await admin((channel) => channel.purgeQueue('inbound.enriched'));
    await admin((channel) => channel.deleteQueue('inbound.enriched'));
    const messages = Array.from({ length: 30 }, (_, i) => textMessage('447700960500', `0.${i}`));
    for (const message of messages) assert.equal((await webhook(world.sm, inbound(it.number, [message]))).status, 200);
    await until('the queue', () => admin((channel) => channel.checkQueue('inbound.enriched')).catch(() => false), 20000);
    const got = new Set();
    await admin(async (channel) => {
      await channel.consume('inbound.enriched', (m) => m && got.add(JSON.parse(m.content).message.messageId), { noAck: true });
      await until('all', () => messages.every((m) => got.has(m.id)) || Promise.reject(new Error(`${got.size} of ${messages.length}`)), 20000);
    });
  });

  test('a dead letter without its queue waits for it', async () => {
    const poison = 'portalcast_intake_total{result="poison"}';
    const before = await metric(poison);
    await admin(async (channel) => {
      await channel.deleteQueue('waba.dead-letter');
      channel.sendToQueue(EXCHANGE, Buffer.from('no event'), { persistent: true });
    });
    const letter = await until('the dead letter', () => admin((channel) => channel.get('waba.dead-letter', { noAck: true })), 20000);
    assert.ok(letter.content.toString().includes('no event'), letter.content.toString());
    assert.ok((await metric(poison)) > before);
  });

  test('an exchange where nobody listens is none of this', async () => {
    const [unconfirmed, published] = [await metric(UNCONFIRMED), await metric('portalcast_events_published_total')];
    const answer = await rest(world.sm, tokenOf('t_nobody_listens', 'service'), 'POST', '/api/v1/events', Array.from({ length: 20 }, () => ({ event: 'x' })));
    assert.equal(answer.status, 202, answer.body);
    await until('them to be published', async () => (await metric('portalcast_events_published_total')) >= published + 20);
    assert.equal(await metric(UNCONFIRMED), unconfirmed);
  });

  test('an answer that may not be given is tried again, but not all the time', async () => {
    process.kill(world.sm.pid, 'SIGSTOP');
    await admin(async (channel) => channel.sendToQueue('state-manager.rpc', Buffer.from('{"op":"heads"}'), { replyTo: 'nobody' }));
    await permit('^inbound');
    scissors.cut();
    const had = scissors.count;
    try {
      process.kill(world.sm.pid, 'SIGCONT');
      await until('it to be refused', () => scissors.count > had + 6); // five are made anyway
      await sleep(5000);
      assert.ok(scissors.count - had < 40, `${scissors.count - had} connections`);
    } finally {
      await permit('.*');
    }
    await until('the answer', async () => (await metric('portalcast_broker_connected{part="rpc"}')) === 1);
  });
});
