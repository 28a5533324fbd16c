// make bench: what a delivery, a connection and a webhook cost, beside the floor (one send() from a bare epoll loop) and
// the services a Node user would write, all in one run on this machine. Prints one table and writes build/bench.json.
// BENCH_SECONDS (5) is the length of each measurement; ONLY=delivery,memory,ingest,latency,profiles,store selects, and
// flood, which is not among them otherwise (ten minutes: flood.mjs); store.mjs tells of
// BENCH_MESSAGES.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const RUN_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'portalcast-bench-'));
process.env.RUN_DIR = RUN_DIR;
const { ROOT, claimPorts, sleep } = await import('../lib/env.mjs');
const { Broker } = await import('../lib/broker.mjs');
const { gateway, stateManager } = await import('../lib/services.mjs');
const { jwt, rest } = await import('../lib/http.mjs');
const { build, cpu, end, endAll, installPeers, node, rssKb, tool } = await import('./tools.mjs');
const { measureProfiles, profileRows } = await import('./profiles.mjs');
const { measureStore, storeRows } = await import('./store.mjs');
const { floodRows, measureFlood } = await import('./flood.mjs');

const SECONDS = Number(process.env.BENCH_SECONDS ?? 5);
const ONLY = (process.env.ONLY ?? 'delivery,memory,ingest,latency,profiles,store').split(',');
const JWT = 'dev-secret-change-me-0123456789abcdef'; // the peers have them built in
const WEBHOOK = 'bar-app-secret-0123456789abcdef';
const PAD = 200;
const result = { seconds: SECONDS, cpus: os.cpus().length, at: new Date().toISOString() };

// What a server spends on a delivery: subscribers join, events flow, CPU between the two / frames that arrived.
async function fanout(server, port, { conns = 1000, tenants = 1, publish }) {
  const load = tool('fanload', ['--port', port, '--conns', conns, '--tenants', tenants, '--seconds', SECONDS + 1, '--secret', JWT]);
  await load.line(/^READY/, 'READY');
  await sleep(300);
  const [before, started] = [cpu(server), Date.now()];
  const publisher = publish();
  await load.gone;
  const spent = cpu(server) - before;
  await publisher.gone;
  const summary = JSON.parse(load.lines.at(-1));
  if (summary.joined < conns || !summary.deliveries) throw new Error(`fanout: ${JSON.stringify(summary)}`);
  return { us: spent / summary.deliveries, perSecond: Math.round(summary.deliveries / ((Date.now() - started) / 1000)), p50ms: summary.p50_us / 1000, p99ms: summary.p99_us / 1000, uneven: summary.max - summary.min };
}

// name, connections, tenants, events a second, events at a time
const SHAPES = [
  ['room of 1000', 1000, 1, 30, 1],
  ['room of 1000, bursts of 10', 1000, 1, 30, 10],
  ['room of 1000, bursts of 20', 1000, 1, 40, 20],
  ['100 rooms of 10', 1000, 100, 1000, 1],
];

async function openOurs(broker) {
  const dir = fs.mkdtempSync(path.join(RUN_DIR, 'ours-'));
  const url = broker.url(broker.claimVhost());
  const env = { JWT_SECRET: JWT, DEMO: '1', LOG_LEVEL: 'warn' };
  const sm = await stateManager(dir, url, { ...env, WEBHOOK_APP_SECRET: WEBHOOK });
  await sm.start();
  const gw = await gateway(dir, url, env);
  await gw.start();
  const put = await rest(sm, tokenOfBench('t_0', 'platform-admin'), 'PUT', '/api/v1/admin/channels/100000000', { tenantId: 't_0', displayPhoneNumber: '1' });
  if (put.status >= 300) throw new Error(`channel: ${put.status} ${put.body}`);
  return { sm, gw, end: () => Promise.all([sm.kill(), gw.kill()]) };
}

function tokenOfBench(tenantId, role) {
  return jwt({ tenantId, sub: 'bench', role }, { secret: JWT });
}

async function delivery(broker) {
  const cells = (result.delivery = { floor: {}, ours: {}, socketio: {} });
  for (const [name, all, tenants, rate, burst] of SHAPES) {
    const port = await claimPorts();
    const conns = all / tenants; // it knows one room only
    const floor = tool('floor', [port, rate / burst, PAD], { BURST: String(burst) });
    await sleep(300);
    cells.floor[name] = await fanout(floor.pid, port, { conns, publish: () => ({ gone: Promise.resolve() }) });
    await end(floor);
  }
  const ours = await openOurs(broker);
  for (const [name, conns, tenants, rate, burst] of SHAPES)
    cells.ours[name] = await fanout(ours.gw.pid, ours.gw.port, {
      conns,
      tenants,
      publish: () => tool('hookload', ['--port', ours.sm.port, '--jwt', JWT, '--tenants', tenants, '--batch', burst, '--rate', rate / burst, '--conns', 16, '--pad', PAD, '--seconds', SECONDS]),
    });
  await ours.end();
  for (const [name, conns, tenants, rate, burst] of SHAPES) {
    const port = await claimPorts();
    const peer = node('peer-socketio.js', [port], { AMQP_URL: broker.url() });
    await peer.line(/^up/, 'start');
    cells.socketio[name] = await fanout(peer.pid, port, {
      conns,
      tenants,
      publish: () => tool('fanpub', ['--port', broker.port, '--tenants', tenants, '--rate', rate, '--chunk', burst, '--pad', PAD, '--seconds', SECONDS]),
    });
    await end(peer);
  }
}

async function memory(broker) {
  const conns = 2000;
  const measure = async (pid, port) => {
    const before = rssKb(pid);
    const load = tool('fanload', ['--port', port, '--conns', conns, '--tenants', 20, '--seconds', 3, '--secret', JWT]);
    await load.line(/^READY/, 'READY');
    await sleep(1500);
    const after = rssKb(pid);
    await load.gone;
    return (after - before) / conns;
  };
  const ours = await openOurs(broker);
  const port = await claimPorts();
  const peer = node('peer-socketio.js', [port], { AMQP_URL: broker.url() });
  await peer.line(/^up/, 'start');
  result.memory = { ours: await measure(ours.gw.pid, ours.gw.port), socketio: await measure(peer.pid, port) };
  await ours.end();
  await end(peer);
}

async function ingest(broker) {
  const hooks = async (port) => {
    const load = tool('hookload', ['--port', port, '--secret', WEBHOOK, '--conns', 64, '--seconds', SECONDS, '--prefix', '10000000', '--numbers', 1]);
    await load.gone;
    return JSON.parse(load.lines.at(-1));
  };
  result.ingest = {};
  const ours = await openOurs(broker);
  result.ingest.ours = await hooks(ours.sm.port);
  await ours.end();
  for (const mode of ['sqlite', 'amqp']) {
    const port = await claimPorts();
    const peer = node('peer-ingest.js', [port, mode], { AMQP_URL: broker.url() });
    await peer.line(/^up/, 'start');
    result.ingest[mode] = await hooks(port);
    await end(peer);
  }
}

async function latency(broker) {
  const ours = await openOurs(broker);
  const load = tool('fanload', ['--port', ours.gw.port, '--conns', 10, '--tenants', 1, '--seconds', SECONDS + 1, '--secret', JWT]);
  await load.line(/^READY/, 'READY');
  const hooks = tool('hookload', ['--port', ours.sm.port, '--secret', WEBHOOK, '--conns', 16, '--rate', 200, '--seconds', SECONDS, '--prefix', '10000000', '--numbers', 1]);
  await Promise.all([load.gone, hooks.gone]);
  const summary = JSON.parse(load.lines.at(-1));
  result.latency = { p50ms: summary.p50_us / 1000, p99ms: summary.p99_us / 1000, maxMs: summary.max_us / 1000, webhookP99ms: JSON.parse(hooks.lines.at(-1)).p99_us / 1000 };
  await ours.end();
}

async function profiles(broker) {
  result.profiles = await measureProfiles({ broker, secrets: { jwt: JWT, webhook: WEBHOOK }, dir: RUN_DIR });
}

async function store(broker) {
  result.store = await measureStore({ broker, secrets: { jwt: JWT, webhook: WEBHOOK }, seconds: SECONDS, dir: RUN_DIR });
}

async function flood(broker) {
  result.flood = await measureFlood({ broker, secrets: { jwt: JWT, webhook: WEBHOOK } });
}

function table() {
  const rows = [];
  const add = (what, ours, peer, mark, met) => rows.push([what, ours, peer, mark, met === undefined ? '' : met ? 'met' : 'MISSED']);
  const n = (value, digits = 2) => value.toFixed(digits);
  if (result.delivery) {
    const { floor, ours, socketio } = result.delivery;
    const base = floor['room of 1000'].us;
    const marks = { 'room of 1000': 1.4, 'room of 1000, bursts of 10': 0.4 };
    add('floor: CPU per delivery, room of 1000', `${n(base)} us`, '', '');
    add('floor: CPU per delivery / the above, room of 10', n(floor['100 rooms of 10'].us / base), '', '');
    for (const [name] of SHAPES) {
      const ratio = ours[name].us / base;
      add(`CPU per delivery / floor, ${name}`, n(ratio), `${n(socketio[name].us / base)} (Socket.IO)`, marks[name] ? `<= ${marks[name]}` : '', marks[name] && ratio <= marks[name]);
    }
  }
  if (result.memory) add('KB per connection, 2000 idle', n(result.memory.ours, 1), `${n(result.memory.socketio, 1)} (Socket.IO)`, '<= 8', result.memory.ours <= 8);
  if (result.ingest) {
    const { ours, sqlite, amqp } = result.ingest;
    add('durable webhooks/s, 64 connections', ours.per_s, `${sqlite.per_s} (Node + SQLite)`, '>= SQLite peer', ours.per_s >= sqlite.per_s);
    add('', '', `${amqp.per_s} (Node + confirms, no store)`, '');
  }
  if (result.latency) add('webhook -> browser at 200/s, p50 | p99', `${n(result.latency.p50ms, 1)} | ${n(result.latency.p99ms, 1)} ms`, '', 'p99 < 50 ms', result.latency.p99ms < 50);
  if (result.profiles) profileRows(result.profiles, add);
  if (result.store) storeRows(result.store, add);
  if (result.flood) floodRows(result.flood, add);
  const head = ['', 'Portalcast', 'peer', 'mark', ''];
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  return all.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join('  ').trimEnd()).join('\n');
}

let broker;
async function finish(code) {
  endAll();
  await broker?.stop();
  fs.rmSync(RUN_DIR, { recursive: true, force: true });
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => finish(1));

try {
  build();
  if (ONLY.some((name) => ['delivery', 'memory', 'ingest'].includes(name))) installPeers();
  broker = await Broker.start(64);
  for (const [name, run] of Object.entries({ delivery, memory, ingest, latency, profiles, store, flood })) {
    if (!ONLY.includes(name)) continue;
    console.error(`measuring ${name}`);
    await run(broker);
  }
  fs.writeFileSync(path.join(ROOT, 'build/bench.json'), `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\n${table()}\n\nDetails: build/bench.json`);
  await finish(0);
} catch (error) {
  console.error(error);
  await finish(1);
}
