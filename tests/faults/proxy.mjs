// The wires of the rig: TCP proxies in a process of their own, so that what the rig itself does delays nobody, and so that it
// can be ended at any time (a thread with thousands of sockets behind it has to tidy up first). A link has one mode at a time;
// `pass` ends every other.
//
//   pass            what comes goes on
//   cut             open connections are reset; who comes again is let in
//   refuse          open connections are reset, new ones refused
//   stall           nothing goes through, nobody is told; what waited goes on with `pass`
//   half-open       open connections are dead from now on, and nobody is told; new ones pass
//   slow  {rate}    so many bytes a second, each way, all connections of the link together
//   delay {ms}      every byte so much later, each way
import { fork } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const STEP_MS = 20;
const PART = 16 * 1024; // what a link that is slow, or stands still, keeps on the way
const LONG = 1024 * 1024; // and one with a delay
const SELF = fileURLToPath(import.meta.url);

// One direction of a connection.
class Wire {
  constructor(link, way, from, to) {
    Object.assign(this, { link, way, from, to, waiting: [], kept: 0, isDead: false });
    from.on('data', (part) => this.take(part));
    from.on('end', () => this.take(undefined));
  }

  take(part) {
    if (this.isDead) return;
    this.waiting.push({ part, due: performance.now() + (this.link.mode === 'delay' ? this.link.args.ms : 0) });
    this.kept += part?.length ?? 0;
    this.move();
    if (this.kept > (this.link.mode === 'delay' ? LONG : PART)) this.from.pause();
  }

  // Sends what may go by now.
  move() {
    if (this.isDead || this.isFull || this.link.mode === 'stall') return;
    while (this.waiting.length) {
      const [{ part, due }] = this.waiting;
      if (due > performance.now() && this.link.mode === 'delay') return this.link.wake();
      const allowed = part && this.link.mode === 'slow' ? this.link.allowance(this.way, part.length) : part?.length;
      if (allowed === 0) return this.link.wake();
      this.kept -= allowed ?? 0;
      if (allowed < part?.length) this.waiting[0].part = part.subarray(allowed);
      else this.waiting.shift();
      if (!part) this.to.end();
      else if (!this.to.destroyed && !this.to.write(part.subarray(0, allowed))) return this.waitForDrain();
    }
    this.from.resume();
  }

  waitForDrain() {
    this.isFull = true;
    this.from.pause();
    this.to.once('drain', () => ((this.isFull = false), this.move()));
  }

  die() {
    this.isDead = true;
    this.waiting = [];
    this.from.pause();
  }
}

class Link {
  constructor(port, target) {
    Object.assign(this, { port, target, mode: 'pass', args: {}, pairs: new Set(), credits: [{}, {}] });
  }

  listen() {
    this.server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.accept(near));
    return new Promise((done, fail) => this.server.once('error', fail).listen({ port: this.port, host: '127.0.0.1', backlog: 512 }, done));
  }

  accept(near) {
    const far = net.connect({ host: '127.0.0.1', ...this.target, noDelay: true, allowHalfOpen: true });
    const pair = { near, far, wires: [new Wire(this, 0, near, far), new Wire(this, 1, far, near)], isDead: false };
    this.pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => {});
      one.on('close', (hadError) => this.closed(pair, other, hadError));
    }
  }

  // A side is gone. The other hears of it, unless the link says nothing.
  closed(pair, other, hadError) {
    if (other.destroyed) this.pairs.delete(pair);
    else if (this.mode === 'stall') pair.pending = () => other.destroy();
    else if (pair.isDead) return;
    else if (hadError) other.resetAndDestroy();
    else if (!other.writableEnded) other.end();
  }

  cut() {
    for (const { near, far } of this.pairs) for (const socket of [near, far]) socket.resetAndDestroy();
    this.pairs.clear();
  }

  // How much of that may go now that way; all connections share.
  allowance(way, wanted) {
    const [credit, now] = [this.credits[way], performance.now()];
    const most = Math.max(1, (this.args.rate * STEP_MS) / 500);
    credit.left = Math.min((credit.left ?? 0) + ((now - (credit.at ?? now)) * this.args.rate) / 1000, most);
    credit.at = now;
    const granted = Math.min(wanted, Math.floor(credit.left));
    credit.left -= granted;
    return granted;
  }

  wake() {
    this.timer ??= setTimeout(() => ((this.timer = undefined), this.move()), STEP_MS);
  }

  // Everybody first in turn, so that one connection does not take all that a slow link lets through.
  move() {
    this.turn = (this.turn ?? 0) + 1;
    const wires = [...this.pairs].flatMap((pair) => pair.wires);
    for (let i = 0; i < wires.length; i++) wires[(i + this.turn) % wires.length].move();
  }

  async become(mode, args = {}) {
    if (this.mode === 'refuse' && mode !== 'refuse') await this.listen();
    [this.mode, this.args] = [mode === 'cut' || mode === 'half-open' ? 'pass' : mode, args];
    if (mode === 'cut' || mode === 'refuse') this.cut();
    if (mode === 'refuse' && this.server.listening) await new Promise((done) => this.server.close(done));
    if (mode === 'half-open')
      for (const pair of this.pairs) {
        pair.isDead = true;
        pair.wires.forEach((wire) => wire.die());
      }
    if (mode === 'pass') for (const pair of this.pairs) if (!pair.isDead) pair.pending?.();
    this.move();
  }

  // New connections lead elsewhere.
  lead(target) {
    this.target = target;
  }

  count() {
    return this.pairs.size;
  }

  async close() {
    this.cut();
    clearTimeout(this.timer);
    if (this.server.listening) await new Promise((done) => this.server.close(done));
  }
}

const links = new Map();
const DEEDS = {
  open: async ({ name, port, target }) => {
    const link = new Link(port, target);
    await link.listen();
    links.set(name, link);
  },
  mode: ({ name, mode, args }) => links.get(name).become(mode, args),
  lead: ({ name, target }) => links.get(name).lead(target),
  count: ({ name }) => links.get(name).count(),
  close: async ({ name }) => {
    await links.get(name).close();
    links.delete(name);
  },
};

if (process.argv[1] === SELF) {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ id, what, ...rest }) => {
    try {
      process.send({ id, value: await DEEDS[what](rest) });
    } catch (error) {
      process.send({ id, error: error.message });
    }
  });
}

// All links of a rig, by name.
export class Wires {
  constructor() {
    Object.assign(this, { child: fork(SELF, { execArgv: [] }), answers: new Map(), asked: 0, ports: new Map() });
    this.child.on('message', ({ id, value, error }) => {
      const { done, fail } = this.answers.get(id);
      this.answers.delete(id);
      error ? fail(new Error(error)) : done(value);
    });
    this.over = new Promise((done) => this.child.once('exit', done)).then(() => this.answers.forEach(({ fail }) => fail(new Error('the wires are gone'))));
  }

  ask(what, rest) {
    const id = ++this.asked;
    return new Promise((done, fail) => {
      this.answers.set(id, { done, fail });
      this.child.send({ id, what, ...rest }, (error) => error && fail(error));
    }).catch((error) => Promise.reject(new Error(`${what} ${rest.name}: ${error.message}`)));
  }

  // target: {port, host?}
  async open(name, port, target) {
    await this.ask('open', { name, port, target });
    this.ports.set(name, port);
    return port;
  }

  names(prefix = '') {
    return [...this.ports.keys()].filter((name) => name.startsWith(prefix));
  }

  mode(name, mode, args) {
    return this.ask('mode', { name, mode, args });
  }

  lead(name, target) {
    return this.ask('lead', { name, target });
  }

  count(name) {
    return this.ask('count', { name });
  }

  async close(name) {
    this.ports.delete(name);
    await this.ask('close', { name });
  }

  // Whatever goes through them is cut.
  end() {
    this.child.kill('SIGKILL');
    return this.over;
  }
}
