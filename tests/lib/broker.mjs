// A private RabbitMQ node, a connection to watch and feed the exchange, and a proxy to take the broker away quickly.
import amqp from 'amqplib';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT, RUN_DIR, claim, claimPorts, until, within } from './env.mjs';

const PROGRAM = path.join(ROOT, 'deploy/private-broker');
export const VHOSTS = { shared: 120, own: 16 }; // virtual hosts of a node: nobody gets one twice
export const EXCHANGE = 'waba.agent-portal.events';

export class Broker {
  constructor(dir, port, vhosts = VHOSTS.shared) {
    Object.assign(this, { dir, port, vhosts });
  }

  // Starts the node: the first time with the definitions, after a stop() or kill() with what it kept.
  async launch() {
    this.ended = undefined;
    this.process = spawn(PROGRAM, [this.dir, String(this.port), path.join(this.dir, 'definitions.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.process.once('exit', (code) => (this.ended = `ended with ${code}`));
    try {
      await this.waitReady(180000); // a node takes a minute where ten others want the processor
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  // A node of one's own: for tests that stop it. About 8 s.
  static async start(count = VHOSTS.own) {
    const port = await claimPorts(3);
    const dir = path.join(RUN_DIR, `broker-${port}`);
    fs.mkdirSync(dir, { recursive: true });
    const vhosts = ['/', ...Array.from({ length: count }, (_, i) => `t${i}`)];
    fs.writeFileSync(
      path.join(dir, 'definitions.json'),
      JSON.stringify({
        users: [{ name: 'guest', password: 'guest', tags: ['administrator'] }],
        vhosts: vhosts.map((name) => ({ name })),
        permissions: vhosts.map((vhost) => ({ user: 'guest', vhost, configure: '.*', write: '.*', read: '.*' })),
      }),
    );
    const broker = new Broker(dir, port, count);
    await broker.launch();
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
    for (let i = 0; i < this.vhosts; i++) if (claim(`vhost-${this.port}-${i}`)) return `t${i}`;
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

  // Something with a channel of one's own, for what AMQP can do.
  async withChannel(vhost, use) {
    const connection = await amqp.connect(this.url(vhost));
    connection.on('error', () => {});
    try {
      const channel = await connection.createConfirmChannel();
      channel.on('error', () => {});
      const result = await use(channel);
      await channel.waitForConfirms();
      return result;
    } finally {
      await connection.close().catch(() => {});
    }
  }

  async deleteExchange(vhost, name = EXCHANGE) {
    await this.withChannel(vhost, (channel) => channel.deleteExchange(name));
  }

  // An alarm of the whole node: who publishes is blocked, who only consumes is not.
  async memoryAlarm(on) {
    await this.ctl('set_vm_memory_high_watermark', on ? '0' : '0.4');
  }

  async diskAlarm(on) {
    await this.ctl('set_disk_free_limit', on ? '900000GB' : '50MB');
  }

  async closeConnections(vhost) {
    await this.ctl('close_all_connections', '--vhost', vhost, 'test');
  }

  // Names of the open connections of a vhost, as their owners call themselves.
  async connections(vhost) {
    const out = await this.ctl('list_connections', 'vhost', 'client_properties', '--no-table-headers', '--quiet');
    return out.split('\n').filter((line) => line.startsWith(`${vhost}\t`)).map((line) => /connection_name","([^"]*)"/.exec(line)?.[1] ?? '');
  }

  // With all that is in it; connections to it end, and new ones are refused until makeVhost().
  async deleteVhost(vhost) {
    await this.ctl('delete_vhost', vhost);
  }

  async makeVhost(vhost) {
    await this.ctl('add_vhost', vhost);
    await this.ctl('set_permissions', '-p', vhost, 'guest', '.*', '.*', '.*');
  }

  // The node stays, all connections end and nobody gets in until startApp().
  async stopApp() {
    await this.ctl('stop_app');
  }

  async startApp() {
    await this.ctl('start_app');
    await this.waitReady();
  }

  // kill -9; what is left of it is cleaned up by the program that started it.
  async kill() {
    const gone = new Promise((done) => this.process.once('exit', done));
    process.kill(Number(fs.readFileSync(path.join(this.dir, 'node.pid'), 'utf8')), 'SIGKILL');
    await within(gone, 15000);
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

// Hears everything on the exchange, also while nobody listens and over restarts of the node: a durable queue that is
// read at the end.
export class Witness {
  constructor(broker, vhost, key = 'tenant.#') {
    Object.assign(this, { broker, vhost, key, queue: `witness.${key}` });
  }

  async open() {
    await this.broker.withChannel(this.vhost, async (channel) => {
      await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
      await channel.assertQueue(this.queue, { durable: true });
      await channel.bindQueue(this.queue, EXCHANGE, this.key);
    });
    return this;
  }

  // Whether the broker still brings it anything.
  async isBound() {
    const out = await this.broker.ctl('list_bindings', '-p', this.vhost, 'source_name', 'destination_name', '--no-table-headers', '--quiet');
    return out.split('\n').includes(`${EXCHANGE}\t${this.queue}`);
  }

  // All bodies, in order, once they satisfy isEnough(); the queue goes.
  async statement(isEnough) {
    return this.broker.withChannel(this.vhost, async (channel) => {
      const bodies = [];
      await channel.consume(this.queue, (message) => message && bodies.push(parsed(message.content.toString())), { noAck: true });
      await until('all that the witness should have heard', () => isEnough(bodies), 15000).catch(async (error) => {
        throw new Error(`${error.message}; the witness is ${(await this.isBound()) ? 'still bound' : 'no longer bound: the broker has lost that'}`);
      });
      await channel.deleteQueue(this.queue);
      return bodies;
    });
  }
}

// Stands between a service and the broker: down() cuts what is open and refuses what comes; freeze() leaves what is open
// half-open, as when a host is gone without a word.
export class BrokerProxy {
  constructor(target) {
    this.target = target;
    this.sockets = new Set();
    this.frozen = new Set();
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
        from.on('close', () => (this.sockets.delete(from), this.frozen.has(to) || to.destroy()));
        from.pipe(to);
      }
    });
    return new Promise((done) => this.server.listen(this.port, '127.0.0.1', done));
  }

  // Cuts what is open; who comes again is let in.
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  // Nothing goes through any more on what is open, and neither side is told; new connections are as ever.
  freeze() {
    for (const socket of this.sockets) {
      this.frozen.add(socket);
      socket.unpipe();
      socket.pause();
    }
  }

  async down() {
    this.frozen.clear();
    const closed = new Promise((done) => this.server.close(done));
    this.cut();
    await closed;
  }

  url(vhost) {
    return `amqp://guest:guest@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
  }
}
