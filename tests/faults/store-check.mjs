// Looks into SQLite stores with build/bin/store-check (tests/faults/store_check.c), one after the other in one process.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { BIN_DIR } from '../lib/env.mjs';

export class StoreCheck {
  constructor() {
    this.child = spawn(path.join(BIN_DIR, 'store-check'), [], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.said = '';
    this.child.stderr.on('data', (text) => (this.said += text));
    this.gone = new Promise((done) => this.child.once('exit', (code, signal) => done((this.code = code ?? signal))));
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  // What is in the store of that file: {refused, damaged: [text], tenants: {id: {epoch, n, seq, published}}, event: [body], message:
  // [doc], conversation: [doc], channel: [id], waiting: [text]}.
  async look(file) {
    this.said = ''; // the store's own log
    this.child.stdin.write(`sqlite:${file}\n`);
    const found = { damaged: [], tenants: {}, event: [], message: [], conversation: [], channel: [], waiting: [] };
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`store-check ended with ${await this.gone} at ${file}\n${this.said}`);
      const [word, text] = [value.split(' ', 1)[0], value.slice(value.indexOf(' ') + 1)];
      if (word === 'end') return found;
      if (word === 'refused') found.refused = text;
      else if (['damaged', 'channel', 'waiting'].includes(word)) found[word].push(text);
      else this.take(found, word, text);
    }
  }

  take(found, word, text) {
    try {
      const value = JSON.parse(text);
      if (word !== 'tenant') return found[word].push(value);
      const [id, epoch, n, seq, published] = value;
      found.tenants[id] = { epoch, n, seq, published };
    } catch {
      found.damaged.push(`${word} ${text}`);
    }
  }

  async stop() {
    this.child.stdin.end();
    await this.gone;
    if (this.code !== 0) throw new Error(`store-check ended with ${this.code}`);
  }
}
