// A MongoDB server: the one at MONGODB_TEST_URL, or a program of our own that speaks its wire protocol. Each World has a
// database of its own there; those of a server that is not ours are dropped afterwards.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT, RUN_DIR, claimPorts, until, within } from './env.mjs';

const PYTHON = path.join(ROOT, 'build/test-venv/bin/python3');
const DROP = 'import sys, pymongo; c = pymongo.MongoClient(sys.argv[1]); [c.drop_database(n) for n in c.list_database_names() if n.startswith(sys.argv[2])]';
const INDEX = 'import sys, pymongo; pymongo.MongoClient(sys.argv[1]).get_default_database()[sys.argv[2]].create_index(sys.argv[3])';
// Databases of this run; its folder's name is nobody else's.
const PREFIX = `portalcast_${path.basename(RUN_DIR).replace(/\W/g, '_')}_`;

const answers = (port) =>
  new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1', () => (done(true), socket.destroy()));
    socket.on('error', () => done(false));
  });

export class Mongo {
  constructor(server) {
    this.server = server;
  }

  static async start() {
    return process.env.MONGODB_TEST_URL ? new Mongo(process.env.MONGODB_TEST_URL) : Mongo.own();
  }

  // A server of one's own in any case: for tests that stop it.
  static async own() {
    const port = await claimPorts();
    const mongo = new Mongo(`mongodb://127.0.0.1:${port}`);
    mongo.port = port;
    await mongo.launch();
    return mongo;
  }

  // Starts it, after it was killed with what it kept.
  async launch() {
    this.process = spawn(path.join(ROOT, 'tests/lib/mongo-server'), [path.join(RUN_DIR, `mongo-${this.port}`), String(this.port)], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.gone = new Promise((done) => this.process.once('exit', (code, signal) => done(`the MongoDB server of the tests ended with ${code ?? signal}`)));
    // Waited for as until() does, but a missing program is said at once.
    await Promise.race([until('the MongoDB server', () => answers(this.port), 20000), this.gone.then((what) => Promise.reject(new Error(what)))]);
  }

  // The server's URL with a database in it.
  url(database) {
    const [, server, rest] = /^(\w+:\/\/[^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(this.server);
    return `${server}/${PREFIX}${database.replace(/\W/g, '_')}${rest ?? ''}`;
  }

  // The program of our own finds the log of a tenant by reading all there is, unless the first field of an index of several has
  // one of its own, too: what a long run keeps would make it slower and slower.
  async quicken(database) {
    if (this.process) await promisify(execFile)(PYTHON, ['-c', INDEX, this.url(database), 'log', 'tenant'], { timeout: 30000 });
  }

  // Nobody is answered any more; or all are, again.
  freeze(frozen) {
    this.process.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  async stop() {
    if (this.process) {
      this.process.kill('SIGKILL');
      await within(this.gone, 5000);
    } else if (fs.existsSync(PYTHON)) {
      await promisify(execFile)(PYTHON, ['-c', DROP, this.server, PREFIX], { timeout: 30000 });
    }
  }
}

// The store of a World: SQLite in its folder or, with STORE=mongo, a database named after it.
export const storeUrl = (dir) =>
  process.env.STORE === 'mongo' ? new Mongo(process.env.MONGODB_TEST_URL).url(path.basename(dir)) : `sqlite:${path.join(dir, 'store.db')}`;
