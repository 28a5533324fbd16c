// Rooms: who gets in, who hears what since when, and that no name, token or id opens a door that is not one's own.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until } from '../lib/env.mjs';
import { jwt, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_rooms';
const OTHER = 't_next_door';
const NUMBER = '200000000000083';
const FOREIGN = '200000000000084';
let world, bare, id, second, foreign;
before(async () => {
  world = await World.open('rooms', { gateway: { MESSAGE_RATE: '0' } });
  bare = await gateway(world.dir, world.amqpUrl, { RECOVERY: 'off' });
  world.services.push(bare);
  await bare.start();
  await world.channel(NUMBER, TENANT);
  await world.channel(FOREIGN, OTHER);
  id = await world.conversation(TENANT, NUMBER, '447700910001');
  second = await world.conversation(TENANT, NUMBER, '447700910002');
  foreign = await world.conversation(OTHER, FOREIGN, '447700910003');
});
after(() => world.close());

async function browserOn(service, tenant = TENANT, claims = {}) {
  const client = new SioClient(service.base, tokenOf(tenant, 'agent', claims));
  world.browsers.push(client);
  return client.connected();
}
async function plainOn(service, tenant = TENANT, claims = {}) {
  const client = new WsClient(service.base, { token: tokenOf(tenant, 'agent', claims) });
  world.browsers.push(client);
  await client.message('ready');
  return client;
}
let turn = 0;
// Publishes to a room (null: to everyone); the number that says which it was.
async function publish(room, tenant = TENANT) {
  const n = ++turn;
  const answer = await world.api(tenant, 'POST', '/api/v1/events', { event: 'ring', data: { n }, ...(room ? { rooms: [room] } : {}) }, 'service');
  assert.equal(answer.status, 202, answer.body);
  return n;
}
const rings = (client) => client.of('ring').map((h) => h.data.n);
// What of these a client has heard, once it has heard what came after them.
async function heardOf(client, numbers, tenant = TENANT) {
  const last = await publish(null, tenant);
  await until('the last one', () => rings(client).includes(last));
  return rings(client).filter((n) => numbers.includes(n));
}
const room = (conversation) => `conversation:${conversation}`;
const joined = { ok: true };

// Each kind of client: how it joins and leaves a conversation, and what it is answered.
const KINDS = [
  ['socket.io-client', () => browserOn(world.gw), (c, e, what) => c.asks(`${e}_conversation`, what)],
  ['socket.io-client without recovery', () => browserOn(bare), (c, e, what) => c.asks(`${e}_conversation`, what)],
  ['/ws', () => plainOn(world.gw), async (c, e, what) => {
    const answer = await c.asks({ type: e, room: room(what) });
    return answer.type === 'ack' ? answer.data : { ok: false, error: { code: answer.code, message: answer.message } };
  }],
  ['/ws by events', () => plainOn(world.gw), async (c, e, what) => {
    const answer = await c.asks({ type: 'emit', event: `${e}_conversation`, data: { conversationId: what } });
    return answer.type === 'ack' ? answer.data : { ok: false, error: { code: answer.code, message: answer.message } };
  }],
];

for (const [name, open, move] of KINDS)
  describe(name, () => {
    test('hears a conversation from its join to its leave', async () => {
      const client = await open();
      const before = await publish(room(id));
      await heardOf(client, []);
      assert.deepEqual(await move(client, 'join', id), { ...joined, room: room(id) });
      const numbers = [before, await publish(room(id)), await publish(room(second))];
      assert.deepEqual(await heardOf(client, numbers), [numbers[1]]);
      assert.deepEqual(await move(client, 'join', id), { ...joined, room: room(id) }, 'joining again is fine');
      assert.deepEqual(await move(client, 'leave', id), { ...joined, room: room(id) });
      numbers.push(await publish(room(id)));
      assert.deepEqual(await heardOf(client, numbers), [numbers[1]]);
      assert.deepEqual(await move(client, 'leave', id), { ...joined, room: room(id) }, 'so is leaving again');
      assert.deepEqual(await move(client, 'join', id), { ...joined, room: room(id) });
      numbers.push(await publish(room(id)));
      assert.deepEqual(await heardOf(client, numbers), [numbers[1], numbers[4]]);
    });
    test('gets into no conversation that is not the tenant’s', async () => {
      const client = await open();
      const neighbour = await browserOn(world.gw, OTHER);
      assert.equal((await neighbour.asks('join_conversation', foreign)).ok, true);
      for (const what of [foreign, 'c_none']) {
        const answer = await move(client, 'join', what);
        assert.deepEqual([answer.ok, answer.error?.code], [false, 'NOT_FOUND'], what);
      }
      await publish(room(foreign), OTHER);
      await publish(room(foreign));
      assert.deepEqual(rings(client), []);
      const own = await publish(null);
      assert.deepEqual(await heardOf(client, [own]), [own]);
    });
    test('one that begins later can be joined then', async () => {
      const client = await open();
      const number = `4477009${Math.floor(Math.random() * 1e5) + 1e5}`;
      const later = await world.conversation(TENANT, NUMBER, number);
      assert.equal((await move(client, 'join', later)).ok, true);
    });
    test('joins and leaves without waiting for answers, and is where it was last', async () => {
      const client = await open();
      for (let round = 0; round < 8; round++) {
        const moves = [];
        for (let i = 0; i < 7; i++) {
          moves.push(move(client, i % 2 ? 'leave' : 'join', id), move(client, i % 2 ? 'join' : 'leave', second));
          if (round) await sleep(Math.random() * round);
        }
        for (const answer of await Promise.all(moves)) assert.equal(answer.ok, true, JSON.stringify(answer));
        const numbers = [await publish(room(id)), await publish(room(second))];
        assert.deepEqual(await heardOf(client, numbers), [numbers[0]], `round ${round}`);
      }
    });
  });

describe('a recorded join', () => {
  test('counts from its place in the stream on, whatever is published meanwhile', async () => {
    const client = await browserOn(world.gw);
    let going = true;
    const publishing = (async () => {
      const bodies = () => Array.from({ length: 5 }, () => ({ event: 'ring', data: { n: ++turn }, rooms: [room(id)] }));
      while (going) assert.equal((await world.api(TENANT, 'POST', '/api/v1/events', bodies(), 'service')).status, 202);
    })();
    const moves = [];
    for (let i = 0; i < 10; i++) {
      moves.push({ ...(await client.asks('join_conversation', id)), in: true });
      await until('some of it', ((from) => () => rings(client).length > from + 3)(rings(client).length));
      await client.asks('leave_conversation', id);
    }
    assert.ok(moves.every((m) => m.ok));
    going = false;
    await publishing;
    await heardOf(client, []);
    const records = await until('its moves on the exchange', () => {
      const found = world.tap.of(TENANT, 'portalcast:session').filter((b) => b.data.pid === client.socket.id);
      return found.length >= moves.length && found;
    });
    assert.deepEqual(records.map((b) => b.data.in), Array.from({ length: 20 }, (_, i) => i % 2 === 0));
    const heard = new Set(client.seqs());
    for (let i = 0; i < records.length; i += 2) {
      const between = world.tap.of(TENANT, 'ring').filter((b) => b.rooms && b.seq > records[i].seq && b.seq < records[i + 1].seq).map((b) => b.seq);
      const got = between.filter((seq) => heard.has(seq));
      assert.deepEqual(got, between.slice(0, got.length), 'without a hole from the join on');
      assert.ok(got.length > 3, `${got.length} of ${between.length}`);
    }
    const outside = world.tap.of(TENANT, 'ring').filter((b) => b.rooms && heard.has(b.seq)).filter((b) => {
      const last = records.findLast((r) => r.seq < b.seq);
      return !last?.data.in;
    });
    assert.deepEqual(outside, [], 'nothing from before the join or after the record of the leave');
  });
});

describe('names on /ws', () => {
  const rows = [
    ['user:agent-1', 'ack'],
    ['role:agent', 'ack'],
    ['team:red', 'ack'],
    ['vip', 'ack'],
    ['role:admin', 'DENIED'],
    ['role:platform-admin', 'DENIED'],
    ['user:agent-2', 'DENIED'],
    ['team:blue', 'DENIED'],
    ['tenant:t_next_door', 'DENIED'],
    ['t_next_door', 'DENIED'],
    ['conversation:', 'DENIED'],
    ['conversation:a b', 'DENIED'],
    ['conversation:../../x', 'DENIED'],
    ['ünïcode', 'DENIED'],
    ['', 'INVALID'],
    ['x'.repeat(161), 'INVALID'],
    ['a\u0000b', 'INVALID'],
    [7, 'INVALID'],
    [null, 'INVALID'],
    [['vip'], 'INVALID'],
  ];
  for (const [name, outcome] of rows)
    test(`${JSON.stringify(name).slice(0, 60)}: ${outcome}`, async () => {
      const plain = await plainOn(world.gw, TENANT, { teams: ['red'], rooms: ['vip'] });
      const answer = await plain.asks({ type: 'join', room: name });
      assert.equal(answer.code ?? answer.type, outcome, JSON.stringify(answer));
      assert.equal((await plain.asks({ type: 'emit', event: 'set_presence', data: { status: 'online' } })).type, 'ack', 'it goes on');
    });
  test('refused joins are logged, one line each, with who and where', async () => {
    const plain = await plainOn(world.gw, TENANT, { sub: 'mallory' });
    for (const name of ['role:admin', 'x" level=error forged="', 'y\nlevel=error event=forged']) await plain.asks({ type: 'join', room: name });
    const lines = world.gw.log(Infinity).split('\n').filter((l) => l.includes('event=join_refused') && l.includes('user="mallory"'));
    assert.equal(lines.length, 3);
    assert.match(lines[0], /level=warn .*tenant=t_rooms user="mallory" code=DENIED room="role:admin"/);
    assert.match(lines[1], /room="x\\" level=error forged=\\""/);
    assert.doesNotMatch(world.gw.log(Infinity), /^level=error event=forged/m);
  });
  test('rooms that the token gives cannot be left', async () => {
    const plain = await plainOn(world.gw, TENANT, { rooms: ['vip'] });
    for (const name of ['vip', 'role:agent', 'user:agent-1']) assert.equal((await plain.asks({ type: 'leave', room: name })).code, 'DENIED');
    const n = await publish('vip');
    assert.deepEqual(await heardOf(plain, [n]), [n]);
  });
  test('before signing in there is nothing to join', async () => {
    const plain = new WsClient(world.gw.base);
    world.browsers.push(plain);
    await plain.opened();
    for (const message of [{ type: 'join', room: 'vip' }, { type: 'leave', room: 'vip' }, { type: 'emit', event: 'mark_read', data: id }, { type: 'refresh', token: tokenOf(TENANT) }])
      assert.equal((await plain.asks(message)).code, 'UNAUTHENTICATED', message.type);
  });
});

describe('bounds', () => {
  test('a hundred conversations at a time', async () => {
    const from = (i) => `44770092${String(1000 + i)}`;
    const messages = Array.from({ length: 101 }, (_, i) => textMessage(from(i), 'hi'));
    assert.equal((await webhook(world.sm, inbound(NUMBER, messages))).status, 200);
    const ids = (await world.list(TENANT, '/api/v1/conversations?q=44770092')).map((c) => c.id);
    assert.equal(ids.length, 101);
    for (const client of [await browserOn(world.gw), await browserOn(bare)]) {
      for (let i = 0; i < 100; i += 50)
        for (const answer of await Promise.all(ids.slice(i, i + 50).map((one) => client.asks('join_conversation', one)))) assert.equal(answer.ok, true, JSON.stringify(answer));
      await until('all of them', async () => (await client.asks('join_conversation', ids[100])).error?.code === 'LIMITED');
      assert.equal((await client.asks('leave_conversation', ids[7])).ok, true);
      assert.equal((await client.asks('join_conversation', ids[100])).ok, true);
      const numbers = [await publish(room(ids[7])), await publish(room(ids[100])), await publish(room(ids[99]))];
      assert.deepEqual(await heardOf(client, numbers), numbers.slice(1));
    }
  });
  test('a storm of joins asks for rooms, not for clients', async () => {
    const asked = async () => (await world.sm.metrics()).portalcast_rpc_requests_total;
    const clients = await Promise.all(Array.from({ length: 40 }, (_, i) => plainOn(world.gw, TENANT, { sub: `storm-${i}` })));
    const from = await asked();
    const answers = await Promise.all(clients.flatMap((c) => [c.asks({ type: 'join', room: room(id) }), c.asks({ type: 'join', room: room(second) })]));
    for (const answer of answers) assert.equal(answer.type, 'ack');
    const n = await publish(room(id));
    for (const client of clients) await until('everyone', () => rings(client).includes(n));
    assert.ok((await asked()) - from < 20, `${(await asked()) - from} questions for 80 joins`);
  });
  test('a token of another issue than ours gives nothing', async () => {
    const forged = new WsClient(world.gw.base, { token: jwt({ tenantId: TENANT, sub: 'x', role: 'admin' }, { secret: 'another-secret-0123456789abcdef' }) });
    world.browsers.push(forged);
    assert.equal((await forged.closed).code, 4401);
  });
});
