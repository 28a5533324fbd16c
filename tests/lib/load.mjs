// Webhooks that flow while something breaks, and the reckoning afterwards: all that was accepted is stored, and was heard
// in order, without a gap, once.
import assert from 'node:assert/strict';
import { sleep, until } from './env.mjs';
import { webhook } from './http.mjs';
import { inbound, textMessage } from './samples.mjs';

export const NUMBER = '200000000000001';

// Posts webhooks from several senders; one that is not answered 200 is posted again, as Meta does.
export class Load {
  accepted = []; // message ids, answered 200
  refusals = []; // statuses other than 200
  constructor(world, { number = NUMBER, workers = 4, pauseMs = 5, padding = '' } = {}) {
    Object.assign(this, { world, number, pauseMs, padding, sent: Array(workers).fill(0) });
    this.go();
  }

  // Also goes on after a stop.
  go() {
    this.running = true;
    this.done = Promise.all(this.sent.map((_, worker) => this.work(worker)));
  }

  async work(worker) {
    while (this.running) {
      const i = this.sent[worker]++;
      const message = textMessage(`4477009${String(worker).padStart(2, '0')}${String(i % 20).padStart(3, '0')}`, `${worker}.${i}.${this.padding}`);
      const body = JSON.stringify(inbound(this.number, [message]));
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
      await sleep(this.pauseMs);
    }
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

const heardIds = (browser) => browser.of('new_message').map((h) => h.data.messageId);

// Each sender's messages come in the order in which they were accepted.
function checkOrderOfSenders(browser) {
  const last = new Map();
  for (const { data } of browser.of('new_message')) {
    const [worker, i] = data.message.split('.').map(Number);
    assert.ok(i > (last.get(worker) ?? -1), `worker ${worker}: ${i} after ${last.get(worker)}`);
    last.set(worker, i);
  }
}

// The browser has heard all of these, everything once, and its offsets have no gap.
export async function checkHeard(browser, accepted, timeoutMs = 30000) {
  const wanted = new Set(accepted);
  assert.equal(wanted.size, accepted.length);
  await until(`${wanted.size} messages in the browser`, () => {
    const heard = new Set(heardIds(browser));
    const missing = accepted.filter((id) => !heard.has(id));
    if (missing.length) throw new Error(`${missing.length} of ${accepted.length} not heard, first ${missing[0]}; browser at ${browser.heard.at(-1)?.offset}; disconnects ${browser.disconnects}`);
    return true;
  }, timeoutMs);
  await sleep(300);
  const heard = heardIds(browser);
  assert.equal(new Set(heard).size, heard.length, 'nothing is heard twice');
  const seqs = browser.seqs();
  const first = seqs[0];
  assert.deepEqual(seqs.filter((seq, i) => seq !== first + i).slice(0, 5), [], `offsets follow each other from ${first}`);
  assert.deepEqual(browser.disconnects, [], 'the browser kept its connection');
  checkOrderOfSenders(browser);
}

// The same, and everything accepted is in the store.
export async function checkAllHeard(world, tenant, browser, accepted) {
  await checkHeard(browser, accepted);
  const stored = await world.messages(tenant);
  assert.deepEqual(accepted.filter((id) => !stored.has(id)).slice(0, 5), [], 'every accepted message is stored');
}
