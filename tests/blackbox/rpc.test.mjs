// What gateways ask of the state-manager over RabbitMQ: commands of clients, their sessions, rights. A gateway is played.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BrokerProxy } from '../lib/broker.mjs';
import { until, within } from '../lib/env.mjs';
import { Gate, QUEUE } from '../lib/gate.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { lockStore } from '../lib/lock.mjs';
import { text } from '../lib/samples.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000061';
const OFFSET = /^[A-Za-z0-9]+-\d+$/;
const seqOf = (offset) => Number(offset.slice(offset.lastIndexOf('-') + 1));

let world, gate, proxy;
before(async () => {
  world = await World.open('rpc', { gateway: false, stateManager: false });
  proxy = await new BrokerProxy(world.broker.port).open();
  world.serviceUrl = proxy.url(world.vhost);
  world.sm = await stateManager(world.dir, world.serviceUrl);
  world.services.push(world.sm);
  await world.sm.start();
  gate = await new Gate().open(world.amqpUrl);
});
after(async () => {
  await gate?.close();
  await world?.close();
  await proxy?.down();
});

// A tenant with a conversation; its id.
let customers = 0;
async function conversationOf(tenant, number = NUMBER + tenant.length) {
  await world.channel(number, tenant);
  const wa = String(447700900500 + ++customers);
  await webhook(world.sm, text(number, wa, 'hello'));
  const items = await world.list(tenant, '/api/v1/conversations');
  return items.find((c) => c.contact.waId === wa).id;
}
const messagesOf = (tenant, id) => world.list(tenant, `/api/v1/conversations/${id}/messages`);
const outbound = async (tenant, id) => (await messagesOf(tenant, id)).filter((m) => m.direction === 'outbound');
const send = (tenant, conversationId, words, more, options) => gate.command(tenant, 'send_message', { conversationId, body: { text: words }, ...more }, options);
const refused = (answer, code) => assert.deepEqual([answer.ok, answer.error?.code], [false, code], JSON.stringify(answer));

describe('a command', () => {
  const tenant = 't_cmd';
  let id;
  before(async () => (id = await conversationOf(tenant)));

  test('send_message does what REST does, and its author is the message\'s', async () => {
    const answer = await send(tenant, id, 'hi there', { key: 'k-1' });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    assert.deepEqual(Object.keys(answer.reply).sort(), ['conversationId', 'id', 'status']);
    const [message] = await outbound(tenant, id);
    assert.deepEqual([message.id, message.text, message.from, message.status], [answer.reply.id, 'hi there', 'ann', 'queued']);
    await until('its event', () => world.tap.of(tenant, 'conversation_update').some((e) => e.data.lastMessage === 'hi there'));
  });
  test('with a key twice has one effect and the same answer; the key is the same as over REST', async () => {
    const one = await send(tenant, id, 'once', { key: 'k-2' });
    assert.deepEqual(await send(tenant, id, 'once', { key: 'k-2' }), one);
    const token = tokenOf(tenant, 'agent', { sub: 'ann' });
    const over = await rest(world.sm, token, 'POST', `/api/v1/conversations/${id}/messages`, { text: 'once' }, { 'Idempotency-Key': 'k-2' });
    assert.deepEqual([over.status, over.json], [202, one.reply]);
    refused(await send(tenant, id, 'something else', { key: 'k-2' }), 'INVALID');
    const other = await send(tenant, id, 'once', { key: 'k-2', author: 'bob' });
    assert.notEqual(other.reply.id, one.reply.id, 'a key is its author\'s own');
    assert.equal((await outbound(tenant, id)).filter((m) => m.text === 'once').length, 2);
  });
  test('with a key of any characters and any length is known again', async () => {
    for (const key of ['ключ с пробелами', 'x'.repeat(100), 'x'.repeat(101), 'a\nb', ' m:x']) {
      const one = await send(tenant, id, `odd ${key}`, { key });
      assert.equal(one.ok, true, JSON.stringify(one));
      assert.deepEqual(await send(tenant, id, `odd ${key}`, { key }), one);
    }
    assert.equal((await outbound(tenant, id)).filter((m) => m.text.startsWith('odd')).length, 5);
    for (const key of ['', 7, 'x'.repeat(801)]) refused(await send(tenant, id, 'never', { key }), 'INVALID');
  });
  test('without a key is known by its message id, and else means what it says each time', async () => {
    const one = await send(tenant, id, 'by id', {}, { messageId: 'mid-1' });
    assert.deepEqual(await send(tenant, id, 'by id', {}, { messageId: 'mid-1' }), one);
    await send(tenant, id, 'by nothing');
    await send(tenant, id, 'by nothing');
    const texts = (await outbound(tenant, id)).map((m) => m.text);
    assert.deepEqual([texts.filter((t) => t === 'by id').length, texts.filter((t) => t === 'by nothing').length], [1, 2]);
  });
  test('mark_read empties the conversation\'s unread', async () => {
    const answer = await gate.command(tenant, 'mark_read', { conversationId: id, body: {} });
    assert.deepEqual([answer.ok, answer.reply.id, answer.reply.unread], [true, id, 0]);
    assert.equal((await world.api(tenant, 'GET', `/api/v1/conversations/${id}`)).json.unread, 0);
  });
  test('about what is not the tenant\'s finds nothing', async () => {
    const foreign = await conversationOf('t_other', '200000000000068');
    for (const conversationId of [foreign, 'c_00000000000000000000', '../../x', 'x'.repeat(300), '']) {
      refused(await send(tenant, conversationId, 'never'), 'NOT_FOUND');
      refused(await gate.command(tenant, 'mark_read', { conversationId }), 'NOT_FOUND');
    }
    assert.equal((await outbound('t_other', foreign)).length, 0);
  });
  test('that is broken is answered with why, and its neighbours live', async () => {
    const good = { v: 1, op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, body: { text: 'never' } };
    const { tenantId, author, conversationId, body, ...rest } = good;
    for (const [request, code] of [
      [Buffer.from('{"op":"command"'), 'MALFORMED'],
      [Buffer.from([0xff, 0]), 'MALFORMED'],
      [Buffer.alloc(0), 'MALFORMED'],
      [[], 'INVALID'],
      [{ op: 'commands' }, 'INVALID'],
      [{ op: ['command'] }, 'INVALID'],
      [{ ...rest, author, conversationId, body }, 'INVALID'],
      [{ ...good, tenantId: 'a.b' }, 'INVALID'],
      [{ ...rest, tenantId, conversationId, body }, 'INVALID'],
      [{ ...good, author: '' }, 'INVALID'],
      [{ ...good, author: 'x'.repeat(129) }, 'INVALID'],
      [{ ...good, command: 'drop_tables' }, 'INVALID'],
      [{ ...good, command: 1 }, 'INVALID'],
      [{ ...rest, tenantId, author, body }, 'INVALID'],
      [{ ...good, conversationId: 5 }, 'INVALID'],
      [{ ...rest, tenantId, author, conversationId }, 'INVALID'],
      [{ ...good, body: 'text' }, 'INVALID'],
      [{ ...good, body: { text: '' } }, 'INVALID'],
      [{ ...good, body: { text: 'x'.repeat(4097) } }, 'INVALID'],
      [{ ...good, body: { text: 'x'.repeat(1 << 20) } }, 'TOO_LARGE'],
    ])
      refused(await gate.ask(request), code);
    gate.channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify({ ...good, body: { text: 'nobody waits' } })), {});
    await until('its effect', async () => (await outbound(tenant, id)).some((m) => m.text === 'nobody waits'));
    assert.equal((await outbound(tenant, id)).filter((m) => m.text === 'never').length, 0);
    await until('an empty queue', async () => (await gate.channel.checkQueue(QUEUE)).messageCount === 0);
  });
});

describe('a session', () => {
  const tenant = 't_sess';
  let id, room;
  before(async () => {
    id = await conversationOf(tenant);
    room = `conversation:${id}`;
  });
  const session = (pid, body, more) => gate.command(tenant, 'session', { body: { pid, ...body }, ...more });
  const join = (pid, name = room, more) => session(pid, { room: name, in: true }, more);
  const leave = (pid, name = room) => session(pid, { room: name, in: false });
  const end = (pid, more) => session(pid, { ended: true }, more);
  const heard = (pid) => world.tap.of(tenant, 'portalcast:session').filter((e) => e.data.pid === pid);
  async function all() {
    const found = new Map();
    for (let next = '', page; page === undefined || next; next = page.next) {
      page = await gate.ask({ v: 1, op: 'sessions', tenantId: tenant, after: next });
      assert.equal(page.ok, true, JSON.stringify(page));
      page.sessions.forEach((s) => found.set(s.pid, s));
    }
    return found;
  }

  test('joins at a place of its own in the stream, which everybody is told', async () => {
    const answer = await join('pid_joins');
    assert.match(answer.reply?.offset, OFFSET, JSON.stringify(answer));
    await until('the event', () => heard('pid_joins').length);
    const [event] = heard('pid_joins');
    assert.deepEqual(event.data, { pid: 'pid_joins', sub: 'ann', room, in: true });
    assert.deepEqual([event.class, `${event.epoch}-${event.seq}`, event.rooms], ['durable', answer.reply.offset, undefined]);
    const { at, ...doc } = (await all()).get('pid_joins');
    assert.deepEqual(doc, { pid: 'pid_joins', sub: 'ann', rooms: { [room]: answer.reply.offset }, offset: answer.reply.offset });
    assert.ok(Math.abs(at - Date.now()) < 60000);
    assert.deepEqual(await join('pid_joins'), answer, 'it is in already');
    assert.deepEqual(await join('pid_joins', room, { key: 'again' }), answer);
    assert.equal(heard('pid_joins').length, 1);
  });
  test('leaves, and may join again at a later place', async () => {
    const first = await join('pid_leaves');
    const left = await leave('pid_leaves');
    assert.ok(seqOf(left.reply.offset) > seqOf(first.reply.offset));
    assert.deepEqual(await leave('pid_leaves'), left, 'nothing to leave: the place of the last change');
    assert.deepEqual((await all()).get('pid_leaves').rooms, {});
    const again = await join('pid_leaves');
    assert.ok(seqOf(again.reply.offset) > seqOf(left.reply.offset));
    assert.deepEqual((await all()).get('pid_leaves').rooms, { [room]: again.reply.offset });
    await until('all events', () => heard('pid_leaves').length === 3);
    assert.deepEqual(heard('pid_leaves').map((e) => e.data.in), [true, false, true]);
    assert.deepEqual((await leave('pid_never')).reply, { offset: null });
    assert.equal((await all()).has('pid_never'), false);
  });
  test('that has ended joins nothing more, and others may end it', async () => {
    await join('pid_ends');
    const ended = await end('pid_ends', { author: 'a kicking admin' });
    assert.match(ended.reply.offset, OFFSET);
    assert.deepEqual(await end('pid_ends'), ended);
    refused(await join('pid_ends'), 'CONFLICT');
    assert.deepEqual(await leave('pid_ends'), ended);
    const { at: _, ...doc } = (await all()).get('pid_ends');
    assert.deepEqual(doc, { pid: 'pid_ends', sub: 'ann', rooms: {}, ended: true, offset: ended.reply.offset });
    await until('both events', () => heard('pid_ends').length === 2);
    assert.deepEqual(heard('pid_ends')[1].data, { pid: 'pid_ends', sub: 'ann', ended: true });
    await end('pid_unheard_of');
    refused(await join('pid_unheard_of'), 'CONFLICT');
  });
  test('that goes on by another connection takes nothing more from the one before', async () => {
    const at = (generation) => ({ leave: () => session('pid_moves', { room, in: false, generation }), join: () => session('pid_moves', { room, in: true, generation }) });
    const [first, second, third] = [0, 1700000000000, 1700000000001].map(at);
    const joined = await first.join();
    assert.match(joined.reply?.offset, OFFSET, JSON.stringify(joined));
    refused(await session('pid_moves', { room, in: false, generation: -1 }), 'INVALID');
    assert.deepEqual(await second.join(), joined, 'it is in already, since then');
    refused(await first.leave(), 'CONFLICT');
    refused(await session('pid_moves', { ended: true, generation: 0 }), 'CONFLICT');
    assert.deepEqual((await all()).get('pid_moves').rooms, { [room]: joined.reply.offset });
    assert.match((await third.leave()).reply.offset, OFFSET);
    refused(await second.join(), 'CONFLICT');
    const { at: _, offset, ...doc } = (await all()).get('pid_moves');
    assert.deepEqual(doc, { pid: 'pid_moves', sub: 'ann', rooms: {}, generation: 1700000000001 });
    await until('all events', () => heard('pid_moves').length === 3);
    assert.deepEqual(heard('pid_moves').map((e) => [e.data.in, e.data.generation]), [[true, undefined], [true, 1700000000000], [false, 1700000000001]]);
    assert.match((await join('pid_moves')).reply.offset, OFFSET, 'of a gateway that does not say which');
  });
  test('joins only conversations of the tenant, and is its user\'s own', async () => {
    const foreign = await conversationOf('t_elsewhere', '200000000000069');
    refused(await join('pid_bad', `conversation:${foreign}`), 'NOT_FOUND');
    refused(await join('pid_bad', 'conversation:c_00000000000000000000'), 'NOT_FOUND');
    refused(await join('pid_bad', `conversation:${'x'.repeat(100)}`), 'NOT_FOUND');
    for (const name of ['user:ann', 'conversation:', 'conversation:a b', '', 7, `conversation:${'x'.repeat(200)}`]) refused(await join('pid_bad', name), 'INVALID');
    for (const pid of ['', 'a b', 'x'.repeat(65), 5, undefined]) refused(await join(pid), 'INVALID');
    refused(await session('pid_bad', { room }), 'INVALID');
    refused(await session('pid_bad', { room, in: 'yes' }), 'INVALID');
    await join('pid_anns');
    refused(await join('pid_anns', room, { author: 'bob' }), 'DENIED');
    assert.equal((await all()).has('pid_bad'), false);
    assert.equal(heard('pid_bad').length, 0);
  });
  test('is in at most 100 rooms', async () => {
    const number = '200000000000070';
    await world.channel(number, tenant);
    const customers = Array.from({ length: 101 }, (_, i) => String(447700910000 + i));
    await Promise.all(customers.map((wa) => webhook(world.sm, text(number, wa, 'hello'))));
    const rooms = (await world.list(tenant, '/api/v1/conversations')).filter((c) => customers.includes(c.contact.waId)).map((c) => `conversation:${c.id}`);
    assert.equal(rooms.length, 101);
    const answers = await Promise.all(rooms.slice(0, 100).map((name) => join('pid_many', name)));
    assert.ok(answers.every((a) => a.ok), JSON.stringify(answers.find((a) => !a.ok)));
    refused(await join('pid_many', rooms[100]), 'LIMITED');
    assert.deepEqual(await join('pid_many', rooms[3]), answers[3]);
    const { rooms: kept } = (await all()).get('pid_many');
    assert.deepEqual(kept, Object.fromEntries(rooms.slice(0, 100).map((name, i) => [name, answers[i].reply.offset])));
    await leave('pid_many', rooms[0]);
    assert.equal((await join('pid_many', rooms[100])).ok, true);
    const rights = await gate.ask({ op: 'rights', tenantId: tenant, rooms: [...rooms.slice(0, 97), 'user:ann', 'conversation:nothing', `conversation:${'x'.repeat(120)}`] });
    assert.equal(Object.values(rights.rooms).filter(Boolean).length, 97);
    assert.deepEqual([rights.rooms['user:ann'], rights.rooms['conversation:nothing'], rights.rooms[rooms[5]]], [false, false, true]);
    refused(await gate.ask({ op: 'rights', tenantId: tenant, rooms }), 'INVALID');
    const elsewhere = await gate.ask({ op: 'rights', tenantId: 't_nobody', rooms: rooms.slice(0, 1) });
    assert.deepEqual(elsewhere, { ok: true, rooms: { [rooms[0]]: false } });
  });
  test('comes in pages, with the place that they are complete up to', async () => {
    const pids = Array.from({ length: 1050 }, (_, i) => `pid_paged_${String(i).padStart(4, '0')}`);
    const joined = [];
    for (let at = 0; at < pids.length; at += 350) joined.push(...(await Promise.all(pids.slice(at, at + 350).map((pid) => join(pid)))));
    const first = await gate.ask({ op: 'sessions', tenantId: tenant, after: '' });
    const head = (await gate.ask({ op: 'heads', tenants: [tenant] })).heads[tenant];
    assert.deepEqual([first.tenantId, first.epoch, first.head], [tenant, head.epoch, head.seq]);
    assert.ok(first.next && first.sessions.length <= 1000, 'more than a page');
    assert.equal(first.next, first.sessions.at(-1).pid);
    const found = await all();
    for (const [i, pid] of pids.entries()) assert.deepEqual(found.get(pid)?.rooms, { [room]: joined[i].reply.offset }, pid);
    assert.deepEqual((await gate.ask({ op: 'sessions', tenantId: 't_empty', after: '' })), { ok: true, tenantId: 't_empty', epoch: '', head: 0, sessions: [], next: '' });
    refused(await gate.ask({ op: 'sessions', tenantId: tenant }), 'INVALID');
  });
  test('is replayed to gateways, and hidden from who catches up over REST', async () => {
    const { epoch, seq } = (await gate.ask({ op: 'heads', tenants: ['t_hidden'] })).heads.t_hidden;
    assert.deepEqual([epoch, seq], ['', 0]);
    const room = `conversation:${await conversationOf('t_hidden')}`;
    const joined = await gate.command('t_hidden', 'session', { body: { pid: 'pid_hidden', room, in: true } });
    const { events } = await gate.ask({ op: 'replay', tenantId: 't_hidden', epoch: joined.reply.offset.split('-')[0], after: 0, limit: 100 });
    assert.equal(events.at(-1).type, 'portalcast:session');
    for (const query of ['', `?after=${joined.reply.offset.split('-')[0]}-${seqOf(joined.reply.offset) - 1}`]) {
      const { json } = await world.api('t_hidden', 'GET', `/api/v1/events${query}`);
      assert.deepEqual([json.items.filter((i) => i.event.startsWith('portalcast:')), json.next, json.head, json.complete], [[], joined.reply.offset, joined.reply.offset, true]);
    }
  });
});

describe('what happens to the state-manager', () => {
  const nearSockets = () => [...proxy.sockets].filter((s) => s.localPort === proxy.port);

  test('killed with its answer unsent: the effect stays one, and the answer comes', async () => {
    const tenant = 't_unsent';
    const id = await conversationOf(tenant);
    for (const socket of nearSockets()) socket.unpipe().pause();
    const keyed = gate.send({ op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, key: 'k', body: { text: 'keyed' } });
    const named = gate.send({ op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, body: { text: 'named' } }, { messageId: 'n' });
    const effects = await until('both effects', async () => ((found) => found.length === 2 && found)(await outbound(tenant, id)));
    assert.deepEqual([keyed.answers, named.answers], [[], []]);
    await world.sm.kill();
    proxy.cut();
    await world.sm.start();
    for (const [asked, words] of [[keyed, 'keyed'], [named, 'named']]) {
      assert.equal((await within(asked.first, 20000))?.reply?.id, effects.find((m) => m.text === words).id);
      assert.equal(asked.answers.length, 1);
    }
    assert.equal((await outbound(tenant, id)).length, 2);
  });
  test('killed at any moment under commands: each has one effect, and its answer', async () => {
    const tenant = 't_kills';
    const id = await conversationOf(tenant);
    const asked = [];
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 100; i++) {
        const words = `${round}.${i}`;
        asked.push([words, gate.send({ op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, ...(i % 2 && { key: words }), body: { text: words } }, { messageId: `k-${words}` })]);
      }
      await until('a beginning', () => asked.at(-90)[1].answers.length, 20000);
      await world.sm.kill();
      await world.sm.start();
    }
    const ids = new Map();
    for (const [words, one] of asked) {
      const answer = await within(one.first, 30000);
      assert.equal(answer?.ok, true, `${words}: ${JSON.stringify(answer)}`);
      ids.set(words, answer.reply.id);
    }
    const found = await outbound(tenant, id);
    assert.equal(found.length, asked.length);
    for (const message of found) assert.equal(ids.get(message.text), message.id);
  });
  test('the broker cut off while commands are under way: the same', async () => {
    const tenant = 't_cut';
    const id = await conversationOf(tenant);
    const asked = Array.from({ length: 200 }, (_, i) => gate.send({ op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, key: `k${i}`, body: { text: `t${i}` } }));
    await until('a beginning', () => asked.some((a) => a.answers.length));
    proxy.cut();
    for (const one of asked) assert.equal((await within(one.first, 30000))?.ok, true);
    assert.equal(new Set((await outbound(tenant, id)).map((m) => m.text)).size, 200);
    assert.equal((await outbound(tenant, id)).length, 200);
  });
});

describe('too much at once', () => {
  const LENGTH = 16;
  let former;
  before(async () => {
    await world.sm.stop();
    former = world.sm.env;
    world.sm.env = { ...former, QUEUE_LENGTH: String(LENGTH), STORE_URL: 'sqlite:store.db' };
    await world.sm.start();
  });
  after(async () => {
    await world.sm.stop();
    world.sm.env = former;
  });
  const burst = (tenant, id, count) =>
    Array.from({ length: count }, (_, i) => gate.send({ op: 'command', tenantId: tenant, author: 'ann', command: 'send_message', conversationId: id, body: { text: `t${i}` } }));
  const codesOf = (answers) => answers.reduce((codes, a) => ((code) => ({ ...codes, [code]: (codes[code] ?? 0) + 1 }))(a.ok ? 'ok' : a.error.code), {});
  const answered = (asked) => asked.flatMap((one) => one.answers);
  const all = async (asked) => (await Promise.all(asked.map((one) => within(one.first, 20000))), assert.deepEqual(asked.filter((one) => one.answers.length !== 1), []), codesOf(answered(asked)));
  // While nothing can be written: what is taken waits, the rest is answered at once, and so are reads.
  async function whileHeld(send, refusals) {
    const release = await lockStore(world);
    try {
      const asked = send();
      await until('the refusals', () => answered(asked).filter((a) => /^too many calls/.test(a.error?.message)).length >= refusals);
      assert.equal((await gate.ask({ op: 'heads', tenants: ['t_flood'] })).ok, true);
      return [asked, codesOf(answered(asked))];
    } finally {
      await release();
    }
  }

  test('of one tenant is LIMITED, and what was taken is done', async () => {
    const [flooding, calm] = [await conversationOf('t_flood'), await conversationOf('t_calm_one')];
    let other;
    const [flood, codes] = await whileHeld(() => {
      const asked = burst('t_flood', flooding, 300);
      other = burst('t_calm_one', calm, LENGTH / 4);
      return asked;
    }, 300 - LENGTH / 4);
    assert.equal(codes.LIMITED, 300 - LENGTH / 4, JSON.stringify(codes));
    for (const [asked, tenant, id] of [[flood, 't_flood', flooding], [other, 't_calm_one', calm]]) {
      const { LIMITED = 0, UNAVAILABLE = 0, ok = 0 } = await all(asked); // UNAVAILABLE: it was held for too long
      assert.equal(ok + UNAVAILABLE, LENGTH / 4);
      assert.equal(LIMITED, asked.length - LENGTH / 4);
      assert.equal((await outbound(tenant, id)).length, ok);
    }
  });
  test('of many tenants is UNAVAILABLE, nobody goes without an answer, and it passes', async () => {
    const tenants = Array.from({ length: 12 }, (_, i) => `t_crowd_${i}`);
    const ids = [];
    for (const [i, tenant] of tenants.entries()) ids.push(await conversationOf(tenant, `2000000001${i}`));
    const [asked, codes] = await whileHeld(() => Array.from({ length: 30 }, () => tenants.flatMap((tenant, i) => burst(tenant, ids[i], 1))).flat(), 360 - LENGTH);
    assert.ok(codes.UNAVAILABLE >= 360 - LENGTH && !codes.LIMITED, JSON.stringify(codes));
    const { ok = 0 } = await all(asked);
    let done = 0;
    for (const [i, tenant] of tenants.entries()) {
      done += (await outbound(tenant, ids[i])).length;
      assert.equal((await send(tenant, ids[i], 'after')).ok, true);
    }
    assert.equal(done, ok);
    await until('an empty queue', async () => (await gate.channel.checkQueue(QUEUE)).messageCount === 0);
  });
});
