// A thin line to a service; tests/lib/slow-link is the program.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { ROOT } from './env.mjs';

export class SlowLink {
  static async open(port, bytesPerSecond) {
    const link = new SlowLink();
    link.child = spawn('python3', [path.join(ROOT, 'tests/lib/slow-link'), String(port), String(bytesPerSecond)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const gone = new Promise((done) => link.child.once('exit', done));
    link.port = await Promise.race([new Promise((done) => link.child.stdout.once('data', (text) => done(Number(text)))), gone.then((code) => Promise.reject(new Error(`no slow link: ${code}`)))]);
    link.base = `http://127.0.0.1:${link.port}`;
    return link;
  }

  close() {
    this.child.stdin.end();
  }
}
