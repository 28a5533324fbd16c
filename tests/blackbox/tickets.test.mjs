// System C, support tickets, as its pages use it: farmers and admins in the rooms of tickets, two tabs each.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { System, TRANSPORTS, isTime, timeless } from '../lib/system.mjs';

const PATH = '/api/support/tickets';
let system;
before(async () => void (system = await System.open('tickets')));
afterEach(() => system.closeTabs());
after(() => system?.close());

let tenants = 0;
function people() {
  const tenant = `t_tickets_${++tenants}`;
  return {
    farmer: system.person(tenant, 'farmer', 'farmer-1', { name: 'Fay', email: 'fay@farm.example' }),
    other: system.person(tenant, 'farmer', 'farmer-2'),
    admin: system.person(tenant, 'admin', 'admin-1'),
    stranger: system.person(`${tenant}_x`, 'admin', 'admin-1'),
  };
}

// The pages: what each joins once it is connected, and again whenever it is.
const farmerPage = (person, ticketId, options) =>
  person.tab({ ...options, onConnect: (socket) => (socket.emit('join-farmer', person.sub), ticketId && socket.emit('join-ticket', ticketId)) });
const adminPage = (person, ticketId, options) =>
  person.tab({ ...options, onConnect: (socket) => (socket.emit('join-admin'), ticketId && socket.emit('join-ticket', ticketId)) });
// Joins are commands; who asks again is answered when those before are done.
const settled = async (tab, event, ...args) => assert.deepEqual((await tab.asks(event, ...args)).ok, true);

const message = (sender, text) => ({ sender, message: text });
const saying = (ticket) => ticket.messages.map((m) => timeless(m, 'timestamp'));

for (const transports of TRANSPORTS)
  describe(`transports ${transports ?? 'of the client'}`, () => {
    test('eight messages: a ticket, an answer, an exchange, a reconnect', async () => {
      const { farmer, other, admin, stranger } = people();
      const admins = [await adminPage(admin, null, { transports }), await adminPage(admin, null, { transports })];
      const foreign = await adminPage(stranger, null, { transports });
      for (const tab of [...admins, foreign]) await settled(tab, 'join-admin');

      const created = await farmer.api('POST', PATH, { subject: 'Pump', message: 'It stopped', category: 'water' });
      assert.equal(created.status, 201);
      const { ticketId } = created.json;
      assert.match(ticketId, /^TKT\d{8}$/);
      assert.deepEqual(timeless({ ...created.json, messages: saying(created.json) }, 'createdAt', 'updatedAt'), {
        ticketId, farmerId: 'farmer-1', subject: 'Pump', category: 'water', priority: 'medium', status: 'open',
        messages: [message('farmer', 'It stopped')], version: 1,
      });
      for (const tab of admins) assert.deepEqual(await tab.hears('ticket-updated'), [{ ticketId, ticket: created.json, type: 'new-ticket' }]);

      const farmers = [await farmerPage(farmer, ticketId, { transports }), await farmerPage(farmer, ticketId, { transports })];
      for (const tab of farmers) await settled(tab, 'join-ticket', ticketId);
      for (const tab of admins) await settled(tab, 'join-ticket', ticketId);
      const intruder = await farmerPage(other, ticketId, { transports });
      assert.deepEqual(await intruder.asks('join-ticket', ticketId), { ok: false, error: { code: 'DENIED', message: (await intruder.asks('join-ticket', ticketId)).error.message } });
      for (const [event, ...args] of [['join-farmer', 'farmer-1'], ['join-admin'], ['join-ticket', 'TKT00000000'], ['join-ticket', '*'], ['join-ticket', { $ne: null }]])
        assert.equal((await intruder.asks(event, ...args)).ok, false, event);
      assert.equal((await foreign.asks('join-ticket', ticketId)).ok, false);

      const post = async (person, text) => {
        const answer = await person.api('POST', `${PATH}/${ticketId}/messages`, { message: text });
        assert.equal(answer.status, 201, answer.text);
        return answer.json;
      };
      const answered = await post(admin, 'Which pump?');
      for (const tab of admins) {
        const [heard] = await tab.hears('new-message');
        assert.deepEqual(Object.keys(heard).sort(), ['message', 'ticket', 'ticketId']);
        assert.deepEqual(heard, { ticketId, message: answered.messages[1], ticket: answered });
      }
      for (const tab of farmers) {
        const [heard, told] = await tab.hears('new-message', 'ticket-updated');
        assert.deepEqual(heard, { ticketId, message: answered.messages[1], ticket: answered });
        assert.deepEqual(told, { ticketId, ticket: answered, type: 'new-message' });
      }
      const replied = await post(farmer, 'The blue one');
      for (const tab of farmers) assert.deepEqual(await tab.hears('new-message'), [{ ticketId, message: replied.messages[2], ticket: replied }]);
      for (const tab of admins)
        assert.deepEqual(await tab.hears('new-message', 'ticket-updated'), [
          { ticketId, message: replied.messages[2], ticket: replied },
          { ticketId, ticket: replied, type: 'new-message' },
        ]);

      for (const [person, text] of [[farmer, 'one'], [admin, 'two'], [farmer, 'three'], [admin, 'four']]) await post(person, text);
      for (const tab of admins) await tab.hears('new-message', 'ticket-updated', 'new-message', 'new-message', 'ticket-updated', 'new-message');
      for (const tab of farmers) await tab.hears('new-message', 'new-message', 'ticket-updated', 'new-message', 'new-message', 'ticket-updated');

      await system.whileGatewayIsDead([...admins, ...farmers, intruder, foreign], () => post(farmer, 'after a reconnect'));
      for (const tab of admins) await tab.hears('new-message', 'ticket-updated');
      for (const tab of farmers) await tab.hears('new-message');
      for (const tab of [...admins, ...farmers]) assert.deepEqual(tab.events('new-message').map((p) => p.message.message).slice(-5), ['one', 'two', 'three', 'four', 'after a reconnect']);

      const kept = await farmer.does('GET', `${PATH}/${ticketId}`);
      assert.deepEqual(saying(kept), [
        message('farmer', 'It stopped'), message('admin', 'Which pump?'), message('farmer', 'The blue one'), message('farmer', 'one'),
        message('admin', 'two'), message('farmer', 'three'), message('admin', 'four'), message('farmer', 'after a reconnect'),
      ]);
      await system.restartStateManager();
      assert.deepEqual(await admin.does('GET', `${PATH}/${ticketId}`), kept);
      intruder.hearsNothing();
      foreign.hearsNothing();
    });

    test('status and priority, heard by the ticket, the admins and the farmer, once', async () => {
      const { farmer, admin } = people();
      const ticket = await farmer.does('POST', PATH, { subject: 'Seed', message: 'Late', priority: 'low' });
      const at = `${PATH}/${ticket.ticketId}`;
      const tab = await farmerPage(farmer, ticket.ticketId, { transports });
      const desk = await adminPage(admin, ticket.ticketId, { transports });
      await settled(tab, 'join-ticket', ticket.ticketId);
      await settled(desk, 'join-ticket', ticket.ticketId);
      for (const [change, type] of [[{ status: 'in-progress' }, 'status-changed'], [{ priority: 'high' }, 'priority-changed'], [{ status: 'closed', priority: 'low' }, 'status-changed']]) {
        const changed = await admin.does('PATCH', at, change);
        for (const page of [tab, desk]) assert.deepEqual(await page.hears('ticket-updated'), [{ ticketId: ticket.ticketId, ticket: changed, type }]);
      }
      const last = await admin.does('PATCH', at, { status: 'closed' }); // the same again: no news
      assert.equal(last.version, 4);
      await settled(tab, 'leave-ticket', ticket.ticketId);
      await admin.does('POST', `${at}/messages`, { message: 'bye' });
      await tab.hears('ticket-updated'); // by its own room
      await desk.hears('new-message');
    });
  });

test('what a body may hold, who may do what', async () => {
  const { farmer, other, admin, stranger } = people();
  const ticket = await farmer.does('POST', PATH, { subject: 'A', message: 'b' });
  const at = `${PATH}/${ticket.ticketId}`;
  for (const [body, field] of [
    [{ message: 'x' }, 'subject'], [{ subject: '', message: 'x' }, 'subject'], [{ subject: 'x' }, 'message'], [{ subject: 'x', message: 7 }, 'message'],
    [{ subject: 'x', message: 'y', priority: 'urgent' }, 'priority'], [{ subject: 'x', message: 'y', farmerId: 'farmer-2' }, 'farmerId'],
    [{ subject: 'x', message: 'y', status: 'closed' }, 'status'], [{ subject: 'x', message: 'y', colour: 'red' }, 'colour'],
  ])
    assert.match(await farmer.isRefused(422, 'INVALID', 'POST', PATH, body), new RegExp(`\\b${field}\\b`));
  await admin.isRefused(403, 'DENIED', 'POST', PATH, { subject: 'x', message: 'y' });
  await farmer.isRefused(403, 'DENIED', 'PATCH', at, { status: 'closed' });
  for (const [method, path, body] of [['GET', at], ['POST', `${at}/messages`, { message: 'mine' }]]) {
    await other.isRefused(404, 'NOT_FOUND', method, path, body);
    await stranger.isRefused(404, 'NOT_FOUND', method, path, body);
  }
  assert.match(await admin.isRefused(409, 'CONFLICT', 'PATCH', at, { status: 'closed', version: 7 }), /1/);
  assert.equal((await admin.does('PATCH', at, { status: 'resolved', version: 1 })).version, 2);
  assert.match(await admin.isRefused(422, 'INVALID', 'PATCH', at, { subject: 'x' }), /subject/);
  const again = { 'Idempotency-Key': 'once' };
  const first = await farmer.does('POST', PATH, { subject: 'twice', message: 'b' }, again);
  assert.deepEqual(await farmer.does('POST', PATH, { subject: 'twice', message: 'b' }, again), first);
  await farmer.isRefused(422, 'INVALID', 'POST', PATH, { subject: 'else', message: 'b' }, again);
  await other.does('POST', PATH, { subject: 'of another', message: 'b', category: 'seed' });

  const subjects = async (person, query = '') => (await person.does('GET', PATH + query)).items.map((t) => t.subject);
  assert.deepEqual(await subjects(farmer), ['twice', 'A']);
  assert.deepEqual(await subjects(other), ['of another']);
  assert.deepEqual(await subjects(admin), ['of another', 'twice', 'A']);
  assert.deepEqual(await subjects(admin, '?status=resolved'), ['A']);
  assert.deepEqual(await subjects(admin, '?category=seed'), ['of another']);
  assert.deepEqual(await subjects(admin, '?q=TWI'), ['twice']);
  assert.deepEqual(await subjects(admin, '?farmerId=farmer-2'), ['of another']);
  assert.deepEqual(await subjects(farmer, '?farmerId=farmer-2'), []);
  assert.deepEqual(await subjects(stranger), []);
  const page = await admin.does('GET', `${PATH}?limit=2`);
  assert.equal(page.items.length, 2);
  assert.deepEqual((await admin.does('GET', `${PATH}?limit=2&cursor=${page.nextCursor}`)).items.map((t) => t.subject), ['A']);
});

test('messages by the socket, acknowledged when kept, once however often they are sent', async () => {
  const { farmer, other, admin } = people();
  const ticket = await farmer.does('POST', PATH, { subject: 'A', message: 'b' });
  const tab = await farmerPage(farmer, ticket.ticketId);
  await settled(tab, 'join-ticket', ticket.ticketId);
  const send = { ticketId: ticket.ticketId, message: 'by the socket', clientMessageId: 'm-1' };
  const answers = await Promise.all([tab.asks('send-message', send), tab.asks('send-message', send)]);
  assert.deepEqual(answers[0], answers[1]);
  assert.equal(answers[0].ok, true);
  assert.deepEqual(saying(answers[0].document).at(-1), message('farmer', 'by the socket'));
  await tab.hears('new-message');
  const intruder = await other.tab();
  assert.equal((await intruder.asks('send-message', { ...send, clientMessageId: 'm-2' })).error.code, 'NOT_FOUND');
  assert.equal((await tab.asks('send-message', { ticketId: ticket.ticketId, message: '' })).error.code, 'INVALID');
  // Written while offline: the client keeps it, and sends it when it is back.
  await system.world.gw.kill();
  await until('offline', () => !tab.socket.connected);
  const kept = tab.asks('send-message', { ...send, message: 'written offline', clientMessageId: 'm-3' });
  await system.world.gw.start();
  assert.equal((await kept).ok, true);
  await tab.hears('new-message');
  assert.deepEqual(saying(await admin.does('GET', `${PATH}/${ticket.ticketId}`)).map((m) => m.message), ['b', 'by the socket', 'written offline']);
});

test('typing, who is there, notifications', async () => {
  const { farmer, other, admin } = people();
  const ticket = await farmer.does('POST', PATH, { subject: 'A', message: 'b' });
  const [tab, desk, else_] = [await farmerPage(farmer, ticket.ticketId), await adminPage(admin, ticket.ticketId), await farmerPage(other)];
  await settled(tab, 'join-ticket', ticket.ticketId);
  await settled(desk, 'join-ticket', ticket.ticketId);
  assert.deepEqual(await tab.asks('typing', { ticketId: ticket.ticketId, isTyping: true }), { ok: true });
  await until('typing', () => desk.typing().length);
  assert.deepEqual(desk.typing()[0], { ticketId: ticket.ticketId, userId: 'farmer-1', isTyping: true });
  assert.equal((await else_.asks('typing', { ticketId: ticket.ticketId, isTyping: true })).error.code, 'DENIED');
  await until('who is there', () => desk.status('farmer-1') === 'online' && desk.status('farmer-2') === 'online');
  assert.deepEqual(await tab.asks('set_presence', { status: 'busy' }), { ok: true, status: 'busy' });
  await until('busy', () => desk.status('farmer-1') === 'busy');
  assert.equal(else_.status('farmer-1'), undefined, 'farmers are not told of each other');

  const note = await admin.does('POST', '/api/support/notifications', { userId: 'farmer-1', title: 'Visit', message: 'On Monday' });
  assert.deepEqual(await tab.hears('notification'), [note]);
  isTime(note.createdAt);
  assert.deepEqual((await farmer.does('GET', '/api/support/notifications?read=false')).items, [note]);
  assert.deepEqual((await other.does('GET', '/api/support/notifications')).items, []);
  assert.equal((await tab.asks('read-notification', note.id)).document.read, true);
  await tab.hears('notification_read');
  assert.deepEqual((await farmer.does('GET', '/api/support/notifications?read=false')).items, []);
  await other.isRefused(404, 'NOT_FOUND', 'PATCH', `/api/support/notifications/${note.id}/read`);
  await farmer.isRefused(403, 'DENIED', 'POST', '/api/support/notifications', { userId: 'farmer-2', message: 'x' });
  else_.hearsNothing();
});
