// What agents do to conversations over REST, calls that are repeated, and catching up on events.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { jwt, rest, tokenOf, webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
const TENANT = 't_desk';
let world;
let id;
before(async () => {
  world = await World.open('desk', { gateway: false });
  await world.channel(NUMBER, TENANT);
  await webhook(world.sm, text(NUMBER, '447700900400', 'hello'));
  id = (await world.api(TENANT, 'GET', '/api/v1/conversations')).json.items[0].id;
});
after(() => world.close());

const call = (method, path, body, headers, tenant = TENANT) => rest(world.sm, tokenOf(tenant), method, `/api/v1/conversations/${id}${path}`, body, headers);
const updates = () => world.tap.of(TENANT, 'conversation_update').length;

describe('a conversation', () => {
  test('is patched with its version; a stale one is 409', async () => {
    const { version } = (await call('GET', '')).json;
    const before = updates();
    const patched = await call('PATCH', '', { assignee: 'ann', tags: ['vip'], version });
    assert.equal(patched.status, 200, patched.body);
    assert.equal(patched.json.assignee, 'ann');
    assert.deepEqual(patched.json.tags, ['vip']);
    assert.equal(patched.json.version, version + 1);
    const stale = await call('PATCH', '', { status: 'closed', version });
    assert.equal(stale.status, 409, stale.body);
    assert.equal(stale.json.error.code, 'CONFLICT');
    assert.equal((await call('GET', '')).json.status, 'open', 'nothing of it was applied');
    await until('one announcement', () => updates() === before + 1);
  });
  test('that is closed counts no longer, and a message opens it again', async () => {
    assert.equal((await call('PATCH', '', { status: 'closed' })).json.status, 'closed');
    assert.equal((await world.api(TENANT, 'GET', '/api/v1/dashboard/stats')).json.activeConversations, 0);
    await webhook(world.sm, text(NUMBER, '447700900400', 'still broken'));
    assert.equal((await call('GET', '')).json.status, 'open');
    assert.equal((await world.api(TENANT, 'GET', '/api/v1/dashboard/stats')).json.activeConversations, 1);
  });
  test('is read', async () => {
    assert.ok((await call('GET', '')).json.unread > 0);
    const read = await call('POST', '/read');
    assert.equal(read.status, 200, read.body);
    assert.equal((await call('GET', '')).json.unread, 0);
  });
  test('is correlated with one of the contact centre, and that is announced', async () => {
    const { head } = (await world.api(TENANT, 'GET', '/api/v1/events')).json;
    await until('all that came before', () => world.tap.of(TENANT).some((e) => e.seq === Number(head.split('-').at(-1))));
    const before = updates();
    const answer = await call('POST', '/correlate', { correlationId: 'cc-7', system: 'contact-centre' });
    assert.equal(answer.status, 200, answer.body);
    assert.deepEqual((await call('GET', '')).json.correlation, { correlationId: 'cc-7', system: 'contact-centre' });
    await until('the announcement', () => updates() === before + 1);
  });
  for (const body of [{ status: 'waiting' }, { assignee: 5 }, { tags: 'vip' }, { owner: 'x' }, { version: '1' }])
    test(`${JSON.stringify(body)} is refused and named`, async () => {
      const answer = await call('PATCH', '', body);
      assert.equal(answer.status, 422, answer.body);
      assert.ok(answer.json.error.message.includes(Object.keys(body)[0]), answer.body);
    });
  test("of another tenant is none", async () => {
    for (const [method, path, body] of [['PATCH', '', {}], ['POST', '/read'], ['POST', '/correlate', { correlationId: 'x' }]])
      assert.equal((await call(method, path, body, undefined, 't_nosy')).status, 404, `${method} ${path}`);
  });
});

describe('figures', () => {
  test('are announced again when asked for', async () => {
    const seen = () => world.tap.of(TENANT, 'metrics_update').length;
    const before = seen();
    const answer = await rest(world.sm, tokenOf(TENANT), 'POST', '/api/v1/dashboard/stats/refresh');
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.json.activeConversations, 1);
    await until('metrics_update', () => seen() > before);
  });
});

describe('Idempotency-Key', () => {
  const send = (key, body) => call('POST', '/messages', { text: body }, { 'Idempotency-Key': key });
  test('20 times the same at once: one message, one answer', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => send('key-1', 'only once')));
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [202]);
    assert.equal(new Set(answers.map((a) => a.json.id)).size, 1);
    const { items } = (await call('GET', '/messages?limit=200')).json;
    assert.equal(items.filter((m) => m.text === 'only once').length, 1);
  });
  test('the same key with another body is refused', async () => assert.equal((await send('key-1', 'something else')).status, 422));
  test('another user may use the same key', async () => {
    const other = jwt({ tenantId: TENANT, sub: 'somebody-else', role: 'agent' });
    const answer = await rest(world.sm, other, 'POST', `/api/v1/conversations/${id}/messages`, { text: 'mine' }, { 'Idempotency-Key': 'key-1' });
    assert.equal(answer.status, 202, answer.body);
  });
  test('it survives a restart', async () => {
    const first = await send('key-2', 'before the restart');
    await world.sm.kill();
    await world.sm.start();
    const again = await send('key-2', 'before the restart');
    assert.equal(again.json.id, first.json.id);
  });
  test('a key with a blank is refused', async () => assert.equal((await send('a key', 'x')).status, 400));
});

describe('catching up', () => {
  const tenant = 't_catch';
  const publish = (body) => rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', body);
  const catchUp = (query, claims = {}) => rest(world.sm, jwt({ tenantId: tenant, sub: 'ann', role: 'agent', ...claims }), 'GET', `/api/v1/events?${query}`);
  let offsets;
  before(async () => {
    const answer = await publish([{ event: 'a', data: 1 }, { event: 'b', data: 2, rooms: ['user:bob'] }, { event: 'c', data: 3, rooms: ['role:agent'] }, { event: 'd', data: 4, rooms: ['team:x'] }, { event: 'e', data: 5 }]);
    offsets = answer.json.map((e) => e.offset);
  });
  test('gives what the rooms of the token may hear, in order', async () => {
    const { json } = await catchUp('');
    assert.deepEqual(json.items.map((i) => i.event), ['a', 'c', 'e']);
    assert.deepEqual(json.items.map((i) => i.data), [1, 3, 5]);
    assert.equal(json.complete, true);
    assert.equal(json.next, json.head);
    assert.deepEqual((await catchUp('', { sub: 'bob', teams: ['x'] })).json.items.map((i) => i.event), ['a', 'b', 'c', 'd', 'e']);
  });
  test('goes on from next until the head', async () => {
    const heard = [];
    let at = `${offsets[0].split('-')[0]}-0`;
    for (let turns = 0; turns < 10; turns++) {
      const { json } = await catchUp(`after=${at}&limit=1`);
      heard.push(...json.items.map((i) => i.event));
      assert.equal(json.complete, true);
      at = json.next;
      if (json.next === json.head) break;
    }
    assert.deepEqual(heard, ['a', 'c', 'e']);
  });
  test('says when what was asked for is gone', async () => {
    const { json } = await catchUp('after=deadbeef-3');
    assert.equal(json.complete, false);
    assert.equal(json.next, json.head);
  });
  test('nonsense is refused', async () => {
    for (const query of ['after=x', 'limit=0', 'limit=100000']) assert.equal((await catchUp(query)).status, 422, query);
  });
});
