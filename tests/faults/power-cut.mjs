// What a disk may hold after a power cut, from the record of what was done to it (tests/faults/layer/disk_journal.h).
//
// What was synced is there. Of what was not, any part may be: each write as a whole, not at all, or in some of its sectors;
// a file may have its new size without the bytes, which are then zeros or rubbish. Names (new files, unlinks, renames) that
// no sync of their folder followed may be there or not, in their order. What a failed sync has given up may be missing for
// good, although later syncs succeed. Files that are mapped as memory (SQLite's -shm) are rubbish or gone.
import { randomFillSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const MARK = 0x314b5344;
const HEAD = 32;
const OPS = ['', 'create', 'write', 'size', 'sync', 'sync-failed', 'sync-folder', 'unlink', 'rename', 'mkdir', 'rmdir'];
const FOLDER = { folder: true };

// The records of a journal: {op, inode, offset, name, data, end}; end: how long the journal was with this record.
export function readJournal(file) {
  const bytes = fs.readFileSync(file);
  const records = [];
  for (let at = 0; at + HEAD <= bytes.length; ) {
    if (bytes.readUInt32LE(at) !== MARK) throw new Error(`the journal is no journal at ${at}`);
    const [nameBytes, dataBytes] = [bytes.readUInt32LE(at + 24), bytes.readUInt32LE(at + 28)];
    const end = at + HEAD + nameBytes + dataBytes;
    if (end > bytes.length) break; // the writer was killed
    records.push({
      op: OPS[bytes.readUInt32LE(at + 4)],
      inode: bytes.readBigUInt64LE(at + 8),
      offset: Number(bytes.readBigUInt64LE(at + 16)),
      name: bytes.toString('utf8', at + HEAD, at + HEAD + nameBytes),
      data: bytes.subarray(at + HEAD + nameBytes, end),
      end,
    });
    at = end;
  }
  return records;
}

// A file's bytes, growing.
class Bytes {
  constructor(from) {
    this.buffer = Buffer.alloc(Math.max(from?.size ?? 0, 4096));
    from?.buffer.copy(this.buffer, 0, 0, from.size);
    this.size = from?.size ?? 0;
  }

  resize(size) {
    if (size > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(size, 2 * this.buffer.length));
      this.buffer.copy(larger, 0, 0, this.size);
      this.buffer = larger;
    }
    if (size < this.size) this.buffer.fill(0, size, this.size);
    this.size = size;
  }

  write(data, offset, rubbish = false) {
    const before = this.size;
    if (offset + data.length > before) this.resize(offset + data.length);
    if (rubbish && offset > before) randomFillSync(this.buffer, before, offset - before);
    data.copy(this.buffer, offset);
  }
}

class File {
  durable = new Bytes();
  changes = []; // not in `durable` yet: {size} or {offset, data}, doubtful: a sync of it has failed, synced: one has not

  synced() {
    this.changes.forEach((c) => (c.synced ||= !c.doubtful));
    while (this.changes[0]?.synced) this.apply(this.durable, this.changes.shift());
  }

  syncFailed() {
    this.changes.forEach((c) => (c.doubtful ||= !c.synced));
  }

  apply(bytes, change) {
    if (change.data) bytes.write(change.data, change.offset);
    else bytes.resize(change.size);
  }

  // The bytes after a cut; fate(i, n): how much of change i of n is there: 'all', 'none' or a size of sectors to be drawn.
  after(fate, random) {
    const bytes = new Bytes(this.durable);
    const sizes = random() < 0.5; // whether a file may have its size before its bytes
    const rubbish = random() < 0.5;
    this.changes.forEach((change, i) => {
      const end = change.data ? change.offset + change.data.length : change.size;
      const is = change.synced ? 'all' : fate(i, this.changes.length);
      if (is === 'all') return this.apply(bytes, change);
      if (is === 'none') return sizes && end > bytes.size && (rubbish ? bytes.write(Buffer.alloc(0), end, true) : bytes.resize(end));
      if (!change.data) return random() < 0.5 && bytes.resize(change.size);
      for (let at = change.offset; at < end; ) {
        const next = Math.min(end, at - (at % is) + is);
        if (random() < 0.5) bytes.write(change.data.subarray(at - change.offset, next - change.offset), at, rubbish);
        at = next;
      }
    });
    return bytes;
  }
}

const folderOf = (name) => (path.dirname(name) === '.' ? '' : path.dirname(name));

// How a cut may leave what was not synced: which changes of a file are there.
export const LEAVINGS = {
  nothing: () => () => 'none',
  everything: () => () => 'all',
  'the first': (random) => {
    const part = random();
    return (i, n) => (i < Math.floor(part * n) ? 'all' : i === Math.floor(part * n) ? 512 : 'none');
  },
  'the last': (random) => {
    const part = random();
    return (i, n) => (i > Math.floor(part * n) ? 'all' : 'none');
  },
  some: (random) => () => (random() < 0.5 ? 'all' : 'none'),
  sectors: () => () => 512,
  pages: () => () => 4096,
};

// A disk as it is at a moment of the record. liar: it says that it has synced, and has not.
export class DiskImage {
  constructor({ liar = false } = {}) {
    this.liar = liar;
    this.files = new Map(); // inode -> File
    this.names = new Map(); // durable: name -> File or FOLDER
    this.moves = []; // not durable yet: {folder, names: [[name, File | FOLDER | null], ...]}
  }

  file(record) {
    if (record.op === 'create' || !this.files.has(record.inode)) this.files.set(record.inode, new File());
    return this.files.get(record.inode);
  }

  // The file that a name stands for now, by the record so far.
  current(name) {
    for (const move of [...this.moves].reverse()) for (const [n, what] of move.names) if (n === name) return what;
    return this.names.get(name);
  }

  move(...names) {
    this.moves.push({ folder: folderOf(names[0][0]), names });
  }

  take(record) {
    const { op, name } = record;
    if (op === 'create') this.move([name, this.file(record)]);
    else if (op === 'write') this.file(record).changes.push({ offset: record.offset, data: record.data });
    else if (op === 'size') this.file(record).changes.push({ size: record.offset });
    else if (op === 'unlink' || op === 'rmdir') this.move([name, null]);
    else if (op === 'mkdir') this.move([name, FOLDER]);
    else if (op === 'rename') {
      const [from, to] = name.split('\0');
      this.move([to, this.current(from)], [from, null]);
    } else if (op === 'sync-failed') this.file(record).syncFailed();
    else if (this.liar) return;
    else if (op === 'sync') this.file(record).synced();
    else if (op === 'sync-folder') {
      this.moves.filter((m) => m.folder === name).forEach((m) => m.names.forEach(([n, what]) => this.names.set(n, what)));
      this.moves = this.moves.filter((m) => m.folder !== name);
    }
  }

  // Writes to `dir` what the disk may hold after a cut at this moment.
  leave(dir, leaving, random) {
    const names = new Map(this.names);
    const dropped = new Set();
    const fate = LEAVINGS[leaving](random);
    this.moves.forEach((move) => {
      const kept = leaving === 'everything' || (leaving !== 'nothing' && random() < 0.5);
      if (!kept || move.names.some(([n]) => dropped.has(n))) move.names.forEach(([n]) => dropped.add(n));
      else move.names.forEach(([n, what]) => names.set(n, what));
    });
    fs.rmSync(dir, { recursive: true, force: true });
    fs.mkdirSync(dir, { recursive: true });
    for (const [name, what] of [...names].sort()) {
      const file = path.join(dir, name);
      if (!what || !fs.existsSync(path.dirname(file))) continue;
      if (what === FOLDER) fs.mkdirSync(file);
      else if (!name.endsWith('-shm')) {
        const bytes = what.after(fate, random);
        fs.writeFileSync(file, bytes.buffer.subarray(0, bytes.size));
      } else if (random() < 0.5) fs.writeFileSync(file, randomFillSync(Buffer.alloc(32768)));
    }
  }
}
