// The official clients of several years, every way in which they can connect, and what stands between them and a gateway.
import { createRequire } from 'node:module';
import net from 'node:net';
import { PATIENCE, until, within } from './env.mjs';
import { SioClient } from './sockets.mjs';

const require = createRequire(import.meta.url);
const NEWEST = '4.8';
const release = (name) => require(name).io;
export const RELEASES = {
  3.1: release('socket.io-client-3.1'),
  '4.0': release('socket.io-client-4.0'),
  4.5: release('socket.io-client-4.5'),
  4.6: release('socket.io-client-4.6'),
  [NEWEST]: release('socket.io-client'),
};

// name, and the client's options, made anew for each client: some releases change the list they are given.
const WAYS = [
  ['polling', () => ({ transports: ['polling'] }), 'polling'],
  ['websocket', () => ({ transports: ['websocket'] }), 'websocket'],
  ['polling, then websocket', () => ({ transports: undefined }), 'websocket'],
  ['websocket before polling', () => ({ transports: ['websocket', 'polling'], tryAllTransports: true }), 'websocket'],
];

// Every release on every way that it knows: [{name, version, options(), transport}], where transport is the one it ends on.
export const MATRIX = Object.entries(RELEASES).sort().flatMap(([version, connect]) =>
  WAYS.filter(([way]) => version === NEWEST || way !== 'websocket before polling').map(([way, options, transport]) => ({
    name: `socket.io-client ${version} on ${way}`,
    version,
    transport,
    options: () => ({ connect, ...options() }),
  })),
);

export class Official extends SioClient {
  // Also counts what the client's manager says: pings heard, engines opened.
  constructor(base, token, options) {
    super(base, token, options);
    this.pings = 0;
    this.opens = 0;
    this.manager = this.socket.io;
    this.manager.on('open', () => {
      this.opens++;
      this.manager.engine.on('packet', ({ type }) => (this.pings += type === 'ping'));
    });
  }

  get transport() {
    return this.manager.engine?.transport.name;
  }

  endsOn(transport) {
    return until(`the transport ${transport}, not ${this.transport}`, () => this.transport === transport);
  }

  // What the server answers to an event: a list of arguments.
  async asks(event, ...args) {
    return callOn(this.socket, event, ...args);
  }
}

export async function callOn(socket, event, ...args) {
  const answer = await within(new Promise((done) => socket.emit(event, ...args, (...back) => done(back))), 10000 * PATIENCE);
  if (!answer) throw new Error(`${event} was not answered`);
  return answer;
}

// A TCP relay in front of a service, whose connections can be cut at once; with `noUpgrades` it is one of those that
// let no WebSocket through.
export class Door {
  sockets = new Set();
  upgradesRefused = 0;
  constructor(port, { noUpgrades = false } = {}) {
    this.server = net.createServer((near) => {
      this.keep(near);
      near.once('data', (head) => {
        if (noUpgrades && /^upgrade:/im.test(head.toString('latin1'))) {
          this.upgradesRefused++;
          return near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        }
        const far = net.connect({ port, host: '127.0.0.1', noDelay: true });
        this.keep(far);
        far.write(head);
        near.pipe(far).pipe(near);
        near.on('close', () => far.destroy());
        far.on('close', () => near.destroy());
      });
    });
  }

  keep(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
  }

  async open() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.base = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  cut() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  close() {
    this.cut();
    this.server.close();
  }
}
