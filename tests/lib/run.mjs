// Runs the black-box tests: node tests/lib/run.mjs [name...]. One private broker for all; as many files at a time as the
// machine has room for (tests/lib/files.mjs; ROOM=3 for less); each file is a process group of its own that is ended whatever
// happens. With STORE=mongo, those that say something of the store's contract, on one MongoDB server for all. Closes with
// `blackbox: N passed, N failed`.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const RUN_DIR = fs.mkdtempSync(path.join(os.tmpdir(), 'portalcast-run-'));
process.env.RUN_DIR = RUN_DIR;
const { BIN_DIR, PATIENCE, ROOT } = await import('./env.mjs');
const { Broker, VHOSTS } = await import('./broker.mjs');
const { KNOWN, inOrder, roomFor, rowOf, takeNext } = await import('./files.mjs');
const { Mongo } = await import('./mongo.mjs');

const FOLDER = path.join(ROOT, 'tests/blackbox');
const FILE_SECONDS = 240;
const STORE = process.env.STORE || 'sqlite';
const isSanitized = BIN_DIR.includes('/san/');
const ROOM = Number(process.env.ROOM ?? roomFor(os.cpus().length, { isSanitized, isMongo: STORE === 'mongo' }));

const wanted = process.argv.slice(2);
const there = fs.readdirSync(FOLDER).filter((f) => f.endsWith('.test.mjs')).map((f) => f.replace('.test.mjs', ''));
// What does not depend on the kind of store is not run for each.
const isDue = (name, { mongo, layer, brief }) => {
  if (isSanitized && layer) return false;
  return wanted.length ? wanted.includes(name) : (STORE !== 'mongo' || mongo) && (!process.env.SHORT || !brief);
};
const names = inOrder(there.filter((name) => isDue(name, rowOf(name))));
const strangers = KNOWN.filter((name) => !there.includes(name));

const groups = new Set();
const endGroup = (pid) => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody left
  }
};

function runFile(name, environment) {
  return new Promise((done) => {
    const started = Date.now();
    const log = path.join(RUN_DIR, `${name}.tap`);
    const out = fs.openSync(log, 'w');
    // Who has said how its tests went ends, whatever a client library of others still wants of a server that is gone.
    const child = spawn(process.execPath, ['--test-reporter=tap', '--test-force-exit', path.join(FOLDER, `${name}.test.mjs`)], {
      detached: true,
      env: { ...process.env, ...environment },
      stdio: ['ignore', out, out],
    });
    groups.add(child.pid);
    let late = false;
    const timer = setTimeout(() => ((late = true), endGroup(child.pid)), FILE_SECONDS * 1000 * PATIENCE);
    child.on('exit', (code) => {
      clearTimeout(timer);
      endGroup(child.pid);
      groups.delete(child.pid);
      fs.closeSync(out);
      const tap = fs.readFileSync(log, 'utf8');
      const count = (word) => Number(new RegExp(`^# ${word} (\\d+)`, 'm').exec(tap)?.[1] ?? 0);
      const result = { name, tap, passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: count('skipped'), seconds: (Date.now() - started) / 1000 };
      if (code !== 0 && !result.failed) result.failed = 1;
      if (late) result.failed = Math.max(1, result.failed);
      result.note = late ? ` (cut after ${FILE_SECONDS * PATIENCE} s)` : '';
      done(result);
    });
  });
}

// The failing tests with what they say, and the last words of the services.
function explain({ name, tap }) {
  const lines = tap.split('\n');
  lines.forEach((line, i) => {
    const indent = /^( *)not ok /.exec(line)?.[1].length;
    if (indent === undefined) return;
    const end = lines.findIndex((l, k) => k > i && l.startsWith(`${' '.repeat(indent)}  ...`));
    const block = lines.slice(i, end < 0 ? i + 40 : end).filter((l) => !/^\s*(at .*node:|duration_ms|type:)/.test(l));
    if (!block.some((l) => /\d+ subtests? failed/.test(l))) console.log(block.slice(0, 60).join('\n'));
  });
  if (!/^not ok /m.test(tap)) console.log(lines.slice(-40).join('\n'));
  for (const dir of fs.readdirSync(RUN_DIR).filter((d) => d.startsWith(`${name}-`) && fs.statSync(path.join(RUN_DIR, d)).isDirectory()))
    for (const file of fs.readdirSync(path.join(RUN_DIR, dir)).filter((f) => f.endsWith('.log'))) {
      const text = fs.readFileSync(path.join(RUN_DIR, dir, file), 'utf8').trimEnd().split('\n');
      console.log(`--- ${dir}/${file}, last of ${text.length} lines\n${text.slice(-25).join('\n')}`);
    }
}

// Each begins as soon as there is room for it; one that needs more than there is, when it is alone.
async function runAll(waiting, environment, report) {
  const running = new Set();
  let free = ROOM;
  while (waiting.length || running.size) {
    const name = takeNext(waiting, free) ?? (running.size ? undefined : waiting.shift());
    if (!name) {
      await Promise.race(running);
      continue;
    }
    const { load } = rowOf(name);
    free -= load;
    const run = runFile(name, environment).then((result) => {
      free += load;
      running.delete(run);
      report(result);
    });
    running.add(run);
  }
}

let broker;
let mongo;
async function finish(code) {
  for (const pid of groups) endGroup(pid);
  await Promise.allSettled([broker?.stop(), mongo?.stop()]);
  if (code === 0) fs.rmSync(RUN_DIR, { recursive: true, force: true });
  else console.log(`logs are kept in ${RUN_DIR}`);
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => finish(1));

async function main() {
  const missing = ['state-manager', 'portal-gateway', 'portalctl'].filter((p) => !fs.existsSync(path.join(BIN_DIR, p)));
  const wrong = [
    missing.length && `not built: ${missing.join(', ')} in ${BIN_DIR}`,
    strangers.length && `tests/lib/files.mjs names files that are not there: ${strangers.join(', ')}`,
    !names.length && `no test is called ${wanted}`,
  ].find(Boolean);
  if (wrong) {
    console.log(wrong);
    console.log('blackbox: 0 passed, 1 failed');
    return finish(1);
  }
  broker = await Broker.start(VHOSTS.shared);
  if (STORE === 'mongo') mongo = await Mongo.start();
  const environment = { BROKER_PORT: String(broker.port), BROKER_DIR: broker.dir, ...(mongo && { MONGODB_TEST_URL: mongo.server }) };
  const results = [];
  const report = (result) => {
    results.push(result);
    console.log(`  ${result.failed ? 'FAILED' : 'ok    '} ${result.name.padEnd(12)} ${result.passed} good, ${result.failed} bad, ${result.seconds.toFixed(1)} s${result.note}`);
    if (result.failed) explain(result);
    for (const line of result.tap.match(/^ *# seed .*/gm) ?? []) console.log(`    ${line.trim()}`);
  };
  await runAll(names, environment, report);
  const sum = (key) => results.reduce((total, r) => total + r[key], 0);
  if (results.some((r) => r.failed)) console.log(`failed: ${results.filter((r) => r.failed).map((r) => r.name).join(' ')}`);
  console.log(`blackbox: ${sum('passed')} passed, ${sum('failed')} failed`);
  await finish(sum('failed') ? 1 : 0);
}

await main().catch((error) => {
  console.log(`${error.message}\nblackbox: 0 passed, 1 failed`);
  return finish(1);
});
