// The REST API of the state-manager: channels, conversations, messages, figures, publishing, rights, clear errors.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until } from '../lib/env.mjs';
import { jwt, rawExchange, request, rest, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, text, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
const OFFSET = /^[A-Za-z0-9]+-\d+$/;
let world;
before(async () => (world = await World.open('api', { gateway: false })));
after(() => world.close());

const admin = (tenant) => tokenOf(tenant, 'platform-admin');
const seqOf = (offset) => Number(offset.slice(offset.lastIndexOf('-') + 1));

function refused(answer, status, code) {
  assert.equal(answer.status, status, answer.body);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(typeof answer.json.error.message, 'string');
  assert.equal(typeof answer.json.error.code, 'string');
  if (code) assert.equal(answer.json.error.code, code);
}

describe('channels', () => {
  const path = '/api/v1/admin/channels/300000000000001';
  const body = { tenantId: 't_channels', displayPhoneNumber: '15550100200', accessToken: 'graph-token-never-shown' };
  test('are set, read and deleted by a platform-admin', async () => {
    const put = await rest(world.sm, admin('t_channels'), 'PUT', path, body);
    assert.ok([200, 201].includes(put.status), put.body);
    assert.doesNotMatch(put.body, /graph-token/, 'the access token is write-only');
    const got = await rest(world.sm, admin('t_channels'), 'GET', path);
    assert.equal(got.status, 200, got.body);
    assert.equal(got.json.tenantId, 't_channels');
    assert.equal(got.json.displayPhoneNumber, '15550100200');
    assert.doesNotMatch(got.body, /graph-token/);
    const gone = await rest(world.sm, admin('t_channels'), 'DELETE', path);
    assert.ok([200, 204].includes(gone.status), gone.body);
    refused(await rest(world.sm, admin('t_channels'), 'GET', path), 404, 'NOT_FOUND');
  });
  for (const role of ['agent', 'service', 'admin'])
    test(`are nothing for the role ${role}`, async () => {
      refused(await rest(world.sm, tokenOf('t_channels', role), 'PUT', path, body), 403, 'DENIED');
      refused(await rest(world.sm, tokenOf('t_channels', role), 'GET', path), 403, 'DENIED');
    });
  for (const [what, wrong] of [
    ['no tenant', { displayPhoneNumber: '1' }],
    ['a tenant id with a slash', { tenantId: 'a/b', displayPhoneNumber: '1' }],
    ['a tenant id of 65 characters', { tenantId: 'x'.repeat(65), displayPhoneNumber: '1' }],
  ])
    test(`${what} is refused`, async () => refused(await rest(world.sm, admin('t_channels'), 'PUT', path, wrong), 422));
});

describe('conversations and messages', () => {
  const tenant = 't_talk';
  let conversations;
  before(async () => {
    await world.channel(NUMBER, tenant);
    for (let i = 0; i < 5; i++)
      for (let k = 0; k < 3; k++) {
        const answer = await webhook(world.sm, text(NUMBER, `44770090030${i}`, `message ${k} of ${i}`));
        assert.equal(answer.status, 200);
      }
    conversations = (await world.api(tenant, 'GET', '/api/v1/conversations')).json.items;
  });

  test('are listed newest first with what a conversation is', async () => {
    assert.equal(conversations.length, 5);
    assert.deepEqual(conversations.map((c) => c.contact.waId), [4, 3, 2, 1, 0].map((i) => `44770090030${i}`));
    const [first] = conversations;
    for (const key of ['id', 'channelId', 'contact', 'status', 'assignee', 'tags', 'lastMessage', 'lastMessageAt', 'direction', 'unread', 'createdAt', 'updatedAt', 'version'])
      assert.ok(key in first, `a conversation has ${key}`);
    assert.equal(first.channelId, NUMBER);
    assert.equal(first.status, 'open');
    assert.equal(first.lastMessage, 'message 2 of 4');
    assert.equal(first.direction, 'inbound');
    assert.equal(first.unread, 3);
  });
  test('come in pages that neither repeat nor skip', async () => {
    const seen = [];
    let cursor = '';
    do {
      const { json } = await world.api(tenant, 'GET', `/api/v1/conversations?limit=2${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      assert.ok(json.items.length <= 2);
      seen.push(...json.items.map((c) => c.id));
      cursor = json.nextCursor;
    } while (cursor);
    assert.deepEqual(seen, conversations.map((c) => c.id));
  });
  test('one by its id', async () => {
    const answer = await world.api(tenant, 'GET', `/api/v1/conversations/${conversations[0].id}`);
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, conversations[0]);
  });
  test('messages newest first, and in pages', async () => {
    const path = `/api/v1/conversations/${conversations[0].id}/messages`;
    const { json } = await world.api(tenant, 'GET', path);
    assert.deepEqual(json.items.map((m) => m.text), ['message 2 of 4', 'message 1 of 4', 'message 0 of 4']);
    for (const key of ['id', 'messageId', 'conversationId', 'direction', 'type', 'text', 'from', 'fromName', 'timestamp', 'status', 'statusHistory', 'raw'])
      assert.ok(key in json.items[0], `a message has ${key}`);
    const page = await world.api(tenant, 'GET', `${path}?limit=1`);
    const next = await world.api(tenant, 'GET', `${path}?limit=1&before=${encodeURIComponent(page.json.nextCursor)}`);
    assert.deepEqual([...page.json.items, ...next.json.items].map((m) => m.text), ['message 2 of 4', 'message 1 of 4']);
    const byId = await world.api(tenant, 'GET', `${path}?limit=1&before=${json.items[1].id}`);
    assert.deepEqual(byId.json.items.map((m) => m.text), ['message 0 of 4'], '`before` takes a message id too');
  });
  test('a strange body comes out as it went in', async () => {
    const strange = 'NUL \u0000, bell \u0007, quote ", backslash \\, line\nend, \u202eturned, \u{1f600}, e\u0301, \u2028';
    const message = textMessage('447700900399', strange);
    await webhook(world.sm, inbound(NUMBER, [message], { 447700900399: 'Name "with" \\ and \n' }));
    const kept = (await world.messages(tenant)).get(message.id);
    assert.equal(kept.text, strange);
    assert.equal(kept.fromName, 'Name "with" \\ and \n');
    const event = await until('the event', () => world.tap.of(tenant, 'new_message').find((b) => b.data.messageId === message.id));
    assert.equal(event.data.message, strange);
  });
  test('another tenant sees none of them', async () => {
    const list = await world.api('t_nosy', 'GET', '/api/v1/conversations');
    assert.deepEqual(list.json.items, []);
    refused(await world.api('t_nosy', 'GET', `/api/v1/conversations/${conversations[0].id}`), 404);
    refused(await world.api('t_nosy', 'POST', `/api/v1/conversations/${conversations[0].id}/messages`, { text: 'hello' }), 404);
    const messages = await world.api('t_nosy', 'GET', `/api/v1/conversations/${conversations[0].id}/messages`);
    if (messages.status === 200) assert.deepEqual(messages.json.items, []);
    else refused(messages, 404);
  });
  for (const query of ['limit=0', 'limit=x', 'limit=-1', 'cursor=nonsense', 'cursor=%01%02'])
    test(`paging with ${query} is refused`, async () => {
      const answer = await world.api(tenant, 'GET', `/api/v1/conversations?${query}`);
      assert.ok([400, 422].includes(answer.status), `${answer.status}`);
    });

  test('a NUL in the address costs the caller his connection at the most', async () => {
    const text = await rawExchange(world.sm.port, 'GET /api/v1/conversations?cursor=%00 HTTP/1.1\r\nHost: x\r\n\r\n', { enough: /\r\n\r\n/ }).catch(() => '');
    assert.ok(text === '' || /^HTTP\/1\.1 4\d\d /.test(text), text);
    assert.equal((await world.sm.probe('/healthz')).status, 200);
  });

  describe('outbound', () => {
    test('is stored as queued, and announced', async () => {
      const { id } = conversations[0];
      const answer = await world.api(tenant, 'POST', `/api/v1/conversations/${id}/messages`, { text: 'on its way' });
      assert.equal(answer.status, 202, answer.body);
      assert.equal(typeof answer.json.id, 'string');
      const { json } = await world.api(tenant, 'GET', `/api/v1/conversations/${id}/messages?limit=1`);
      assert.equal(json.items[0].id, answer.json.id);
      assert.equal(json.items[0].status, 'queued');
      assert.equal(json.items[0].direction, 'outbound');
      assert.equal(json.items[0].text, 'on its way');
      const event = await until('conversation_update', () => world.tap.of(tenant, 'conversation_update').find((b) => b.data.lastMessage === 'on its way'));
      assert.equal(event.data.id, id);
      assert.equal(event.data.conversationId, id);
      assert.equal(event.data.direction, 'outbound');
      assert.equal((await world.api(tenant, 'GET', `/api/v1/conversations/${id}`)).json.lastMessage, 'on its way');
    });
    test('other types as Graph has them', async () => {
      const answer = await world.api(tenant, 'POST', `/api/v1/conversations/${conversations[1].id}/messages`, { type: 'image', image: { link: 'https://example.org/x.png', caption: 'a picture' } });
      assert.equal(answer.status, 202, answer.body);
    });
    for (const [what, body] of [['no text', {}], ['an empty text', { text: '' }], ['a text that is a number', { text: 5 }], ['4097 characters', { text: 'x'.repeat(4097) }], ['an unknown type', { type: 'smell', smell: {} }]])
      test(`${what} is refused`, async () => refused(await world.api(tenant, 'POST', `/api/v1/conversations/${conversations[0].id}/messages`, body), 422));
    test('4096 characters are taken', async () => {
      const answer = await world.api(tenant, 'POST', `/api/v1/conversations/${conversations[0].id}/messages`, { text: '\u{1f600}'.repeat(4096) });
      assert.equal(answer.status, 202, answer.body);
    });
    test('an unknown conversation is 404', async () => refused(await world.api(tenant, 'POST', '/api/v1/conversations/c_nobody/messages', { text: 'x' }), 404, 'NOT_FOUND'));
  });

  test('the dashboard figures', async () => {
    const own = 't_stats';
    await world.channel('300000000000009', own);
    const ask = async () => (await world.api(own, 'GET', '/api/v1/dashboard/stats')).json;
    const empty = await ask();
    assert.deepEqual([empty.activeConversations, empty.waitingConversations, empty.totalMessagesToday, empty.avgResponseTime], [0, 0, 0, 0]);
    await webhook(world.sm, text('300000000000009', '447700900401', 'one'));
    await webhook(world.sm, text('300000000000009', '447700900402', 'two'));
    const two = await ask();
    assert.deepEqual([two.activeConversations, two.waitingConversations, two.totalMessagesToday], [2, 2, 2]);
    const [conversation] = (await world.api(own, 'GET', '/api/v1/conversations')).json.items;
    await sleep(1100);
    await world.api(own, 'POST', `/api/v1/conversations/${conversation.id}/messages`, { text: 'answer' });
    const answered = await ask();
    assert.deepEqual([answered.activeConversations, answered.waitingConversations, answered.totalMessagesToday], [2, 1, 3]);
    assert.equal(typeof answered.avgResponseTime, 'number');
    assert.ok(answered.avgResponseTime >= 1 && answered.avgResponseTime < 60, `${answered.avgResponseTime} s`);
  });
});

describe('publishing', () => {
  const post = (tenant, body, role = 'service') => world.api(tenant, 'POST', '/api/v1/events', body, role);
  test('one event', async () => {
    const answer = await post('t_pub1', { event: 'order.paid', data: { order: 7, deep: [1, { a: null }] }, rooms: ['role:agent'] });
    assert.equal(answer.status, 202, answer.body);
    assert.match(answer.json.offset, OFFSET);
    const [event] = await until('the event', () => (world.tap.of('t_pub1', 'order.paid').length ? world.tap.of('t_pub1', 'order.paid') : null));
    assert.equal(event.id, answer.json.id);
    assert.equal(`${event.epoch}-${event.seq}`, answer.json.offset);
    assert.equal(event.v, 1);
    assert.equal(event.class, 'durable');
    assert.deepEqual(event.rooms, ['role:agent']);
    assert.deepEqual(event.data, { order: 7, deep: [1, { a: null }] });
    assert.equal(world.tap.events.find((e) => e.body.id === event.id).key, 'tenant.t_pub1.order.paid');
  });
  test('an array, in its order, with neighbouring offsets', async () => {
    const answer = await post('t_pub2', Array.from({ length: 500 }, (_, i) => ({ event: 'tick', data: { i } })));
    assert.equal(answer.status, 202, answer.body.slice(0, 300));
    assert.equal(answer.json.length, 500);
    const first = seqOf(answer.json[0].offset);
    assert.deepEqual(answer.json.map((a) => seqOf(a.offset)), Array.from({ length: 500 }, (_, i) => first + i));
    const events = await until('all', () => (world.tap.of('t_pub2').length >= 500 ? world.tap.of('t_pub2') : null));
    assert.deepEqual(events.map((b) => b.data.i), Array.from({ length: 500 }, (_, i) => i));
  });
  test('an array with one bad event is refused as a whole', async () => {
    const good = { event: 'tick', data: 1 };
    const answer = await post('t_pub3', [good, good, { event: 'no blanks allowed', data: 1 }]);
    refused(answer, 422);
    assert.match(answer.json.error.message, /2/, 'says which');
    await sleep(200);
    assert.deepEqual(world.tap.of('t_pub3'), []);
    const next = await post('t_pub3', good);
    assert.equal(seqOf(next.json.offset), 1, 'nothing of it has got a number');
  });
  test('latest events have a key and no offset of their own', async () => {
    const answer = await post('t_pub4', { event: 'price', class: 'latest', key: 'kettle', data: 5 });
    assert.equal(answer.status, 202, answer.body);
    const [event] = await until('it', () => (world.tap.of('t_pub4', 'price').length ? world.tap.of('t_pub4', 'price') : null));
    assert.equal(event.class, 'latest');
    assert.equal(event.key, 'kettle');
    assert.ok(!('seq' in event));
  });
  for (const [what, body] of [
    ['no event name', { data: 1 }],
    ['a reserved name', { event: 'connect', data: 1 }],
    ['another reserved name', { event: 'disconnecting', data: 1 }],
    ['one of our own names', { event: 'portalcast:hello', data: 1 }],
    ['a name of 65 characters', { event: 'x'.repeat(65), data: 1 }],
    ['an unknown class', { event: 'a', data: 1, class: 'eternal' }],
    ['latest without a key', { event: 'a', data: 1, class: 'latest' }],
    ['rooms that are no array', { event: 'a', data: 1, rooms: 'agents' }],
    ['33 rooms', { event: 'a', data: 1, rooms: Array.from({ length: 33 }, (_, i) => `r${i}`) }],
    ['501 events', Array.from({ length: 501 }, () => ({ event: 'a', data: 1 }))],
    ['no events', []],
  ])
    test(`${what} is refused`, async () => refused(await post('t_pub5', body), 422));
  test('a tenant in the body does not count', async () => {
    await post('t_pub6', { event: 'mine', tenantId: 't_victim', data: { tenantId: 't_victim' } });
    await until('it', () => world.tap.of('t_pub6', 'mine').length);
    assert.deepEqual(world.tap.of('t_victim'), []);
  });
  for (const role of ['agent', 'platform-admin', 'services'])
    test(`is nothing for the role ${role}`, async () => refused(await post('t_pub7', { event: 'a', data: 1 }, role), 403, 'DENIED'));
  test('a role may be one of several', async () => {
    const answer = await rest(world.sm, jwt({ tenantId: 't_pub8', sub: 'x', role: ['agent', 'service'] }), 'POST', '/api/v1/events', { event: 'a', data: 1 });
    assert.equal(answer.status, 202, answer.body);
  });
});

describe('who is calling', () => {
  const ask = (token) => rest(world.sm, token, 'GET', '/api/v1/conversations');
  const now = Math.floor(Date.now() / 1000);
  const base = { tenantId: 't_who', sub: 'a', role: 'agent' };
  for (const [what, token] of [
    ['no token', undefined],
    ['rubbish', 'abc'],
    ['another secret', jwt(base, { secret: 'another-secret-0123456789abcdef012345' })],
    ['an expired one', jwt({ ...base, exp: now - 10 })],
    ['one that is not valid yet', jwt({ ...base, nbf: now + 3600 })],
    ['one without expiry', jwt({ ...base, exp: undefined })],
    ['one without a tenant', jwt({ sub: 'a', role: 'agent' })],
    ['a tenant id with a dot', jwt({ ...base, tenantId: 'a.b' })],
    ['alg none', `${jwt(base, { header: { alg: 'none', typ: 'JWT' } }).split('.').slice(0, 2).join('.')}.`],
    ['alg in lower case', jwt(base, { header: { alg: 'hs256', typ: 'JWT' } })],
    ['a crit header', jwt(base, { header: { alg: 'HS256', typ: 'JWT', crit: ['exp'] } })],
    ['a token of 100 KB', jwt({ ...base, pad: 'x'.repeat(6000) })],
  ])
    test(`${what}: 401`, async () => {
      const answer = await ask(token);
      refused(answer, 401, 'UNAUTHENTICATED');
      if (token && token.length > 10) assert.ok(!world.sm.log(Infinity).includes(token), 'no token in the log');
    });
  test('a token in the query does not count', async () => {
    const answer = await request('GET', `${world.sm.base}/api/v1/conversations?token=${tokenOf('t_who')}`);
    assert.equal(answer.status, 401);
  });
});

describe('clear answers', () => {
  const service = () => tokenOf('t_clear', 'service');
  test('404', async () => refused(await rest(world.sm, service(), 'GET', '/api/v1/nothing'), 404, 'NOT_FOUND'));
  test('405 with Allow', async () => {
    const answer = await rest(world.sm, service(), 'DELETE', '/api/v1/events');
    refused(answer, 405);
    assert.match(answer.headers.allow, /POST/);
  });
  test('400 with the position of bad JSON', async () => {
    const answer = await rest(world.sm, service(), 'POST', '/api/v1/events', '{"event":"a","data":}');
    refused(answer, 400, 'MALFORMED');
    assert.match(answer.json.error.message, /\b(19|20|21)\b/, answer.body);
  });
  test('413', async () => {
    const text = await rawExchange(world.sm.port, `POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${service()}\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n`, { enough: /\r\n\r\n/ });
    assert.match(text, /^HTTP\/1\.1 413 /);
  });
  test('415', async () => refused(await rest(world.sm, service(), 'POST', '/api/v1/events', '{}', { 'Content-Type': 'text/plain' }), 415));
  test('a request that smuggles is refused', async () => {
    const text = await rawExchange(world.sm.port, 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', { enough: /\r\n\r\n/ });
    assert.match(text, /^HTTP\/1\.1 4\d\d /);
    assert.equal((text.match(/HTTP\/1\.1 /g) ?? []).length, 1);
  });
  test('an upgrade is refused', async () => {
    for (const protocol of ['h2c', 'websocket', 'foobarbaz']) {
      const text = await rawExchange(world.sm.port, `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`, { enough: /\r\n\r\n/, timeoutMs: 2000 });
      assert.doesNotMatch(text, /^HTTP\/1\.1 101/, protocol);
    }
    assert.equal((await world.sm.probe('/healthz')).status, 200, 'and the service lives');
  });
  test('CORS only for known origins', async () => {
    const answer = await rest(world.sm, service(), 'GET', '/healthz', undefined, { Origin: 'https://evil.example' });
    assert.ok(!answer.headers['access-control-allow-origin']);
  });
});
