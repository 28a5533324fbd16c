// What browsers say: commands that go through the state-manager's rules, are acknowledged when they are durable, and have
// one effect however often they are sent.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Door } from '../lib/clients.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_commands';
const OTHER = 't_others';
const NUMBER = '200000000000081';
const FOREIGN = '200000000000082';
let world, id, foreign, customers = 0;
const customer = () => `4477009${String(10000 + ++customers)}`;
before(async () => {
  world = await World.open('commands');
  await world.channel(NUMBER, TENANT);
  await world.channel(FOREIGN, OTHER);
  id = await world.conversation(TENANT, NUMBER, customer());
  foreign = await world.conversation(OTHER, FOREIGN, customer());
});
after(() => world.close());

const messages = async (conversation = id, tenant = TENANT) =>
  (await world.list(tenant, `/api/v1/conversations/${conversation}/messages`)).filter((m) => m.direction === 'outbound').map((m) => m.text).reverse();
const conversationNow = async (conversation = id) => (await world.api(TENANT, 'GET', `/api/v1/conversations/${conversation}`)).json;
const error = (code) => (answer) => {
  assert.equal(answer.ok, false, JSON.stringify(answer));
  assert.equal(answer.error.code, code, JSON.stringify(answer));
  assert.equal(typeof answer.error.message, 'string');
};
let turn = 0;
const key = () => `k-${++turn}`;

for (const [name, options] of [['polling', { transports: ['polling'] }], ['websocket', {}]])
  describe(`socket.io-client on ${name}`, () => {
    test('a message is stored, announced and acknowledged', async () => {
      const browser = await world.browser(TENANT, options);
      const clientMessageId = key();
      const answer = await browser.asks('send_message', { conversationId: id, text: `by ${name} – ü`, clientMessageId });
      assert.match(answer.id, /^m_/);
      assert.deepEqual(answer, { ok: true, id: answer.id, conversationId: id, status: 'queued', clientMessageId });
      assert.equal((await messages()).at(-1), `by ${name} – ü`);
      await browser.hears('the change', (h) => h.event === 'conversation_update' && h.data.lastMessage === `by ${name} – ü`);
    });
    test('a conversation is marked as read', async () => {
      const browser = await world.browser(TENANT, options);
      const unread = await world.conversation(TENANT, NUMBER, customer());
      assert.equal((await conversationNow(unread)).unread, 1);
      assert.deepEqual(await browser.asks('mark_read', { conversationId: unread }), { ok: true, conversationId: unread });
      assert.equal((await conversationNow(unread)).unread, 0);
      assert.deepEqual(await browser.asks('mark_read', unread), { ok: true, conversationId: unread });
    });
    test('status', async () => {
      const browser = await world.browser(TENANT, options);
      for (const status of ['away', 'busy', 'online']) assert.deepEqual(await browser.asks('set_presence', { status }), { ok: true, status });
      error('INVALID')(await browser.asks('set_presence', { status: 'offline' }));
    });
  });

describe('/ws', () => {
  test('says the same', async () => {
    const plain = await world.plain(TENANT);
    const clientMessageId = key();
    const data = { conversationId: id, text: 'by /ws', clientMessageId };
    const answer = await plain.asks({ type: 'emit', event: 'send_message', data });
    assert.equal(answer.type, 'ack');
    assert.deepEqual(answer.data, { ok: true, id: answer.data.id, conversationId: id, status: 'queued', clientMessageId });
    assert.equal((await messages()).at(-1), 'by /ws');
    const again = await plain.asks({ type: 'emit', event: 'send_message', data });
    assert.deepEqual(again.data, answer.data);
    assert.equal((await messages()).filter((m) => m === 'by /ws').length, 1);
  });
  test('is told why not', async () => {
    const plain = await world.plain(TENANT);
    const rows = [
      [{ event: 'send_message', data: { conversationId: 'c_none', text: 'x' } }, 'NOT_FOUND'],
      [{ event: 'send_message', data: { conversationId: id } }, 'INVALID'],
      [{ event: 'mark_read' }, 'INVALID'],
      [{ event: 'dance' }, 'UNKNOWN_EVENT'],
      [{ event: 7 }, 'INVALID'],
    ];
    for (const [what, code] of rows) {
      const answer = await plain.asks({ type: 'emit', ...what });
      assert.deepEqual([answer.type, answer.code], ['error', code], JSON.stringify(what));
    }
  });
});

describe('one effect', () => {
  test('a known clientMessageId is answered as before, over whatever it comes', async () => {
    const browser = await world.browser(TENANT);
    const clientMessageId = key();
    const data = { conversationId: id, text: 'once', clientMessageId };
    const first = await browser.asks('send_message', data);
    assert.deepEqual(await browser.asks('send_message', data), first);
    const { status, json } = await rest(world.sm, tokenOf(TENANT), 'POST', `/api/v1/conversations/${id}/messages`, { text: 'once' }, { 'Idempotency-Key': clientMessageId });
    assert.deepEqual([status, json.id], [202, first.id], 'the same name over REST is the same message');
    error('INVALID')(await browser.asks('send_message', { ...data, text: 'another' }));
    const colleague = await world.browser(TENANT, { claims: { sub: 'agent-2' } });
    assert.notEqual((await colleague.asks('send_message', data)).id, first.id, 'names are the user’s own');
    assert.equal((await messages()).filter((m) => m === 'once').length, 2);
  });
  test('acknowledged is kept, whatever is killed then', async () => {
    const browser = await world.browser(TENANT);
    const answer = await browser.asks('send_message', { conversationId: id, text: 'kept', clientMessageId: key() });
    await world.sm.kill();
    await world.sm.start();
    assert.equal(answer.ok, true);
    assert.equal((await messages()).filter((m) => m === 'kept').length, 1);
  });
  test('retries of the stock client, while the state-manager hangs and comes back', async () => {
    const texts = Array.from({ length: 8 }, (_, i) => `retried ${i}`);
    const browser = await world.browser(TENANT, { retries: 200, ackTimeout: 300 * PATIENCE });
    const answers = [];
    world.sm.child.kill('SIGSTOP');
    for (const text of texts) browser.socket.emit('send_message', { conversationId: id, text, clientMessageId: key() }, (...args) => answers.push(args));
    await sleep(1500 * PATIENCE); // some tries
    world.sm.child.kill('SIGCONT');
    await until('all answers', () => answers.length === texts.length, 30000);
    for (const [late, answer] of answers) assert.deepEqual([late, answer.ok], [null, true], JSON.stringify(answers));
    assert.deepEqual((await messages()).filter((m) => m.startsWith('retried ')), texts, 'each once, in order');
  });
  test('what is said while offline, and what was under way when the line was cut', async () => {
    const door = await new Door(world.gw.port).open();
    const texts = Array.from({ length: 30 }, (_, i) => `buffered ${i}`);
    const options = { retries: 200, ackTimeout: 1000 * PATIENCE, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
    const client = new SioClient(door.base, tokenOf(TENANT), options);
    world.browsers.push(client);
    await client.connected();
    const answers = [];
    for (const [i, text] of texts.entries()) {
      client.socket.emit('send_message', { conversationId: id, text, clientMessageId: key() }, (...args) => answers.push(args));
      if (i % 10 === 5) door.cut();
      await sleep(10);
    }
    await until('all answers', () => answers.length === texts.length, 30000);
    for (const [late, answer] of answers) assert.deepEqual([late, answer.ok], [null, true]);
    assert.ok(client.disconnects.length >= 2, `cut ${client.disconnects.length} times`);
    assert.deepEqual((await messages()).filter((m) => m.startsWith('buffered ')), texts, 'each once, in order');
    door.close();
  });
});

describe('refused', () => {
  const rows = [
    ['send_message', [], 'INVALID'],
    ['send_message', [{ text: 'x' }], 'INVALID'],
    ['send_message', [{ conversationId: 'C', text: '' }], 'INVALID'],
    ['send_message', [{ conversationId: 'C', text: 'x'.repeat(4097) }], 'INVALID'],
    ['send_message', [{ conversationId: 'C', type: 'hologram' }], 'INVALID'],
    ['send_message', [{ conversationId: 'C', text: 'x', clientMessageId: 7 }], 'INVALID'],
    ['send_message', [{ conversationId: 'C', type: 'image', image: { link: 'x'.repeat(262144) } }], 'TOO_LARGE'],
    ['send_message', [{ conversationId: 'C', text: 'x', more: Buffer.from([1]) }], 'INVALID'],
    ['send_message', [{ conversationId: 'none', text: 'x' }], 'NOT_FOUND'],
    ['send_message', [{ conversationId: 'FOREIGN', text: 'x' }], 'NOT_FOUND'],
    ['mark_read', [{ conversationId: 'FOREIGN' }], 'NOT_FOUND'],
    ['mark_read', ['FOREIGN'], 'NOT_FOUND'],
    ['mark_read', ['a/b'], 'INVALID'],
    ['typing', [{ conversationId: 'FOREIGN', isTyping: true }], 'NOT_FOUND'],
    ['join_conversation', ['FOREIGN'], 'NOT_FOUND'],
    ['join_conversation', [`FOREIGN\u0000`], 'INVALID'],
    ['refresh_token', [{ token: 'a.b.c' }], 'TOKEN_INVALID'],
  ];
  const filled = (value) => (typeof value === 'string' ? value.replace('FOREIGN', foreign).replace(/^C$/, id) : value);
  const fill = (arg) => (arg && typeof arg === 'object' ? Object.fromEntries(Object.entries(arg).map(([k, v]) => [k, filled(v)])) : filled(arg));
  for (const [event, args, code] of rows)
    test(`${event} ${JSON.stringify(args).slice(0, 80)}: ${code}`, async () => {
      const before = await messages();
      const browser = await world.browser(TENANT);
      error(code)(await browser.asks(event, ...args.map(fill)));
      browser.socket.emit(event, ...args.map(fill)); // without a function: only logged
      const answer = await browser.asks('send_message', { conversationId: id, text: 'goes on', clientMessageId: key() });
      assert.equal(answer.ok, true, 'the connection goes on');
      assert.deepEqual((await messages()).slice(0, -1), before);
      assert.deepEqual(await messages(foreign, OTHER), []);
      assert.deepEqual(browser.disconnects, []);
      browser.close();
    });
  test('who asks for much at once, and when nobody answers', async () => {
    const browser = await world.browser(TENANT);
    world.sm.child.kill('SIGSTOP');
    const answers = [];
    for (let i = 0; i < 70; i++) browser.socket.emit('mark_read', id, (answer) => answers.push(answer));
    await until('those over the limit', () => answers.length === 6);
    answers.forEach(error('LIMITED'));
    await until('the rest', () => answers.length === 70, 20000);
    answers.slice(6).forEach(error('UNAVAILABLE'));
    world.sm.child.kill('SIGCONT');
    await until('the state-manager again', async () => (await browser.asks('mark_read', id)).ok, 20000);
  });
});
