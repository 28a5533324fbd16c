// What platform administrators set for a tenant: its time zone, by which the dashboard's today begins.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000071';
const TENANT = 't_zoned';
let world;
before(async () => {
  world = await World.open('tenants', { gateway: false });
  await world.channel(NUMBER, TENANT);
  await webhook(world.sm, text(NUMBER, '447700900410', 'hello'));
});
after(() => world.close());

const call = (method, body, { tenant = TENANT, role = 'platform-admin' } = {}) => rest(world.sm, tokenOf('t_platform', role), method, `/api/v1/admin/tenants/${tenant}`, body);
const stats = () => world.api(TENANT, 'GET', '/api/v1/dashboard/stats');

describe("a tenant's time zone", () => {
  test('is UTC until it is set, of a tenant that nobody has heard of, too', async () => {
    for (const tenant of [TENANT, 't_nobody']) {
      const answer = await call('GET', undefined, { tenant });
      assert.equal(answer.status, 200, answer.body);
      assert.deepEqual(answer.json, { tenantId: tenant, timeZone: 'UTC' });
    }
  });
  test('is set, shown, and told to dashboards; what was counted stays', async () => {
    const seen = () => world.tap.of(TENANT, 'metrics_update').length;
    await until('the figures of the message', () => seen() > 0);
    const before = seen();
    const answer = await call('PUT', { timeZone: 'Asia/Kathmandu' });
    assert.equal(answer.status, 200, answer.body);
    assert.deepEqual(answer.json, { tenantId: TENANT, timeZone: 'Asia/Kathmandu' });
    assert.deepEqual((await call('GET')).json, answer.json);
    assert.equal((await stats()).json.activeConversations, 1);
    await until('metrics_update', () => seen() > before);
  });
  test('survives a restart, and belongs to one tenant', async () => {
    await world.sm.kill();
    await world.sm.start();
    assert.equal((await call('GET')).json.timeZone, 'Asia/Kathmandu');
    assert.equal((await call('GET', undefined, { tenant: 't_nobody' })).json.timeZone, 'UTC');
    assert.equal((await stats()).json.activeConversations, 1);
  });
  test('can be that of a tenant to come', async () => {
    assert.equal((await call('PUT', { timeZone: 'Europe/Berlin' }, { tenant: 't_to_come' })).status, 200);
    assert.equal((await call('GET', undefined, { tenant: 't_to_come' })).json.timeZone, 'Europe/Berlin');
  });
  for (const body of [{ timeZone: 'Mars/Olympus_Mons' }, { timeZone: '../etc/passwd' }, { timeZone: '' }, { timeZone: 1 }, { timeZone: null }, {}, [], 7])
    test(`${JSON.stringify(body)} is refused`, async () => {
      const answer = await call('PUT', body);
      assert.equal(answer.status, 422, answer.body);
      assert.equal(answer.json.error.code, 'INVALID');
      assert.equal((await call('GET')).json.timeZone, 'Asia/Kathmandu', 'nothing changed');
    });
  test('a bad tenant id is refused', async () => {
    for (const tenant of ['a.b', 'a%20b', 'x'.repeat(65)])
      for (const [method, body] of [['GET'], ['PUT', { timeZone: 'UTC' }]]) assert.equal((await call(method, body, { tenant })).status, 422, `${method} ${tenant}`);
  });
  test('is none of an agent’s business', async () => {
    for (const [method, body] of [['GET'], ['PUT', { timeZone: 'UTC' }]]) assert.equal((await call(method, body, { role: 'agent' })).status, 403, method);
    assert.equal((await call('DELETE')).status, 405);
  });
});
