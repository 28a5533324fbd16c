// What a webhook costs when the store is empty and when it holds a million messages; lists and retention at a million.
// BENCH_MESSAGES (1000000) is how many; the file takes about 3 KB a message in the folder for temporary files.
import fs from 'node:fs';
import path from 'node:path';
import { sleep } from '../lib/env.mjs';
import { jwt, rest } from '../lib/http.mjs';
import { stateManager } from '../lib/services.mjs';
import { cpu, rssKb, tool } from './tools.mjs';

const MESSAGES = Number(process.env.BENCH_MESSAGES ?? 1e6);
const NUMBERS = 20; // one a tenant
const CONTACTS = 20000;
const CONTACTS_WHEN_EMPTY = 1000; // soon known: a webhook that opens a conversation costs more
const ROUNDS = 3;
const GETS = 300;
const PREFIX = '10000000';
const RATE = 500;

// broker, secrets: {jwt, webhook}, seconds of a measurement
export async function measureStore({ broker, secrets, seconds, dir }) {
  const vhost = broker.claimVhost();
  const env = { JWT_SECRET: secrets.jwt, WEBHOOK_APP_SECRET: secrets.webhook, DEMO: '1', LOG_LEVEL: 'warn' };
  const token = (tenantId, role) => jwt({ tenantId, sub: 'bench', role }, { secret: secrets.jwt });
  await broker.ctl('set_policy', '-p', vhost, 'bounded', '^inbound', '{"max-length":1000}', '--apply-to', 'queues'); // nobody reads it here

  async function open(more = {}, at = fs.mkdtempSync(path.join(dir, 'store-'))) {
    const sm = await (await stateManager(at, broker.url(vhost), { ...env, ...more })).start();
    for (let i = 0; i < NUMBERS; i++) {
      const put = await rest(sm, token(`t_${i}`, 'platform-admin'), 'PUT', `/api/v1/admin/channels/${PREFIX}${i}`, { tenantId: `t_${i}`, displayPhoneNumber: '1' });
      if (put.status >= 300) throw new Error(`channel: ${put.status} ${put.body}`);
    }
    return sm;
  }

  async function hooks(sm, options) {
    const load = tool('hookload', ['--port', sm.port, '--secret', secrets.webhook, '--prefix', PREFIX, '--numbers', NUMBERS, ...options]);
    if (await load.gone) throw new Error(`hookload: ${load.lines.at(-1)}`);
    return JSON.parse(load.lines.at(-1));
  }

  // Until the relay has nothing left to publish: that is part of what a webhook costs.
  async function drained(sm) {
    const published = async () => (await sm.metrics()).portalcast_events_published_total;
    for (let before = -1, now; (now = await published()) !== before; before = now) await sleep(500);
  }

  async function run(sm, contacts, options) {
    const before = cpu(sm.pid);
    const load = await hooks(sm, ['--contacts', contacts, '--conns', 64, '--seconds', seconds, ...options]);
    await drained(sm);
    return { us: (cpu(sm.pid) - before) / load.ok, perSecond: load.per_s, p50ms: load.p50_us / 1000, p99ms: load.p99_us / 1000 };
  }

  async function webhooks(sm, contacts) {
    await hooks(sm, ['--contacts', contacts, '--conns', 64, '--seconds', 1]);
    await drained(sm);
    return { full: await run(sm, contacts, []), steady: await run(sm, contacts, ['--rate', RATE]) };
  }

  async function fill(sm) {
    const started = Date.now();
    await hooks(sm, ['--contacts', CONTACTS, '--conns', 16, '--batch', 50, '--talks', 10, '--mix', '--total', MESSAGES, '--seconds', 3600]);
    await drained(sm);
    return (Date.now() - started) / 1000;
  }

  // GETs one after the other, tenant by tenant, while webhooks come at half the rate.
  async function gets(sm, pathname) {
    const load = hooks(sm, ['--contacts', CONTACTS, '--conns', 16, '--rate', RATE / 2, '--seconds', seconds]);
    const times = [];
    for (let i = 0; i < GETS; i++) {
      const who = `t_${i % NUMBERS}`;
      const at = typeof pathname === 'string' ? pathname : await pathname(who);
      const started = performance.now();
      const answer = await rest(sm, token(who, 'agent'), 'GET', at);
      times.push(performance.now() - started);
      if (answer.status !== 200 || !answer.json.items.length) throw new Error(`${at}: ${answer.status} ${answer.body}`);
    }
    await load;
    times.sort((a, b) => a - b);
    return { p50ms: times[Math.floor(GETS / 2)], p99ms: times[Math.floor(GETS * 0.99)] };
  }

  async function lists(sm) {
    const some = {};
    const messages = async (who) => {
      some[who] ??= (await rest(sm, token(who, 'agent'), 'GET', '/api/v1/conversations?limit=50')).json.items.map((c) => c.id);
      return `/api/v1/conversations/${some[who][Math.floor(Math.random() * some[who].length)]}/messages?limit=50`;
    };
    return { conversations: await gets(sm, '/api/v1/conversations?status=open&limit=50'), messages: await gets(sm, messages) };
  }

  // How much the retention of the log disturbs: nearly all of it goes, in steps, beside webhooks at the fixed rate.
  async function retention(at) {
    const measure = async (more) => {
      const sm = await open(more, at);
      await hooks(sm, ['--contacts', CONTACTS, '--conns', 64, '--rate', RATE, '--seconds', 1]);
      const before = await sm.metrics();
      const load = await hooks(sm, ['--contacts', CONTACTS, '--conns', 64, '--rate', RATE, '--seconds', seconds]);
      const dropped = (await sm.metrics())['portalcast_retention_dropped_total{what="log"}'] - before['portalcast_retention_dropped_total{what="log"}'];
      await sm.kill();
      return { p50ms: load.p50_us / 1000, p99ms: load.p99_us / 1000, maxMs: load.max_us / 1000, dropped };
    };
    return { off: await measure({ HOUSEKEEPING_SECONDS: '86400' }), on: await measure({ HOUSEKEEPING_SECONDS: '1', EVENT_RETENTION_COUNT: '1000' }) };
  }

  const result = { messages: MESSAGES, conversations: CONTACTS, tenants: NUMBERS, empty: [], full: [] };
  const large = await open();
  result.fillSeconds = await fill(large);
  for (let round = 0; round < ROUNDS; round++) {
    const small = await open();
    result.empty.push(await webhooks(small, CONTACTS_WHEN_EMPTY));
    await small.kill();
    fs.rmSync(small.dir, { recursive: true });
    result.full.push(await webhooks(large, CONTACTS));
  }
  result.rssMb = rssKb(large.pid) / 1024;
  result.fileMb = fs.statSync(path.join(large.dir, 'store.db')).size / 2 ** 20;
  result.lists = await lists(large);
  await large.kill();
  result.retention = await retention(large.dir);
  fs.rmSync(large.dir, { recursive: true });
  return result;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Lines of the table: what, ours, peer, mark, met.
export function storeRows(r, add) {
  const of = (runs, kind, field) => median(runs.map((run) => run[kind][field]));
  const n = (value, digits = 1) => value.toFixed(digits);
  const many = r.messages >= 1e6 ? `${r.messages / 1e6} million messages` : `${r.messages} messages`;
  for (const [kind, name] of [['full', 'as fast as it goes'], ['steady', `${RATE}/s`]]) {
    const ratio = median(r.full.map((run, i) => run[kind].us / r.empty[i][kind].us));
    for (const [runs, what] of [[r.empty, 'empty store'], [r.full, many]])
      add(`webhooks ${name}, ${what}: us of CPU | p50 | p99 ms${kind === 'full' ? ' | webhooks/s' : ''}`,
        [of(runs, kind, 'us'), of(runs, kind, 'p50ms'), of(runs, kind, 'p99ms')].map((v) => n(v)).join(' | ') + (kind === 'full' ? ` | ${of(runs, kind, 'perSecond')}` : ''), '', '');
    add(`  CPU per webhook, ${many} / empty`, n(ratio, 2), '', kind === 'full' ? '<= 1.5' : '', kind === 'full' ? ratio <= 1.5 : undefined);
  }
  add(`${many}: filled in | file | resident`, `${n(r.fillSeconds, 0)} s | ${n(r.fileMb, 0)} MB | ${n(r.rssMb, 0)} MB`, '', '');
  for (const [name, what] of [['conversations', '50 open conversations'], ['messages', '50 messages of one']]) add(`  GET of ${what}, p50 | p99`, `${n(r.lists[name].p50ms)} | ${n(r.lists[name].p99ms)} ms`, '', '');
  for (const [name, what] of [['off', 'log kept'], ['on', `${r.retention.on.dropped} log entries dropped meanwhile`]])
    add(`  webhooks ${RATE}/s, ${what}: p50 | p99 | max`, ['p50ms', 'p99ms', 'maxMs'].map((f) => n(r.retention[name][f])).join(' | ') + ' ms', '', '');
}
