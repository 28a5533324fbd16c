// Somebody who keeps the embedded store locked, so that nothing can be written until he lets go.
import { spawn } from 'node:child_process';
import path from 'node:path';

const HOLD = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
db.execute('BEGIN IMMEDIATE')
print('held', flush=True)
sys.stdin.read()
db.execute('ROLLBACK')
`;

export async function lockStore(world) {
  const child = spawn('python3', ['-c', HOLD, path.join(world.dir, 'store.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = new Promise((done) => child.once('exit', done));
  await Promise.race([new Promise((done) => child.stdout.once('data', done)), gone.then((code) => Promise.reject(new Error(`the store was not locked: ${code}`)))]);
  return async () => (child.stdin.end(), await gone);
}
