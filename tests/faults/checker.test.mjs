// The checker itself, on histories that are made up: it has nothing to say about those that keep every rule, and complains
// about each that breaks one. SEED=... repeats the random part. Rules of what clients hear: checker-hearing.test.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { seededRandom } from '../lib/env.mjs';
import { check } from './checker.mjs';
import { History } from './history.mjs';
import { complains, edited, isFine, judge, lastHeard, promised, story, told } from './judging.mjs';
import { LIMITS, Made } from './made.mjs';
import { isLogged, seqOf } from './marks.mjs';

const seed = Number(process.env.SEED ?? Date.now() % 1e6);
const STEPS = 120;

describe('histories that keep every rule', () => {
  for (let i = 0; i < 12; i++) test(`number ${seed + i}`, () => isFine(new Made(seed + i).run(STEPS)));
  test('everything that can happen happened in them', () => {
    const all = { connections: 0, recovered: 0, heard: 0, notRecovered: 0, moves: 0, caught: 0 };
    for (let i = 0; i < 12; i++) {
      const made = new Made(seed + i).run(STEPS);
      const { figures } = judge(made);
      for (const name of ['connections', 'recovered', 'heard']) all[name] += figures[name];
      all.notRecovered += figures.notRecovered.length;
      all.moves += made.records.filter((r) => r.kind === 'joined' || r.kind === 'left').length;
      all.caught += made.records.filter((r) => r.via !== undefined).length;
    }
    for (const [name, count] of Object.entries(all)) assert.ok(count > 10, `${name}: ${count}`);
  });
  test('a history that went through a file is the same', () => {
    const made = new Made(seed).run(STEPS);
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'history-'));
    try {
      const history = new History(path.join(dir, 'h.jsonl'));
      for (const { n, t, kind, ...fields } of made.records) assert.equal(history.add(kind, fields).n, n, t);
      const before = check(history, made.stores, { limits: LIMITS });
      history.close();
      const old = History.read(path.join(dir, 'h.jsonl'));
      assert.equal(old.count, made.records.length);
      assert.deepEqual(old.of('linked').map((r) => r.n), made.records.filter((r) => r.kind === 'linked').map((r) => r.n));
      fs.appendFileSync(path.join(dir, 'h.jsonl'), '{"n":999999,"kind":"hea');
      assert.deepEqual(check(History.read(path.join(dir, 'h.jsonl')), made.stores, { limits: LIMITS }), before);
      assert.deepEqual(before.violations, []);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });
});

describe('kept', () => {
  test('what was not answered may be there or not', () => {
    for (const logged of [true, false]) isFine(story((made, tenant) => promised(made, tenant, { answered: false, logged })).end());
  });
  test('an event that was promised is not in the log', () => complains(story((made, tenant) => promised(made, tenant, { logged: false })).end(), 'kept', /was promised and is not in the log/));
  test('an event is there twice', () => complains(story((made, tenant) => made.log(tenant, 'news', { key: promised(made, tenant) })).end(), 'kept', /2 times/));
  test('an event stands elsewhere than it was answered', () => {
    const made = story((m, tenant) => m.news(tenant)).end();
    made.records.findLast((r) => r.offset && r.kind === 'answered').offset = made.offset(made.tenants[0], 999);
    complains(made, 'kept', /answered with/);
  });
  const withMessages = () => story((made, tenant) => [made.webhook(tenant), made.outbound(tenant), made.echoed(tenant)]).end();
  const STORE = [
    ['a message is not in the store', (t) => t.messages.shift(), /not in the store/],
    ['a message is in the store twice', (t) => t.messages.push({ ...t.messages[0], id: 'm_other' }), /2 times/],
    ['a message has another id than was answered', (t) => t.messages.forEach((m) => (m.id = `${m.id}x`)), /was answered with the id/],
    ['a message is nobody’s', (t) => (t.messages[0].text = `${t.id}/w.9999`), /nobody sent/],
    ['a receipt is not there', (t) => t.messages.find((m) => m.statusHistory.length).statusHistory.pop(), /not among the receipts/],
    ['a receipt is kept twice', (t) => t.messages.find((m) => m.statusHistory.length).statusHistory.push({ status: 'read' }), /kept 2 times/],
    ['a status went down', (t) => (t.messages.find((m) => m.statusHistory.length).status = 'delivered'), /only delivered/],
    ['a conversation changed once more than is told', (t) => t.conversations.forEach((c) => c.version++), /has version/],
  ];
  test('messages, echoes and receipts', () => isFine(withMessages()));
  for (const [what, change, pattern] of STORE)
    test(what, () => {
      const made = withMessages();
      change(made.tenants[0]);
      complains(made, 'kept', pattern);
    });
  const untold = (made, match) => {
    const [tenant] = made.tenants;
    const gone = tenant.items.filter((e) => match(e)).map((e) => seqOf(e.offset));
    tenant.items = tenant.items.filter((e) => !gone.includes(seqOf(e.offset)));
    return edited(made, (records) => records.filter((r) => !(r.kind === 'heard' && gone.includes(seqOf(r.offset)))));
  };
  for (const event of ['new_message', 'conversation_update', 'status_update'])
    test(`${event} was never made`, () => complains(untold(withMessages(), (e) => e.event === event && e.data.status !== 'delivered'), 'kept'));
  const LOGGED = [
    ['a message is announced twice', (made, t) => made.log(t, 'new_message', { ...t.items.find((e) => e.event === 'new_message').data }), /is announced 2 times/],
    ['a move is announced twice', (made, t) => made.log(t, 'status_update', { ...t.items.find((e) => e.event === 'status_update').data }), /=delivered is announced 2 times/],
    ['a status moves down', (made, t) => t.items.filter((e) => e.event === 'status_update').forEach((e) => (e.data.status = { delivered: 'read', read: 'delivered' }[e.data.status])), /the status of .* went read,delivered/],
    ['an event that nobody said', (made, t) => made.log(t, 'news', { key: `${t.id}/w.999` }), /the log has at .* what nobody said/],
    ['versions that go back', (made, t) => made.log(t, 'conversation_update', { conversationId: t.conversations[0].id, lastMessage: t.messages[0].text, version: 0 }), /the versions of/],
  ];
  for (const [what, change, pattern] of LOGGED)
    test(what, () => {
      const made = withMessages();
      made.pick = (list) => list[0];
      made.outbound(made.tenants[0]);
      change(made, made.tenants[0]);
      complains(made, 'kept', pattern);
    });
  test('an event that is for others than it was said to be', () => {
    const made = story((m, t) => m.news(t, ['team:0'])).end();
    made.tenants[0].items[0].rooms = ['team:1'];
    complains(made, 'kept', /was for team:0 and is for team:1/);
  });
  test('a message that nobody was promised is there whole, or not at all', () => {
    const half = (stored, logged) => story((m, t) => {
      const key = m.tag(t);
      m.add('sent', { sender: 'w', tenant: t.id, way: 'webhook', key, messageId: 'wamid.half', attempt: 1 });
      if (stored) m.store(t, t.conversations[0], key, { direction: 'inbound', messageId: 'wamid.half', status: 'received' });
      if (logged) m.log(t, 'new_message', { conversationId: t.conversations[0].id, messageId: 'wamid.half', message: key });
    }).end();
    for (const whole of [true, false]) isFine(half(whole, whole));
    complains(half(true, false), 'kept', /in the store, but not in the log/);
    complains(half(false, true), 'kept', /in the log, but not in the store/);
  });
  test('a late message is not the last one of its conversation, and not told as such', () => {
    const made = story((m, tenant) => {
      m.pick = (list) => list[0];
      m.outbound(tenant);
      m.outbound(tenant);
    }).end();
    const [first, second] = made.tenants[0].messages;
    const { data } = made.tenants[0].items.find((e) => e.data.lastMessage === second.text);
    data.lastMessage = made.tenants[0].bodies.find((b) => b.data.lastMessage === second.text).data.lastMessage = first.text;
    for (const r of made.records) if (r.event === 'conversation_update') r.key = r.key.replace(second.text, first.text);
    complains(made, 'kept', /was promised and is not in the log/);
    second.timestamp = new Date(0).toISOString();
    isFine(made);
  });
  test('a foreign write may be gone with its queue, but not otherwise', () => {
    const lost = (details) => story((made, tenant) => {
      made.add('fault', { id: 1, name: 'queue deleted', target: 'broker', phase: 'begin', details });
      const key = made.tag(tenant);
      made.add('sent', { sender: 'w', tenant: tenant.id, way: 'intake', key, class: 'durable', attempt: 1 });
      made.add('answered', { key, ok: true, status: 202 });
      made.add('fault', { id: 1, name: 'queue deleted', target: 'broker', phase: 'end' });
    }).end();
    isFine(lost({ mayLoseOf: ['intake'] }));
    complains(lost({}), 'kept');
  });
});

describe('log', () => {
  const some = () => story((made, tenant) => [1, 2, 3, 4].forEach(() => made.news(tenant, null))).end();
  const CASES = [
    ['a gap', (t) => t.bodies.splice(1, 1), /follows/],
    ['another epoch', (t) => (t.items[1].offset = `other-${seqOf(t.items[1].offset)}`), /epoch/],
    ['the same seq twice', (t) => t.items.splice(1, 0, { ...t.items[0] }), /comes behind/],
    ['an event that REST does not tell', (t) => t.items.splice(1, 1), /nothing over REST/],
    ['an event that REST tells otherwise', (t) => (t.bodies[1].data = { key: 'x' }), /in the log, and/],
    ['its head is elsewhere', (t) => t.head++, /its head is/],
  ];
  for (const [what, change, pattern] of CASES)
    test(what, () => {
      const made = some();
      change(made.tenants[0]);
      complains(made, 'log', pattern);
    });
  test('something is gone', () => {
    const made = some();
    const { stores } = made;
    stores.tenants.t_made_0.complete = false;
    assert.match(check(made, stores, { limits: LIMITS }).violations[0].text, /gone/);
  });
  test('more places are empty than joins and leaves can have taken', () => {
    const made = story((m, t, clients) => (m.walk(clients[0], 'join'), m.news(t, null))).end();
    const bare = () => {
      const { stores } = made;
      delete stores.tenants.t_made_0.bodies;
      return check(made, stores, { limits: LIMITS }).violations;
    };
    assert.deepEqual(bare(), []);
    made.log(made.tenants[0], 'portalcast:session', {});
    made.log(made.tenants[0], 'portalcast:session', {});
    assert.match(bare()[0].text, /places are empty/);
  });
  test('what was promised stands behind what was said later', () => {
    const made = some();
    const [tenant] = made.tenants;
    for (const list of [tenant.items, tenant.bodies]) [list[0].data, list[2].data] = [list[2].data, list[0].data];
    for (const r of made.records) delete (r.kind === 'answered' ? r : {}).offset;
    const keyAt = new Map(tenant.items.map((e) => [e.offset, e.data.key]));
    for (const r of made.records) if (r.kind === 'heard') r.key = keyAt.get(r.offset);
    complains(made, 'log', /had been promised/);
  });
  test('an event that is not in the log is heard, or another in its place', () => {
    complains(edited(some(), (r) => void (r[lastHeard(r)].key = 't_made_0/w.1')), 'log', /where the log has/);
    complains(edited(some(), (r) => void (r[lastHeard(r)].offset = 'e0-999')), 'log', /nothing/);
    complains(edited(some(), (r) => void (r[lastHeard(r)].offset = 'zz-1')), 'log', /not the tenant's/);
  });
});

describe('answers', () => {
  const asked = (answer) => story((made, tenant) => made.add('answered', { key: promised(made, tenant), ...answer })).end();
  test('the same again is fine', () => isFine(asked({ ok: true, status: 202, id: 'e_1', again: true })));
  test('another id under the same name', () => complains(asked({ ok: true, status: 202, id: 'e_2', again: true }), 'same', /several ids/));
  test('another offset under the same name', () => complains(asked({ ok: true, status: 202, offset: 'e0-77', again: true }), 'same', /several offsets/));
  for (const status of [400, 401, 403, 404, 409, 422]) test(`${status} to a right request`, () => complains(asked({ ok: false, status }), 'answers', /refused/));
  for (const status of [408, 429, 500, 503]) test(`${status} may be`, () => isFine(asked({ ok: false, status })));
  test('a command that is refused for good', () => complains(asked({ ok: false, error: 'NOT_FOUND' }), 'answers', /refused/));
  test('an answer that is not described', () => complains(asked({ ok: false, error: 'not in docs/openapi.json', odd: true }), 'answers', /openapi/));
});

describe('ready', () => {
  // A kill from 10 s to 20 s: at once, noticed within 1 s, back within 5 s; then probes at these seconds.
  const probed = (probes, details = { down: ['gw-1'], shaken: ['sm-1'], noticeMs: 1000 }) => {
    const made = story(() => {}).end();
    const at = (t, kind, fields) => made.records.push({ n: made.records.length, t: t * 1000, kind, ...fields });
    for (const [phase, t] of [['begin', 10], ['begun', 11], ['ending', 20], ['end', 21]]) at(t, 'fault', { id: 1, name: 'kill', target: 'gw-1', phase, details: phase === 'begin' ? details : undefined });
    for (const [service, t, ready] of probes) at(t, 'ready', { service, ready, body: null });
    return made;
  };
  const GOOD = [['gw-1', 9, true], ['gw-1', 10.5, true], ['gw-1', 10.6, false], ['gw-1', 11.9, true], ['gw-1', 13, false], ['gw-1', 20.5, true], ['gw-1', 25, false], ['gw-1', 27, true], ['sm-1', 15, false], ['sm-1', 15, true], ['gw-2', 15, true]];
  test('as it has to be', () => isFine(probed(GOOD)));
  for (const [what, probe] of [['not ready before', ['gw-1', 9, false]], ['ready while it is down', ['gw-1', 15, true]], ['not back in time', ['gw-1', 27, false]], ['another one that is not concerned', ['gw-2', 15, false]], ['one that was shaken, afterwards', ['sm-1', 40, false]]])
    test(what, () => complains(probed([probe]), 'ready'));
});

describe('back', () => {
  // A fault from 10 s to 20 s; the client is without a connection from `from` to `to`.
  const away = (from, to, { nap, another } = {}) => {
    const made = story(() => {}).end();
    const at = (t, kind, fields) => made.records.push({ ...fields, t: t * 1000, kind });
    const { client, ...link } = made.records.find((r) => r.kind === 'linked');
    at(10, 'fault', { id: 1, name: 'cut', target: 'gw-1', phase: 'begin' });
    at(from, 'unlinked', { client, conn: 1, why: 'cut' });
    at(20, 'fault', { id: 1, name: 'cut', target: 'gw-1', phase: 'end' });
    for (const [phase, t] of [['begin', another], ['end', another + 5]]) if (another) at(t, 'fault', { id: 2, name: 'kill', target: 'gw-1', phase });
    for (const [i, phase] of ['begin', 'end'].entries()) if (nap) at(nap[i], 'nap', { client, phase });
    at(to, 'linked', { ...link, client, conn: 2, recovered: true });
    made.records = made.records.sort((a, b) => a.t - b.t).map((r, n) => ({ ...r, n }));
    return made;
  };
  test('in time', () => isFine(away(12, 24)));
  test('too late', () => complains(away(12, 40), 'back', /connected again 20000 ms after/));
  test('cut again by another fault', () => isFine(away(12, 40, { another: 30 })));
  test('in a tunnel', () => isFine(away(12, 40, { nap: [13, 39] })));
});

describe('baseline', () => {
  const used = (last) => {
    const made = story(() => {});
    const sample = (service, figures) => [1, 2, 3].forEach(() => made.add('usage', { service, pid: 1, ...figures }));
    sample('gw-1', { rssKb: 100000, fds: 50, threads: 3 });
    made.add('quiet', { id: 'before' });
    for (let i = 0; i < 1100; i++) made.add('loaded', {});
    sample('gw-1', last);
    made.add('quiet', { id: 'after' });
    return made.end();
  };
  const grown = (rssAt, pidAt = () => 1) => {
    const made = story(() => {});
    const at = (minute, kind, fields) => made.records.push({ n: made.records.length, t: minute * 60000, kind, ...fields });
    const sample = (minute) => at(minute, 'usage', { service: 'sm0', pid: pidAt(minute), rssKb: rssAt(minute), fds: 50, threads: 3 });
    for (let minute = 0; minute <= 30; minute += 0.25) {
      sample(minute);
      if (minute === 1) at(minute, 'quiet', { id: 'before' });
    }
    at(31, 'quiet', { id: 'after' });
    return made.end();
  };
  test('memory that fills and stays, or is a young process’s', () => {
    isFine(grown((minute) => 20000 + Math.min(minute, 8) * 4000));
    isFine(grown((minute) => (minute > 24 ? 60000 : 40000), (minute) => (minute > 24 ? 2 : 1)));
  });
  test('memory that goes on growing', () => complains(grown((minute) => 40000 + minute * 700), 'baseline', /third fifth/));
  test('about the same', () => isFine(used({ rssKb: 120000, fds: 52, threads: 3 })));
  for (const [what, more] of [['threads', { threads: 4 }], ['fds', { fds: 60 }], ['rssKb', { rssKb: 200000 }]]) test(`more ${what}`, () => complains(used({ rssKb: 100000, fds: 50, threads: 3, ...more }), 'baseline', new RegExp(what)));
});

describe(`histories that are spoilt at random, seed ${seed}`, () => {
  const random = seededRandom(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  // What each client must have heard, without doubt: not of a conversation that it may be walking in or out of.
  const sure = ({ records, tenants }) => {
    const open = new Set(tenants.flatMap((t) => t.items.filter((e) => !e.rooms?.some((room) => room.startsWith('conversation:'))).map((e) => e.offset)));
    return records.filter((r) => r.kind === 'heard' && isLogged(r.event) && open.has(r.offset)).map((r) => r.n);
  };
  const nextOf = (records, at) => records.findIndex((r) => r.n > at && r.kind === 'heard' && r.client === records[at].client && r.via === records[at].via && isLogged(r.event));
  const WAYS = {
    'a line is dropped': (r, at) => void r.splice(at, 1),
    'a line is there twice': (r, at) => void r.splice(at + 1, 0, r[at]),
    'a line comes once more, later': (r, at) => void r.splice(r.length - 1, 0, { ...r[at], via: undefined }),
    'a line is swapped with the next': (r, at) => {
      const next = nextOf(r, at);
      if (next < 0) return r.splice(at, 1), undefined;
      [r[at], r[next]] = [{ ...r[next] }, { ...r[at] }];
    },
    'a line is another tenant’s': (r, at) => {
      const other = pick(r.filter((x) => x.kind === 'heard' && isLogged(x.event) && x.client.slice(0, 8) !== r[at].client.slice(0, 8)));
      r[at] = { ...other, client: r[at].client, conn: r[at].conn };
    },
    'a line has another offset': (r, at) => void (r[at] = { ...r[at], offset: `${r[at].offset}7` }),
    'a line goes to another client': (r, at) => {
      const other = pick([...new Set(r.filter((x) => x.kind === 'linked').map((x) => x.client))].filter((name) => name !== r[at].client));
      r[at] = { ...r[at], client: other };
    },
  };
  for (const [what, spoil] of Object.entries(WAYS))
    test(what, () => {
      for (let i = 0; i < 25; i++) {
        const made = new Made(seed + i).run(STEPS);
        const at = pick(sure(made));
        const line = JSON.stringify(made.records[at]);
        edited(made, (r) => spoil(r, at));
        assert.ok(told(made).length, `seed ${seed}, history ${seed + i}: nothing is said of ${line}`);
      }
    });
});
