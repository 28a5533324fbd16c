// System B, customer preferences: a customer's page and a service agent's page edit one document, two tabs each.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { System, TRANSPORTS, isTime, timeless } from '../lib/system.mjs';

const OWN = '/api/v1/customer/preferences';
const of = (id) => `/api/v1/csr/customers/${id}/preferences`;
let system;
before(async () => void (system = await System.open('preferences')));
afterEach(() => system.closeTabs());
after(() => system?.close());

let tenants = 0;
function people() {
  const tenant = `t_preferences_${++tenants}`;
  return {
    customer: system.person(tenant, 'customer', 'cust-1', { name: 'Ann Ames', email: 'ann@shop.example', phone: '+1555' }),
    other: system.person(tenant, 'customer', 'cust-2', { name: 'Bob Bell', email: 'bob@mail.example' }),
    csr: system.person(tenant, 'csr', 'csr-1', { email: 'carla@desk.example' }),
    admin: system.person(tenant, 'admin', 'admin-1'),
    stranger: system.person(`${tenant}_x`, 'csr', 'csr-1'),
  };
}

const updated = (customerId, preferences, updatedBy, source) => (payload) => {
  assert.deepEqual(Object.keys(payload).sort(), ['customerId', 'preferences', 'source', 'timestamp', 'updatedBy']);
  assert.deepEqual(timeless(payload, 'timestamp'), { customerId, preferences, updatedBy, source });
};

for (const transports of TRANSPORTS)
  describe(`transports ${transports ?? 'of the client'}`, () => {
    test('both sides hear every change, once, and nobody else does', async () => {
      const { customer, other, csr, admin, stranger } = people();
      const page = (person) => person.tab({ transports });
      const own = [await page(customer), await page(customer)];
      const desk = [await page(csr), await page(csr), await page(admin)];
      const [intruder, foreign] = [await page(other), await page(stranger)];

      const theme = { theme: 'dark', language: 'de', alerts: { mail: true, sms: [1, 2.5, null] } };
      const first = await customer.does('PUT', OWN, theme);
      assert.deepEqual(timeless(first, 'updatedAt'), { customerId: 'cust-1', preferences: theme, updatedBy: 'ann@shop.example', version: 1 });
      for (const tab of [...own, ...desk]) (await tab.hears('customerPreferencesUpdated')).forEach(updated('cust-1', theme, 'ann@shop.example', 'customer'));

      const second = await csr.does('PUT', of('cust-1'), { theme: 'light' });
      assert.deepEqual(timeless(second, 'updatedAt'), { customerId: 'cust-1', preferences: { theme: 'light' }, updatedBy: 'carla@desk.example', version: 2 });
      for (const tab of [...own, ...desk]) (await tab.hears('csrPreferencesUpdated')).forEach(updated('cust-1', { theme: 'light' }, 'carla@desk.example', 'csr'));
      for (const [person, path] of [[customer, OWN], [csr, of('cust-1')], [admin, of('cust-1')]]) assert.deepEqual(await person.does('GET', path), second);

      await system.whileGatewayIsDead([...own, ...desk, intruder, foreign], async () => {
        await customer.does('PUT', OWN, { theme: 'a' });
        await admin.does('PUT', of('cust-1'), { theme: 'b' });
        await customer.does('PUT', OWN, { theme: 'c' });
      });
      for (const tab of [...own, ...desk]) {
        const heard = await tab.hears('customerPreferencesUpdated', 'csrPreferencesUpdated', 'customerPreferencesUpdated');
        assert.deepEqual(heard.map((p) => [p.preferences.theme, p.updatedBy]), [['a', 'ann@shop.example'], ['b', 'admin-1'], ['c', 'ann@shop.example']]);
      }
      await system.restartStateManager();
      const kept = await customer.does('GET', OWN);
      assert.deepEqual([kept.preferences, kept.version], [{ theme: 'c' }, 5]);
      const trail = (await csr.does('GET', `${of('cust-1')}/audit`)).items;
      assert.deepEqual(trail.map((row) => timeless(row, 'at')), [
        { who: 'ann@shop.example', before: { theme: 'b' }, after: { theme: 'c' } },
        { who: 'admin-1', before: { theme: 'a' }, after: { theme: 'b' } },
        { who: 'ann@shop.example', before: { theme: 'light' }, after: { theme: 'a' } },
        { who: 'carla@desk.example', before: theme, after: { theme: 'light' } },
        { who: 'ann@shop.example', before: null, after: theme },
      ]);
      intruder.hearsNothing();
      foreign.hearsNothing();
    });
  });

test('who may do what; versions; what is no object', async () => {
  const { customer, other, csr, admin, stranger } = people();
  assert.deepEqual(await customer.does('GET', OWN), { customerId: 'cust-1', preferences: {}, updatedBy: null, updatedAt: null, version: 0 });
  await customer.does('PUT', OWN, { theme: 'dark', version: 0 });
  const mine = await customer.does('GET', OWN);
  assert.deepEqual(mine.preferences, { theme: 'dark' }, 'the version is not stored in it');
  assert.match(await csr.isRefused(409, 'CONFLICT', 'PUT', of('cust-1'), { theme: 'x', version: 0 }), /1/);
  assert.equal((await csr.does('PUT', of('cust-1'), { theme: 'x', version: 1 })).version, 2);
  for (const [method, path, body] of [['GET', of('cust-2')], ['PUT', of('cust-2'), {}], ['GET', `${of('cust-1')}/audit`], ['GET', '/api/v1/csr/customers?q=a']]) {
    await customer.isRefused(403, 'DENIED', method, path, body);
    await other.isRefused(403, 'DENIED', method, path, body);
  }
  for (const method of ['GET', 'PUT']) await admin.isRefused(403, 'DENIED', method, OWN, method === 'PUT' ? {} : undefined);
  for (const body of ['[]', '"x"', '7', 'null']) await customer.isRefused(422, 'INVALID', 'PUT', OWN, body);
  await customer.isRefused(400, 'MALFORMED', 'PUT', OWN, '{"a":');
  assert.deepEqual((await stranger.does('GET', of('cust-1'))).preferences, {}, 'tenants are walls');
  const again = { 'Idempotency-Key': 'k1' };
  const once = await customer.does('PUT', OWN, { n: 1 }, again);
  assert.deepEqual(await customer.does('PUT', OWN, { n: 1 }, again), once);
});

test('customers are found by e-mail, name or id, from their first request on', async () => {
  const { customer, other, csr, stranger } = people();
  const find = async (person, q) => (await person.does('GET', `/api/v1/csr/customers?q=${encodeURIComponent(q)}`)).items;
  assert.deepEqual(await find(csr, 'ann'), []);
  await customer.does('GET', OWN);
  await other.does('PUT', OWN, {});
  const ann = { id: 'cust-1', name: 'Ann Ames', email: 'ann@shop.example' };
  for (const q of ['ann@', 'ames', 'CUST-1']) assert.deepEqual(await find(csr, q), [ann], q);
  assert.deepEqual((await find(csr, 'cust-')).map((c) => c.id).sort(), ['cust-1', 'cust-2']);
  assert.deepEqual((await find(csr, '')).length, 2, 'the agents are no customers');
  assert.deepEqual(await find(csr, 'nobody'), []);
  assert.deepEqual(await find(stranger, 'ann'), []);
});

test('by the socket: changes, typing, who is there, notifications, what was done while offline', async () => {
  const { customer, other, csr } = people();
  const [tab, desk, else_] = [await customer.tab(), await csr.tab(), await other.tab()];
  const answer = await tab.asks('update-preferences', { preferences: { by: 'socket' }, clientMessageId: 'p-1' });
  assert.deepEqual([answer.ok, answer.document.preferences], [true, { by: 'socket' }]);
  assert.deepEqual(await tab.asks('update-preferences', { preferences: { by: 'socket' }, clientMessageId: 'p-1' }), answer);
  (await desk.hears('customerPreferencesUpdated')).forEach(updated('cust-1', { by: 'socket' }, 'ann@shop.example', 'customer'));
  assert.equal((await else_.asks('update-customer-preferences', { customerId: 'cust-1', preferences: {} })).error.code, 'DENIED');
  await tab.hears('customerPreferencesUpdated');

  assert.equal((await else_.asks('join-customer', 'cust-1')).error.code, 'DENIED');
  assert.equal((await tab.asks('join-customer', 'cust-1')).ok, true);
  assert.equal((await desk.asks('join-customer', 'cust-1')).ok, true);
  assert.deepEqual(await desk.asks('typing', { customerId: 'cust-1', isTyping: true }), { ok: true });
  await until('typing', () => tab.typing().length);
  assert.deepEqual(tab.typing()[0], { customerId: 'cust-1', userId: 'csr-1', isTyping: true });
  await until('who is there', () => desk.status('cust-1') === 'online' && desk.status('cust-2') === 'online');
  assert.equal(else_.status('cust-1'), undefined);

  const note = await desk.asks('notify', { userId: 'cust-1', title: 'Hello', message: 'Your parcel' }, 'n-1');
  assert.equal(note.ok, true);
  assert.deepEqual(await tab.hears('notification'), [note.document]);
  isTime(note.document.createdAt);
  assert.equal((await tab.asks('read-notification', note.document.id)).document.read, true);
  assert.deepEqual((await customer.does('GET', '/api/v1/notifications?read=true')).items.map((n) => n.title), ['Hello']);
  assert.equal((await tab.asks('notify', { userId: 'cust-2', message: 'x' }, 'n-2')).error.code, 'DENIED');

  await tab.hears('notification_read');
  await system.world.gw.kill();
  await until('offline', () => !tab.socket.connected);
  const kept = tab.asks('update-preferences', { preferences: { by: 'patience' }, clientMessageId: 'p-2' });
  await system.world.gw.start();
  assert.equal((await kept).ok, true);
  await tab.hears('customerPreferencesUpdated');
  assert.deepEqual((await customer.does('GET', OWN)).preferences, { by: 'patience' });
  else_.hearsNothing();
});
