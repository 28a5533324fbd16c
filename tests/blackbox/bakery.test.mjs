// System E, a bakery's shop: its pages say who they are on every connect, without an ack, as the original did.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { System, TRANSPORTS, isTime, timeless } from '../lib/system.mjs';

const OPTIONS = { reconnection: true, reconnectionDelay: 1000, reconnectionDelayMax: 5000, reconnectionAttempts: 5 };
let system;
before(async () => void (system = await System.open('bakery', { ALLOWED_ORIGINS: 'http://localhost:3000' })));
afterEach(() => system.closeTabs());
after(() => system?.close());

let tenants = 0;
function people() {
  const tenant = `t_bakery_${++tenants}`;
  return {
    admin: system.person(tenant, 'admin', 'admin-1', { name: 'Baker', email: 'baker@bread.example' }),
    customer: system.person(tenant, 'customer', 'cust-1', { name: 'Ann Ames', email: 'ann@x.example', phone: '+1555' }),
    other: system.person(tenant, 'customer', 'cust-2', { name: 'Bob' }),
    stranger: system.person(`${tenant}_x`, 'admin', 'admin-1'),
  };
}
// As the page does: it says its role and its user on every connect.
const page = (person, options, role = person.role, sub = person.sub) => person.tab({ ...OPTIONS, ...options, onConnect: (socket) => socket.emit('user_role', role, sub) });
const settled = async (tab, person) => assert.equal((await tab.asks('user_role', person.role, person.sub)).ok, true);
const dated = (payload) => timeless(payload, 'timestamp');

for (const transports of TRANSPORTS)
  describe(`transports ${transports ?? 'of the client'}`, () => {
    test('products are heard by all, orders by who is concerned, in order, once', async () => {
      const { admin, customer, other, stranger } = people();
      const desk = [await page(admin, { transports }), await page(admin, { transports })];
      const shop = [await page(customer, { transports }), await page(customer, { transports })];
      const intruder = await page(other, { transports }, 'admin', 'cust-1'); // claims what it is not
      const foreign = await page(stranger, { transports });
      for (const tab of desk) await settled(tab, admin);
      for (const tab of shop) await settled(tab, customer);
      await settled(foreign, stranger);
      for (const args of [['admin', 'cust-2'], ['customer', 'cust-1'], ['admin', 'cust-1'], ['customer'], []])
        assert.equal((await intruder.asks('user_role', ...args)).error?.code, 'DENIED', String(args));
      const all = [...desk, ...shop];

      const created = await admin.api('POST', '/api/products', { name: 'Rye', price: 3.5, stock: 4, category: 'bread' });
      assert.equal(created.status, 201);
      const rye = created.json;
      assert.deepEqual(rye, { _id: rye._id, name: 'Rye', price: 3.5, category: 'bread', stock: 4, version: 1 });
      for (const tab of [...all, intruder]) assert.deepEqual((await tab.hears('product_created')).map(dated), [{ data: rye }]);
      const cheaper = await admin.does('PATCH', `/api/products/${rye._id}`, { price: 3 });
      for (const tab of [...all, intruder]) assert.deepEqual((await tab.hears('product_updated')).map(dated), [{ data: cheaper }]);
      assert.deepEqual(cheaper, { ...rye, price: 3, version: 2 });

      assert.deepEqual(await customer.does('PUT', '/api/cart', { items: [{ productId: rye._id, quantity: 2 }] }), { userId: 'cust-1', items: [{ productId: rye._id, quantity: 2 }] });
      const placed = await customer.api('POST', '/api/orders', { items: [{ productId: rye._id, quantity: 2 }], total: 6, address: 'Mill Lane 1', phone: '+1555', paymentMethod: 'cash', note: 'soon' });
      assert.equal(placed.status, 201);
      const order = placed.json;
      assert.deepEqual(timeless(order, 'createdAt', 'updatedAt'), {
        _id: order._id, items: [{ productId: rye._id, quantity: 2 }], total: 6, address: 'Mill Lane 1', phone: '+1555', paymentMethod: 'cash', note: 'soon',
        userId: 'cust-1', status: 'pending', version: 1,
      });
      for (const tab of desk) {
        const [heard, told] = (await tab.hears('order_created', 'admin_notification')).map(dated);
        assert.deepEqual(heard, { data: { ...order, userId: { _id: 'cust-1', name: 'Ann Ames', email: 'ann@x.example', phone: '+1555' } } });
        assert.deepEqual(told, { message: 'New order from Ann Ames', type: 'success', data: { orderId: order._id } });
      }
      for (const tab of shop) assert.deepEqual((await tab.hears('customer_notification')).map(dated), [{ message: 'Order received! Waiting for confirmation.', type: 'success', data: null }]);
      assert.deepEqual(await customer.does('GET', '/api/cart'), { userId: 'cust-1', items: [] }, 'the cart is empty');

      const confirmed = await admin.does('PATCH', `/api/orders/${order._id}/status`, { status: 'confirmed' });
      assert.deepEqual([confirmed.userId, confirmed.status, confirmed.version], ['cust-1', 'confirmed', 2]);
      for (const tab of desk) assert.deepEqual((await tab.hears('order_status_updated')).map(dated), [{ data: confirmed }]);
      for (const tab of shop)
        assert.deepEqual((await tab.hears('order_status_updated', 'customer_notification')).map(dated), [{ data: confirmed }, { message: 'Status: confirmed', type: 'info', data: null }]);

      const gone = await (async () => {
        let answer;
        await system.whileGatewayIsDead([...all, intruder, foreign], async () => {
          await admin.does('PATCH', `/api/orders/${order._id}/status`, { status: 'ready' });
          answer = await admin.does('DELETE', `/api/products/${rye._id}`);
        });
        return answer;
      })();
      assert.deepEqual(gone, { message: 'Deleted', product: cheaper });
      for (const tab of desk) await tab.hears('order_status_updated', 'product_deleted');
      for (const tab of shop) {
        const heard = await tab.hears('order_status_updated', 'customer_notification', 'product_deleted');
        assert.deepEqual(dated(heard[2]), { data: cheaper });
      }
      await intruder.hears('product_deleted');
      await system.restartStateManager();
      assert.equal((await customer.does('GET', `/api/orders/${order._id}`)).status, 'ready');
      await customer.isRefused(404, 'NOT_FOUND', 'GET', `/api/products/${rye._id}`);
      assert.deepEqual((await customer.does('GET', '/api/products')).items, []);
      foreign.hearsNothing();
    });
  });

test('who may do what, and what a body may hold', async () => {
  const { admin, customer, other, stranger } = people();
  const bun = await admin.does('POST', '/api/products', { name: 'Bun', price: 0 });
  for (const [body, field] of [
    [{ price: 1 }, 'name'], [{ name: '', price: 1 }, 'name'], [{ name: 'x' }, 'price'], [{ name: 'x', price: -1 }, 'price'], [{ name: 'x', price: '1' }, 'price'],
    [{ name: 'x', price: 1, _id: 'mine' }, '_id'], [{ name: 'x', price: 1, colour: 'red' }, 'colour'],
  ])
    assert.match(await admin.isRefused(422, 'INVALID', 'POST', '/api/products', body), new RegExp(field));
  await customer.isRefused(403, 'DENIED', 'POST', '/api/products', { name: 'x', price: 1 });
  await customer.isRefused(403, 'DENIED', 'PATCH', `/api/products/${bun._id}`, { price: 1 });
  await customer.isRefused(403, 'DENIED', 'DELETE', `/api/products/${bun._id}`);
  await admin.isRefused(403, 'DENIED', 'POST', '/api/orders', { items: [1] });
  await admin.isRefused(403, 'DENIED', 'GET', '/api/cart');
  for (const items of [[], undefined, 'two']) assert.match(await customer.isRefused(422, 'INVALID', 'POST', '/api/orders', { items }), /items/);
  assert.match(await customer.isRefused(422, 'INVALID', 'PUT', '/api/cart', { items: [{ productId: 'p' }] }), /quantity/);
  assert.match(await customer.isRefused(422, 'INVALID', 'PUT', '/api/cart', {}), /items/);
  assert.deepEqual(await customer.does('GET', '/api/cart'), { userId: 'cust-1', items: [] });

  const order = await customer.does('POST', '/api/orders', { items: [{ productId: bun._id, quantity: 1 }] });
  await other.isRefused(404, 'NOT_FOUND', 'GET', `/api/orders/${order._id}`);
  await stranger.isRefused(404, 'NOT_FOUND', 'GET', `/api/orders/${order._id}`);
  await customer.isRefused(403, 'DENIED', 'PATCH', `/api/orders/${order._id}/status`, { status: 'ready' });
  assert.match(await admin.isRefused(422, 'INVALID', 'PATCH', `/api/orders/${order._id}/status`, { status: 'eaten' }), /status/);
  await admin.isRefused(409, 'CONFLICT', 'PATCH', `/api/orders/${order._id}/status`, { status: 'ready', version: 9 });
  await other.does('POST', '/api/orders', { items: [{ productId: bun._id, quantity: 2 }] });
  const users = async (person, query = '') => (await person.does('GET', `/api/orders${query}`)).items.map((o) => o.userId);
  assert.deepEqual(await users(admin), ['cust-2', 'cust-1']);
  assert.deepEqual(await users(admin, '?userId=cust-1'), ['cust-1']);
  assert.deepEqual(await users(customer), ['cust-1']);
  assert.deepEqual(await users(admin, '?status=ready'), []);
  const again = { 'Idempotency-Key': 'one order' };
  const once = await customer.api('POST', '/api/orders', { items: [{ n: 1 }] }, again);
  assert.equal(once.status, 400, 'a key is visible ASCII');
  const key = { 'Idempotency-Key': 'one-order' };
  const first = await customer.does('POST', '/api/orders', { items: [{ n: 1 }] }, key);
  assert.deepEqual(await customer.does('POST', '/api/orders', { items: [{ n: 1 }] }, key), first);
  assert.equal((await users(customer)).length, 2);
  for (const origin of ['http://localhost:3000', 'http://evil.example']) {
    const answer = await fetch(`${system.world.sm.base}/api/orders`, { method: 'OPTIONS', headers: { Origin: origin, 'Access-Control-Request-Method': 'PATCH' } });
    assert.equal(answer.headers.get('access-control-allow-origin'), origin.includes('evil') ? null : origin);
  }
});

test('by the socket: orders, typing, who is there, notifications, what was done while offline', async () => {
  const { admin, customer, other } = people();
  const [desk, tab, else_] = [await page(admin), await page(customer), await page(other)];
  await settled(desk, admin);
  await settled(tab, customer);
  const placed = await tab.asks('place_order', { items: [{ productId: 'p', quantity: 1 }], note: 'by the socket' }, 'o-1');
  assert.equal(placed.ok, true);
  assert.deepEqual(await tab.asks('place_order', { items: [{ productId: 'p', quantity: 1 }], note: 'by the socket' }, 'o-1'), placed);
  const orderId = placed.document._id;
  await desk.hears('order_created', 'admin_notification');
  await tab.hears('customer_notification');
  assert.equal((await tab.asks('set_order_status', { orderId, status: 'ready' })).error.code, 'DENIED');
  assert.equal((await desk.asks('set_order_status', { orderId, status: 'ready' })).document.status, 'ready');
  await tab.hears('order_status_updated', 'customer_notification');
  await desk.hears('order_status_updated');

  assert.equal((await else_.asks('join_order', orderId)).error.code, 'DENIED');
  for (const t of [tab, desk]) assert.equal((await t.asks('join_order', orderId)).ok, true);
  assert.deepEqual(await tab.asks('typing', { orderId, isTyping: true }), { ok: true });
  await until('typing', () => desk.typing().length);
  assert.deepEqual(desk.typing()[0], { orderId, userId: 'cust-1', isTyping: true });
  await until('who is there', () => desk.status('cust-1') === 'online' && desk.status('cust-2') === 'online');
  assert.equal(else_.status('cust-1'), undefined);

  const note = await admin.does('POST', '/api/notifications', { userId: 'cust-1', message: 'Fresh buns' });
  assert.deepEqual(await tab.hears('notification'), [note]);
  isTime(note.createdAt);
  assert.equal((await else_.asks('read_notification', note.id)).error.code, 'NOT_FOUND');
  assert.equal((await tab.asks('read_notification', note.id)).ok, true);
  await tab.hears('notification_read');

  await system.world.gw.kill();
  await until('offline', () => !tab.socket.connected);
  const kept = tab.asks('place_order', { items: [{ productId: 'q', quantity: 1 }] }, 'o-2');
  await system.world.gw.start();
  assert.equal((await kept).ok, true);
  await tab.hears('customer_notification');
  assert.equal((await customer.does('GET', '/api/orders')).items.length, 2);
  else_.hearsNothing();
});
