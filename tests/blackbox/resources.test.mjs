// Resources of a profile over REST: a system that nobody wrote C for. Every kind of operation, every refusal, and what the
// exchange and the catch-up hear of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RUN_DIR, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { runProgram, SECRETS } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

// A workshop that lends tools: members borrow, keepers look after what there is.
const WORKSHOP = {
  profile: 'workshop', roles: ['member', 'keeper'], people: 'people',
  rooms: [
    { room: 'tool-{toolId}', of: 'tools', roles: ['keeper'] },
    { room: 'loan-{loanId}', of: 'loans', owner: true, roles: ['keeper'] },
    { room: 'desk', roles: ['keeper'] },
    { room: 'mine-{memberId}', self: true },
  ],
  resources: {
    people: { people: true, operations: {
      list: { do: 'list', method: 'GET', path: '/w/people', who: ['keeper'], only: { role: 'member' }, search: ['name', 'email', 'phone', 'id'], item: { id: '${document.id}', name: '${document.name}' } },
      get: { do: 'get', method: 'GET', path: '/w/people/{id}', who: ['keeper'] },
    } },
    tools: {
      id: { names: ['_id', 'toolId'] }, state: 'kind',
      fields: { name: { type: 'string', max: 40 }, kind: { type: 'string', enum: ['hand', 'power'], default: 'hand' }, price: { type: 'number', min: 0 }, tags: { type: 'array', max: 3 }, note: { type: 'any' } },
      operations: {
        list: { do: 'list', method: 'GET', path: '/w/tools', who: ['*'], filters: ['kind', 'price'], search: ['name', 'tags'] },
        create: { do: 'create', method: 'POST', path: '/w/tools', who: ['keeper', 'service'], fields: ['name!', 'kind', 'price', 'tags', 'note'], emit: [{ event: 'tool_made', data: { tool: '${document}', at: '${now}' } }] },
        get: { do: 'get', method: 'GET', path: '/w/tools/{id}', who: ['*'] },
        update: { do: 'update', method: 'PATCH', path: '/w/tools/{id}', who: ['keeper'], fields: ['name', 'price', 'note'], set: { changedAt: '${now}' }, emit: [{ event: 'tool_changed', to: ['tool-${document._id}', 'desk'], when: { changed: ['price'] }, data: { was: '${before.price}', is: '${document.price}' } }] },
        delete: { do: 'delete', method: 'DELETE', path: '/w/tools/{id}', who: ['keeper'], emit: [{ event: 'tool_gone', to: ['desk'], data: '${document}' }], answer: { message: 'Deleted', tool: '${document}' } },
      },
    },
    loans: {
      id: { names: ['loanId'], form: 'L######' }, owner: 'memberId', state: 'status',
      fields: { toolId: { type: 'string' }, days: { type: 'integer', min: 1, max: 14 }, word: { type: 'string', transient: true }, status: { type: 'string', enum: ['out', 'back'] } },
      operations: {
        list: { do: 'list', method: 'GET', path: '/w/loans', who: ['keeper', 'member:own'], filters: ['status', 'memberId'] },
        create: {
          do: 'create', method: 'POST', path: '/w/loans', who: ['member'], fields: ['toolId!', 'days', 'word'],
          joined: { tool: { resource: 'tools', id: '${body.toolId}', required: true }, who: { resource: 'people', id: '${document.memberId}' } },
          set: { memberId: '${token.sub}', status: 'out', words: [{ by: 'member', text: '${body.word}' }] },
          then: [{ resource: 'baskets', id: '${token.sub}', set: { tools: [] } }],
          emit: [
            { event: 'loan_made', to: ['desk'], data: { '...': '${document}', memberId: { id: '${document.memberId}', name: '${joined.who.name}' }, tool: '${joined.tool.name}' } },
            { event: 'notice', to: ['mine-${document.memberId}'], data: { text: 'You have ${joined.tool.name} for ${document.days} days.' } },
          ],
        },
        get: { do: 'get', method: 'GET', path: '/w/loans/{id}', who: ['keeper', 'member:own'] },
        say: { do: 'update', method: 'POST', path: '/w/loans/{id}/words', status: 201, who: ['keeper', 'member:own'], fields: ['word!'], append: { words: { by: '${token.role}', text: '${body.word}' } }, emit: [{ event: 'word', to: ['loan-${document.loanId}'], data: { loanId: '${document.loanId}', word: '${appended}' } }] },
        back: { do: 'update', method: ['POST', 'PUT'], path: '/w/loans/{id}/back', who: ['keeper'], set: { status: 'back', at: '${now}' }, emit: [{ event: 'loan_back', to: ['loan-${document.loanId}', 'desk'], data: '${document}' }] },
      },
    },
    baskets: {
      id: { names: ['memberId'] }, owner: 'memberId', absent: { tools: [] },
      fields: { tools: { type: 'array', items: { toolId: { type: 'string', required: true }, n: { type: 'integer', min: 1 } } } },
      operations: {
        get: { do: 'get', method: 'GET', path: '/w/basket', who: ['member'], id: '${token.sub}', answer: { memberId: '${document.memberId}', tools: '${document.tools}' } },
        put: { do: 'replace', method: 'PUT', path: '/w/basket', who: ['member'], id: '${token.sub}', fields: ['tools!'] },
      },
    },
    rules: {
      id: { names: ['ruleId'] }, absent: { rules: {} }, fields: { rules: { type: 'object' } },
      operations: {
        get: { do: 'get', method: 'GET', path: '/w/rules/{id}', who: ['*'] },
        put: { do: 'replace', method: 'PUT', path: '/w/rules/{id}', who: ['keeper'], body: 'any', set: { rules: '${body}', by: '${token.email|token.sub}', at: '${now}' }, audit: { who: '${token.email|token.sub}', before: '${before.rules}', after: '${document.rules}' }, emit: [{ event: 'rules', data: '${document.rules}' }] },
        history: { do: 'audit', method: 'GET', path: '/w/rules/{id}/history', who: ['keeper'] },
      },
    },
    remarks: {
      within: 'toolId', fields: { toolId: { type: 'string' }, text: { type: 'string' } },
      operations: {
        list: { do: 'list', method: 'GET', path: '/w/tools/{toolId}/remarks', who: ['*'] },
        create: { do: 'create', method: 'POST', path: '/w/tools/{toolId}/remarks', who: ['*'], fields: ['text!'], joined: { tool: { resource: 'tools', id: '${params.toolId}', required: true } }, set: { toolId: '${params.toolId}', by: '${token.name|token.sub}' }, emit: [{ event: 'remark', to: ['tool-${document.toolId}'], data: '${document}' }] },
      },
    },
    staff: {
      fields: { name: { type: 'string' }, level: { type: 'string', enum: ['new', 'old'] } },
      operations: {
        hire: { do: 'create', method: 'PUT', path: '/w/staff/{sub}', who: ['keeper'], id: '${params.sub}', fields: ['name!', 'level'] },
        update: { do: 'update', method: 'PATCH', path: '/w/staff/{id}', who: ['keeper'], fields: ['name', 'level'], emit: [{ event: 'staff_changed', data: '${document}' }], disconnect: { user: '${document.id}', when: { changed: ['level'] }, may_return: true } },
        fire: { do: 'delete', method: 'DELETE', path: '/w/staff/{id}', who: ['keeper'], emit: [{ event: 'staff_gone', data: '${document}' }], disconnect: { user: '${document.id}' } },
      },
    },
  },
};

const FILE = path.join(RUN_DIR, `workshop-${process.pid}.json`);
let world;
before(async () => {
  fs.writeFileSync(FILE, JSON.stringify(WORKSHOP));
  world = await World.open('resources', { gateway: false, stateManager: { PROFILE: `${FILE},agent-portal` } });
});
after(() => world.close());

const asOf = (tenant, sub, role, more = {}) => tokenOf(tenant, role, { sub, ...more });
const call = (token, method, pathname, body, headers) => rest(world.sm, token, method, pathname, body, headers);
const ok = async (token, method, pathname, body, status = 200) => {
  const answer = await call(token, method, pathname, body);
  assert.equal(answer.status, status, `${method} ${pathname}: ${answer.body}`);
  return answer.json;
};
const refused = async (token, method, pathname, body, status, code, what = '') => {
  const answer = await call(token, method, pathname, body);
  assert.equal(answer.status, status, `${method} ${pathname} ${JSON.stringify(body)}: ${answer.body}`);
  assert.deepEqual(Object.keys(answer.json), ['error']);
  assert.equal(answer.json.error.code, code);
  assert.ok(answer.json.error.message.includes(what), answer.body);
};
// What the exchange has heard of a tenant: [type, rooms, data]
const heard = (tenant, type) => world.tap.of(tenant, type).map((e) => [e.type, e.rooms ?? null, e.data]);
const hears = (tenant, type, count) => until(`${count} ${type} in ${tenant}`, () => heard(tenant, type).length >= count && heard(tenant, type));

describe('one document', () => {
  const keeper = asOf('t_one', 'kit', 'keeper');
  const member = asOf('t_one', 'mo', 'member');

  test('is made with its members in order, announced, read with an ETag', async () => {
    const made = await call(keeper, 'POST', '/w/tools', { price: 5, name: 'Saw' });
    assert.equal(made.status, 201);
    const id = made.json._id;
    assert.match(id, /^[0-9a-f]{24}$/);
    assert.equal(made.body, JSON.stringify({ _id: id, toolId: id, name: 'Saw', kind: 'hand', price: 5, version: 1 }));
    const got = await call(member, 'GET', `/w/tools/${id}`);
    assert.equal(got.body, made.body);
    const again = await call(member, 'GET', `/w/tools/${id}`, undefined, { 'If-None-Match': got.headers.etag });
    assert.equal(again.status, 304);
    const head = await call(member, 'HEAD', `/w/tools/${id}`);
    assert.deepEqual([head.status, head.body, head.headers.etag], [200, '', got.headers.etag]);
    const [event] = await hears('t_one', 'tool_made', 1);
    assert.deepEqual(event.slice(0, 2), ['tool_made', ['role:member', 'role:keeper']]);
    assert.deepEqual(event[2].tool, made.json);
    assert.match(event[2].at, /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/);
  });

  for (const [body, what] of [
    [{}, 'name is required'],
    [{ name: '' }, 'name is required'],
    [{ name: null }, 'name is required'],
    [{ name: 7 }, 'name must be a string'],
    [{ name: 'x'.repeat(41) }, 'name must have at most 40'],
    [{ name: 'x', colour: 1 }, 'there is no field colour'],
    [{ name: 'x', _id: 'mine' }, 'there is no field _id'],
    [{ name: 'x', kind: 'steam' }, 'kind must be one of hand, power'],
    [{ name: 'x', price: -1 }, 'price must be at least 0'],
    [{ name: 'x', price: '1' }, 'price must be a number'],
    [{ name: 'x', tags: [1, 2, 3, 4] }, 'tags must have at most 3'],
    [{ name: 'x', version: 'new' }, 'version must be a number'],
    [[], 'the body must be a JSON object'],
    ['null', 'the body must be a JSON object'],
  ])
    test(`is refused: ${JSON.stringify(body).slice(0, 40)}`, () => refused(keeper, 'POST', '/w/tools', body, 422, 'INVALID', what));

  test('changes, and only by who has read it last', async () => {
    const { _id } = await ok(keeper, 'POST', '/w/tools', { name: 'Drill', price: 1, note: { a: [1] } }, 201);
    const path_ = `/w/tools/${_id}`;
    const changed = await ok(keeper, 'PATCH', path_, { price: 2.50, version: 1 });
    assert.deepEqual([changed.price, changed.version, changed.note, typeof changed.changedAt], [2.5, 2, { a: [1] }, 'string']);
    await refused(keeper, 'PATCH', path_, { price: 3, version: 1 }, 409, 'CONFLICT', 'version 2');
    assert.deepEqual(await ok(keeper, 'PATCH', path_, { price: 2.50, note: { a: [1] } }), changed, 'nothing new: nothing changes');
    const without = await ok(keeper, 'PATCH', path_, { note: null });
    assert.ok(!('note' in without) && without.version === 3);
    await refused(keeper, 'PATCH', path_, { name: null, version: true }, 422, 'INVALID', 'version');
    assert.deepEqual(await ok(keeper, 'GET', path_), without);
    await ok(keeper, 'PATCH', path_, { price: 4 });
    assert.deepEqual(await hears('t_one', 'tool_changed', 2), [
      ['tool_changed', [`tool-${_id}`, 'desk'], { was: 1, is: 2.5 }],
      ['tool_changed', [`tool-${_id}`, 'desk'], { was: 2.5, is: 4 }],
    ]);
  });

  test('is deleted: gone from lists and reads, told as it was', async () => {
    const tool = await ok(keeper, 'POST', '/w/tools', { name: 'Gone', kind: 'power' }, 201);
    await refused(keeper, 'DELETE', `/w/tools/${tool._id}`, { version: 4 }, 409, 'CONFLICT');
    assert.deepEqual(await ok(keeper, 'DELETE', `/w/tools/${tool._id}`), { message: 'Deleted', tool });
    await refused(keeper, 'GET', `/w/tools/${tool._id}`, undefined, 404, 'NOT_FOUND', 'tools');
    await refused(keeper, 'DELETE', `/w/tools/${tool._id}`, undefined, 404, 'NOT_FOUND');
    await refused(keeper, 'PATCH', `/w/tools/${tool._id}`, {}, 404, 'NOT_FOUND');
    assert.deepEqual((await ok(member, 'GET', '/w/tools?kind=power')).items, []);
    assert.ok(!(await ok(member, 'GET', '/w/tools')).items.some((t) => t._id === tool._id));
    assert.deepEqual(await hears('t_one', 'tool_gone', 1), [['tool_gone', ['desk'], tool]]);
  });

  test('belongs to its tenant', async () => {
    const { _id } = await ok(keeper, 'POST', '/w/tools', { name: 'Ours' }, 201);
    const stranger = asOf('t_two', 'kit', 'keeper');
    await refused(stranger, 'GET', `/w/tools/${_id}`, undefined, 404, 'NOT_FOUND');
    await refused(stranger, 'PATCH', `/w/tools/${_id}`, { name: 'Theirs' }, 404, 'NOT_FOUND');
    assert.deepEqual(await ok(stranger, 'GET', '/w/tools'), { items: [], nextCursor: null });
  });

  test('under one key is made once, whatever the token says by then', async () => {
    const post = (name, token = keeper) => call(token, 'POST', '/w/tools', { name }, { 'Idempotency-Key': 'k-1' });
    const [first, second] = [await post('Once'), await post('Once', asOf('t_one', 'kit', 'keeper', { name: 'Kit' }))];
    assert.deepEqual([first.status, second.status, second.body], [201, 201, first.body]);
    const other = await post('Twice');
    assert.deepEqual([other.status, other.json.error.code], [422, 'INVALID']);
    assert.equal((await ok(keeper, 'GET', '/w/tools?q=once')).items.length, 1);
    await ok(keeper, 'POST', '/w/tools', { name: 'After' }, 201);
    const named = (name) => heard('t_one', 'tool_made').filter(([, , d]) => d.tool.name === name).length;
    await until('what came after', () => named('After'));
    assert.equal(named('Once'), 1);
  });
});

describe('the ways that are none', () => {
  const keeper = asOf('t_ways', 'kit', 'keeper');
  test('other methods and paths', async () => {
    const wrong = await call(keeper, 'PUT', '/w/tools', {});
    assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'GET, POST']);
    assert.deepEqual((await call(keeper, 'POST', '/w/tools/x', {})).headers.allow, 'GET, PATCH, DELETE');
    for (const pathname of ['/w/nothing', '/w', '/w/tools/', '/w/tools/x/y', `/w/tools/${'x'.repeat(129)}`, '/w/tools/%00', '/w/tools/%FF', '/w/tools/a%2Fb']) {
      const answer = await call(keeper, 'GET', pathname);
      assert.deepEqual([pathname, answer.status, answer.json?.error.code], [pathname, answer.status === 400 ? 400 : 404, answer.status === 400 ? 'MALFORMED' : 'NOT_FOUND']);
    }
  });

  test('an id is what the path says, decoded once', async () => {
    for (const [written, id] of [['a%20b', 'a b'], ['%C3%A4', 'ä'], ['100%2541', '100%41'], ['x.~_-', 'x.~_-']]) {
      const made = await ok(keeper, 'PUT', `/w/staff/${written}`, { name: 'N' }, 201);
      assert.equal(made.id, id);
    }
    await refused(keeper, 'PUT', '/w/staff/x.~_-', { name: 'N' }, 409, 'CONFLICT', 'already');
  });

  test('no token, no JSON, no type, too much', async () => {
    assert.equal((await call(null, 'GET', '/w/tools')).status, 401);
    assert.equal((await call(keeper, 'POST', '/w/tools', '{', {})).status, 400);
    assert.equal((await call(keeper, 'POST', '/w/tools', '{"name":"x"}', { 'Content-Type': 'text/plain' })).status, 415);
    assert.equal((await call(keeper, 'POST', '/w/tools', { name: 'x', note: 'x'.repeat(1 << 20) })).status, 413);
    assert.equal((await call(keeper, 'POST', '/w/tools', { name: 'x', note: 'x'.repeat(600 << 10) })).status, 413);
    await refused(keeper, 'POST', '/w/tools', `{"name":"x","note":${'['.repeat(40)}${']'.repeat(40)}}`, 422, 'INVALID', 'deep');
  });

  test('who has no role for it', async () => {
    for (const role of ['member', 'agent', 'platform-admin']) await refused(asOf('t_ways', 'x', role), 'POST', '/w/tools', { name: 'x' }, 403, 'DENIED');
    await refused(asOf('t_ways', 'x', 'agent'), 'GET', '/w/tools', undefined, 403, 'DENIED');
    await ok(asOf('t_ways', 'shop', 'service'), 'POST', '/w/tools', { name: 'by a backend' }, 201);
    await ok(asOf('t_ways', 'x', ['agent', 'keeper']), 'POST', '/w/tools', { name: 'one role of two' }, 201);
  });
});

describe("what is somebody's own", () => {
  const tenant = 't_own';
  const keeper = asOf(tenant, 'kit', 'keeper');
  const ann = asOf(tenant, 'ann', 'member', { name: 'Ann', email: 'ann@x.example', phone: '+44 7700 900123' });
  const bob = asOf(tenant, 'bob', 'member');
  let tool;
  let loan;
  before(async () => {
    tool = await ok(keeper, 'POST', '/w/tools', { name: 'Lathe' }, 201);
    assert.equal((await call(ann, 'PUT', '/w/basket', { tools: [{ toolId: tool._id, n: 2 }] })).status, 200);
    loan = await ok(ann, 'POST', '/w/loans', { toolId: tool._id, days: 3, word: 'please' }, 201);
  });

  test('is made with what belongs to it', async () => {
    assert.deepEqual(loan, { loanId: loan.loanId, toolId: tool._id, days: 3, status: 'out', memberId: 'ann', words: [{ by: 'member', text: 'please' }], version: 1 });
    assert.match(loan.loanId, /^L\d{6}$/);
    assert.deepEqual(await hears(tenant, 'loan_made', 1), [['loan_made', ['desk'], { ...loan, memberId: { id: 'ann', name: 'Ann' }, tool: 'Lathe' }]]);
    assert.deepEqual(await hears(tenant, 'notice', 1), [['notice', ['mine-ann'], { text: 'You have Lathe for 3 days.' }]]);
    const seqs = world.tap.of(tenant).filter((e) => ['loan_made', 'notice'].includes(e.type)).map((e) => e.seq);
    assert.equal(seqs[1], seqs[0] + 1, 'in the order of the file');
    assert.deepEqual(await ok(ann, 'GET', '/w/basket'), { memberId: 'ann', tools: [] }, 'and the basket is empty');
    await refused(ann, 'POST', '/w/loans', { toolId: 'none' }, 404, 'NOT_FOUND', 'tool');
  });

  test('is not there for others', async () => {
    const where = `/w/loans/${loan.loanId}`;
    await refused(bob, 'GET', where, undefined, 404, 'NOT_FOUND');
    await refused(bob, 'POST', `${where}/words`, { word: 'hi' }, 404, 'NOT_FOUND');
    assert.deepEqual((await ok(bob, 'GET', '/w/loans')).items, []);
    assert.deepEqual((await ok(bob, 'GET', '/w/loans?memberId=ann')).items, []);
    assert.deepEqual((await ok(ann, 'GET', '/w/loans')).items, [loan]);
    assert.deepEqual((await ok(keeper, 'GET', '/w/loans?memberId=ann&status=out')).items, [loan]);
    assert.deepEqual(await ok(bob, 'GET', '/w/basket'), { memberId: 'bob', tools: [] });
  });

  test('is told in its room, and what is said there is kept', async () => {
    const where = `/w/loans/${loan.loanId}`;
    const said = await ok(keeper, 'POST', `${where}/words`, { word: 'here' }, 201);
    assert.deepEqual(said.words, [{ by: 'member', text: 'please' }, { by: 'keeper', text: 'here' }]);
    await ok(ann, 'POST', `${where}/words`, { word: 'thanks' }, 201);
    for (const method of ['PUT', 'POST']) await ok(keeper, method, `${where}/back`);
    const back = await ok(ann, 'GET', where);
    assert.deepEqual([back.status, back.words.length, back.version], ['back', 3, 4], 'the second time changed nothing');
    assert.equal((await hears(tenant, 'loan_back', 1)).length, 1);
    assert.deepEqual((await hears(tenant, 'word', 2))[1], ['word', [`loan-${loan.loanId}`], { loanId: loan.loanId, word: { by: 'member', text: 'thanks' } }]);
  });

  test('catching up over REST gives each what he may hear', async () => {
    const events = async (token) => (await ok(token, 'GET', '/api/v1/events?limit=1000')).items.map((i) => i.event);
    const { head } = await ok(keeper, 'GET', '/api/v1/events?limit=1');
    await until('all of it on the exchange', () => world.tap.of(tenant).some((e) => `${e.epoch}-${e.seq}` === head));
    const all = [...world.tap.of(tenant)].sort((a, b) => a.seq - b.seq).map((e) => e.type);
    assert.deepEqual(await events(keeper), all.filter((t) => t !== 'notice'));
    assert.deepEqual(await events(ann), all.filter((t) => !['loan_made'].includes(t)), 'her loan is hers, the desk is not');
    assert.deepEqual(await events(bob), all.filter((t) => t === 'tool_made'));
    assert.deepEqual(await events(asOf(tenant, 'ann', 'agent')), all.filter((t) => ['word', 'loan_back', 'notice'].includes(t)), 'her own without a role');
    let after_ = '';
    const paged = [];
    for (let pages = 0; pages < 50; pages++) {
      const page = await ok(ann, 'GET', `/api/v1/events?limit=1&after=${after_}`);
      paged.push(...page.items.map((i) => i.event));
      after_ = page.next;
      if (page.next === page.head) break;
    }
    assert.deepEqual(paged, all.filter((t) => t !== 'loan_made'));
    const [first] = (await ok(bob, 'GET', '/api/v1/events')).items;
    await ok(keeper, 'POST', '/w/tools', { name: 'Vice' }, 201);
    const { items } = await ok(bob, 'GET', `/api/v1/events?after=${first.offset}`);
    assert.deepEqual(items.map((i) => i.event), ['tool_made'], "what is hers comes before it, and goes");
  });

  test('people are found once they were here, by reads too', async () => {
    const find = async (q) => (await ok(keeper, 'GET', `/w/people?q=${encodeURIComponent(q)}`)).items;
    assert.deepEqual(await find('ANN'), [{ id: 'ann', name: 'Ann' }]);
    assert.deepEqual(await find('x.example'), [{ id: 'ann', name: 'Ann' }]);
    assert.deepEqual(await find('07700 900123'), [{ id: 'ann', name: 'Ann' }]);
    assert.deepEqual(await find('kit'), [], 'a keeper is no member');
    assert.deepEqual(await ok(keeper, 'GET', '/w/people/kit'), { id: 'kit', role: 'keeper', version: 1 });
    const cid = asOf(tenant, 'cid', 'member', { name: 'Cid Ångström' });
    await Promise.all(Array.from({ length: 8 }, () => ok(cid, 'GET', '/w/tools')));
    assert.deepEqual(await find('angstrom'), [{ id: 'cid', name: 'Cid Ångström' }], 'after his first look');
    assert.equal((await ok(keeper, 'GET', '/w/people/cid')).version, 1, 'written once');
    await ok(asOf(tenant, 'cid', 'member', { name: 'Cid', email: 'c@x.example' }), 'GET', '/w/basket');
    assert.deepEqual(await ok(keeper, 'GET', '/w/people/cid'), { id: 'cid', name: 'Cid', email: 'c@x.example', role: 'member', version: 2 });
    await ok(asOf(tenant, 'shop', 'service'), 'POST', '/w/tools', { name: 'no person' }, 201);
    await refused(keeper, 'GET', '/w/people/shop', undefined, 404, 'NOT_FOUND');
    await refused(asOf(tenant, 'dan', 'member'), 'GET', '/w/people', undefined, 403, 'DENIED');
    await refused(keeper, 'GET', '/w/people/dan', undefined, 404, 'NOT_FOUND', 'people');
  });
});

describe('lists', () => {
  const tenant = 't_lists';
  const keeper = asOf(tenant, 'kit', 'keeper');
  const NAMES = Array.from({ length: 23 }, (_, i) => `tool ${String(i).padStart(2, '0')}`);
  before(async () => {
    for (const [i, name] of NAMES.entries()) await ok(keeper, 'POST', '/w/tools', { name, kind: i % 3 ? 'hand' : 'power', price: i % 2, tags: i === 4 ? ['Größe', 7] : [] }, 201);
  });
  const all = async (query) => {
    const names = [];
    for (let cursor = ''; cursor !== null; ) {
      const page = await ok(keeper, 'GET', `/w/tools?${query}&cursor=${cursor}`);
      names.push(...page.items.map((t) => t.name));
      cursor = page.nextCursor;
      assert.ok(names.length < 100);
    }
    return names;
  };
  const newest = [...NAMES].reverse();
  const nth = (name) => Number(name.slice(5));
  for (const [query, wanted] of [
    ['', newest],
    ['kind=power', newest.filter((n) => nth(n) % 3 === 0)],
    ['price=1', newest.filter((n) => nth(n) % 2)],
    ['price=1&kind=power', newest.filter((n) => nth(n) % 6 === 3)],
    ['kind=steam', []],
    ['kind=', newest],
    ['q=tool+1', newest.filter((n) => n.includes('1'))],
    ['q=GROSSE', ['tool 04']],
    ['q=grosse+7', ['tool 04']],
    ['q=nothing', []],
    ['q=tool&kind=hand&price=0', newest.filter((n) => nth(n) % 3 && nth(n) % 2 === 0)],
    ['name=tool+04&nobody=knows', newest],
  ])
    test(`${query || 'all'}, page by page too`, async () => {
      for (const limit of [200, 5, 1]) assert.deepEqual(await all(`${query}&limit=${limit}`), wanted);
    });
  for (const query of ['limit=0', 'limit=201', 'cursor=x', `q=${'x'.repeat(101)}`, `kind=${'x'.repeat(500)}`, 'price=%FF'])
    test(`${query.slice(0, 20)} is refused`, () => refused(keeper, 'GET', `/w/tools?${query}`, undefined, 422, 'INVALID', query.split('=')[0]));

  test('within another document', async () => {
    const [a, b] = (await ok(keeper, 'GET', '/w/tools?limit=2')).items;
    const texts = async (tool) => (await ok(keeper, 'GET', `/w/tools/${tool._id}/remarks`)).items.map((r) => r.text);
    for (const text of ['one', 'two']) await ok(keeper, 'POST', `/w/tools/${a._id}/remarks`, { text }, 201);
    await refused(keeper, 'POST', '/w/tools/none/remarks', { text: 'x' }, 404, 'NOT_FOUND', 'tool');
    assert.deepEqual([await texts(a), await texts(b)], [['two', 'one'], []]);
    assert.equal((await hears(tenant, 'remark', 2))[0][2].by, 'kit');
  });
});

describe('a body of any form', () => {
  const keeper = asOf('t_any', 'kit', 'keeper', { email: 'kit@x.example' });
  test('is kept as it is, with who changed it', async () => {
    assert.deepEqual(await ok(keeper, 'GET', '/w/rules/main'), { ruleId: 'main', rules: {}, version: 0 });
    const first = await ok(keeper, 'PUT', '/w/rules/main', '{"open": [ 9, 1e2 ], "version": 0, "deep": {"version": 4}}');
    assert.deepEqual([first.rules, first.by, first.version], [{ open: [9, 100], deep: { version: 4 } }, 'kit@x.example', 1]);
    assert.equal((await ok(keeper, 'PUT', '/w/rules/main', { shut: true, version: 1 })).version, 2);
    await refused(keeper, 'PUT', '/w/rules/main', { shut: false, version: 1 }, 409, 'CONFLICT', 'version 2');
    await refused(keeper, 'PUT', '/w/rules/main', [], 422, 'INVALID', 'object');
    const { items } = await ok(keeper, 'GET', '/w/rules/main/history');
    assert.deepEqual(items.map(({ at, ...rest_ }) => (assert.match(at, /Z$/), rest_)), [
      { who: 'kit@x.example', before: { open: [9, 100], deep: { version: 4 } }, after: { shut: true } },
      { who: 'kit@x.example', before: null, after: { open: [9, 100], deep: { version: 4 } } },
    ]);
    assert.deepEqual((await ok(keeper, 'GET', '/w/rules/main/history?limit=1')).items, [items[0]]);
    assert.deepEqual(await ok(keeper, 'GET', '/w/rules/other/history'), { items: [], nextCursor: null });
    assert.deepEqual((await hears('t_any', 'rules', 2)).map((e) => e[2]), [{ open: [9, 100], deep: { version: 4 } }, { shut: true }]);
  });
});

describe('users who are sent away', () => {
  const tenant = 't_away';
  const long = { iat: Math.floor(Date.now() / 1000) - 60 };
  const keeper = asOf(tenant, 'kit', 'keeper', long);
  test('their tokens count no more, and gateways are told', async () => {
    const [una, vic] = ['una', 'vic'].map((sub) => asOf(tenant, sub, 'member', long));
    for (const sub of ['una', 'vic']) await ok(keeper, 'PUT', `/w/staff/${sub}`, { name: sub, level: 'new' }, 201);
    await ok(keeper, 'PATCH', '/w/staff/una', { name: 'Una' });
    await ok(una, 'GET', '/w/tools');
    await ok(keeper, 'PATCH', '/w/staff/una', { level: 'old' });
    assert.deepEqual((await hears(tenant, 'portalcast:revoked', 1)).map((e) => ({ ...e[2], before: 0 })), [{ sub: 'una', before: 0, mayReturn: true }]);
    await until('una is refused', async () => (await call(una, 'GET', '/w/tools')).status === 401);
    await ok(vic, 'GET', '/w/tools');
    await ok(keeper, 'DELETE', '/w/staff/vic');
    assert.deepEqual((await hears(tenant, 'portalcast:revoked', 2)).map((e) => ({ ...e[2], before: 0 }))[1], { sub: 'vic', before: 0 });
    await until('vic is refused', async () => (await call(vic, 'POST', '/w/loans', { toolId: 'x' })).status === 401);
    const types = world.tap.of(tenant).sort((a, b) => a.seq - b.seq).map((e) => e.type);
    assert.deepEqual(types, ['staff_changed', 'staff_changed', 'portalcast:revoked', 'staff_gone', 'portalcast:revoked'], 'each behind its own event');
  });
});

describe('and then', () => {
  const keeper = asOf('t_last', 'kit', 'keeper');
  test('all of it is there after a kill', async () => {
    const tool = await ok(keeper, 'POST', '/w/tools', { name: 'Lasting' }, 201);
    await ok(keeper, 'PUT', '/w/rules/main', { a: 1 });
    await ok(keeper, 'DELETE', `/w/tools/${(await ok(keeper, 'POST', '/w/tools', { name: 'Gone' }, 201))._id}`);
    await world.sm.kill();
    await world.sm.start();
    assert.deepEqual((await ok(keeper, 'GET', '/w/tools')).items, [tool]);
    assert.equal((await ok(keeper, 'GET', '/w/rules/main')).version, 1);
    assert.equal((await ok(keeper, 'GET', '/w/rules/main/history')).items.length, 1);
    assert.deepEqual((await ok(keeper, 'GET', '/api/v1/events')).items.map((i) => i.event), ['tool_made', 'rules', 'tool_made', 'tool_gone']);
  });

  test("the agent portal's own paths are as ever", async () => {
    assert.deepEqual(await ok(tokenOf('t_last'), 'GET', '/api/v1/conversations'), { items: [], nextCursor: null });
  });

  test('a profile with a fault is refused at start, with where and why', async () => {
    const file = path.join(RUN_DIR, `broken-${process.pid}.json`);
    fs.writeFileSync(file, JSON.stringify({ ...WORKSHOP, colour: 'red', roles: ['member'] }));
    const env = { JWT_SECRET: SECRETS.jwt, WEBHOOK_APP_SECRET: SECRETS.webhook };
    const good = await runProgram('state-manager', ['--check-config'], { ...env, PROFILE: FILE });
    assert.deepEqual([good.code, good.stderr], [0, '']);
    const bad = await runProgram('state-manager', ['--check-config'], { ...env, PROFILE: file });
    assert.notEqual(bad.code, 0);
    assert.match(bad.stderr, /broken-\d+\.json: \$.*colour/);
    assert.match(bad.stderr, /keeper/);
    const none = await runProgram('state-manager', [], { ...env, PROFILE: 'nothing-like-it' });
    assert.notEqual(none.code, 0);
    assert.match(none.stderr, /nothing-like-it/);
  });
});
