// A store of the version before: the state-manager takes it over, and portalctl reads it as it is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { rest, tokenOf } from '../lib/http.mjs';
import { runProgram } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const FORMER = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for table in ('sessions', 'revocations'):
    db.execute('DROP TABLE ' + table)
db.execute('PRAGMA user_version=2')
`;
const VERSION = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version').fetchone()[0])";

let world;
before(async () => (world = await World.open('schema', { gateway: false, tap: false, stateManager: { STORE_URL: 'sqlite:store.db' } })));
after(() => world.close());

const python = async (text) => (await promisify(execFile)('python3', ['-c', text, path.join(world.dir, 'store.db')])).stdout.trim();
const revoke = () => rest(world.sm, tokenOf('t_platform', 'platform-admin'), 'POST', '/api/v1/admin/revocations', { tenantId: 't1', sub: 'ann' });

test('what was in it stays, and what is new works', async () => {
  const token = tokenOf('t1', 'service');
  assert.equal((await rest(world.sm, token, 'POST', '/api/v1/events', { event: 'x' })).status, 202);
  await world.sm.stop();
  await python(FORMER);
  const url = `sqlite:${path.join(world.dir, 'store.db')}`;
  const file = path.join(world.dir, 'former.backup');
  const backup = await runProgram('portalctl', ['backup', '--store', url, file]);
  assert.equal(backup.code, 0, backup.stderr);
  assert.equal(await python(VERSION), '2', 'reading changes nothing');
  await world.sm.start();
  assert.equal(await python(VERSION), '3');
  assert.deepEqual((await rest(world.sm, token, 'GET', '/api/v1/events')).json.items.map((i) => i.event), ['x']);
  assert.equal((await revoke()).status, 202);
});
