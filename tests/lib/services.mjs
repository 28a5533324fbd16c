// The real programs: start, wait until ready, signal, count their files and threads, read their last words.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { BIN_DIR, PATIENCE, RUN_DIR, claimPorts, sleep, within } from './env.mjs';
import { storeUrl } from './mongo.mjs';

export const SECRETS = {
  jwt: 'test-jwt-secret-7f1c0a5e9b2d4c68a3e1',
  webhook: 'test-webhook-secret-41d8e0b7c2965fa3',
  webhookPrevious: 'test-webhook-secret-before-90ab12cd',
  verify: 'test-verify-token-5e6f7a8b9c0d',
};
// Settings of a service whose memory is to stay flat: what was freed is kept aside by AddressSanitizer, by default a quarter of a
// gigabyte; a little of it is enough.
export const FLAT = { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=4`.replace(/^:/, '') };
const REPORT = /ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer/;

const living = new Set();
process.on('exit', () => living.forEach((service) => service.child.kill('SIGKILL')));

// What the MongoDB driver says when a killed process of the same number has left its counters behind.
const DRIVERS_WORD = /^.*mongoc: Falling back to malloc for counters\.\n/gm;

// Runs a program to its end.
export function runProgram(name, args, env = {}, timeoutMs = 10000) {
  return new Promise((done) => {
    const clean = { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? '' };
    execFile(path.join(BIN_DIR, name), args, { env: { ...clean, ...env }, timeout: timeoutMs * PATIENCE, cwd: RUN_DIR }, (error, stdout, stderr) =>
      done({ code: error ? (error.code ?? error.signal) : 0, stdout, stderr: stderr.replace(DRIVERS_WORD, '') }),
    );
  });
}

export class Service {
  constructor(name, port, env, dir) {
    Object.assign(this, { name, port, env, dir });
    this.base = `http://127.0.0.1:${port}`;
    this.logFile = path.join(dir, `${name}-${port}.log`);
  }

  // Starts it and, unless told otherwise, waits until it says that it is ready.
  async start({ wait = true } = {}) {
    const log = fs.openSync(this.logFile, 'a');
    const inherited = { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? '' };
    const child = spawn(path.join(BIN_DIR, this.name), [], { env: { ...inherited, ...this.env }, cwd: this.dir, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.child = child;
    this.code = undefined;
    living.add(this);
    this.gone = new Promise((done) => {
      child.once('error', (error) => done((this.code = error.message)));
      child.once('exit', (code, signal) => done((this.code = code ?? signal)));
    }).finally(() => living.delete(this));
    if (wait) await this.waitReady();
    return this;
  }

  get pid() {
    return this.child.pid;
  }

  async probe(pathname) {
    const answer = await fetch(this.base + pathname, { signal: AbortSignal.timeout(2000) });
    return { status: answer.status, body: await answer.text() };
  }

  async waitReady(timeoutMs = 20000) {
    const deadline = Date.now() + timeoutMs * PATIENCE;
    let last = 'nothing';
    while (Date.now() < deadline) {
      if (this.code !== undefined) throw new Error(`${this.name} ended with ${this.code}\n${this.log(30)}`);
      try {
        const { status, body } = await this.probe('/readyz');
        if (status === 200) return;
        last = `${status} ${body}`;
      } catch (error) {
        last = error.cause?.code ?? error.message;
      }
      await sleep(30);
    }
    throw new Error(`${this.name} did not become ready: ${last}\n${this.log(30)}`);
  }

  log(lines = 60) {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8').split('\n').slice(-lines).join('\n') : '';
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.gone;
  }

  // SIGTERM; fails when it does not end with 0 in time, or when a sanitizer has something to say.
  async stop(timeoutMs = 15000) {
    if (this.code === undefined) {
      this.child.kill('SIGTERM');
      await within(this.gone, timeoutMs * PATIENCE);
      if (this.code === undefined) {
        await this.kill();
        throw new Error(`${this.name} did not end ${timeoutMs * PATIENCE} ms after SIGTERM\n${this.log()}`);
      }
      if (this.code !== 0) throw new Error(`${this.name} ended with ${this.code} after SIGTERM\n${this.log(120)}`);
    }
    this.checkLog();
  }

  checkLog() {
    const log = this.log(Infinity);
    if (REPORT.test(log)) throw new Error(`${this.name}: a sanitizer reports\n${log.slice(Math.max(0, log.search(REPORT) - 200)).slice(0, 6000)}`);
  }

  fds() {
    return fs.readdirSync(`/proc/${this.pid}/fd`).length;
  }

  threads() {
    return fs.readdirSync(`/proc/${this.pid}/task`).length;
  }

  // Ticks of the processor that its threads of that name have used.
  ticks(thread) {
    const stats = fs.readdirSync(`/proc/${this.pid}/task`).map((t) => fs.readFileSync(`/proc/${this.pid}/task/${t}/stat`, 'utf8'));
    const used = stats.filter((text) => text.includes(`(${thread})`)).map((text) => text.slice(text.lastIndexOf(')')).split(' '));
    return used.reduce((sum, fields) => sum + Number(fields[12]) + Number(fields[13]), 0);
  }

  // {name or name{label="x"}: number}
  async metrics() {
    const { body } = await this.probe('/metrics');
    return Object.fromEntries(
      body.split('\n').filter((line) => line && !line.startsWith('#')).map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  }
}

const common = (amqpUrl) => ({ AMQP_URL: amqpUrl, JWT_SECRET: SECRETS.jwt, LOG_LEVEL: 'debug' });

export async function stateManager(dir, amqpUrl, env = {}) {
  const port = await claimPorts();
  return new Service('state-manager', port, {
    ...common(amqpUrl),
    STATE_MANAGER_PORT: String(port),
    STORE_URL: storeUrl(dir),
    WEBHOOK_APP_SECRET: SECRETS.webhook,
    WEBHOOK_APP_SECRET_PREVIOUS: SECRETS.webhookPrevious,
    WEBHOOK_VERIFY_TOKEN: SECRETS.verify,
    ...env,
  }, dir);
}

export async function gateway(dir, amqpUrl, env = {}) {
  const port = await claimPorts();
  return new Service('portal-gateway', port, { ...common(amqpUrl), GATEWAY_PORT: String(port), ...env }, dir);
}
