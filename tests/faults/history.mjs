// The history of a run: one JSON line per record, {n, t, kind, ...}, t in ms on a monotonic clock since the start. What
// clients heard is millions of lines; they stay in the file alone, all other kinds are kept in memory, too.
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';

const WRITE_BYTES = 1 << 18;
const READ_BYTES = 1 << 20;
const BULKY = 'heard';

// The lines of a file, one after the other; a last one that was cut off by a death does not count.
function* linesOf(file) {
  const fd = fs.openSync(file, 'r');
  try {
    const part = Buffer.allocUnsafe(READ_BYTES);
    let rest = Buffer.alloc(0);
    for (let n = fs.readSync(fd, part); n > 0; n = fs.readSync(fd, part)) {
      const bytes = Buffer.concat([rest, part.subarray(0, n)]);
      const end = bytes.lastIndexOf(10);
      rest = Buffer.from(bytes.subarray(end + 1));
      if (end > 0) yield* bytes.toString('utf8', 0, end).split('\n');
    }
  } finally {
    fs.closeSync(fd);
  }
}

export class History {
  kept = new Map(); // kind -> its records, but for the bulky one
  waiting = [];
  waitingBytes = 0;
  count = 0;

  // A new history in that file.
  constructor(file) {
    this.file = file;
    this.began = performance.now();
    this.fd = fs.openSync(file, 'w');
  }

  // One that was written before.
  static read(file) {
    const history = Object.create(History.prototype, { file: { value: file }, kept: { value: new Map() } });
    for (const record of history.records) {
      history.keep(record);
      history.count = record.n + 1;
    }
    return history;
  }

  now() {
    return Math.round((performance.now() - this.began) * 10) / 10;
  }

  add(kind, fields) {
    const record = { n: this.count++, t: this.now(), kind, ...fields };
    const line = `${JSON.stringify(record)}\n`;
    this.waiting.push(line);
    this.waitingBytes += line.length;
    if (this.waitingBytes > WRITE_BYTES) this.flush();
    this.keep(record);
    return record;
  }

  keep(record) {
    if (record.kind === BULKY) return;
    if (!this.kept.has(record.kind)) this.kept.set(record.kind, []);
    this.kept.get(record.kind).push(record);
  }

  flush() {
    if (this.fd === undefined || !this.waiting.length) return;
    fs.writeSync(this.fd, this.waiting.join(''));
    this.waiting = [];
    this.waitingBytes = 0;
  }

  close() {
    this.flush();
    if (this.fd !== undefined) fs.closeSync(this.fd);
    this.fd = undefined;
  }

  // All, in their order: as often as it is asked for.
  get records() {
    this.flush?.();
    const { file } = this;
    return { *[Symbol.iterator]() { for (const line of linesOf(file)) yield JSON.parse(line); } };
  }

  // Those of some kinds (not `heard`), in their order.
  of(...kinds) {
    const lists = kinds.map((kind) => this.kept.get(kind) ?? []);
    return lists.length === 1 ? lists[0] : lists.flat().sort((a, b) => a.n - b.n);
  }
}
