// make faults: everything is broken, one after the other and two at a time, while clients of every kind listen and senders
// write; then what they were promised and what they saw is held against the store and its log.
//
//   SEED=n         the same faults at the same moments (default: another one each time, printed)
//   MINUTES=m      3
//   STORE=sqlite|mongo
//   ONLY=id,id     of the plan of that seed, these faults alone
//   THESE=json     no plan, but [{name, target, at, lasts, args?}], say out of a plan before the table had another row
//   SHRINK=1       after a failure: again with fewer faults, as long as it still fails, for MINUTES more
//   PLAN=1         only prints the plan
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const store = process.env.STORE || 'sqlite';
process.env.STORE = store;
const RUN_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'portalcast-faults-'));
process.env.RUN_DIR = RUN_DIR;
const seed = Number(process.env.SEED || Date.now() % 1e6);
const minutes = Number(process.env.MINUTES || 3);

const { BIN_DIR, seededRandom, sleep, within } = await import('../lib/env.mjs');
const { Canary } = await import('./canary.mjs');
const { check } = await import('./checker.mjs');
const { Clients } = await import('./clients.mjs');
const { Conductor } = await import('./conductor.mjs');
const { History } = await import('./history.mjs');
const { SETTLE_S, WARM_S, inWords, only, plan, stageOf } = await import('./plan.mjs');
const { Report } = await import('./report.mjs');
const { Rig } = await import('./rig.mjs');
const { Senders } = await import('./senders.mjs');
const { shrink } = await import('./shrink.mjs');
const { readStores } = await import('./stores.mjs');

const TENANTS = 3;
const PER_TENANT = 8; // clients
const DESERTED_MS = 25000; // gateways keep lines to each other for up to 20 s
const END_MS = 30000;

const ownMongo = !process.env.MONGODB_TEST_URL;
// The MongoDB server of the tests is slow: less for each of those who write.
const pace = store === 'mongo' && ownMongo ? { perSecond: 2, talkMs: 30000, canaryMs: 1500 } : { perSecond: 30, talkMs: 3000, canaryMs: 250 };
const whole = process.env.THESE ? JSON.parse(process.env.THESE).map((fault, i) => ({ id: i + 1, slot: i + 1, args: {}, ...fault })) : plan(seed, minutes, store, ownMongo);
const chosen = process.env.ONLY ? only(whole, process.env.ONLY.split(',').map(Number)) : whole;
const history = new History(path.join(RUN_DIR, 'history.jsonl'));
const report = new Report(history);
const stage = stageOf(store, ownMongo);
const rig = new Rig(history, stage);
const canary = new Canary(rig, pace.canaryMs);
const random = seededRandom(seed);
const tenants = Array.from({ length: TENANTS }, (_, i) => ({ id: `t_fault_${i}`, number: `20000000900${i}` }));
const parts = { history, random, tenants, gatewayUrls: rig.gatewayUrls, apiUrls: rig.apiUrls, amqpUrl: () => rig.broker.url(rig.vhost) };

const found = { violations: [] };
const held = monitorEventLoopDelay({ resolution: 20 });
const blame = (rule, error) => found.violations.push({ rule, text: error.message, t: history.now() });
// What has to go well, or is a violation of its own.
const tried = (rule, promise) => promise.catch((error) => blame(rule, error));

// The log as the store has it, with what is nobody's to hear.
async function log(tenantId) {
  const file = path.join(RUN_DIR, `replay.${tenantId}`);
  const out = fs.openSync(file, 'w');
  const [{ service }] = rig.all('state-manager');
  const child = spawn(path.join(BIN_DIR, 'portalctl'), ['replay', '--tenant', tenantId, '--store', service.env.STORE_URL], { stdio: ['ignore', out, 'inherit'] });
  fs.closeSync(out);
  const code = await new Promise((done) => child.once('exit', done));
  if (code !== 0) throw new Error(`portalctl replay ended with ${code}`);
  return fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

function mark(kind, id) {
  const usage = rig.measure();
  history.add(kind, { id });
  return usage;
}

async function run() {
  held.enable();
  await rig.open();
  const senders = new Senders({ ...parts, perSecond: pace.perSecond });
  const clients = new Clients({ ...parts, perTenant: PER_TENANT, talkMs: pace.talkMs });
  mark('quiet', 'empty');
  await senders.start();
  await clients.start();
  canary.start();
  await sleep(WARM_S * 1000);
  const before = mark('quiet', 'before');
  const conductor = new Conductor({ rig, canary, stage, report });
  const isWell = await conductor.play(chosen);
  if (isWell) await sleep(SETTLE_S * 1000);
  const after = mark('quiet', 'after');
  await tried('everything is answered', Promise.all([senders.stop(), clients.quiet()]));
  const last = await senders.sayLast();
  await tried('everybody hears the last event', clients.settled({ last }));
  const stores = await readStores({ tenants, apiUrls: rig.apiUrls, log });
  await clients.stop();
  canary.stop();
  await tried('connections end with their clients', rig.deserted(DESERTED_MS));
  history.flush(); // what is known by now is kept, whatever becomes of the rest
  await rig.close();
  const checked = check(history, stores);
  const { usage, violations, ...figures } = checked.figures;
  found.violations.unshift(...checked.violations);
  held.disable();
  report.figures({ canary, held, back: conductor.back, before, after, found: figures });
}

async function main() {
  report.say(`faults: seed ${seed}, ${minutes} min, ${store}, ${chosen.length} faults${process.env.ONLY ? ` of ${whole.length}` : ''}; history in ${history.file}`);
  if (process.env.PLAN) return report.say(chosen.map((fault) => `  ${inWords(fault)}`).join('\n')), fs.rmSync(RUN_DIR, { recursive: true });
  await run().catch((error) => blame('the rig works', { message: error.stack }));
  canary.stop();
  await rig.close();
  found.violations.push(...rig.blames);
  const failed = found.violations.length;
  if (failed) report.violations(found.violations, chosen);
  if (failed && process.env.SHRINK) {
    const env = { SEED: String(seed), MINUTES: String(minutes), STORE: store, MONGODB_TEST_URL: ownMongo ? '' : process.env.MONGODB_TEST_URL };
    await shrink({ plan: chosen, violations: found.violations, history, seconds: minutes * 60, say: report.say, program: fileURLToPath(import.meta.url), env });
  }
  const again = `make faults SEED=${seed} MINUTES=${minutes} STORE=${store}${process.env.ONLY ? ` ONLY=${process.env.ONLY}` : ''}`;
  if (failed) report.say(`seed ${seed}; again: ${again}; logs are kept in ${RUN_DIR}`);
  else fs.rmSync(RUN_DIR, { recursive: true, force: true });
  report.say(`faults: ${chosen.length} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

// Of the rig's own parts; what is broken on purpose does not come here.
for (const event of ['unhandledRejection', 'uncaughtException']) process.on(event, (error) => blame('the rig works', { message: error?.stack ?? String(error) }));
let ending = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, async () => {
    if (ending) return;
    ending = true;
    await within(rig.close(), END_MS); // something may just be breaking
    process.exit(1);
  });

await main();
process.exit();
