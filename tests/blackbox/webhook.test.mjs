// Webhooks: challenge, signatures, and what each sample becomes in the store, on the exchange and in browsers.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { seededRandom, sleep, until } from '../lib/env.mjs';
import { hmac, rawExchange, request, sign, webhook } from '../lib/http.mjs';
import { MANIFEST, echo, elements, inbound, receipts, sample, sampleBytes, text, textMessage, wamid } from '../lib/samples.mjs';
import { SECRETS } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
const SETTLE_MS = 120;
const RANK = { queued: 0, accepted: 1, sent: 2, delivered: 3, read: 4, played: 5 };
const KEYS = {
  new_message: ['conversationId', 'messageId', 'from', 'from_name', 'message', 'media_url', 'timestamp', 'isNewConversation'],
  conversation_update: ['id', 'conversationId', 'lastMessage', 'lastMessageAt', 'direction'],
  status_update: ['messageId', 'conversationId', 'status', 'timestamp'],
  metrics_update: ['activeConversations', 'waitingConversations', 'totalMessagesToday', 'avgResponseTime', 'timestamp'],
};
const MEDIA = new Set(['image', 'video', 'audio', 'document', 'sticker']);
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

let world;
let serial = 0;
before(async () => (world = await World.open('webhook')));
after(() => world.close());

const quarantined = async () => (await world.sm.metrics()).portalcast_quarantined_total;

function checkKeys(type, data) {
  for (const key of KEYS[type]) assert.ok(key in data, `${type} has ${key}: ${JSON.stringify(data)}`);
  for (const key of Object.keys(data).filter((k) => /timestamp|At$/.test(k))) assert.match(data[key], ISO);
}

// A tenant of its own that owns the numbers, with two browsers and one of a stranger's.
async function scene(numbers = [NUMBER]) {
  const tenant = `s_${++serial}`;
  for (const number of numbers) await world.channel(number, tenant);
  const [one, two, foreign] = await Promise.all([world.browser(tenant), world.browser(tenant), world.browser(`${tenant}_other`)]);
  return {
    tenant,
    browsers: [one, two],
    on: (type) => world.tap.of(tenant, type),
    // Waits for `count` events of a type everywhere, then makes sure that no more come and that nobody else heard.
    async settled(type, count) {
      await until(`${count} ${type} on the exchange`, () => world.tap.of(tenant, type).length >= count);
      if (count) for (const browser of [one, two]) await browser.hears(type, type, count);
      await sleep(SETTLE_MS);
      const published = world.tap.of(tenant).filter((b) => b.seq);
      assert.equal(published.filter((b) => b.type === type).length, count);
      for (const browser of [one, two]) {
        assert.deepEqual(
          browser.news.map((h) => [h.event, h.data, h.offset]),
          published.map((b) => [b.type, b.data, `${b.epoch}-${b.seq}`]),
          'a browser hears what is on the exchange, in order, once',
        );
      }
      assert.deepEqual(foreign.news, []);
    },
    close: () => [one, two, foreign].forEach((b) => b.close()),
  };
}

async function post(body) {
  const answer = await webhook(world.sm, body);
  assert.equal(answer.status, 200, answer.body);
}

describe('challenge', () => {
  const ask = (query) => request('GET', `${world.sm.base}/webhooks/whatsapp?${query}`);
  test('the right token gets the bare challenge', async () => {
    const answer = await ask(`hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${SECRETS.verify}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.body, '1158201444');
    assert.match(answer.headers['content-type'], /^text\/plain/);
  });
  for (const [what, query] of [
    ['a wrong token', 'hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong'],
    ['no token', 'hub.mode=subscribe&hub.challenge=1'],
    ['another mode', `hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=${SECRETS.verify}`],
    ['a challenge that is markup', `hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=${SECRETS.verify}`],
  ])
    test(`${what} is refused`, async () => {
      const answer = await ask(query);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
      assert.doesNotMatch(answer.body, /<script>/);
    });
});

describe('signature', () => {
  const body = () => JSON.stringify(text(NUMBER, '447700900999', `signed ${wamid()}`));
  const cases = [
    ['missing', () => null, 401],
    ['of another body', () => sign('something else'), 403],
    ['with another secret', (b) => sign(b, 'not-the-secret-0123456789abcdef0'), 403],
    ['cut short', (b) => sign(b).slice(0, -2), 403],
    ['one digit too long', (b) => `${sign(b)}0`, 403],
    ['not hexadecimal', (b) => `${sign(b).slice(0, -1)}g`, 403],
    ['empty', () => '', 401],
    ['without its prefix', (b) => hmac(b), 403],
    ['SHA-1', (b) => `sha1=${createHmac('sha1', SECRETS.webhook).update(b).digest('hex')}`, 403],
    ['right', (b) => sign(b), 200],
    ['right, in upper-case digits', (b) => `sha256=${hmac(b).toUpperCase()}`, 200],
    ['made with the previous secret', (b) => sign(b, SECRETS.webhookPrevious), 200],
  ];
  for (const [what, make, expected] of cases)
    test(`${what}: ${expected}`, async () => {
      const bytes = body();
      const id = JSON.parse(bytes).entry[0].changes[0].value.messages[0].id;
      const tenant = `sig_${++serial}`;
      await world.channel(NUMBER, tenant);
      const answer = await webhook(world.sm, bytes, make(bytes));
      assert.equal(answer.status, expected, answer.body);
      if (expected !== 200) assert.ok(answer.json.error.code, answer.body);
      const kept = await world.messages(tenant);
      assert.equal(kept.has(id), expected === 200, 'stored only when the signature holds');
    });
  test('the old SHA-1 header alone counts as missing', async () => {
    const bytes = body();
    const answer = await request('POST', `${world.sm.base}/webhooks/whatsapp`, {
      headers: { 'Content-Type': 'application/json', 'X-Hub-Signature': `sha1=${createHmac('sha1', SECRETS.webhook).update(bytes).digest('hex')}` },
      body: bytes,
    });
    assert.equal(answer.status, 401);
  });
});

describe('samples', () => {
  // The words of a message, as a person would read them; else the caption, else nothing.
  const WORDS = {
    text: (m) => m.text.body,
    button: (m) => m.button.text,
    interactive: (m) => (m.interactive.button_reply ?? m.interactive.list_reply)?.title,
    order: (m) => m.order.text || null,
    system: (m) => m.system.body,
  };
  const expectedText = (m) => WORDS[m.type]?.(m) ?? m[m.type]?.caption ?? null;
  const files = Object.keys(MANIFEST).filter((f) => MANIFEST[f].messages > 0 && !f.startsWith('65') && !f.startsWith('42'));
  for (const file of files)
    test(`${file}: ${MANIFEST[file].messages} messages stored, published, heard`, async () => {
      const body = sample(file);
      const all = elements(body).filter((e) => e.kind === 'message');
      const s = await scene();
      await post(sampleBytes(file));
      await s.settled('new_message', MANIFEST[file].messages);
      const stored = await world.messages(s.tenant);
      assert.equal(stored.size, MANIFEST[file].distinct_message_ids);
      const events = s.on('new_message').map((b) => b.data);
      const seen = new Set();
      all.forEach(({ element: m, contacts }, i) => {
        const data = events[i];
        checkKeys('new_message', data);
        const sender = m.from ?? m.from_user_id;
        const name = contacts.find((c) => c.wa_id === m.from)?.profile?.name ?? null;
        const expected = {
          messageId: m.id, from: m.from ? `+${m.from}` : null, from_name: name, message: expectedText(m),
          timestamp: new Date(Number(m.timestamp) * 1000).toISOString(), isNewConversation: !seen.has(sender), media_url: MEDIA.has(m.type) ? (m[m.type].url ?? null) : null,
        };
        for (const [key, value] of Object.entries(expected)) assert.deepEqual(data[key], value, `${key} of message ${i}`);
        seen.add(sender);
        const kept = stored.get(m.id);
        assert.equal(kept.conversationId, data.conversationId);
        assert.equal(kept.direction, 'inbound');
        assert.equal(kept.type, m.type);
        assert.deepEqual(kept.raw, m, 'the element is kept as it came');
      });
      s.close();
    });

  test('42_batch_multi_entry_multi_number.json: routed by the signed number', async () => {
    const numbers = MANIFEST['42_batch_multi_entry_multi_number.json'].phone_number_ids;
    const owners = Object.fromEntries(numbers.map((n, i) => [n, `b42_${i}`]));
    for (const [number, tenant] of Object.entries(owners)) await world.channel(number, tenant);
    const browsers = Object.fromEntries(await Promise.all(Object.values(owners).map(async (t) => [t, await world.browser(t)])));
    const body = sample('42_batch_multi_entry_multi_number.json');
    await post(sampleBytes('42_batch_multi_entry_multi_number.json'));
    for (const [number, tenant] of Object.entries(owners)) {
      const ids = elements(body).filter((e) => e.kind === 'message' && e.number === number).map((e) => e.element.id);
      await browsers[tenant].hears('new_message', 'new_message', ids.length);
      await sleep(SETTLE_MS);
      assert.deepEqual(browsers[tenant].news.map((h) => h.data.messageId), ids);
      assert.deepEqual([...(await world.messages(tenant)).keys()].sort(), [...ids].sort());
    }
  });

  test('47_other_webhook_fields.json: the echo becomes an outbound message, the rest is kept', async () => {
    const { element } = elements(sample('47_other_webhook_fields.json')).find((e) => e.kind === 'echo');
    const s = await scene();
    await post(sampleBytes('47_other_webhook_fields.json'));
    await s.settled('conversation_update', 1);
    const [{ data }] = s.on('conversation_update');
    checkKeys('conversation_update', data);
    assert.equal(data.id, data.conversationId);
    assert.equal(data.lastMessage, element.text.body);
    assert.equal(data.direction, 'outbound');
    const stored = await world.messages(s.tenant);
    assert.equal(stored.size, 1);
    assert.equal(stored.get(element.id).direction, 'outbound');
    assert.equal(s.on('new_message').length, 0);
    s.close();
  });

  for (const file of Object.keys(MANIFEST).filter((f) => MANIFEST[f].statuses > 0 && !MANIFEST[f].messages)) {
    const list = elements(sample(file)).filter((e) => e.kind === 'status').map((e) => e.element);
    const byId = new Map(list.map((s) => [s.id, list.filter((x) => x.id === s.id)]));
    // What an upward-only ladder makes of the receipts of a message that was sent.
    const moves = (its) => {
      let now = 'sent';
      const made = [];
      for (const { status } of its)
        if (status === 'failed' ? RANK[now] <= RANK.sent : now === 'failed' ? RANK[status] > RANK.sent : RANK[status] > RANK[now]) made.push((now = status));
      return { now, made };
    };
    const check = async (s, stored) => {
      for (const [id, its] of byId) {
        const { now, made } = moves(its);
        const updates = s.on('status_update').map((b) => b.data).filter((d) => d.messageId === id);
        updates.forEach((d) => checkKeys('status_update', d));
        assert.deepEqual(updates.map((d) => d.status), made);
        assert.equal(stored.get(id).status, now);
        assert.equal(stored.get(id).statusHistory.length, its.length, 'every receipt is kept');
      }
    };
    const count = [...byId.values()].reduce((sum, its) => sum + moves(its).made.length, 0);
    test(`${file}: receipts of a known message`, async () => {
      const s = await scene();
      for (const [id, its] of byId) await post(echo(NUMBER, its[0].recipient_id, 'hello', id));
      await post(sampleBytes(file));
      await s.settled('status_update', count);
      await check(s, await world.messages(s.tenant));
      s.close();
    });
    test(`${file}: receipts that come before their message`, async () => {
      const s = await scene();
      await post(sampleBytes(file));
      await sleep(SETTLE_MS);
      assert.deepEqual(s.on('status_update'), [], 'nothing is announced before the message is known');
      for (const [id, its] of byId) await post(echo(NUMBER, its[0].recipient_id, 'hello', id));
      await s.settled('status_update', count);
      await check(s, await world.messages(s.tenant));
      s.close();
    });
  }

  for (const file of ['40_errors_only.json', '48_object_not_whatsapp.json'])
    test(`${file}: nothing becomes a message`, async () => {
      const s = await scene();
      await post(sampleBytes(file));
      await s.settled('new_message', 0);
      assert.equal((await world.messages(s.tenant)).size, 0);
      s.close();
    });

  test('65_invalid_utf8.json: quarantined, and heard nowhere', async () => {
    const s = await scene(MANIFEST['65_invalid_utf8.json'].phone_number_ids);
    const before = await quarantined();
    await post(sampleBytes('65_invalid_utf8.json'));
    assert.ok((await quarantined()) > before);
    await s.settled('new_message', 0);
    assert.equal((await world.messages(s.tenant)).size, 0);
    s.close();
  });
});

describe('once', () => {
  test('50 posts of one body at once: one message, one event', async () => {
    const s = await scene();
    const body = JSON.stringify(text(NUMBER, '447700900111', 'only once'));
    const answers = await Promise.all(Array.from({ length: 50 }, () => webhook(world.sm, body)));
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [200]);
    await s.settled('new_message', 1);
    assert.equal((await world.messages(s.tenant)).size, 1);
    const [conversation] = await world.list(s.tenant, '/api/v1/conversations');
    assert.equal(conversation.unread, 1);
    s.close();
  });
  test('a message that comes again in another batch', async () => {
    const s = await scene();
    const [a, b] = [textMessage('447700900112', 'first'), textMessage('447700900112', 'second')];
    await post(inbound(NUMBER, [a]));
    await post(inbound(NUMBER, [a, b]));
    await s.settled('new_message', 2);
    assert.deepEqual(s.on('new_message').map((e) => e.data.message), ['first', 'second']);
    s.close();
  });
  test("one id under two tenants' numbers: both are kept", async () => {
    const message = textMessage('447700900113', 'same id');
    const numbers = ['200000000000021', '200000000000022'];
    for (const [i, number] of numbers.entries()) await world.channel(number, `same_${i}`);
    for (const number of numbers) await post(inbound(number, [message]));
    for (const i of [0, 1]) {
      await until('the event', () => world.tap.of(`same_${i}`, 'new_message').length === 1);
      assert.ok((await world.messages(`same_${i}`)).has(message.id));
    }
  });
});

describe('order', () => {
  test('statuses in any order end at the right rank and only move up', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1e9);
    console.log(`# seed webhook ${seed}`);
    const random = seededRandom(seed);
    const s = await scene();
    const expected = new Map();
    for (let i = 0; i < 24; i++) {
      const id = wamid();
      const list = ['sent', 'delivered', 'read', ...(i % 3 ? [] : ['played']), ...(i % 4 ? [] : ['failed'])];
      const shuffled = list.map((status) => [random(), status]).sort((a, b) => a[0] - b[0]).map(([, status]) => status);
      const posts = shuffled.map((status) => receipts(NUMBER, [[id, status, '447700900114', '1789200320']]));
      posts.splice(Math.floor(random() * (posts.length + 1)), 0, echo(NUMBER, '447700900114', `n ${i}`, id));
      for (const body of posts) await post(body);
      expected.set(id, list.includes('played') ? 'played' : 'read');
    }
    const stored = await until('all ranks', async () => {
      const found = await world.messages(s.tenant);
      return found.size === expected.size ? found : null;
    });
    for (const [id, status] of expected) {
      assert.equal(stored.get(id).status, status, id);
      const ranks = s.on('status_update').map((b) => b.data).filter((d) => d.messageId === id).map((d) => (d.status === 'failed' ? 2.5 : RANK[d.status]));
      ranks.forEach((rank, i) => assert.ok(i === 0 || rank > ranks[i - 1], `${id} moves up: ${ranks}`));
    }
    s.close();
  });
  test('70_batch_200_messages.json: order within a sender', async () => {
    const s = await scene();
    await post(sampleBytes('70_batch_200_messages.json'));
    await s.settled('new_message', 200);
    const sent = elements(sample('70_batch_200_messages.json')).map((e) => e.element);
    for (const sender of new Set(sent.map((m) => m.from))) {
      const ids = sent.filter((m) => m.from === sender).map((m) => m.id);
      assert.deepEqual(s.browsers[0].of('new_message').filter((h) => h.data.from === `+${sender}`).map((h) => h.data.messageId), ids);
    }
    s.close();
  });
  test('an element that cannot be understood does not harm its neighbours', async () => {
    const s = await scene();
    const good = [textMessage('447700900115', 'before'), textMessage('447700900115', 'after')];
    const body = inbound(NUMBER, [good[0], 'not an object', { id: 17, type: ['x'] }, good[1]]);
    await post(body);
    await s.browsers[0].hears('both', (h) => good.some((m) => m.id === h.data?.messageId), 2);
    s.close();
  });
});

describe('what belongs to nobody', () => {
  test('a number that no tenant owns: 200, quarantined, counted', async () => {
    const before = await quarantined();
    await post(text('299999999999999', '447700900116', 'for nobody'));
    assert.equal(await quarantined(), before + 1);
  });
  test('signed bytes that are no JSON: 200, quarantined, counted', async () => {
    const before = await quarantined();
    for (const bytes of ['{"object":', 'hello', '[1,2', `${'['.repeat(5000)}`]) await post(bytes);
    assert.equal(await quarantined(), before + 4);
  });
  test('the metrics of a tenant come at most once a second', async () => {
    const s = await scene();
    for (let i = 0; i < 15; i++) {
      await post(text(NUMBER, `4477009002${10 + i}`, 'hello'));
      await sleep(100);
    }
    await s.browsers[0].hears('figures', (h) => h.event === 'metrics_update' && h.data.activeConversations === 15);
    await until('them on the exchange', () => world.tap.of(s.tenant, 'metrics_update').at(-1)?.data.activeConversations === 15);
    const updates = world.tap.of(s.tenant, 'metrics_update');
    assert.ok(updates.length <= 4, `${updates.length} updates in 1.5 s`);
    for (const update of updates) {
      assert.equal(update.class, 'latest');
      checkKeys('metrics_update', update.data);
    }
    const { data } = updates.at(-1);
    assert.equal(data.activeConversations, 15);
    assert.equal(data.waitingConversations, 15);
    assert.equal(data.totalMessagesToday, 15);
    s.close();
  });
});

describe('clear answers', () => {
  const url = () => `${world.sm.base}/webhooks/whatsapp`;
  const json = { 'Content-Type': 'application/json' };
  test('404 for an unknown path', async () => {
    const answer = await request('POST', `${world.sm.base}/webhooks/nothing`, { headers: json, body: '{}' });
    assert.equal(answer.status, 404);
    assert.equal(answer.json.error.code, 'NOT_FOUND');
  });
  test('405 with Allow for a wrong method', async () => {
    const answer = await request('DELETE', url());
    assert.equal(answer.status, 405);
    const allow = answer.headers.allow.split(',').map((m) => m.trim());
    assert.ok(allow.includes('GET') && allow.includes('POST'), answer.headers.allow);
  });
  test('411 without a length', async () => {
    const answer = await rawExchange(world.sm.port, 'POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n', { enough: /\r\n\r\n/ });
    assert.match(answer, /^HTTP\/1\.1 411 /);
  });
  test('411 for a chunked body', async () => {
    const answer = await rawExchange(world.sm.port, 'POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', { enough: /\r\n\r\n/ });
    assert.match(answer, /^HTTP\/1\.1 411 /);
  });
  test('413 for more than 3 MiB, before the body is read', async () => {
    const answer = await rawExchange(world.sm.port, `POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${3 * 1024 * 1024 + 1}\r\n\r\n`, { enough: /\r\n\r\n/ });
    assert.match(answer, /^HTTP\/1\.1 413 /);
  });
  test('exactly 3 MiB is taken', async () => {
    const s = await scene();
    const body = text(NUMBER, '447700900117', 'padded');
    const bytes = JSON.stringify(body).padEnd(3 * 1024 * 1024, ' ');
    await post(bytes);
    await s.settled('new_message', 1);
    s.close();
  });
  // A 4xx would be sent again for a week: what is signed is taken.
  test('the signature decides, not the type of content', async () => {
    const s = await scene();
    const body = JSON.stringify(text(NUMBER, '447700900118', 'of an odd type'));
    const answer = await request('POST', url(), { headers: { 'Content-Type': 'text/plain', 'X-Hub-Signature-256': sign(body) }, body });
    assert.equal(answer.status, 200);
    await s.settled('new_message', 1);
    s.close();
  });
});
