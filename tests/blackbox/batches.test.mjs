// Whatever Meta puts together, sends twice, or sends twice in other parcels: every element is there once, under its own number,
// and was published once. With STORE=mongo through two state-managers at once. Parcels are random: SEED=... repeats them.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, seededRandom, sleep, until, within } from '../lib/env.mjs';
import { sign, webhook } from '../lib/http.mjs';
import { textMessage, wamid } from '../lib/samples.mjs';
import { stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const RANK = { sent: 2, failed: 2.5, delivered: 3, read: 4, played: 5 };
const NUMBERS = 2; // of a tenant
const TENANTS = ['t_batch_a', 't_batch_b', 't_batch_c'];
const numberOf = (tenant, i = 0) => `2000000009${TENANTS.indexOf(tenant)}0${i}`;
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
const random = seededRandom(seed);
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const shuffled = (list) => list.map((one) => [random(), one]).sort((a, b) => a[0] - b[0]).map(([, one]) => one);
console.log(`# seed batches ${seed}`);

let world, managers;
before(async () => {
  world = await World.open('batches', { gateway: false });
  managers = [world.sm];
  if (process.env.STORE === 'mongo') {
    const second = await stateManager(world.dir, world.amqpUrl, { STORE_URL: world.sm.env.STORE_URL });
    world.services.push(second);
    managers.push(await second.start());
  }
  for (const tenant of TENANTS) for (let i = 0; i < NUMBERS; i++) await world.channel(numberOf(tenant, i), tenant);
});
after(() => world.close());

const post = async (body) => {
  const answer = await until('a state-manager that takes it', async () => {
    const got = await webhook(pick(managers), body);
    return got.status === 503 ? null : got;
  }, 20000);
  assert.equal(answer.status, 200, answer.body);
};

// --- parcels: elements {number, field, list, element} in any order become entries, changes and arrays

function parcel(parts) {
  const entries = [];
  for (const { number, field, list, element } of parts) {
    let entry = entries.at(-1);
    if (!entry || random() < 0.1) entries.push((entry = { id: `30000000000000${below(3)}`, changes: [] }));
    let change = entry.changes.at(-1);
    const fits = change && change.field === field && change.value.metadata.phone_number_id === number;
    if (!fits || random() < 0.1) entry.changes.push((change = { field, value: { messaging_product: 'whatsapp', metadata: { display_phone_number: '15550100200', phone_number_id: number } } }));
    (change.value[list] ??= []).push(element);
  }
  return { object: 'whatsapp_business_account', entry: entries };
}

const message = (number, from, body) => ({ number, field: 'messages', list: 'messages', element: textMessage(from, body) });
const status = (number, id, what, recipient_id, at = '1789200320') => ({ number, field: 'messages', list: 'statuses', element: { id, status: what, timestamp: at, recipient_id } });
const echoed = (number, to, body, id = wamid()) => ({ number, field: 'smb_message_echoes', list: 'message_echoes', element: { from: '15550100200', to, id, timestamp: '1789200000', type: 'text', text: { body } } });

// --- what must have become of them

const idsOf = (parts, list, number) => parts.filter((p) => p.list === list && (!number || p.number === number)).map((p) => p.element.id);

// All that the tenant's log says, once it was on the exchange; the relay may have repeated itself there.
async function published(tenant) {
  const { json } = await world.api(tenant, 'GET', '/api/v1/events?limit=1');
  const head = Number(json.head.split('-').at(-1));
  return until(`${head} events of ${tenant}`, () => {
    const seen = new Map(world.tap.of(tenant).filter((b) => b.seq).map((b) => [b.seq, b]));
    return seen.size >= head && [...seen.values()].sort((a, b) => a.seq - b.seq);
  }, 30000);
}

const times = (list) => list.reduce((map, one) => map.set(one, (map.get(one) ?? 0) + 1), new Map());
function once(what, wanted, found) {
  const count = times(found);
  assert.deepEqual(wanted.filter((one) => count.get(one) !== 1).map((one) => `${one}: ${count.get(one) ?? 0}x`).slice(0, 3), [], what);
}

// Every row there is, twins too.
async function rowsOf(tenant) {
  const rows = [];
  for (const { id } of await world.list(tenant, '/api/v1/conversations')) rows.push(...(await world.list(tenant, `/api/v1/conversations/${id}/messages`)));
  return rows;
}

// Of these parts each is stored and announced once, and nothing else is.
async function checkOnce(tenant, parts) {
  const own = parts.filter((p) => p.number.startsWith(numberOf(tenant).slice(0, -1)));
  const [messages, echoes] = [idsOf(own, 'messages'), idsOf(own, 'message_echoes')];
  const receipts = own.filter((p) => p.list === 'statuses').map((p) => `${p.element.id} ${p.element.status}`);
  const kept = await rowsOf(tenant);
  once('stored', [...messages, ...echoes], kept.map((m) => m.messageId));
  assert.equal(kept.length, messages.length + echoes.length, 'nothing else is stored');
  once('receipts', [...new Set(receipts)], kept.flatMap((m) => (m.statusHistory ?? []).map((s) => `${m.messageId} ${s.status}`)));
  const events = await published(tenant);
  const of = (type) => events.filter((e) => e.type === type).map((e) => e.data);
  once('new_message', messages, of('new_message').map((d) => d.messageId));
  assert.equal(of('new_message').length, messages.length);
  const updates = times(of('status_update').map((d) => `${d.messageId} ${d.status}`));
  assert.deepEqual([...updates].filter(([, n]) => n > 1), [], 'no move is announced twice');
  const last = new Map();
  for (const d of of('status_update')) {
    assert.ok(RANK[d.status] > (last.get(d.messageId) ?? 0), `${d.messageId}: ${d.status} after ${last.get(d.messageId)}`);
    last.set(d.messageId, RANK[d.status]);
  }
  for (const m of kept.filter((m) => m.statusHistory?.length)) {
    const ranks = m.statusHistory.map((s) => (s.status === 'failed' ? 0 : RANK[s.status]));
    if (Math.max(...ranks) > 2) assert.equal(RANK[m.status], Math.max(...ranks), `${m.messageId} is ${m.status}`);
  }
}

describe('batches', () => {
  test('1000 updates of three tenants and six numbers in one POST: every element once', async () => {
    const parts = [];
    for (const tenant of TENANTS)
      for (let i = 0; i < NUMBERS; i++) {
        const number = numberOf(tenant, i);
        for (let k = 0; k < 100; k++) parts.push(message(number, `44770091${i}${String(k % 17).padStart(3, '0')}`, `${number} ${k}`));
        for (let k = 0; k < 16; k++) {
          const out = echoed(number, '447700910001', `out ${k}`);
          parts.push(out);
          for (const what of ['sent', 'delivered', 'read']) parts.push(status(number, out.element.id, what, '447700910001'));
        }
      }
    assert.ok(parts.length > 980);
    await post(parcel(shuffled(parts)));
    for (const tenant of TENANTS) await checkOnce(tenant, parts);
    all.push(...parts);
  });

  test('300 receipts of one second in one POST, in any order: kept, and the ranks are right', async () => {
    const number = numberOf('t_batch_a');
    const outs = Array.from({ length: 75 }, (_, i) => echoed(number, '447700910002', `receipts ${i}`));
    const receipts = outs.flatMap((o) => ['sent', 'delivered', 'read', 'played'].map((what) => status(number, o.element.id, what, '447700910002')));
    await post(parcel(shuffled(receipts)));
    await post(parcel(outs)); // they came before their messages
    all.push(...outs, ...receipts);
    await checkOnce('t_batch_a', all);
    const stored = await world.messages('t_batch_a');
    assert.deepEqual(outs.filter((o) => stored.get(o.element.id).status !== 'played'), []);
  });
});
const all = []; // of every parcel, by whichever test

describe('sent twice', () => {
  // All but the last byte of each is there before the last byte of any.
  async function volley(bodies) {
    const guns = await Promise.all(bodies.map(async (text, i) => {
      const body = Buffer.from(text);
      const { port } = managers[i % managers.length];
      const socket = net.connect(port, '127.0.0.1');
      let answer = '';
      const done = new Promise((end) => socket.on('data', (part) => ((answer += part), /\r\n\r\n/.test(answer) && end())).on('close', end).on('error', end));
      await new Promise((open) => socket.once('connect', open));
      const head = `POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: ${sign(body)}\r\nContent-Length: ${body.length}\r\n\r\n`;
      await new Promise((written) => socket.write(Buffer.concat([Buffer.from(head), body.subarray(0, -1)]), written));
      return { fire: () => socket.write(body.subarray(-1)), done, socket, status: () => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0) };
    }));
    await sleep(100);
    guns.forEach((g) => g.fire());
    await within(Promise.all(guns.map((g) => g.done)), 20000 * PATIENCE);
    guns.forEach((g) => g.socket.destroy());
    return guns.map((g) => g.status());
  }

  test('50 times at the same moment: one row, one event', async () => {
    for (let round = 0; round < 5; round++) {
      const number = numberOf('t_batch_b', round % NUMBERS);
      const parts = [message(number, '447700910003', `volley ${round}`), echoed(number, '447700910003', `back ${round}`)];
      parts.push(status(number, parts[1].element.id, 'read', '447700910003'));
      const body = JSON.stringify(parcel(parts));
      const statuses = await volley(Array(50).fill(body));
      assert.deepEqual([...new Set(statuses)], [200]);
      all.push(...parts);
    }
    await checkOnce('t_batch_b', all);
  });

  test('in other parcels: split, put together anew, several at once', async () => {
    const parts = [];
    for (const tenant of TENANTS)
      for (let i = 0; i < NUMBERS; i++)
        for (let k = 0; k < 6; k++) {
          const [number, who] = [numberOf(tenant, i), `44770091${1 + i}00${k}`];
          const out = echoed(number, who, `parcel out ${k}`);
          parts.push(message(number, who, `parcel ${k}`), out, ...['sent', 'delivered', 'read'].map((what) => status(number, out.element.id, what, who)));
        }
    for (let round = 0; round < 8; round++) {
      const bodies = [];
      for (let rest = shuffled(parts); rest.length; ) bodies.push(parcel(rest.splice(0, 1 + below(40))));
      await Promise.all(bodies.map(post));
    }
    all.push(...parts);
    for (const tenant of TENANTS) await checkOnce(tenant, all);
  });

  test('under one id for two numbers, of two tenants or of one: each is kept where it belongs', async () => {
    const id = wamid();
    const numbers = [numberOf('t_batch_a', 0), numberOf('t_batch_a', 1), numberOf('t_batch_c', 0)];
    const parts = numbers.map((number) => echoed(number, '447700910004', `same id on ${number}`, id));
    const receipts = ['sent', 'delivered', 'read'].map((what, i) => status(numbers[i], id, what, '447700910004'));
    await post(parcel(shuffled([...parts, ...receipts])));
    for (let i = 0; i < 3; i++) {
      const tenant = i < 2 ? 't_batch_a' : 't_batch_c';
      const found = [];
      for (const c of await world.list(tenant, '/api/v1/conversations?q=447700910004'))
        if (c.channelId === numbers[i]) found.push(...(await world.list(tenant, `/api/v1/conversations/${c.id}/messages`)).filter((m) => m.messageId === id));
      assert.deepEqual(found.map((m) => [m.text, m.status]), [[`same id on ${numbers[i]}`, ['sent', 'delivered', 'read'][i]]]);
    }
  });
});
