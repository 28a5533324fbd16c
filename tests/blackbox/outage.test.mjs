// The broker away for long under heavy traffic: webhooks are taken as before, the backlog goes out in order when it is back, and
// nothing is missing anywhere. AWAY_SECONDS=600 for the length of a real outage, PER_SECOND for another load.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Broker, BrokerProxy, Witness } from '../lib/broker.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const AWAY_MS = Number(process.env.AWAY_SECONDS ?? 15) * 1000;
const PER_SECOND = Number(process.env.PER_SECOND ?? 500 / PATIENCE); // messages
const BATCH = 10;
const NUMBER = '200000000000921';
const TENANT = 't_outage';

let broker, proxy, world, browser, witness;
before(async () => {
  broker = await Broker.start();
  proxy = await new BrokerProxy(broker.port).open();
  world = await World.open('outage', { broker, proxy, tap: false, stateManager: { LOG_LEVEL: 'info' }, gateway: { LOG_LEVEL: 'info', RECOVERY_MAX_EVENTS: '1000000' } });
  await world.channel(NUMBER, TENANT);
  browser = await world.browser(TENANT);
  witness = await new Witness(broker, world.vhost).open();
});
after(async () => {
  await world?.close().finally(() => Promise.all([broker.stop(), proxy.down()]));
});

// Batches on the beat, whoever is late; `answers`: {at, status, ids}.
class Beat {
  answers = [];
  under = new Set();
  running = true;
  constructor() {
    this.done = this.go();
  }

  async go() {
    const from = performance.now();
    for (let n = 0; this.running; await sleep(5))
      for (; this.running && n * BATCH < ((performance.now() - from) * PER_SECOND) / 1000; n++) {
        const one = this.post(n).finally(() => this.under.delete(one));
        this.under.add(one);
        if (this.under.size > 400) await one; // it can do no more
      }
    await Promise.all(this.under);
  }

  // Again, as Meta does, until it is taken.
  async post(n) {
    const messages = Array.from({ length: BATCH }, (_, i) => textMessage(`4477009501${String((n * BATCH + i) % 100).padStart(2, '0')}`, `${n}.${i}`));
    const body = JSON.stringify(inbound(NUMBER, messages));
    for (let status = 0; status !== 200; status === 200 || (await sleep(200))) {
      ({ status } = await webhook(world.sm, body).catch(() => ({ status: 0 })));
      this.answers.push({ at: performance.now(), status, ids: status === 200 ? messages.map((m) => m.id) : [] });
    }
  }

  // Messages a second that were accepted in that time.
  rate(from, to) {
    return (1000 * BATCH * this.answers.filter((a) => a.status === 200 && a.at >= from && a.at < to).length) / (to - from);
  }
}

test(`${PER_SECOND} messages a second while the broker is away for ${AWAY_MS / 1000} s: taken as before, and out in order afterwards`, async () => {
  const beat = new Beat();
  await sleep(1000);
  const start = performance.now();
  await sleep(4000);
  const stopped = performance.now();
  await proxy.down();
  await broker.stop();
  const gone = performance.now();
  await sleep(AWAY_MS);
  const back = performance.now();
  const heard = browser.of('new_message').length;
  const accepted = beat.answers.filter((a) => a.status === 200).length * BATCH;
  assert.equal((await world.sm.probe('/readyz')).status, 503);
  await broker.launch();
  await witness.open();
  await proxy.up();
  const published = performance.now();
  const last = beat.answers.findLast((a) => a.status === 200).ids.at(-1);
  await until('the backlog to be gone', () => browser.heard.some((h) => h.data?.messageId === last), 20000 + AWAY_MS);
  const drained = performance.now();
  await sleep(1000);
  beat.running = false;
  await beat.done;
  const [usual, away] = [beat.rate(start, stopped), beat.rate(gone, back)];
  console.log(`# ${usual.toFixed(0)} messages a second before, ${away.toFixed(0)} without the broker; ${accepted - heard} waited, gone ${((drained - published) / 1000).toFixed(1)} s after it was back`);
  const asked = beat.answers.filter((a) => a.at >= gone && a.at < back);
  const refused = asked.filter((a) => a.status !== 200).length;
  assert.ok(refused <= 0.02 * asked.length, `${refused} of ${asked.length} refused`); // a machine with much else to do
  assert.ok(away > 0.8 * usual, `${away} a second, ${usual} before`);
  assert.ok(accepted - heard > 0.5 * (AWAY_MS / 1000) * usual, 'the broker was really away');
  assert.ok(drained - published < 3 * (back - stopped), 'the backlog goes out, though more comes all the time');

  const wanted = new Set(beat.answers.flatMap((a) => a.ids));
  await until('all of it in the browser', () => {
    const seen = new Set(browser.of('new_message').map((h) => h.data.messageId));
    return seen.size >= wanted.size || Promise.reject(new Error(`${seen.size} of ${wanted.size}`));
  }, 60000);
  const ids = browser.of('new_message').map((h) => h.data.messageId);
  assert.deepEqual([ids.length, new Set(ids).size, ids.every((id) => wanted.has(id))], [wanted.size, wanted.size, true], 'each once');
  const seqs = browser.seqs();
  assert.deepEqual(seqs.filter((seq, i) => seq !== seqs[0] + i).slice(0, 3), [], 'in order, without a gap');
  assert.deepEqual(browser.disconnects, []);
  const bodies = (await witness.statement((all) => new Set(all.map((b) => b.data?.messageId).filter(Boolean)).size >= wanted.size)).filter((b) => b.seq);
  const firsts = [...new Set(bodies.map((b) => b.seq))];
  assert.deepEqual(firsts.filter((seq, i) => seq !== firsts[0] + i).slice(0, 3), [], 'on the exchange, too');
});
