// A private RabbitMQ node, a connection to watch and feed the exchange, and a proxy to take the broker away quickly.
import amqp from 'amqplib';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT, RUN_DIR, claim, claimPorts, until, within } from './env.mjs';

const PROGRAM = path.join(ROOT, 'deploy/private-broker');
const VHOSTS = 48;
export const EXCHANGE = 'waba.agent-portal.events';

export class Broker {
  constructor(dir, port) {
    this.dir = dir;
    this.port = port;
  }

  // A node of one's own: for tests that stop it. About 8 s.
  static async start() {
    const port = await claimPorts(3);
    const dir = path.join(RUN_DIR, `broker-${port}`);
    fs.mkdirSync(dir, { recursive: true });
    const vhosts = ['/', ...Array.from({ length: VHOSTS }, (_, i) => `t${i}`)];
    const definitions = path.join(dir, 'definitions.json');
    fs.writeFileSync(
      definitions,
      JSON.stringify({
        users: [{ name: 'guest', password: 'guest', tags: ['administrator'] }],
        vhosts: vhosts.map((name) => ({ name })),
        permissions: vhosts.map((vhost) => ({ user: 'guest', vhost, configure: '.*', write: '.*', read: '.*' })),
      }),
    );
    const broker = new Broker(dir, port);
    broker.process = spawn(PROGRAM, [dir, String(port), definitions], { stdio: ['ignore', 'ignore', 'inherit'] });
    broker.process.once('exit', (code) => (broker.ended = `ended with ${code}`));
    await broker.waitReady(60000);
    return broker;
  }

  // The node of this run (tests/lib/run.mjs started it), or one for this process alone.
  static async shared() {
    if (process.env.BROKER_PORT) return new Broker(process.env.BROKER_DIR, Number(process.env.BROKER_PORT));
    Broker.own ??= await Broker.start();
    return Broker.own;
  }

  url(vhost = '/') {
    return `amqp://guest:guest@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
  }

  claimVhost() {
    for (let i = 0; i < VHOSTS; i++) if (claim(`vhost-${this.port}-${i}`)) return `t${i}`;
    throw new Error('no vhost left');
  }

  async waitReady(timeoutMs = 30000) {
    await until(
      'the broker',
      async () => {
        if (this.ended) throw new Error(this.ended);
        const connection = await amqp.connect(this.url());
        await connection.close();
        return true;
      },
      timeoutMs,
    );
  }

  async ctl(...args) {
    const { stdout } = await promisify(execFile)(PROGRAM, [this.dir, 'ctl', ...args], { timeout: 90000 });
    return stdout;
  }

  // Names of the queues of a vhost that begin like this.
  async queues(vhost, prefix) {
    const out = await this.ctl('list_queues', '-p', vhost, 'name', '--no-table-headers', '--quiet');
    return out.split('\n').filter((name) => name.startsWith(prefix));
  }

  // Also an exclusive queue of somebody else's, which AMQP would not let us delete.
  async deleteQueue(vhost, name) {
    const resource = `rabbit_misc:r(<<"${vhost}">>, queue, <<"${name}">>)`;
    await this.ctl('eval', `rabbit_amqqueue:with(${resource}, fun(Q) -> rabbit_amqqueue:delete(Q, false, false, <<"test">>) end).`);
  }

  // The node stays, all connections end and nobody gets in until startApp().
  async stopApp() {
    await this.ctl('stop_app');
  }

  async startApp() {
    await this.ctl('start_app');
    await this.waitReady();
  }

  async stop() {
    if (this.process && !this.ended) {
      const gone = new Promise((done) => this.process.once('exit', done));
      this.process.kill('SIGTERM');
      await within(gone, 15000);
    }
    await promisify(execFile)(PROGRAM, [this.dir, 'stop'], { timeout: 20000 }).catch(() => {});
  }
}

// Tests publish rubbish too, and hear it here.
function parsed(raw) {
  try {
    return JSON.parse(raw) ?? {};
  } catch {
    return {};
  }
}

// Hears everything on the exchange, and may write to it.
export class Tap {
  constructor(url, exchange = EXCHANGE) {
    this.url = url;
    this.exchange = exchange;
    this.events = []; // {key, body, raw}
  }

  async open() {
    this.connection = await amqp.connect(this.url);
    this.connection.on('error', () => {});
    this.channel = await this.connection.createConfirmChannel();
    this.channel.on('error', () => {});
    await this.channel.assertExchange(this.exchange, 'topic', { durable: true });
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    this.queue = queue;
    await this.channel.bindQueue(queue, this.exchange, 'tenant.#');
    await this.channel.consume(
      queue,
      (message) => {
        if (!message) return;
        const raw = message.content.toString();
        this.events.push({ key: message.fields.routingKey, body: parsed(raw), raw });
      },
      { noAck: true },
    );
    return this;
  }

  of(tenant, type) {
    return this.events.map((e) => e.body).filter((b) => b.tenantId === tenant && (!type || b.type === type));
  }

  publish(key, body) {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return new Promise((done, fail) =>
      this.channel.publish(this.exchange, key, bytes, { contentType: 'application/json' }, (e) => (e ? fail(e) : done())),
    );
  }

  async close() {
    await this.connection?.close().catch(() => {});
  }
}

// Stands between a service and the broker: down() cuts what is open and refuses what comes.
export class BrokerProxy {
  constructor(target) {
    this.target = target;
    this.sockets = new Set();
  }

  async open() {
    this.port = await claimPorts();
    await this.up();
    return this;
  }

  up() {
    this.server = net.createServer((near) => {
      const far = net.connect(this.target, '127.0.0.1');
      for (const [from, to] of [[near, far], [far, near]]) {
        this.sockets.add(from);
        from.on('error', () => {});
        from.on('close', () => (this.sockets.delete(from), to.destroy()));
        from.pipe(to);
      }
    });
    return new Promise((done) => this.server.listen(this.port, '127.0.0.1', done));
  }

  async down() {
    const closed = new Promise((done) => this.server.close(done));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  url(vhost) {
    return `amqp://guest:guest@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
  }
}
