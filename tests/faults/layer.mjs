// The layers between a program and the C library (tests/faults/layer/, built into build/lib): a disk that is full, fails
// or is slow, a record of what reached it, and a wall clock that jumps. Their `env` goes to the program's environment.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/env.mjs';

const LIB_DIR = path.join(ROOT, 'build/lib');

function library(name) {
  const file = path.join(LIB_DIR, `fault-${name}.so`);
  if (!fs.existsSync(file)) throw new Error(`not built: ${file} (make layers)`);
  return file;
}

// What several layers ask for, together.
export function layered(...layers) {
  const all = Object.assign({}, ...layers.map((l) => l.env));
  return { ...all, LD_PRELOAD: layers.map((l) => l.env.LD_PRELOAD).join(':') };
}

// The disk below a folder, for the programs that get its `env`. dir: where the layer's own files go, not below the folder.
export class Disk {
  constructor(folder, dir, { record = false } = {}) {
    fs.mkdirSync(dir, { recursive: true });
    this.control = path.join(dir, 'disk.control');
    this.journal = path.join(dir, 'disk.journal');
    this.env = { LD_PRELOAD: library('disk'), FAULT_DISK_ROOT: fs.realpathSync(folder), FAULT_DISK_CONTROL: this.control };
    if (record) this.env.FAULT_DISK_JOURNAL = this.journal;
    this.heal();
  }

  // Lines of tests/faults/layer/disk_control.h, like 'full 0', 'eio-sync 0 -wal', 'slow-sync 5000'; from now on these and no others.
  set(...lines) {
    fs.writeFileSync(`${this.control}.next`, lines.map((line) => `${line}\n`).join(''));
    fs.renameSync(`${this.control}.next`, this.control);
  }

  heal() {
    this.set();
  }

  // How much has been recorded so far.
  recorded() {
    return fs.statSync(this.journal, { throwIfNoEntry: false })?.size ?? 0;
  }
}

// The wall clock of the programs that get its `env`; monotonic clocks stay as they are.
export class WallClock {
  constructor(dir) {
    const file = path.join(dir, `clock.${process.pid}.${WallClock.count++}`);
    this.fd = fs.openSync(file, 'w');
    this.env = { LD_PRELOAD: library('clock'), FAULT_CLOCK: file };
    this.set(0);
  }

  // So many milliseconds ahead of (negative: behind) the real one, at once.
  set(aheadMs) {
    this.aheadMs = aheadMs;
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round(aheadMs)));
    fs.writeSync(this.fd, bytes, 0, 8, 0);
  }

  now() {
    return Date.now() + this.aheadMs;
  }

  close() {
    fs.closeSync(this.fd);
  }
}
WallClock.count = 0;

// Allocations that fail (tests/faults/layer/memory.h): while it is on, once for each place that asks.
export class Memory {
  constructor(dir, { depth = 6, ownEvery = 1, seed = 0 } = {}) {
    const file = path.join(dir, 'memory.control');
    fs.writeFileSync(file, Buffer.alloc(8 * (8 + (1 << 16))));
    this.fd = fs.openSync(file, 'r+');
    this.env = { LD_PRELOAD: library('memory'), FAULT_MEMORY: file };
    [0, depth, ownEvery, seed].forEach((value, i) => this.write(i, value));
  }

  write(field, value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    fs.writeSync(this.fd, bytes, 0, 8, 8 * field);
  }

  fail(on) {
    this.write(0, on ? 1 : 0);
  }

  // The calls that led to the last failure.
  last() {
    return fs.readFileSync(`${this.env.FAULT_MEMORY}.last`, 'utf8');
  }

  // How many allocations have failed: of libraries, of the program's own; and how many were granted meanwhile.
  count() {
    const bytes = Buffer.alloc(24);
    fs.readSync(this.fd, bytes, 0, 24, 32);
    const [failed, own, passed] = [0, 8, 16].map((at) => Number(bytes.readBigUInt64LE(at)));
    return { failed, own, passed };
  }

  close() {
    fs.closeSync(this.fd);
  }
}
