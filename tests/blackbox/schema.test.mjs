// A store of a version before: the state-manager takes it over, and portalctl reads it as it is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { rest, tokenOf } from '../lib/http.mjs';
import { runProgram } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

// What each version added, which one before it does not have.
const ADDED = { 3: ['sessions', 'revocations'], 4: ['records', 'audit'] };
const NOW = 4;
const former = (version) => `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for table in (${Object.entries(ADDED).filter(([since]) => since > version).flatMap(([, tables]) => tables.map((t) => `'${t}'`)).join(', ')}):
    db.execute('DROP TABLE ' + table)
db.execute('PRAGMA user_version=${version}')
`;
const VERSION = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version').fetchone()[0])";

let world;
before(async () => (world = await World.open('schema', { gateway: false, tap: false, stateManager: { STORE_URL: 'sqlite:store.db', PROFILE: 'bakery' } })));
after(() => world.close());

const python = async (text) => (await promisify(execFile)('python3', ['-c', text, path.join(world.dir, 'store.db')])).stdout.trim();
const revoke = (tenantId) => rest(world.sm, tokenOf('t_platform', 'platform-admin'), 'POST', '/api/v1/admin/revocations', { tenantId, sub: 'ann' });

for (const version of [2, 3])
  test(`of version ${version}: what was in it stays, and what is new works`, async () => {
    const tenant = `t${version}`;
    const token = tokenOf(tenant, 'service');
    assert.equal((await rest(world.sm, token, 'POST', '/api/v1/events', { event: 'x' })).status, 202);
    await world.sm.stop();
    await python(former(version));
    const url = `sqlite:${path.join(world.dir, 'store.db')}`;
    const file = path.join(world.dir, `former-${version}.backup`);
    const backup = await runProgram('portalctl', ['backup', '--store', url, file]);
    assert.equal(backup.code, 0, backup.stderr);
    assert.equal(await python(VERSION), String(version), 'reading changes nothing');
    await world.sm.start();
    assert.equal(await python(VERSION), String(NOW));
    assert.deepEqual((await rest(world.sm, token, 'GET', '/api/v1/events')).json.items.map((i) => i.event), ['x']);
    assert.equal((await revoke(tenant)).status, 202);
    const admin = tokenOf(tenant, 'admin', { iat: Math.floor(Date.now() / 1000) + 2 });
    const product = await rest(world.sm, admin, 'POST', '/api/products', { name: 'Bun', price: 1 });
    assert.equal(product.status, 201, product.body);
    assert.deepEqual((await rest(world.sm, admin, 'GET', '/api/products')).json.items, [product.json]);
  });
