// The official clients, old and new, on every transport, and the raw Engine.IO client, against the profile of protocol
// suites: what a page written for a Node server does must work without it noticing.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Socket as Engine } from 'engine.io-client';
import { Door, MATRIX, Official, callOn } from '../lib/clients.mjs';
import { PATIENCE, RUN_DIR, sleep, until, within } from '../lib/env.mjs';
import { gateway } from '../lib/services.mjs';

const SETTINGS = { PROFILE: 'conformance', RECOVERY: 'off', PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: String(200 * PATIENCE), CONNECT_TIMEOUT_MS: String(1000 * PATIENCE), MAX_PAYLOAD: '1000000', JWT_SECRET: '' };
let service;
let door;
before(async () => {
  // It needs no broker: nobody listens there.
  service = await gateway(RUN_DIR, 'amqp://guest:guest@127.0.0.1:9/', SETTINGS);
  await service.start();
  door = await new Door(service.port).open();
});
const clients = new Set();
afterEach(() => {
  clients.forEach((c) => c.close());
  clients.clear();
});
after(async () => {
  door?.close();
  await service.stop();
});

async function joined(options, { base = service.base, token = 'x' } = {}) {
  const client = new Official(base, token, options);
  clients.add(client);
  await client.connected();
  return client;
}
const sessions = async () => {
  const metrics = await service.metrics();
  return metrics['portalcast_gateway_transports{transport="polling"}'] + metrics['portalcast_gateway_transports{transport="websocket"}'];
};
async function leaves(client) {
  clients.delete(client);
  client.close();
  await until('no session', async () => (await sessions()) === 0);
}
const heardOn = (socket, event) => new Promise((done) => socket.once(event, (...args) => done(args)));
const EVENTS = [
  [],
  [1, '2', { 3: [true] }],
  [null, [], {}, '', 0, false],
  ['h\u00e9llo \u20ac \u{1f600}', '\u0000\u001e\u001f\u2028"\\/', { '\u00fc': ['\u{10ffff}'] }],
  [{ _placeholder: true, num: 0 }],
  [Number.MAX_SAFE_INTEGER, -0.5, 1e300],
  ['x'.repeat(300000)],
];
const BINARY = [
  [Buffer.from([1, 2, 3, 4])],
  ['text', Buffer.alloc(0), { deep: [{ in: Buffer.from('b4') }] }, 'more'],
  Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i)),
  [Buffer.alloc(200000, 0xff)],
];

for (const { name, transport, options } of MATRIX)
  describe(name, () => {
    test('events come back as they were sent', async () => {
      const client = await joined(options());
      const [auth] = await client.hears('auth', 'auth');
      assert.deepEqual(auth.args, [{ token: 'x' }]);
      EVENTS.forEach((args) => client.socket.emit('message', ...args));
      const back = await client.hears('answers', 'message-back', EVENTS.length);
      assert.deepEqual(back.map((h) => h.args), EVENTS);
      await client.endsOn(transport);
      await leaves(client);
    });
    test('both sides answer calls', async () => {
      const client = await joined(options());
      for (const args of EVENTS) assert.deepEqual(await client.asks('message-with-ack', ...args), args);
      client.socket.on('message-call', (question, answer) => answer(question.toUpperCase(), 2));
      const called = heardOn(client.socket, 'message-called');
      client.socket.emit('message-with-call', 'who');
      assert.deepEqual(await called, ['WHO', 2]);
      await leaves(client);
    });
    test('binary values both ways, in events and in answers', async () => {
      const client = await joined(options());
      for (const args of BINARY) {
        const back = heardOn(client.socket, 'message-back');
        client.socket.emit('message', ...args);
        assert.deepEqual(await back, args);
        assert.deepEqual(await client.asks('message-with-ack', ...args), args);
      }
      client.socket.on('message-call', (question, answer) => answer({ back: question.reverse() }));
      const called = heardOn(client.socket, 'message-called');
      client.socket.emit('message-with-call', Buffer.from([1, 2, 3]));
      assert.deepEqual(await called, [{ back: Buffer.from([3, 2, 1]) }]);
      await leaves(client);
    });
    test('two namespaces on one connection, each left by itself', async () => {
      const client = await joined(options());
      const custom = client.manager.socket('/custom', { auth: { token: 'c' } });
      const [auth] = await heardOn(custom, 'auth');
      assert.deepEqual(auth, { token: 'c' });
      assert.notEqual(custom.id, client.socket.id);
      assert.ok(![custom.id, client.socket.id].includes(client.manager.engine.id), 'the session stays secret');
      assert.deepEqual(await callOn(custom, 'message-with-ack', 'to custom', Buffer.from([1])), ['to custom', Buffer.from([1])]);
      custom.disconnect();
      assert.deepEqual(await client.asks('message-with-ack', 'main goes on'), ['main goes on']);
      assert.equal(client.opens, 1);
      assert.equal(await sessions(), 1);
      await leaves(client);
    });
    test('a namespace that is not there is refused for good, the other goes on', async () => {
      const client = await joined(options());
      const nowhere = client.manager.socket('/nowhere');
      const [error] = await heardOn(nowhere, 'connect_error');
      assert.equal(error.message, 'Invalid namespace');
      nowhere.disconnect(); // before 4.5 it counts as one that may still come
      assert.deepEqual(await client.asks('message-with-ack', 1), [1]);
      assert.deepEqual(client.disconnects, []);
      await leaves(client);
    });
    test('what is sent while transports change comes back once and in order', async () => {
      const client = new Official(service.base, 'x', options());
      clients.add(client);
      let sent = 0;
      for (; sent < 400 && !(sent > 100 && client.transport === transport); sent++) {
        client.socket.emit('message', sent, sent % 7 ? null : Buffer.from([sent]));
        await sleep(sent % 5 ? 0 : 1);
      }
      const back = await client.hears('answers', 'message-back', sent);
      assert.deepEqual(back.map((h) => h.args), Array.from({ length: sent }, (_, i) => [i, i % 7 ? null : Buffer.from([i])]));
      await client.endsOn(transport);
      assert.deepEqual(client.disconnects, []);
      await leaves(client);
    });
    test('lives on pings, and comes back by itself after its connections were cut', async () => {
      const client = await joined({ ...options(), reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 }, { base: door.base });
      await client.endsOn(transport);
      const { pings, socket: { id } } = client;
      await until('three pings', () => client.pings >= pings + 3);
      assert.deepEqual(client.disconnects, []);
      const again = heardOn(client.socket, 'connect');
      // Between two polls there may be nothing to cut.
      await until('the cut', () => (client.disconnects.length ? true : (door.cut(), false)));
      assert.ok(await within(again, 10000 * PATIENCE), 'connected again');
      assert.match(client.disconnects.join(), /^transport (error|close)$/);
      assert.notEqual(client.socket.id, id);
      assert.deepEqual(await client.asks('message-with-ack', 'again'), ['again']);
      await until('one session, as the one before is gone', async () => (await sessions()) === 1);
      await leaves(client);
    });
  });

describe('where no WebSocket gets through', () => {
  let narrow;
  before(async () => (narrow = await new Door(service.port, { noUpgrades: true }).open()));
  after(() => narrow.close());
  for (const { name, options } of MATRIX.filter(({ transport, options }) => transport === 'websocket' && options().transports?.length !== 1))
    test(`${name} ends on polling and works`, async () => {
      const client = await joined(options(), { base: narrow.base });
      const refused = () => narrow.upgradesRefused;
      await until('an upgrade that was tried', refused);
      assert.deepEqual(await client.asks('message-with-ack', 'by polling', Buffer.from([1])), ['by polling', Buffer.from([1])]);
      assert.equal(client.transport, 'polling');
      assert.deepEqual(client.disconnects, []);
      narrow.upgradesRefused = 0;
      await leaves(client);
    });
});

describe('engine.io-client under /engine.io/', () => {
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']])
    test(`${transports.join(', then ')}: text and binary come back in order, pings go on`, async () => {
      const engine = new Engine(service.base, { transports: [...transports] });
      const heard = [];
      let closed;
      engine.on('message', (data) => heard.push(data));
      engine.on('close', (reason) => (closed = reason));
      const sent = Array.from({ length: 60 }, (_, i) => (i % 4 === 3 ? Buffer.from([i, 0xff]) : `message ${i} \u20ac`));
      for (const [i, message] of sent.entries()) {
        engine.send(message);
        if (i % 10 === 9) await sleep(2);
      }
      await until('all that was sent', () => heard.length >= sent.length);
      assert.deepEqual(heard, sent);
      await until(`the transport ${transports.at(-1)}`, () => engine.transport.name === transports.at(-1));
      let pings = 0;
      engine.on('ping', () => pings++);
      await until('three pings', () => pings >= 3);
      assert.equal(closed, undefined);
      engine.close();
      await until('no session', async () => (await sessions()) === 0);
    });
});
