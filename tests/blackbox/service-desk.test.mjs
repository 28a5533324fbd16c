// System D, a service desk: all staff hear all changes; a deleted user is sent away, a changed role counts at once.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { jwt } from '../lib/http.mjs';
import { System, TRANSPORTS, isTime, timeless } from '../lib/system.mjs';

let system;
before(async () => void (system = await System.open('service-desk')));
afterEach(() => system.closeTabs());
after(() => system?.close());

let tenants = 0;
function people() {
  const tenant = `t_desk_${++tenants}`;
  return {
    tenant,
    admin: system.person(tenant, 'admin', 'admin-1', { name: 'Ada' }),
    engineer: system.person(tenant, 'engineer', 'eng-1', { name: 'Eli' }),
    outsider: system.person(tenant, 'customer', 'cust-1'),
    stranger: system.person(`${tenant}_x`, 'admin', 'admin-1'),
  };
}
const page = (person, options) => person.tab({ ...options, onConnect: (socket) => socket.emit('register', person.sub) });

for (const transports of TRANSPORTS)
  describe(`transports ${transports ?? 'of the client'}`, () => {
    test('calls, services and categories: every write one event, to all staff, once', async () => {
      const { admin, engineer, outsider, stranger } = people();
      const staff = [await page(admin, { transports }), await page(admin, { transports }), await page(engineer, { transports }), await page(engineer, { transports })];
      const [intruder, foreign] = [await page(outsider, { transports }), await page(stranger, { transports })];
      const all = async (event, document) => {
        for (const tab of staff) assert.deepEqual(await tab.hears(event), [document]);
        return document;
      };
      const call = await all('call_created', await admin.does('POST', '/api/calls', { customerName: 'Cy', phone: '+1', problem: 'No light', category: 'power' }));
      assert.deepEqual(call, { id: call.id, _id: call.id, customerName: 'Cy', phone: '+1', problem: 'No light', category: 'power', status: 'open', engineer: null, version: 1 });
      const at = `/api/calls/${call.id}`;
      const updated = await all('call_updated', await engineer.does('PATCH', at, { problem: 'No light at all' }));
      assert.deepEqual(updated, { ...call, problem: 'No light at all', version: 2 });
      const assigned = await all('call_assigned', await admin.does('POST', `${at}/assign`, { engineer: 'eng-1' }));
      assert.deepEqual(assigned, { ...updated, status: 'assigned', engineer: 'eng-1', version: 3 });
      await all('call_completed', await engineer.does('PATCH', `${at}/complete`));

      const service = await all('service_created', await engineer.does('POST', '/api/services', { customerName: 'Di', device: 'Radio' }));
      assert.deepEqual(service, { id: service.id, _id: service.id, customerName: 'Di', device: 'Radio', status: 'open', engineer: null, version: 1 });
      await all('service_updated', await engineer.does('POST', `/api/services/${service.id}/complete`));
      const delivered = await all('service_updated', await engineer.does('POST', `/api/services/${service.id}/deliver`));
      assert.deepEqual(delivered, { ...service, status: 'delivered', version: 3 });

      for (const [path, event] of [['/api/categories', 'category'], ['/api/service-categories', 'service_category']]) {
        const made = await all(`${event}_created`, await admin.does('POST', path, { name: 'Power' }));
        assert.deepEqual(made, { id: made.id, _id: made.id, name: 'Power', version: 1 });
        const named = await all(`${event}_updated`, await admin.does('PATCH', `${path}/${made.id}`, { name: 'Mains' }));
        await all(`${event}_deleted`, await admin.does('DELETE', `${path}/${made.id}`));
        assert.equal(named.name, 'Mains');
        await engineer.isRefused(404, 'NOT_FOUND', 'GET', `${path}/${made.id}`);
      }
      await system.whileGatewayIsDead([...staff, intruder, foreign], async () => {
        await admin.does('POST', '/api/calls', { customerName: 'while away' });
        await admin.does('POST', '/api/services', { customerName: 'while away' });
      });
      for (const tab of staff) await tab.hears('call_created', 'service_created');
      await system.restartStateManager();
      assert.deepEqual((await engineer.does('GET', '/api/calls')).items.map((c) => [c.customerName, c.status]), [['while away', 'open'], ['Cy', 'completed']]);
      assert.deepEqual((await engineer.does('GET', '/api/calls?status=completed')).items.map((c) => c.customerName), ['Cy']);
      assert.deepEqual((await engineer.does('GET', '/api/calls?engineer=eng-1&q=light')).items.length, 1);
      intruder.hearsNothing();
      foreign.hearsNothing();
    });

    test('a deleted user hears it, is sent away, and stays away', async () => {
      const { tenant, admin } = people();
      const desk = await page(admin, { transports });
      const user = await admin.does('POST', '/api/users', { name: 'Eve', email: 'eve@x.example', role: 'engineer', phone: '+2' });
      assert.deepEqual(user, { id: user.id, _id: user.id, name: 'Eve', email: 'eve@x.example', role: 'engineer', phone: '+2', version: 1 });
      assert.deepEqual(await desk.hears('user_created'), [user]);
      const eve = system.person(tenant, 'engineer', user.id);
      const tabs = [await page(eve, { transports }), await page(eve, { transports })];
      await until('the next second', () => Date.now() / 1000 > JSON.parse(Buffer.from(eve.token.split('.')[1], 'base64url')).iat + 1);
      assert.deepEqual(await admin.does('DELETE', `/api/users/${user.id}`), user);
      assert.deepEqual(await desk.hears('user_deleted_broadcast'), [user]);
      for (const tab of tabs) {
        assert.deepEqual(await tab.hears('user_deleted_broadcast', 'user_deleted'), [user, user]);
        await until('sent away', () => tab.disconnects.length);
        assert.deepEqual(tab.disconnects, ['io server disconnect']);
      }
      await eve.isRefused(401, 'UNAUTHENTICATED', 'GET', '/api/calls');
      tabs[0].socket.connect();
      await until('refused', () => tabs[0].refusals.length);
      assert.deepEqual(tabs[0].refusals, ['TOKEN_REVOKED']);
      assert.equal(tabs[1].connects, 1, 'the client stays away');
      assert.equal(desk.disconnects.length, 0);
    });

    test('a changed role counts at once: the sockets come back with another token', async () => {
      const { tenant, admin } = people();
      const user = await admin.does('POST', '/api/users', { name: 'Rob', role: 'engineer' });
      const tokenAs = (role, iat) => jwt({ tenantId: tenant, sub: user.id, role, iat });
      let token = tokenAs('engineer', Math.floor(Date.now() / 1000) - 5);
      const rob = system.person(tenant, 'engineer', user.id);
      const tab = await rob.tab({ transports, auth: (cb) => cb({ token }) });
      const desk = await page(admin, { transports });
      const renamed = await admin.does('PATCH', `/api/users/${user.id}`, { name: 'Robert' });
      assert.deepEqual(await tab.hears('user_updated'), [renamed], 'another name changes nothing');
      token = tokenAs('admin', Math.floor(Date.now() / 1000) + 2); // as his page will get it
      const promoted = await admin.does('PATCH', `/api/users/${user.id}`, { role: 'admin' });
      assert.deepEqual(await desk.hears('user_updated', 'user_updated'), [renamed, promoted]);
      await tab.connected(2);
      assert.notEqual(tab.disconnects[0], 'io server disconnect');
      assert.deepEqual(tab.events('user_updated'), [renamed, promoted]);
      await admin.does('POST', '/api/categories', { name: 'after' });
      await until('heard on', () => tab.events('category_created').length);
    });
  });

test('who may do what, and what a body may hold', async () => {
  const { admin, engineer, outsider, stranger } = people();
  const call = await engineer.does('POST', '/api/calls', { customerName: 'Cy' });
  for (const [path, body, field] of [
    ['/api/calls', {}, 'customerName'], ['/api/calls', { customerName: 'x', status: 'completed' }, 'status'], ['/api/calls', { customerName: 'x', device: 'y' }, 'device'],
    ['/api/users', { email: 'x' }, 'name'], ['/api/users', { name: 'x', role: 'king' }, 'role'], ['/api/categories', { name: '' }, 'name'], [`/api/calls/${call.id}/assign`, {}, 'engineer'],
  ])
    assert.match(await admin.isRefused(422, 'INVALID', 'POST', path, body), new RegExp(field));
  for (const [method, path, body] of [['POST', '/api/users', { name: 'x' }], ['POST', '/api/categories', { name: 'x' }], ['POST', '/api/service-categories', { name: 'x' }]])
    await engineer.isRefused(403, 'DENIED', method, path, body);
  for (const [method, path, body] of [['GET', '/api/calls'], ['POST', '/api/calls', { customerName: 'x' }], ['GET', '/api/users']]) await outsider.isRefused(403, 'DENIED', method, path, body);
  await stranger.isRefused(404, 'NOT_FOUND', 'GET', `/api/calls/${call.id}`);
  await admin.isRefused(409, 'CONFLICT', 'PATCH', `/api/calls/${call.id}`, { phone: '1', version: 4 });
  const answer = await admin.api('DELETE', `/api/calls/${call.id}`);
  assert.deepEqual([answer.status, answer.headers.get('allow')], [405, 'GET, PATCH']);
});

test('by the socket: chat in the room of a call, pointing, typing, who is there, notifications, work done while offline', async () => {
  const { admin, engineer, outsider } = people();
  const [desk, tab, else_] = [await page(admin), await page(engineer), await page(outsider)];
  assert.equal((await tab.asks('register', 'admin-1')).error.code, 'DENIED');
  assert.deepEqual(await tab.asks('register', 'eng-1'), { ok: true });
  const call = (await tab.asks('create_call', { customerName: 'Cy' }, 'c-1')).document;
  assert.deepEqual((await tab.asks('create_call', { customerName: 'Cy' }, 'c-1')).document, call);
  for (const t of [desk, tab]) await t.hears('call_created');
  for (const t of [desk, tab]) assert.equal((await t.asks('join_call', call.id)).ok, true);
  assert.equal((await else_.asks('join_call', call.id)).error.code, 'DENIED');
  assert.equal((await tab.asks('join_call', 'nowhere')).error.code, 'NOT_FOUND');

  const said = (await tab.asks('send_call_message', { callId: call.id, text: 'On my way', clientMessageId: 'm-1' })).document;
  assert.deepEqual(timeless(said, 'createdAt'), { id: said.id, callId: call.id, text: 'On my way', userId: 'eng-1', name: 'Eli', version: 1 });
  for (const t of [desk, tab]) assert.deepEqual(await t.hears('call_message'), [said]);
  assert.deepEqual((await admin.does('GET', `/api/calls/${call.id}/messages`)).items, [said]);
  assert.equal((await tab.asks('send_call_message', { callId: 'nowhere', text: 'x' })).error.code, 'NOT_FOUND');
  assert.deepEqual(await tab.asks('point_at_call', call.id), { ok: true });
  assert.deepEqual(await desk.hears('call_pointed_at'), [{ callId: call.id, userId: 'eng-1' }]);
  tab.hearsNothing();
  assert.equal((await else_.asks('point_at_call', call.id)).error.code, 'DENIED');
  assert.deepEqual(await tab.asks('typing', { callId: call.id, isTyping: true }), { ok: true });
  await until('typing', () => desk.typing().length);
  assert.deepEqual(desk.typing()[0], { callId: call.id, userId: 'eng-1', isTyping: true });
  await until('who is there', () => tab.status('admin-1') === 'online');

  const note = await admin.does('POST', '/api/notifications', { userId: 'eng-1', message: 'Lunch' });
  assert.deepEqual(await tab.hears('notification'), [note]);
  isTime(note.createdAt);
  assert.equal((await tab.asks('read_notification', note.id)).ok, true);
  await tab.hears('notification_read');

  await system.world.gw.kill();
  await until('offline', () => !tab.socket.connected);
  const kept = [tab.asks('assign_call', call.id, 'eng-1', 'a-1'), tab.asks('complete_call', call.id, 'f-1')];
  await system.world.gw.start();
  assert.deepEqual((await Promise.all(kept)).map((a) => a.document.status), ['assigned', 'completed']);
  await tab.hears('call_assigned', 'call_completed');
  await desk.hears('call_assigned', 'call_completed');
  else_.hearsNothing();
});
