// The Python client of Socket.IO, driven line by line.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { PATIENCE, ROOT, until, within } from './env.mjs';

const PYTHON = path.join(ROOT, 'build/test-venv/bin/python3');
const PROGRAM = path.join(ROOT, 'tests/lib/python-client');

const pack = (value) => JSON.stringify(value, (_, v) => (v?.type === 'Buffer' ? { $hex: Buffer.from(v.data).toString('hex') } : v));
const unpack = (text) => JSON.parse(text, (_, v) => (typeof v?.$hex === 'string' ? Buffer.from(v.$hex, 'hex') : v));

export class PythonClient {
  said = [];
  complaints = '';
  constructor(base, way, { token = '', namespaces = ['/'] } = {}) {
    this.child = spawn(PYTHON, [PROGRAM, base, way, namespaces.join(), token], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.lines = readline.createInterface(this.child.stdout)[Symbol.asyncIterator]();
    this.child.stderr.on('data', (part) => (this.complaints += part));
    this.child.stdin.on('error', () => {});
    this.gone = new Promise((done) => this.child.on('exit', (code) => done(code)));
  }

  async answer() {
    const line = await within(this.lines.next(), 20000 * PATIENCE);
    if (!line || line.done) throw new Error(`the Python client ${line ? 'ended' : 'says nothing'}: ${this.complaints.slice(-2000)}`);
    return unpack(line.value);
  }

  tell(...command) {
    this.child.stdin.write(`${pack(command)}\n`);
    return this.answer();
  }

  async call(...command) {
    return (await this.tell('call', ...command)).answer;
  }

  // What came in a namespace, once there are `count` of such an event.
  async hears(namespace, event, count = 1) {
    let found;
    await until(`${count} ${event}`, async () => {
      found = (await this.tell('heard', namespace)).heard.filter(([name]) => name === event);
      return found.length >= count;
    });
    return found;
  }

  // Its exit code.
  async end() {
    this.child.stdin.end();
    return within(this.gone, 10000 * PATIENCE);
  }

  kill() {
    this.child.kill('SIGKILL');
  }
}
