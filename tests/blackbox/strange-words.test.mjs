// Strings that break out of where they are put: control characters, line ends, quotes, escapes, right-to-left marks, names of
// JavaScript's own. They come out as they went in, by REST, on the exchange, on the queue of consumers and in browsers by every
// way; and whatever of them gets into a log stays in its one line, harmless to a terminal.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import amqp from 'amqplib';
import { until } from '../lib/env.mjs';
import { jwt, rawExchange, rest, tokenOf, webhook } from '../lib/http.mjs';
import { ALL_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000801';
const TENANT = 't_strange';
const FORGED = 'level=error event=forged';
const NUL = String.fromCharCode(0);
const WORDS = {
  'a NUL': `a${NUL}b`,
  'line ends': `a\r\n\n\rb\u0085c\u2028d\u2029e`,
  'a forged log line': `x"\r\ntime=2026-01-01T00:00:00.000Z ${FORGED} text="`,
  'escape sequences of a terminal': '\u001b[2J\u001b]0;owned\u0007\u009b31m\u009d0;x\u009c\u007f\b\b\b',
  'all control characters': Array.from({ length: 33 }, (_, i) => String.fromCharCode(i)).join('') + '\u007f\u0080\u009f',
  'right-to-left marks': '\u202ecod.exe\u202c \u2066left\u2069 \u200f\u200e\u061c\u2067x',
  'quotes and backslashes': `"\\"\\\\'\`\${7*7}{{7*7}}%s%n%x%00\\u0000\\x00`,
  'markup': '<script>alert(1)</script><!--]]>&amp;&#0;',
  'what separates packets': `\u001e42["new_message"]\u001e1\u001e`,
  'a packet': `42["new_message",{}]`,
  'JavaScript’s own names': '__proto__',
  'a query': `'; DROP TABLE log; -- {"$gt":""} $where`,
  'characters that combine, and none at all': 'Z̴͑͗͌a̷l̵g̶o \u200b\u200c\u200d\ufeff\ufffe\uffff',
  'the last code points': '\u{10ffff}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u{e0001}',
  '4000 of the longest': '\u{10ffff}'.repeat(1000),
};

let world, connection;
const consumed = [];
const members = [];
before(async () => {
  world = await World.open('strange-words');
  await world.channel(NUMBER, TENANT);
  connection = await amqp.connect(world.amqpUrl);
  const channel = await connection.createChannel();
  await channel.consume('inbound.enriched', (m) => m && consumed.push(JSON.parse(m.content)), { noAck: true });
  for (const way of ALL_WAYS) members.push(await member(way, world.gw, { token: tokenOf(TENANT) }).there());
});
after(async () => {
  closeMembers();
  await connection.close();
  await world.close();
});

const published = (match) => until('it on the exchange', () => world.tap.of(TENANT).find(match));
const heard = (match) => Promise.all(members.map(async (m) => (await m.hears('it', (h) => match(h)))[0]));
let serial = 0;

describe('come out as they went in', () => {
  for (const [what, words] of Object.entries(WORDS)) {
    test(`${what}: as a name and a text of a customer's`, async () => {
      const from = `4477009301${String(++serial).padStart(2, '0')}`;
      const message = textMessage(from, words);
      const answer = await webhook(world.sm, inbound(NUMBER, [message], { [from]: words }));
      assert.equal(answer.status, 200, answer.body);
      const is = (e) => e.data?.messageId === message.id;
      for (const { data } of [await published(is), ...(await heard(is))]) assert.deepEqual([data.from_name, data.message], [words, words]);
      const enriched = await until('it on the queue', () => consumed.find((c) => c.message.messageId === message.id));
      assert.deepEqual([enriched.message.text, enriched.message.fromName, enriched.conversation.contact.name], [words, words, words]);
      const { json: one } = await world.api(TENANT, 'GET', `/api/v1/conversations/${enriched.conversation.id}`);
      const { json: many } = await world.api(TENANT, 'GET', `/api/v1/conversations/${enriched.conversation.id}/messages`);
      assert.deepEqual([one.contact.name, one.lastMessage, many.items[0].text, many.items[0].raw.text.body], [words, words, words, words]);
    });
    test(`${what}: published by a backend, as a value, a name and a room`, async () => {
      const data = { words, [words]: words, list: [words, [words]], n: ++serial };
      const answer = await world.api(TENANT, 'POST', '/api/v1/events', { event: 'strange', data }, 'service');
      assert.equal(answer.status, 202, answer.body);
      const is = (e) => e.data?.n === data.n;
      for (const e of [await published(is), ...(await heard(is))]) assert.deepEqual(JSON.stringify(e.data), JSON.stringify(data));
      const { json } = await world.api(TENANT, 'GET', '/api/v1/events?limit=1000');
      assert.deepEqual(JSON.stringify(json.items.find(is).data), JSON.stringify(data));
    });
    test(`${what}: said by an agent, over REST and on a socket; a NUL is refused`, async () => {
      const { id } = (await world.list(TENANT, '/api/v1/conversations'))[0];
      const refused = words.includes(NUL);
      const answer = await world.api(TENANT, 'POST', `/api/v1/conversations/${id}/messages`, { text: words });
      assert.equal(answer.status, refused ? 422 : 202, answer.body);
      const told = await members[0].asks('send_message', { conversationId: id, text: words, clientMessageId: `m${++serial}` });
      assert.equal(told.ok, !refused, JSON.stringify(told));
      const patched = await world.api(TENANT, 'PATCH', `/api/v1/conversations/${id}`, { assignee: words.slice(0, 30), tags: [words.slice(0, 16)] });
      assert.equal(patched.status, refused ? 422 : 200, patched.body);
      if (refused) return;
      const { json } = await world.api(TENANT, 'GET', `/api/v1/conversations/${id}/messages?limit=2`);
      assert.deepEqual(json.items.map((m) => m.text), [words, words]);
      const { json: now } = await world.api(TENANT, 'GET', `/api/v1/conversations/${id}`);
      assert.deepEqual([now.assignee, now.tags], [words.slice(0, 30), [words.slice(0, 16)]]);
    });
  }
});

describe('in the log', () => {
  // What a terminal obeys, what begins a line anywhere, and what turns the order of a line round.
  const HARMFUL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
  // Whoever can say something to either service says it in all places that there are.
  async function sayEverywhere(words) {
    const agent = (more) => jwt({ tenantId: TENANT, sub: words.replaceAll(NUL, '').slice(0, 30), role: 'agent', ...more });
    const header = words.replace(/[^\x20-\x7e]/g, '?');
    const path = encodeURIComponent(words.slice(0, 200));
    const get = (service, target, bearer) => rawExchange(service.port, `GET ${target} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${header}\r\nOrigin: ${header}\r\nAuthorization: Bearer ${bearer}\r\nConnection: close\r\n\r\n`, { enough: /\r\n\r\n/ });
    for (const service of [world.sm, world.gw]) await get(service, `/${path}?q=${path}`, header);
    for (const target of [`?q=${path}&cursor=${path}`, `/${path}`, '']) await get(world.sm, `/api/v1/conversations${target}`, target ? agent() : agent({ tenantId: words }));
    await rest(world.sm, agent({ role: 'service' }), 'POST', '/api/v1/events', { [words]: words, event: words, class: words, rooms: [words], data: 1 });
    await rest(world.sm, agent({ role: 'service' }), 'POST', '/api/v1/events', `{"event":"${words}`);
    await webhook(world.sm, words, words.replace(/[^\x20-\x7e]/g, '?'));
    await webhook(world.sm, words);
    await world.tap.publish(`tenant.${TENANT}.${words.slice(0, 60)}`.replaceAll('\u0000', '0'), words);
    await world.tap.publish(`tenant.${TENANT}.strange`, { type: words, tenantId: TENANT, data: words });
    await world.tap.channel.sendToQueue('waba.agent-portal.events', Buffer.from(words));
    await world.tap.channel.sendToQueue('waba.agent-portal.events', Buffer.from(JSON.stringify({ type: words, tenantId: words, data: 1 })));
    await world.tap.channel.sendToQueue('state-manager.rpc', Buffer.from(JSON.stringify({ v: 1, op: words })), { correlationId: 'x', replyTo: 'nobody' });
    for (const way of ALL_WAYS) {
      const one = member(way, world.gw, { token: agent(), offset: words, pid: words });
      await one.there();
      if (way === 'ws') for (const type of ['join', 'emit', words]) await one.asks({ type, room: words, event: words, data: words });
      else for (const event of ['join_conversation', 'send_message', 'mark_read', 'typing', 'set_presence', 'refresh_token']) await one.asks(event, event === 'join_conversation' ? words : { conversationId: words, text: words, clientMessageId: words, status: words, isTyping: true, token: words });
    }
    member('websocket', world.gw, { token: words });
    member('ws', world.gw, { token: words });
  }

  let begun;
  before(() => (begun = world.services.map((s) => s.log(Infinity).length)));
  for (const [what, words] of Object.entries(WORDS))
    test(`${what}: one line each, and nothing in it that does anything`, async () => {
      const size = world.gw.log(Infinity).length;
      await sayEverywhere(words);
      await until('what became of it', () => world.gw.log(Infinity).length > size);
      for (const [i, service] of world.services.entries())
        for (const line of service.log(Infinity).slice(begun[i]).split('\n').filter(Boolean)) {
          assert.doesNotMatch(line, HARMFUL);
          assert.match(line, /^time=\d{4}-\d\d-\d\dT[\d:.]+Z level=\w+ event=\w+( |$)/);
          assert.doesNotMatch(line, new RegExp(`^time=\\S+ ${FORGED}`));
        }
    });
});
