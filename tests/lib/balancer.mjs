// A TCP balancer in front of gateways: a connection goes to the one with the fewest that takes it. It knows nothing of
// sessions, so that a client's next connection may lead anywhere. Balancer.apart() has one in a thread of its own, for
// thousands of connections.
import net from 'node:net';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

export class Balancer {
  constructor(ports) {
    this.targets = ports.map((port) => ({ port, count: 0 }));
    this.sockets = new Set();
    this.server = net.createServer({ noDelay: true }, (near) => this.take(near));
  }

  async open() {
    await new Promise((done) => this.server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, done));
    this.port = this.server.address().port;
    this.base = `http://127.0.0.1:${this.port}`;
    return this;
  }

  // New connections go to this one alone; without a port, to all again.
  only(port) {
    this.chosen = port;
    return this;
  }

  take(near) {
    this.keep(near);
    near.pause();
    const order = this.targets.filter((t) => !this.chosen || t.port === this.chosen).sort((a, b) => a.count - b.count);
    this.lead(near, order);
  }

  lead(near, [target, ...others]) {
    if (!target || near.destroyed) return near.destroy();
    const far = net.connect({ port: target.port, host: '127.0.0.1', noDelay: true });
    this.keep(far);
    target.count++;
    let led = false;
    far.once('connect', () => {
      led = true;
      near.pipe(far).pipe(near);
      near.on('close', () => far.destroy());
    });
    far.on('close', () => {
      target.count--;
      if (led) near.destroy();
      else this.lead(near, others);
    });
  }

  keep(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
  }

  // Everybody's connections end at once, as when a network is gone.
  cut() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  close() {
    this.cut();
    this.server.close();
  }

  static async apart(ports) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { balance: ports } });
    const port = await new Promise((done, fail) => worker.once('message', done).once('error', fail));
    return { port, base: `http://127.0.0.1:${port}`, close: () => worker.terminate() };
  }
}

if (!isMainThread && workerData?.balance) parentPort.postMessage((await new Balancer(workerData.balance).open()).port);
