// What makes REST pleasant and safe: filters, search, paging while rows arrive, ETags, and each error that design knows.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until } from '../lib/env.mjs';
import { headersOf, rawExchange, request, rest, tokenOf, webhook } from '../lib/http.mjs';
import { lockStore } from '../lib/lock.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const ORIGIN = 'https://portal.example';
let world;
before(async () => (world = await World.open('rest', { gateway: false, stateManager: { ALLOWED_ORIGINS: ORIGIN } })));
after(() => world.close());

const post = async (body) => assert.equal((await webhook(world.sm, body)).status, 200);
const get = (tenant, path, headers) => rest(world.sm, tokenOf(tenant), 'GET', `/api/v1${path}`, undefined, headers);
const send = (tenant, method, path, body, headers, role) => rest(world.sm, tokenOf(tenant, role), method, `/api/v1${path}`, body, headers);
const ago = (seconds) => String(Math.floor(Date.now() / 1000) - seconds);

const shaped = (answer, status, code) => {
  assert.equal(answer.status, status, answer.body);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(Object.keys(answer.json), ['error']);
  assert.deepEqual(Object.keys(answer.json.error), ['code', 'message', 'details']);
  assert.equal(answer.json.error.code, code);
  assert.ok(answer.json.error.message.length > 3);
};

// All pages: [[name of each contact, ...], ...]
async function pages(tenant, query, names = (c) => c.contact.name) {
  const all = [];
  for (let cursor = ''; cursor !== null; ) {
    const answer = await get(tenant, `/conversations?${query}&cursor=${cursor}`);
    assert.equal(answer.status, 200, answer.body);
    all.push(answer.json.items.map(names));
    cursor = answer.json.nextCursor;
    assert.ok(all.length < 100, 'paging comes to an end');
  }
  return all;
}
const names = async (tenant, query) => (await pages(tenant, query)).flat().sort();

describe('lists are narrowed', () => {
  const tenant = 't_lists';
  const NUMBER = '200000000000101';
  const people = { 447700900101: 'José Müller', 447700900102: 'ΑΘΗΝΆ', 447700900103: 'Пётр', 14155550104: 'Zoë Straße', 447700900105: 'none', 447700900106: 'I\u0307brahim' };
  const of = {};
  before(async () => {
    await world.channel(NUMBER, tenant);
    await post(inbound(NUMBER, Object.keys(people).map((from) => textMessage(from, `I am number ${from.slice(-3)}`)), people));
    for (const c of (await get(tenant, '/conversations')).json.items) of[c.contact.name] = c.id;
    const patch = async (name, body) => assert.equal((await send(tenant, 'PATCH', `/conversations/${of[name]}`, body)).status, 200);
    await patch('José Müller', { assignee: 'ann', tags: ['VIP', 'Größe M'] });
    await patch('ΑΘΗΝΆ', { assignee: 'ann', status: 'closed' });
    await patch('Пётр', { assignee: 'böb' });
    await send(tenant, 'POST', `/conversations/${of['Пётр']}/messages`, { text: 'An answer with ONE answer' });
    await send(tenant, 'POST', `/conversations/${of['Zoë Straße']}/correlate`, { correlationId: 'CASE-77' });
  });
  for (const [query, wanted] of [
    ['', Object.values(people)],
    ['status=open', ['José Müller', 'Пётр', 'Zoë Straße', 'none', 'I\u0307brahim']],
    ['status=waiting', ['José Müller', 'Zoë Straße', 'none', 'I\u0307brahim']],
    ['status=closed', ['ΑΘΗΝΆ']],
    ['status=', Object.values(people)],
    ['assignee=ann', ['José Müller', 'ΑΘΗΝΆ']],
    ['assignee=Ann', []],
    ['assignee=b%C3%B6b', ['Пётр']],
    ['assignee=none', ['Zoë Straße', 'none', 'I\u0307brahim']],
    ['assignee=ann&status=open', ['José Müller']],
    ['assignee=none&status=closed', []],
    ['assignee=', Object.values(people)],
    ['q=jose', ['José Müller']],
    ['q=MU%CC%88LLER', ['José Müller']],
    ['q=muller+jose', ['José Müller']],
    ['q=muller%20nobody', []],
    ['q=%CE%B1%CE%B8%CE%B7%CE%BD%CE%B1', ['ΑΘΗΝΆ']],
    ['q=%D0%9F%D0%95%D0%A2%D0%A0', ['Пётр']],
    ['q=strasse', ['Zoë Straße']],
    ['q=ibrahim', ['I\u0307brahim']],
    ['q=grosse', ['José Müller']],
    ['q=vip', ['José Müller']],
    ['q=case-77', ['Zoë Straße']],
    ['q=BOB', ['Пётр']],
    ['q=number+104', ['Zoë Straße']],
    ['q=one+ANSWER', ['Пётр']],
    ['q=%2B44+7700', ['José Müller', 'ΑΘΗΝΆ', 'Пётр', 'none', 'I\u0307brahim']],
    ['q=(415)+555-0104', ['Zoë Straße']],
    ['q=0044%207700%20900%20101', ['José Müller']],
    ['q=07700900103', ['Пётр']],
    ['q=vip&assignee=none', []],
    ['q=jose&status=waiting&assignee=ann', ['José Müller']],
    ['q=', Object.values(people)],
    ['q=%20%20', Object.values(people)],
    ['q=%25', []],
    ['q=%22%5C', []],
    ['nobody=knows&this=1', Object.values(people)],
  ])
    test(`${query || 'nothing'} gives ${wanted.length}`, async () => {
      assert.deepEqual(await names(tenant, query), [...wanted].sort());
      assert.deepEqual(await names(tenant, `${query}&limit=1`), [...wanted].sort(), 'page by page, too');
    });
  for (const query of ['status=answered', 'status=OPEN', 'status=open,closed', `q=${'x'.repeat(101)}`, `q=${'%C3%A9'.repeat(101)}`, 'q=%FF', 'q=%ED%A0%80', `assignee=${'x'.repeat(129)}`, `cursor=${'1'.repeat(100)}`, `limit=${'0'.repeat(40)}1`, 'limit=201', 'limit=1.0', 'limit=%2B5', 'cursor=-1.1', 'cursor=9223372036854775808.1', 'cursor=1', 'cursor=1.1.1'])
    test(`${query.slice(0, 40)} is refused`, async () => {
      const answer = await get(tenant, `/conversations?${query}`);
      assert.equal(answer.status, 422, answer.body);
      assert.ok(answer.json.error.message.includes(query.split('=')[0]), answer.body);
    });
  for (const query of [`q=${'x'.repeat(100)}`, `q=${'%F0%9F%98%80'.repeat(100)}`, `assignee=${'x'.repeat(128)}`, 'limit=200', 'limit='])
    test(`${query.slice(0, 40)} is taken`, async () => assert.equal((await get(tenant, `/conversations?${query}`)).status, 200));
});

describe('paging', () => {
  const tenant = 't_paging';
  const NUMBER = '200000000000102';
  const COUNT = 2300;
  const from = (i) => `4477${String(i).padStart(8, '0')}`;
  before(async () => {
    await world.channel(NUMBER, tenant);
    for (let i = 0; i < COUNT; i += 100) await post(inbound(NUMBER, Array.from({ length: 100 }, (_, k) => textMessage(from(i + k), i + k === 0 ? 'the needle' : 'hay', { timestamp: ago(COUNT - i - k + 60) }))));
  });

  test('while messages arrive: what does not move is seen once, in order', async () => {
    const seen = [];
    const moved = new Set();
    let next = 0;
    for (let cursor = ''; cursor !== null; ) {
      const { json } = await get(tenant, `/conversations?limit=97&cursor=${cursor}`);
      seen.push(...json.items.map((c) => c.contact.waId));
      cursor = json.nextCursor;
      // some of those seen, some of those to come, and a new one move to the front
      const movers = [from(COUNT - 1 - next), from(next * 20), `4499${String(next).padStart(8, '0')}`];
      next++;
      for (const mover of movers) moved.add(mover);
      await post(inbound(NUMBER, movers.map((m) => textMessage(m, 'again', { timestamp: ago(30 - next) }))));
    }
    const still = Array.from({ length: COUNT }, (_, i) => from(COUNT - 1 - i)).filter((id) => !moved.has(id));
    assert.deepEqual(seen.filter((id) => !moved.has(id)), still);
    assert.equal(new Set(seen).size, seen.length, 'nothing twice');
  });

  test('a search looks at 999 rows a call, and its cursor goes on', async () => {
    const oldest = (await pages(tenant, 'q=hay&limit=200', (c) => c.contact.waId)).flat().at(-1);
    const found = await pages(tenant, `q=${oldest}`, (c) => c.contact.waId);
    assert.deepEqual(found, [[], [], [oldest]]);
  });
});

describe('ETag', () => {
  const tenant = 't_etag';
  const NUMBER = '200000000000103';
  let id;
  before(async () => {
    await world.channel(NUMBER, tenant);
    await post(inbound(NUMBER, [textMessage('447700900300', 'hello')]));
    id = (await get(tenant, '/conversations')).json.items[0].id;
  });
  const known = (path, tag, method = 'GET', role) => rest(world.sm, tokenOf(tenant, role), method, path, undefined, { 'If-None-Match': tag });
  const targets = () => [['/api/v1/conversations?limit=5'], [`/api/v1/conversations/${id}`], [`/api/v1/conversations/${id}/messages`], [`/api/v1/admin/channels/${NUMBER}`, 'platform-admin']];

  test('an answer that is known already is 304, without a body', async () => {
    for (const [path, role] of targets()) {
      const first = await rest(world.sm, tokenOf(tenant, role), 'GET', path);
      const { etag } = first.headers;
      assert.match(etag, /^"[^"]+"$/, `${path}: strong`);
      assert.equal(first.headers['cache-control'], 'private, no-cache');
      for (const method of ['GET', 'HEAD'])
        for (const tag of [etag, `W/${etag}`, `"a", "b,c" , ${etag}`, '*']) {
          const again = await known(path, tag, method, role);
          assert.equal(again.status, 304, `${method} ${path} ${tag}`);
          assert.equal(again.headers.etag, etag);
          assert.equal(again.headers['cache-control'], 'private, no-cache');
          assert.equal(again.body, '');
        }
      for (const tag of ['"another"', etag.slice(1, -1), `"x${etag.slice(1)}`, '"', 'rubbish', `rubbish, ${etag}`]) assert.equal((await known(path, tag, 'GET', role)).status, 200, `${path} ${tag}`);
      const head = await rest(world.sm, tokenOf(tenant, role), 'HEAD', path);
      assert.deepEqual([head.status, head.headers.etag, head.body], [200, etag, '']);
    }
  });
  test('it changes with what it stands for', async () => {
    const tags = async () => Promise.all(targets().slice(0, 3).map(async ([path]) => (await rest(world.sm, tokenOf(tenant), 'GET', path)).headers.etag));
    const before = await tags();
    assert.deepEqual(await tags(), before);
    await post(inbound(NUMBER, [textMessage('447700900300', 'again')]));
    const changed = await tags();
    changed.forEach((tag, i) => assert.notEqual(tag, before[i], targets()[i][0]));
    assert.equal((await known(`/api/v1/conversations/${id}`, before[1])).status, 200);
  });
  test('another origin and no right are told nothing by it', async () => {
    assert.equal((await request('GET', `${world.sm.base}/api/v1/conversations/${id}`, { headers: { 'If-None-Match': '*' } })).status, 401);
    assert.equal((await get('t_etag_nosy', `/conversations/${id}`, { 'If-None-Match': '*' })).status, 404);
    const answer = await get(tenant, `/conversations/${id}`, { Origin: ORIGIN, 'If-None-Match': '*' });
    assert.equal(answer.status, 304);
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.match(answer.headers['access-control-expose-headers'], /ETag/);
  });
  test('what moves by itself is kept by nobody', async () => {
    for (const path of ['/dashboard/stats', '/events']) {
      const answer = await get(tenant, path, { 'If-None-Match': '*' });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.etag, undefined);
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
  });
});

describe('errors', () => {
  const tenant = 't_errors';
  const NUMBER = '200000000000104';
  let id;
  before(async () => {
    await world.channel(NUMBER, tenant);
    await post(inbound(NUMBER, [textMessage('447700900400', 'hello')]));
    id = (await get(tenant, '/conversations')).json.items[0].id;
  });
  // what, method, path, body, headers, role -> status, code, more
  for (const [what, [method, path, body, headers, role], status, code, more] of [
    ['no such path', ['GET', '/nothing'], 404, 'NOT_FOUND'],
    ['no such path, with a body', ['POST', '/nothing', {}], 404, 'NOT_FOUND'],
    ['a path that goes on', ['GET', '/dashboard/stats/x'], 404, 'NOT_FOUND'],
    ['a path with a slash behind', ['GET', '/conversations/'], 404, 'NOT_FOUND'],
    ['an empty id', ['GET', '/conversations//messages'], 404, 'NOT_FOUND'],
    ['no such conversation', ['GET', '/conversations/c_nobody'], 404, 'NOT_FOUND'],
    ['an id of 127 bytes', ['GET', `/conversations/${'x'.repeat(127)}`], 404, 'NOT_FOUND'],
    ['an id of 2000 bytes', ['GET', `/conversations/${'x'.repeat(2000)}`], 404, 'NOT_FOUND'],
    ['an id of 2000 bytes, patched', ['PATCH', `/conversations/${'x'.repeat(2000)}`, {}], 404, 'NOT_FOUND'],
    ['an id with a slash in it', ['GET', '/conversations/a%2Fb'], 404, 'NOT_FOUND'],
    ['an id that is no UTF-8', ['GET', '/conversations/%FF%FE'], 404, 'NOT_FOUND'],
    ['messages of nobody', ['GET', '/conversations/c_nobody/messages'], 404, 'NOT_FOUND'],
    ['no such message to page behind', ['GET', () => `/conversations/${id}/messages?before=m_nobody`], 404, 'NOT_FOUND'],
    ['a channel that nobody has', ['GET', '/admin/channels/999', undefined, {}, 'platform-admin'], 404, 'NOT_FOUND'],
    ['deleting it', ['DELETE', '/admin/channels/999', undefined, {}, 'platform-admin'], 404, 'NOT_FOUND'],
    ['a channel id that is none', ['GET', '/admin/channels/a.b', undefined, {}, 'platform-admin'], 422, 'INVALID'],
    ['a wrong method', ['DELETE', '/conversations'], 405, 'METHOD_NOT_ALLOWED', { allow: 'GET' }],
    ['a wrong method of a path with several', ['PUT', '/conversations/c_x', {}], 405, 'METHOD_NOT_ALLOWED', { allow: 'GET, PATCH' }],
    ['a wrong method where one writes', ['GET', '/dashboard/stats/refresh'], 405, 'METHOD_NOT_ALLOWED', { allow: 'POST' }],
    ['a type that is not JSON', ['POST', '/events', '{}', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'service'], 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a type that begins like JSON', ['POST', '/events', '{}', { 'Content-Type': 'application/json5' }, 'service'], 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['a role that may not', ['POST', '/events', { event: 'a' }], 403, 'DENIED'],
    ['bad JSON', ['POST', '/events', '{"event":"a",}', {}, 'service'], 400, 'MALFORMED'],
    ['an empty body', ['POST', '/events', '', {}, 'service'], 400, 'MALFORMED'],
    ['a rule that is broken', ['POST', '/events', { event: '' }, {}, 'service'], 422, 'INVALID'],
  ])
    test(`${what}: ${status}`, async () => {
      const answer = await send(tenant, method, typeof path === 'function' ? path() : path, body, headers, role);
      shaped(answer, status, code);
      for (const [name, value] of Object.entries(more ?? {})) assert.equal(answer.headers[name], value);
      if (status === 400 && body) assert.match(answer.json.error.message, /byte 13/);
    });
  test('a message of another conversation is none to page behind', async () => {
    await post(inbound(NUMBER, [textMessage('447700900401', 'other')]));
    const other = (await get(tenant, '/conversations?q=447700900401')).json.items[0].id;
    const [message] = (await get(tenant, `/conversations/${other}/messages`)).json.items;
    assert.equal((await get(tenant, `/conversations/${other}/messages?before=${message.id}`)).status, 200);
    shaped(await get(tenant, `/conversations/${id}/messages?before=${message.id}`), 404, 'NOT_FOUND');
  });
  test('a type with parameters, in any case, is JSON', async () => {
    const answer = await send(tenant, 'POST', '/events', '{"event":"a"}', { 'Content-Type': 'Application/JSON; charset=utf-8' }, 'service');
    assert.equal(answer.status, 202, answer.body);
  });
  for (const [what, head, status, code] of [
    ['no length', 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\n', 411, 'LENGTH_REQUIRED'],
    ['chunks', 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n', 411, 'LENGTH_REQUIRED'],
    ['a length over all', 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n', 413, 'TOO_LARGE'],
    ['a length that is none', 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n', 400, 'MALFORMED'],
    ['an expectation', 'POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n', 417, 'EXPECTATION'],
    ['two hosts', 'GET /api/v1/events HTTP/1.1\r\nHost: x\r\nHost: y\r\n', 400, 'MALFORMED'],
  ])
    test(`${what}: ${status}, in JSON like all others, to be read by the same pages`, async () => {
      const asked = (origin) => rawExchange(world.sm.port, `${head}Origin: ${origin}\r\n\r\n`, { enough: /\}\}$/ });
      const text = await asked(ORIGIN);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      const headers = headersOf(text);
      assert.equal(headers['access-control-allow-origin'], ORIGIN);
      assert.equal(headers['access-control-allow-credentials'], 'true');
      assert.match(headers.vary, /Origin/);
      assert.doesNotMatch(await asked('https://evil.example'), /^access-control/im);
      const { error } = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
      assert.equal(error.code, code);
      assert.equal(typeof error.message, 'string');
      assert.deepEqual(error.details, {});
    });
});

describe('while the store cannot be written', () => {
  const NUMBER = '200000000000105';
  let world; // on the embedded store, which can be locked, whatever the others are on
  let release;
  const publish = (own, key) => rest(world.sm, tokenOf(own, 'service'), 'POST', '/api/v1/events', { event: 'waiting' }, key ? { 'Idempotency-Key': key } : {});
  const read = (own, path) => rest(world.sm, tokenOf(own), 'GET', `/api/v1${path}`);
  const hook = () => webhook(world.sm, inbound(NUMBER, [textMessage('447700900400', 'x')]));
  before(async () => {
    world = await World.open('rest-locked', { gateway: false, stateManager: { QUEUE_LENGTH: '32', STORE_URL: 'sqlite:store.db' } });
    await world.channel(NUMBER, 't_calm');
    release = await lockStore(world);
  });
  after(async () => {
    await release();
    await world.close();
  });

  test('a call is 503 with Retry-After, and so is a webhook', async () => {
    const answers = await Promise.all([publish('t_away'), hook()]);
    for (const answer of answers) {
      assert.equal(answer.status, 503, answer.body);
      assert.ok(Number(answer.headers['retry-after']) >= 1);
      assert.ok(['UNAVAILABLE', 'TIMEOUT'].includes(answer.json.error.code));
      assert.doesNotMatch(answer.json.error.message, /sqlite|locked/i, 'what the store says is for the log');
    }
  });
  test('a flood of one tenant is 429 with Retry-After; another tenant is served', async () => {
    const flood = Array.from({ length: 24 }, () => publish('t_flood'));
    const first = await Promise.race(flood);
    shaped(first, 429, 'LIMITED');
    assert.ok(Number(first.headers['retry-after']) >= 1);
    assert.equal((await read('t_calm', '/dashboard/stats')).status, 200);
    const statuses = (await Promise.all(flood)).map((a) => a.status);
    assert.deepEqual([statuses.filter((s) => s === 429).length, statuses.filter((s) => s === 503).length], [16, 8]);
  });
  test('a full queue is 503 with Retry-After, for everybody', async () => {
    const floods = ['a', 'b', 'c', 'd'].flatMap((t) => Array.from({ length: 8 }, () => publish(`t_flood_${t}`)));
    await until('the queue is full', async () => (await world.sm.metrics()).portalcast_queue_length === 32);
    const [late, unheard] = await Promise.all([read('t_calm', '/dashboard/stats'), hook()]);
    shaped(late, 503, 'UNAVAILABLE');
    assert.ok(Number(late.headers['retry-after']) >= 1);
    assert.equal(unheard.status, 503, unheard.body);
    await Promise.all(floods);
    assert.equal((await read('t_calm', '/dashboard/stats')).status, 200);
  });
  test('a call repeated under its key waits for the first; then both have one answer', async () => {
    await release();
    await until('writes again', async () => (await publish('t_calm')).status === 202);
    release = await lockStore(world);
    const answered = [];
    const twice = [0, 1].map(async () => {
      const answer = await publish('t_twice', 'once');
      answered.push(answer);
      return answer;
    });
    await sleep(150);
    assert.deepEqual(answered, [], 'neither is told that the other is in progress');
    await release();
    const [one, two] = await Promise.all(twice);
    assert.deepEqual([one.status, two.status], [202, 202], one.body + two.body);
    assert.equal(one.json.id, two.json.id);
    assert.equal((await read('t_twice', '/events')).json.items.length, 1);
  });
  test('and all is well afterwards', async () => {
    await release();
    await until('a call', async () => (await publish('t_away')).status === 202);
    await until('a webhook', async () => (await hook()).status === 200);
  });
});

describe('a store that answers late', () => {
  let world;
  let release;
  before(async () => {
    world = await World.open('rest-late', { gateway: false, stateManager: { REQUEST_TIMEOUT_MS: '300', ALLOWED_ORIGINS: ORIGIN, STORE_URL: 'sqlite:store.db' } });
    release = await lockStore(world);
  });
  after(async () => {
    await release();
    await world.close();
  });
  test('is 503 TIMEOUT, for browsers too; with its key the call can be asked about', async () => {
    const publish = () => rest(world.sm, tokenOf('t_late', 'service'), 'POST', '/api/v1/events', { event: 'late' }, { 'Idempotency-Key': 'late-1', Origin: ORIGIN });
    const late = await publish();
    shaped(late, 503, 'TIMEOUT');
    assert.ok(Number(late.headers['retry-after']) >= 1);
    assert.equal(late.headers['access-control-allow-origin'], ORIGIN);
    await release();
    const again = await until('an answer', async () => {
      const answer = await publish();
      return answer.status === 202 ? answer : null;
    });
    const { items } = (await rest(world.sm, tokenOf('t_late'), 'GET', '/api/v1/events')).json;
    assert.deepEqual(items.map((e) => e.offset), [again.json.offset], 'once, although it was asked for twice');
  });
});
