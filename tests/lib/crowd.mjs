// Thousands of light clients (light.mjs), spread over threads of their own, and what they heard: held against the log as
// GET /api/v1/events tells it to the same token.
import assert from 'node:assert/strict';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { sleep, until } from './env.mjs';
import { rest } from './http.mjs';
import { Light, markOf, seqOf } from './light.mjs';

const OPENING = 100; // at a time, of one thread

// The figures of one thread, added up over all by Crowd.figures().
function figures(clients) {
  const sum = (of) => clients.reduce((total, c) => total + of(c), 0);
  return {
    there: sum((c) => c.answered),
    returns: sum((c) => c.returns),
    recovered: sum((c) => c.recovered),
    refused: sum((c) => c.refusal !== undefined),
    resyncs: sum((c) => c.resyncs ?? 0),
    heard: sum((c) => c.log.length),
  };
}

async function live({ port, members, slack }) {
  const clients = [];
  const waiting = () => clients.filter((c) => !c.connects && !c.refusal).length;
  parentPort.on('message', ({ id, what }) => {
    if (what === 'figures') return parentPort.postMessage({ id, value: { ...figures(clients), of: members.length } });
    if (what === 'logs') return parentPort.postMessage({ id, value: clients.map(({ i, start, log, gaps, ends, offset, refusal, foreign }) => ({ i, start, log, gaps, ends, offset, refusal, foreign })) });
    clients.forEach((c) => c.close());
    parentPort.postMessage({ id });
  });
  setInterval(() => clients.forEach((c) => Date.now() - c.heardAt > slack && ((c.heardAt = Date.now()), c.drop())), 1000);
  for (const member of members) {
    while (waiting() >= OPENING) await sleep(5);
    clients.push(new Light({ port, ...member }));
  }
}
if (!isMainThread && workerData?.members) await live(workerData);

export class Crowd {
  answers = new Map();
  asked = 0;

  // members: [{kind, token, rooms?}]; slack: how long a client waits for a sign of life.
  constructor(port, members, { threads = 2, slack = 60000 } = {}) {
    this.members = members.map((member, i) => ({ i, ...member }));
    this.workers = Array.from({ length: threads }, (_, k) => new Worker(new URL(import.meta.url), { workerData: { port, slack, members: this.members.filter(({ i }) => i % threads === k) } }));
    for (const worker of this.workers) {
      worker.on('message', ({ id, value }) => this.answers.get(id)?.(value));
      worker.on('error', (error) => (this.fault ??= error));
    }
  }

  ask(what) {
    if (this.fault) throw this.fault;
    return Promise.all(this.workers.map((worker) => new Promise((done) => {
      const id = ++this.asked;
      this.answers.set(id, (value) => (this.answers.delete(id), done(value)));
      worker.postMessage({ id, what });
    })));
  }

  async figures() {
    const all = await this.ask('figures');
    return Object.fromEntries(Object.keys(all[0]).map((key) => [key, all.reduce((total, f) => total + f[key], 0)]));
  }

  // Everybody is connected, and has come back at least so many times in all.
  async settled(returns = 0, timeoutMs = 30000) {
    return until(`${this.members.length} clients that are there`, async () => {
      const all = await this.figures();
      if (all.there < this.members.length || all.returns < returns) throw new Error(JSON.stringify(all));
      return all;
    }, timeoutMs);
  }

  // [{i, start, log: [[seq, mark]], gaps, ends, refusal}], by i
  async logs() {
    return (await this.ask('logs')).flat().sort((a, b) => a.i - b.i);
  }

  async end() {
    await this.ask('close').catch(() => {});
    await Promise.all(this.workers.map((w) => w.terminate()));
  }
}

// All that a token may hear of its tenant's log, from its beginning: [[seq, mark]].
export async function history(service, token) {
  const all = [];
  for (let after = ''; ; ) {
    const answer = await rest(service, token, 'GET', `/api/v1/events?limit=500${after && `&after=${encodeURIComponent(after)}`}`);
    assert.equal(answer.status, 200, answer.body);
    assert.ok(answer.json.complete, 'the log is whole');
    for (const { event, data, offset } of answer.json.items) all.push([seqOf(offset), markOf(event, data)]);
    if (answer.json.next === answer.json.head) return all;
    after = answer.json.next;
  }
}

// What a client's log should be, given what its token may hear: from where it began, without the gaps it was told of.
const wanted = (all, { start, gaps }) => all.filter(([seq]) => seq > start && !gaps.some(([from, to]) => seq > from && seq <= to));

// One difference, in words; undefined: none.
export function difference(all, client) {
  const right = wanted(all, client);
  const { log } = client;
  const at = right.findIndex(([seq, mark], i) => log[i]?.[0] !== seq || log[i]?.[1] !== mark);
  if (at < 0 && log.length === right.length) return undefined;
  const i = at < 0 ? right.length : at;
  return `client ${client.i} heard ${log.length} of ${right.length}; number ${i} is ${log[i]} in the place of ${right[i]}, behind ${log[i - 1]}; it began at ${client.start}, gaps ${JSON.stringify(client.gaps)}`;
}

// Each client's log equals the log of its tenant. `keyOf(member)`: who shares a history.
export async function checkLogs(service, crowd, keyOf, timeoutMs = 20000) {
  const histories = new Map();
  for (const member of crowd.members) if (!histories.has(keyOf(member))) histories.set(keyOf(member), await history(service, member.token));
  return until('logs that equal the tenants\'', async () => {
    const logs = await crowd.logs();
    const wrong = logs.map((c) => difference(histories.get(keyOf(crowd.members[c.i])), c)).filter(Boolean);
    if (wrong.length) throw new Error(`${wrong.length} of ${logs.length}: ${wrong.slice(0, 3).join('; ')}`);
    return logs;
  }, timeoutMs);
}
