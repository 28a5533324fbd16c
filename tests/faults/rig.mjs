// The rig: a broker, a store, state-managers and gateways, with a TCP proxy in every link between them, and before them for
// clients and senders. All are looked at four times a second.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Balancer } from '../lib/balancer.mjs';
import { Broker } from '../lib/broker.mjs';
import { RUN_DIR, claimPorts, until } from '../lib/env.mjs';
import { Mongo } from '../lib/mongo.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { BrokerProcess, MongoProcess } from './faults-processes.mjs';
import { Disk, WallClock, layered } from './layer.mjs';
import { Wires } from './proxy.mjs';
import { usages } from './usage.mjs';

const PROBE_MS = 250;
const PROBE_PATIENCE_MS = 2000;
const SILENT = 2; // probes without an answer, one after the other, are an answer: a machine that has much to do is slow, too
const USAGE_MS = 5000;
const STOP_MS = 10000;
const KILL_MS = 15000;

// Short times where the defaults would only make a run long; the log keeps all, for the checker.
const GATEWAY = { LOG_LEVEL: 'info', PING_INTERVAL_MS: '5000', PING_TIMEOUT_MS: '4000', DRAIN_SECONDS: '2', RING_EVENTS: '2048' };
const MANAGER = { LOG_LEVEL: 'info', HOUSEKEEPING_SECONDS: '5', EVENT_RETENTION_COUNT: '1000000' };

// One service in its place: what is there may be killed, started, or replaced by another process.
class Station {
  constructor(rig, name, kind) {
    Object.assign(this, { rig, name, kind });
  }

  get door() {
    return `${this.kind === 'gateway' ? 'door' : 'hooks'}:${this.name}`;
  }

  // Its links, and the process that goes behind them.
  async open() {
    const { rig, name } = this;
    this.clock = new WallClock(rig.dir('layers'));
    this.amqpUrl = (await rig.wire(`broker:${name}`, { port: rig.broker.port })).replace('http', 'amqp').replace('//', '//guest:guest@') + `/${rig.vhost}`;
    if (this.kind === 'state-manager') this.storeUrl = rig.mongo ? await this.mongoUrl() : `sqlite:${path.join(rig.storeDir, 'store.db')}`;
    this.service = await this.make();
    this.url = await rig.wire(this.door, { port: this.service.port });
    return this;
  }

  async mongoUrl() {
    const { host, hostname, port } = this.rig.mongoAt;
    const link = await this.rig.wire(`store:${this.name}`, { host: hostname, port: Number(port) });
    return this.rig.mongo.url('faults').replace(host, new URL(link).host);
  }

  async make() {
    const { rig, name } = this;
    const dir = rig.dir(name);
    if (this.kind === 'state-manager') {
      const layers = layered(...[this.clock, rig.disk].filter(Boolean));
      return stateManager(dir, this.amqpUrl, { ...MANAGER, STORE_URL: this.storeUrl, ...layers });
    }
    const made = await gateway(dir, this.amqpUrl, { ...GATEWAY, ...layered(this.clock) });
    made.peers = `peers:${name}`;
    if (rig.wires.ports.has(made.peers)) made.peers += `:${made.port}`;
    made.env.ADVERTISE_URL = await rig.wire(made.peers, { port: made.port });
    return made;
  }

  launch() {
    return this.service.start({ wait: false });
  }

  kill() {
    return this.service.kill();
  }

  signal(signal) {
    process.kill(this.service.pid, signal);
  }

  stop() {
    return this.end(this.service);
  }

  // SIGTERM. Who does not go says where it stands, if there is a debugger.
  async end(service) {
    const timer = setTimeout(() => this.rig.blame('ends well', `${this.name} is still there ${STOP_MS / 1000} s after SIGTERM\n${stacks(service.pid)}`), STOP_MS);
    await service.stop(KILL_MS).catch((error) => this.rig.blame('ends well', error.message));
    clearTimeout(timer);
  }

  // Another process in its place: the new one first, where the store has room for two.
  async replace() {
    const { rig, service: old } = this;
    if (this.kind === 'state-manager' && !rig.mongo) {
      await this.stop();
      return void (await this.service.start());
    }
    const next = await this.make();
    await next.start();
    await rig.wires.lead(this.door, { port: next.port });
    this.service = next;
    await this.end(old);
    if (old.peers) await rig.wires.close(old.peers);
  }
}

export class Rig {
  stations = new Map();
  blames = []; // {rule, text, t}
  readiness = new Map(); // service -> {ready, at, since}: what it said last, when it was asked, since when it says so
  timers = [];

  constructor(history, { gateways, managers, store }) {
    Object.assign(this, { history, store, names: { gateway: gateways, 'state-manager': managers } });
  }

  dir(name) {
    const dir = path.join(RUN_DIR, name);
    fs.mkdirSync(dir, { recursive: true });
    return dir;
  }

  async open() {
    process.on('exit', this.abandon);
    this.wires = new Wires();
    this.storeDir = this.dir('store');
    [this.broker] = await Promise.all([Broker.start(1), this.openStore()]);
    this.vhost = 't0';
    for (const [kind, names] of Object.entries(this.names)) for (const name of names) this.stations.set(name, await new Station(this, name, kind).open());
    // The embedded store makes its tables first; then all at once.
    for (const kind of ['state-manager', 'gateway']) await Promise.all(this.all(kind).map(({ service }) => service.start()));
    await this.mongo?.quicken('faults');
    this.balancer = await Balancer.apart(this.all('gateway').map(({ door }) => this.wires.ports.get(door)));
    this.timers.push(setInterval(() => this.look(), PROBE_MS), setInterval(() => this.measure(), USAGE_MS));
    return this;
  }

  async openStore() {
    if (this.store === 'sqlite') return void (this.disk = new Disk(this.storeDir, this.dir('layers')));
    this.mongo = await Mongo.start();
    process.env.MONGODB_TEST_URL = this.mongo.server;
    this.mongoAt = new URL(this.mongo.server.replace('mongodb', 'http')); // with its port: a link leads to one server
  }

  // A link; gives the URL that leads through it.
  async wire(name, target) {
    return `http://127.0.0.1:${await this.wires.open(name, await claimPorts(), target)}`;
  }

  all(kind) {
    return [...this.stations.values()].filter((station) => station.kind === kind && !station.isLeaving);
  }

  // The last is one for all gateways: who comes again lands anywhere.
  gatewayUrls = () => [...this.all('gateway').map(({ url }) => url), this.balancer.base];
  apiUrls = () => this.all('state-manager').map(({ url }) => url);

  station(name) {
    return this.stations.get(name);
  }

  process(name) {
    if (name === 'broker') return new BrokerProcess(this.broker);
    return name === 'mongo' ? new MongoProcess(this.mongo) : this.station(name);
  }

  async link(target, mode, args) {
    const names = target.endsWith(':*') ? this.wires.names(target.slice(0, -1)) : this.wires.names(target);
    await Promise.all(names.map((name) => this.wires.mode(name, mode, args)));
  }

  setClock(target, aheadMs) {
    for (const { name, clock } of this.stations.values()) if (target === 'everybody' || target === name) clock.set(aheadMs);
  }

  // Another service joins; resolves when it is ready and others may be sent to it.
  async join(kind) {
    const name = `late-${kind === 'gateway' ? 'gw' : 'sm'}${(this.joined = (this.joined ?? 0) + 1)}`;
    const station = await new Station(this, name, kind).open();
    station.isLeaving = true;
    this.stations.set(name, station);
    await station.service.start();
    station.isLeaving = false;
    return station;
  }

  async leave(station) {
    station.isLeaving = true;
    await station.stop();
    this.stations.delete(station.name);
    this.readiness.delete(station.name);
    for (const name of [`broker:${station.name}`, `store:${station.name}`, station.door, station.service.peers]) if (this.wires.ports.has(name)) await this.wires.close(name);
    station.clock.close();
  }

  blame(rule, text) {
    this.blames.push({ rule, text, t: this.history.now() });
  }

  // --- looked at ---

  look() {
    for (const station of this.stations.values()) {
      if (station.isLooking || station.name.startsWith('late')) continue;
      station.isLooking = true;
      const at = this.history.now();
      askReady(station.service.port).then((answer) => {
        station.isLooking = false;
        station.silent = answer.isSilent ? (station.silent ?? 0) + 1 : 0;
        if (!answer.isSilent || station.silent >= SILENT) this.sees(station, at, answer);
      });
    }
  }

  sees({ name, service }, at, { ready, body }) {
    if (service.code !== undefined && !service.child.killed && !service.isBlamed) {
      service.isBlamed = true;
      this.blame('lives', `${name} ended by itself with ${service.code}\n${service.log(40)}`);
    }
    if (this.readiness.get(name)?.ready !== ready) this.history.add('ready', { service: name, ready, body });
    const since = ready && this.readiness.get(name)?.ready ? this.readiness.get(name).since : at;
    this.readiness.set(name, { ready, at, since });
  }

  // Who has not said that it is ready, asked after that moment.
  unready(t) {
    return [...this.stations.keys()].filter((name) => !name.startsWith('late') && !(this.readiness.get(name)?.ready && this.readiness.get(name).at > t));
  }

  measure() {
    const peers = new Set(this.wires.names('peers:').map((name) => this.wires.ports.get(name)));
    const found = usages([...this.stations.values()].filter(({ service }) => service.code === undefined && service.child).map(({ name, service }) => ({ name, pid: service.pid, port: service.port })), peers);
    for (const usage of found) this.history.add('usage', usage);
    return found;
  }

  // Nobody holds a connection to a gateway any more.
  deserted(timeoutMs) {
    return until('gateways without connections', () => {
      const left = this.measure().filter(({ service, conns }) => conns > 0 && this.station(service)?.kind === 'gateway');
      if (left.length) throw new Error(JSON.stringify(left));
      return true;
    }, timeoutMs);
  }

  // --- the end ---

  // Nothing is left when the rig itself dies; the services see to themselves.
  abandon = () => {
    this.broker?.process.kill('SIGTERM');
    this.mongo?.process?.kill('SIGKILL');
  };

  async close() {
    this.timers.forEach(clearInterval);
    await Promise.allSettled([...this.stations.values()].filter(({ service }) => service.child).map((station) => station.stop()));
    await this.balancer?.close();
    await this.wires?.end();
    await Promise.allSettled([this.broker?.stop(), this.mongo?.stop()]);
    process.off('exit', this.abandon);
  }
}

function stacks(pid) {
  try {
    return execFileSync('gdb', ['-p', String(pid), '-batch', '-ex', 'thread apply all bt 12'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 20000 });
  } catch (error) {
    return `no stacks: ${error.message}`;
  }
}

// What /readyz says; isSilent: nothing in time. Who refuses the connection is not ready.
const askReady = (port) =>
  new Promise((done) => {
    const fails = (error) => done({ ready: false, body: null, isSilent: error.message === 'silent' });
    const request = http.get({ port, host: '127.0.0.1', path: '/readyz', agent: false, timeout: PROBE_PATIENCE_MS }, (answer) => {
      let body = '';
      answer.on('data', (part) => (body += part));
      answer.on('end', () => done({ ready: answer.statusCode === 200, body }));
      answer.on('error', fails);
    });
    request.on('timeout', () => request.destroy(new Error('silent')));
    request.on('error', fails);
  });
