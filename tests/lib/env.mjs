// Where things are, the run's own folder, and claims (ports, vhosts) that parallel test files must not share.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const BIN_DIR = path.resolve(process.env.BIN_DIR ?? path.join(ROOT, 'build/bin'));
export const GOLDEN = path.join(ROOT, 'tests/golden');
// Everything runs slower under sanitizers, and on the MongoDB server of the tests; deadlines are stretched by this.
const SLOWER = (BIN_DIR.includes('/san/') ? 4 : 1) * (process.env.STORE === 'mongo' ? 2 : 1);
export const PATIENCE = Number(process.env.PATIENCE ?? SLOWER);

// One folder holds all that a run leaves; tests/lib/run.mjs makes it and removes it when all went well.
export const RUN_DIR = process.env.RUN_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'portalcast-'));
if (!process.env.RUN_DIR)
  process.on('exit', (code) => {
    if (code === 0) fs.rmSync(RUN_DIR, { recursive: true, force: true });
    else console.error(`logs: ${RUN_DIR}`);
  });

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// What the promise gives, or undefined when that takes longer.
export function within(promise, ms) {
  let timer;
  const late = new Promise((done) => (timer = setTimeout(done, ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// True for the one process that asks first.
export function claim(name) {
  try {
    fs.mkdirSync(path.join(RUN_DIR, 'claims', name), { recursive: false });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    fs.mkdirSync(path.join(RUN_DIR, 'claims'), { recursive: true });
    return claim(name);
  }
}

const isFree = (port) =>
  new Promise((done) => {
    const probe = net.createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });

// The first of `count` neighbouring free ports, below the range that the kernel hands out to clients.
export async function claimPorts(count = 1) {
  const first = 20000 + ((process.pid * 7) % 1000) * 10;
  for (let port = first; port < first + 2000; port += count) {
    const ports = Array.from({ length: count }, (_, i) => port + i);
    if (!claim(`port-${port}-${count}`)) continue;
    if (ports.some((p) => fs.existsSync(path.join(RUN_DIR, 'claims', `port-${p}`)))) continue;
    if ((await Promise.all(ports.map(isFree))).every(Boolean) && ports.every((p) => claim(`port-${p}`))) return port;
  }
  throw new Error('no free ports');
}

// Waits until probe() gives something truthy, and returns that.
export async function until(what, probe, timeoutMs = 10000) {
  const deadline = Date.now() + timeoutMs * PATIENCE;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs * PATIENCE} ms in vain for ${what}; last: ${show(last)}`);
    await sleep(25);
  }
}

function show(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}

// A small generator with a seed, so that a run with random moments can be repeated: SEED=... make blackbox T=...
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
