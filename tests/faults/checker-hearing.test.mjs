// The checker's rules of what clients hear, on histories that are made up and then spoilt.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { complains, edited, isFine, judge, lastHeard, promised, story, told } from './judging.mjs';

describe('heard', () => {
  const heardAll = () => story((made, tenant) => [1, 2, 3].forEach(() => made.news(tenant, null))).end();
  test('one event is missing in the middle', () => complains(edited(heardAll(), (r) => void r.splice(lastHeard(r) - 1, 1)), 'heard', /never heard/));
  test('the last event is missing', () => complains(edited(heardAll(), (r) => void r.splice(lastHeard(r), 1)), 'heard', /at the end of the log/));
  test('one of its own rooms', () => complains(edited(story((m, t) => [m.news(t, ['role:agent']), m.news(t, null)]).end(), (r) => void r.splice(r.findIndex((x) => x.kind === 'heard'), 1)), 'heard', /for role:agent/));
  test('an offset that jumps over an event', () => {
    const made = story((m, t, clients) => {
      m.news(t, null);
      clients.forEach((c) => m.hears(c));
      m.price(t, 'kettle');
    });
    edited(made.end(), (r) => void r.splice(r.findIndex((x) => x.kind === 'heard' && x.event === 'news'), 1));
    complains(made, 'heard', /never heard/);
  });
  const returning = (more = 3) => story((made, tenant, clients) => {
    made.news(tenant, null);
    clients.forEach((c) => made.hears(c));
    clients.forEach((c) => made.cut(c));
    for (let i = 0; i < more; i++) made.news(tenant, null);
    clients.forEach((c) => made.link(c));
  }).end();
  test('what was missed by one that is recovered', () => {
    isFine(returning());
    for (const transport of ['websocket', 'ws']) {
      const made = returning();
      const { name } = made.clients.find((c) => c.transport === transport);
      complains(edited(made, (r) => void r.splice(r.findIndex((x) => x.client === name && x.conn === 2 && x.kind === 'heard'), 1)), 'heard');
    }
  });
  test('what it was told that it missed, and catching up did not give', () => {
    isFine(returning(20));
    complains(edited(returning(20), (r) => void r.splice(r.findIndex((x) => x.via !== undefined), 1)), 'heard', /was not given 1/);
    complains(edited(returning(20), (r) => r.filter((x) => x.kind !== 'caught')), 'heard', /did not catch up/);
    complains(edited(returning(20), (r) => r.map((x) => (x.kind === 'caught' ? { ...x, complete: false } : x))), 'heard', /is gone/);
  });
  test('catching up gives nothing else', () => {
    const spoilt = (change) => edited(returning(20), (r) => void change(r, r.findIndex((x) => x.via !== undefined)));
    complains(spoilt((r, at) => r.splice(at, 0, { ...r[at], event: 'price', key: 't_made_0/w.1' })), 'log', /by catching up, which is not in the log/);
    const made = returning(20);
    for (const list of [made.tenants[0].items, made.tenants[0].bodies]) list.at(-2).rooms = ['user:nobody'];
    complains(made, 'walls', /given .* by catching up, which was for user:nobody only/);
  });
  test('who is not there at the end, or late', () => {
    complains(edited(heardAll(), (r) => void r.splice(-1, 0, { kind: 'unlinked', client: 't_made_0.c0', conn: 1, why: 'x' })), 'heard', /not connected/);
    complains(edited(heardAll(), (r) => void (r.at(-1).late = ['t_made_0.c1'])), 'heard', /has not heard the last/);
  });
  test('a room, from the answer to its join to the leave', () => {
    for (const [transport, index] of [['websocket', 0], ['ws', 3]]) {
      const made = story((m, t, clients) => {
        m.pick = (list) => list[0];
        m.walk(clients[index], 'join');
        m.news(t, null); // what is on its way when it leaves may be lost to it; this shows that nothing is
        m.hears(clients[index]);
        m.walk(clients[index], 'leave');
        m.news(t, ['conversation:c_0_0']);
      }).end();
      isFine(made);
      assert.equal(made.clients[index].transport, transport);
      const answered = made.records.find((r) => r.kind === 'joined').n;
      const { key } = made.records.find((r) => r.n > answered && r.way === 'event');
      edited(made, (r) => r.filter((x) => !(x.kind === 'heard' && x.key === key)));
      complains(made, 'heard', /for conversation/);
    }
  });
});

describe('order', () => {
  const three = () => story((made, tenant, clients) => [1, 2, 3].forEach(() => (made.news(tenant, null), clients.forEach((c) => made.hears(c))))).end();
  test('the same twice', () => complains(edited(three(), (r) => void r.splice(-1, 0, r[lastHeard(r)])), 'order', /heard again/));
  test('the same twice, over a recovered connection', () => {
    const made = story((m, t, clients) => {
      m.news(t, null);
      m.hears(clients[0]);
      m.cut(clients[0]);
      m.news(t, null);
      m.link(clients[0]);
    });
    const first = made.records.find((r) => r.kind === 'heard' && r.client === 't_made_0.c0');
    complains(edited(made.end(), (r) => void r.splice(r.findIndex((x) => x.kind === 'heard' && x.conn === 2), 0, { ...first, conn: 2 })), 'order', /heard again/);
  });
  test('two in the wrong order', () => {
    const swap = (r) => {
      const own = r.filter((x) => x.kind === 'heard' && x.client === 't_made_0.c0').map((x) => x.n);
      [r[own[0]], r[own[1]]] = [r[own[1]], r[own[0]]];
    };
    complains(edited(three(), swap), 'order', /heard too late/);
  });
  test('an offset that goes back', () => complains(edited(three(), (r) => void r.splice(-1, 0, { kind: 'heard', client: 't_made_0.c0', conn: 1, event: 'presence_update', key: 't_made_0.c1', offset: 'e0-1' })), 'order', /says 1/));
  test('recovered at a place that is behind', () => complains(edited(three(), (r) => void r.splice(-1, 0, { kind: 'linked', client: 't_made_0.c0', conn: 2, tenant: 't_made_0', recovered: true, offset: 'e0-1' })), 'order'));
});

describe('walls', () => {
  const mixed = () => story((made) => made.tenants.forEach((t) => made.news(t, null)), { tenants: 2, perTenant: 1 }).end();
  const foreign = (change) => edited(mixed(), (r) => void r.splice(-1, 0, change(r)));
  test('an event of another tenant', () => complains(foreign((r) => ({ ...r.find((x) => x.kind === 'heard' && x.tenant === 't_made_1'), client: 't_made_0.c0' })), 'walls', /of t_made_1/));
  test('an offset of another tenant', () => complains(foreign((r) => ({ ...r.find((x) => x.kind === 'heard' && x.tenant === 't_made_1'), tenant: 't_made_0', client: 't_made_0.c0' })), 'walls', /offset/));
  test('somebody of another tenant', () => complains(foreign(() => ({ kind: 'heard', client: 't_made_0.c0', conn: 1, event: 'presence_update', key: 't_made_1.c0' })), 'walls', /is there/));
  test('what was said in one tenant is in the log of another', () => {
    const made = mixed();
    made.log(made.tenants[0], 'news', { key: made.tenants[1].items[0].data.key });
    made.clients.forEach((c) => made.hears(c));
    complains(made, 'walls', /what was said in/);
  });
  test('somebody who types where it is not', () => {
    const typing = (key) => edited(story((m, t, clients) => ((m.pick = (list) => list[0]), m.walk(clients[0], 'join'))).end(), (r) => void r.splice(-1, 0, { kind: 'heard', client: 't_made_0.c0', conn: 1, event: 'typing', key }));
    isFine(typing('t_made_0.c1@c_0_0=true'));
    for (const key of ['t_made_0.c1@c_0_1=true', 't_made_1.c1@c_0_0=true', 't_made_1.c1@c_0_1=false']) complains(typing(key), 'walls');
  });
  test('what passes by', () => {
    const passing = (rooms, key) => {
      const made = story((m, t) => m.add('sent', { sender: 'w', tenant: t.id, way: 'event', key: `${t.id}/w.${++t.n}`, class: 'ephemeral', event: 'passing', attempt: 1, ...(rooms && { rooms }) })).end();
      return edited(made, (r) => void r.splice(-1, 0, { kind: 'heard', client: 't_made_0.c0', conn: 1, tenant: 't_made_0', event: 'passing', key: key ?? r.find((x) => x.class === 'ephemeral').key }));
    };
    isFine(passing());
    isFine(passing(['team:0']));
    complains(passing(['team:1']), 'walls', /only/);
    complains(passing(undefined, 't_made_0/w.99'), 'log', /which nobody said/);
  });
  test('what nobody said, under another name', () => complains(edited(mixed(), (r) => void r.splice(-1, 0, { kind: 'heard', client: 't_made_0.c0', conn: 1, tenant: 't_made_0', event: 'strange', key: 't_made_0/w.1' })), 'log', /which nobody said/));
  test('a client of a tenant that is none', () => complains(edited(mixed(), (r) => void r.splice(-1, 0, { ...r[0], client: 't_none.c0', tenant: 't_none' })), 'log', /has no log/));
  const hearsAnyway = (rooms, before = () => {}) => {
    const made = story((m, t, clients) => {
      before(m, clients[0]);
      m.news(t, rooms);
      const { data, offset } = t.items.at(-1);
      m.frame(clients[0], 'news', data, offset);
      clients[0].at = t.head;
    });
    return made.end();
  };
  test('a room of somebody else', () => complains(hearsAnyway(['user:t_made_0.c1']), 'walls', /only/));
  test('a role of somebody else', () => complains(hearsAnyway(['role:supervisor']), 'walls', /only/));
  test('a conversation that it is not in', () => complains(hearsAnyway(['conversation:c_0_0']), 'walls', /only/));
  test('a conversation that it has left', () =>
    complains(hearsAnyway(['conversation:c_0_0'], (m, client) => {
      m.pick = (list) => list[0];
      m.walk(client, 'join');
      m.walk(client, 'leave');
      m.hears(client);
    }), 'walls', /only/));
  test('a conversation from before it joined', () => {
    const made = story((m, t, clients) => {
      m.pick = (list) => list[0];
      promised(m, t);
      t.items.at(-1).rooms = t.bodies.at(-1).rooms = ['conversation:c_0_0'];
      m.records.find((r) => r.kind === 'sent').rooms = ['conversation:c_0_0'];
      const { data, offset } = t.items.at(-1);
      m.add('sent', { client: clients[0].name, tenant: t.id, way: 'join', key: 'x', room: 'conversation:c_0_0', attempt: 1 });
      m.frame(clients[0], 'news', data, offset);
      clients[0].at = t.head;
    });
    complains(made.end(), 'walls', /only/);
  });
  test('a figure of another room', () => complains(edited(story((m, t) => m.price(t, 'desk')).end(), (r) => void r.splice(-1, 0, { ...r.find((x) => x.slot && x.kind === 'heard'), client: 't_made_0.c0' })), 'walls', /only/));
  test('a room in the greeting', () => complains(edited(mixed(), (r) => void r.find((x) => x.kind === 'linked').rooms.push('role:admin')), 'walls', /no business/));
});

describe('rooms', () => {
  const walked = () => story((m, t, clients) => {
    m.pick = (list) => list[0];
    m.walk(clients[0], 'join');
    m.hears(clients[0]);
    m.cut(clients[0]);
    m.link(clients[0]);
  }).end();
  test('a join that is forgotten', () => {
    isFine(walked());
    complains(edited(walked(), (r) => void r.findLast((x) => x.kind === 'linked').rooms.pop()), 'rooms', /not in conversation:c_0_0 any more/);
  });
  test('a room of the token that is forgotten', () => complains(edited(walked(), (r) => void r.findLast((x) => x.kind === 'linked').rooms.shift()), 'rooms', /its token gives/));
  test('a join that is refused', () => complains(edited(walked(), (r) => void r.splice(-1, 0, { kind: 'joined', client: 't_made_0.c0', room: 'conversation:c_0_0', ok: false, error: 'NOT_FOUND' })), 'rooms', /refused/));
});

describe('latest', () => {
  const figures = () => story((made, tenant) => [1, 2, 3].forEach(() => made.price(tenant, 'kettle'))).end();
  const of = (r) => r.filter((x) => x.kind === 'heard' && x.slot && x.client === 't_made_0.c0').map((x) => x.n);
  test('an older value follows a newer one', () => complains(edited(figures(), (r) => void r.splice(-1, 0, r[of(r)[0]])), 'latest', /behind/));
  test('the newest value is not known', () => complains(edited(figures(), (r) => void r.splice(of(r).at(-1), 1)), 'latest', /written last/));
  test('a value in between may be left out', () => isFine(edited(figures(), (r) => void r.splice(of(r)[1], 1))));
  test('a value that nobody said', () => complains(edited(figures(), (r) => void (r[of(r)[1]].key = 't_made_0/w.999')), 'latest', /nobody said/));
});

describe('recovered', () => {
  const fault = (made, phase, details) => made.add('fault', { id: 1, name: 'kill', target: 'gw-1', phase, details });
  const away = ({ details, count = 2 } = {}) => story((made, tenant, clients) => {
    const [client] = clients;
    made.cut(client);
    if (details) fault(made, 'begin', details);
    for (let i = 0; i < count; i++) made.news(tenant, null);
    const from = client.told;
    Object.assign(client, { conn: 2, at: tenant.head, told: tenant.head });
    made.add('linked', { client: client.name, conn: 2, tenant: tenant.id, recovered: false, offset: made.offset(tenant), rooms: made.rooms(client) });
    client.isLinked = true;
    made.catchUp(client, from);
    if (details) fault(made, 'end');
  }).end();
  test('who missed little, while nothing was broken', () => complains(away(), 'recovered', /nothing was broken/));
  test('who missed little, while something was', () => complains(away({ details: {} }), 'recovered', /kill of gw-1/));
  test('who missed too much, or what may cost it', () => {
    isFine(away({ count: 20 }));
    isFine(away({ details: { mayLose: true } }));
    assert.equal(judge(away({ count: 20 })).figures.notRecovered[0].why, 'too much was missed');
  });
  test('who is told to reload', () => {
    const made = story((m, t, clients) => {
      const [client] = clients;
      m.news(t, null);
      m.add('resync', { client: client.name, conn: 1, reason: 'events_gone', offset: m.offset(t) });
      const from = client.told;
      Object.assign(client, { at: t.head, told: t.head });
      m.catchUp(client, from);
    }).end();
    complains(made, 'recovered', /told to reload/);
    assert.equal(told(made).length, 1);
  });
  test('who is turned away', () => complains(edited(away({ count: 20 }), (r) => void r.splice(-1, 0, { kind: 'refused', client: 't_made_0.c0', conn: 1, message: 'no' })), 'recovered', /turned away/));
  test('who is recovered before it ever was there', () => complains(edited(away({ count: 20 }), (r) => void (r.find((x) => x.kind === 'linked').recovered = true)), 'recovered', /before it ever/));
  test('whose library and greeting differ', () => complains(edited(away({ count: 20 }), (r) => void (r.findLast((x) => x.kind === 'linked').said = true)), 'recovered', /its library says/));
});
