// The Socket.IO layer as protocol suites see it: profile `conformance`, raw frames over a WebSocket, and the official
// client. Rows follow the protocol's own document, version 5.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { PATIENCE, sleep, until, within } from '../lib/env.mjs';
import { gateway } from '../lib/services.mjs';
import { RUN_DIR } from '../lib/env.mjs';

const SETTINGS = { PROFILE: 'conformance', RECOVERY: 'off', PING_INTERVAL_MS: '300', PING_TIMEOUT_MS: '200', CONNECT_TIMEOUT_MS: '1000', MAX_PAYLOAD: '1000000', JWT_SECRET: '' };
let service;
before(async () => {
  // It needs no broker: nobody listens there.
  service = await gateway(RUN_DIR, 'amqp://guest:guest@127.0.0.1:9/', SETTINGS);
  await service.start();
});
after(() => service.stop());

// A raw Engine.IO session over a WebSocket: answers pings, keeps everything else.
class Raw {
  heard = [];
  constructor(path = '/socket.io/', query = '') {
    this.ws = new WebSocket(`${service.base.replace('http', 'ws')}${path}?EIO=4&transport=websocket${query}`);
    this.ws.on('message', (bytes, binary) => {
      const message = binary ? bytes : bytes.toString();
      if (message === '2') return this.pings++ || true, this.mute || this.ws.send('3');
      this.heard.push(message);
    });
    this.closed = new Promise((done) => this.ws.on('close', (code) => done(code)));
  }
  pings = 0;
  async open() {
    const [first] = await this.next(1);
    assert.equal(first[0], '0');
    this.handshake = JSON.parse(first.slice(1));
    return this;
  }
  async next(count) {
    await until(`${count} messages, has ${JSON.stringify(this.heard.map(String))}`, () => this.heard.length >= count, 3000);
    return this.heard.splice(0, count);
  }
  send(...messages) {
    for (const m of messages) this.ws.send(m);
    return this;
  }
  async ends() {
    assert.notEqual(await within(this.closed, 3000 * PATIENCE), undefined, 'the session is closed');
  }
  async lives() {
    this.send('42["message","still here"]');
    const [answer] = await this.next(1);
    assert.equal(answer, '42["message-back","still here"]');
    this.ws.close();
  }
}
const raw = (...args) => new Raw(...args).open();
async function connected(nsp = '/') {
  const session = await raw();
  session.send(nsp === '/' ? '40' : `40${nsp},`);
  const prefix = nsp === '/' ? '' : `${nsp},`;
  const [connect, auth] = await session.next(2);
  assert.match(connect, new RegExp(`^40${prefix}\\{"sid":"[\\w-]{20}"\\}$`));
  assert.equal(auth, `42${prefix}["auth",{}]`);
  return session;
}

test('the handshake has five keys', async () => {
  const { handshake, ws } = await raw();
  assert.deepEqual(Object.keys(handshake), ['sid', 'upgrades', 'pingInterval', 'pingTimeout', 'maxPayload']);
  assert.deepEqual({ ...handshake, sid: 0 }, { sid: 0, upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 });
  ws.close();
});

describe('CONNECT', () => {
  for (const [sent, answers] of [
    ['40', [/^40\{"sid":"[\w-]{20}"\}$/, '42["auth",{}]']],
    ['40{"token":"123"}', [/^40\{"sid"/, '42["auth",{"token":"123"}]']],
    ['40/custom,', [/^40\/custom,\{"sid"/, '42/custom,["auth",{}]']],
    ['40/custom', [/^40\/custom,\{"sid"/, '42/custom,["auth",{}]']],
    ['40/custom,{"token":"abc"}', [/^40\/custom,\{"sid"/, '42/custom,["auth",{"token":"abc"}]']],
    ['40/random', ['44/random,{"message":"Invalid namespace"}']],
    ['40/custom?x=1,', ['44/custom?x=1,{"message":"Invalid namespace"}']],
  ])
    test(sent, async () => {
      const session = await raw();
      const heard = await session.send(sent).next(answers.length);
      answers.forEach((answer, i) => (answer instanceof RegExp ? assert.match(heard[i], answer) : assert.equal(heard[i], answer)));
      session.ws.close();
    });
  test('several namespaces on one session have ids of their own, and none of them is the session', async () => {
    const session = await raw();
    const heard = await session.send('40', '40/custom,').next(4);
    const ids = heard.filter((m) => m.startsWith('40')).map((m) => JSON.parse(m.slice(m.indexOf('{'))).sid);
    assert.equal(new Set([...ids, session.handshake.sid]).size, 3);
    session.send('42["message",1]', '42/custom,["message",2]');
    assert.deepEqual(await session.next(2), ['42["message-back",1]', '42/custom,["message-back",2]']);
    session.ws.close();
  });
  for (const sent of ['40[]', '40"x"', '40null', '40{'])
    test(`${sent} ends the session`, async () => {
      const session = await raw();
      session.send(sent);
      await session.ends();
    });
  test('a second one for a connected namespace ends the session', async () => {
    const session = await connected();
    session.send('40');
    await session.ends();
  });
  test('none in time ends the session, whatever pongs arrive', async () => {
    const session = await raw();
    const started = Date.now();
    await session.ends();
    assert.ok(session.pings >= 2, 'pings were answered meanwhile');
    assert.ok(Date.now() - started >= 900);
  });
  test('a refused one does not count as joined', async () => {
    const session = await raw();
    await session.send('40/random').next(1);
    await session.ends();
  });
});

describe('events', () => {
  for (const [sent, answer] of [
    ['42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'],
    ['42/,["message"]', '42["message-back"]'],
    ['42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'],
    ['424200["message-with-ack"]', '434200[]'],
    ['420["message-with-ack",[[]]]', '430[[[]]]'],
    ['42["message","h\u00e9llo \ud83d\ude00"]', '42["message-back","h\u00e9llo \ud83d\ude00"]'],
    ['42["message",{"_placeholder":true,"num":0}]', '42["message-back",{"_placeholder":true,"num":0}]'],
  ])
    test(sent, async () => {
      const session = await connected();
      assert.deepEqual(await session.send(sent).next(1), [answer]);
      session.ws.close();
    });
  for (const sent of ['42', '421', '42["nobody knows"]', '427["nobody knows"]', '42[5]', '43', '4399[1]'])
    test(`${sent} is not answered, and harms nothing`, async () => (await connected()).send(sent).lives());
  for (const sent of ['42[]', '42{}', '42[null]', '42["connect"]', '42["disconnecting"]', '42["a"]x', '42abc["a"]', '421.5["a"]', '43{}', '44{}', '44', '47', '4', '41{}', '42/custom,["message"]', '41/custom,', '42/random,["message"]', '45["a"]', '450-["a"]', '4511-["a"]', '45x-["a"]'])
    test(`${sent} ends the session`, async () => {
      const session = await connected();
      session.send(sent);
      await session.ends();
    });
  test('an event before any CONNECT ends the session', async () => {
    const session = await raw();
    session.send('42["message"]');
    await session.ends();
  });
  test('an answer to a call of the server comes back once', async () => {
    const session = await connected();
    const [call] = await session.send('42["message-with-call","who?"]').next(1);
    const [, id] = /^42(\d+)\["message-call","who\?"\]$/.exec(call);
    assert.deepEqual(await session.send(`43${id}["me",{"n":1}]`).next(1), ['42["message-called","me",{"n":1}]']);
    await session.send(`43${id}["again"]`).lives();
  });
});

describe('binary', () => {
  const A = Buffer.from([1, 2, 3, 4]);
  const B = Buffer.from([5, 6]);
  test('there and back, attachments behind their packet', async () => {
    const session = await connected();
    session.send('452-["message",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]', A, B);
    assert.deepEqual(await session.next(3), ['452-["message-back",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]', A, B]);
    session.ws.close();
  });
  test('with an ack', async () => {
    const session = await connected();
    session.send('452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', A, B);
    assert.deepEqual(await session.next(3), ['462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', A, B]);
    session.ws.close();
  });
  test('in a namespace, with an id', async () => {
    const session = await connected('/custom');
    session.send('451-/custom,7["message-with-ack",{"_placeholder":true,"num":0}]', A);
    assert.deepEqual(await session.next(2), ['461-/custom,7[{"_placeholder":true,"num":0}]', A]);
    session.ws.close();
  });
  test('an answer to a call of the server', async () => {
    const session = await connected();
    const [call, part] = await session.send('451-["message-with-call",{"_placeholder":true,"num":0}]', A).next(2);
    assert.deepEqual(part, A);
    const [, id] = /^451-(\d+)\["message-call"/.exec(call);
    session.send(`461-${id}[{"_placeholder":true,"num":0}]`, B);
    assert.deepEqual(await session.next(2), ['451-["message-called",{"_placeholder":true,"num":0}]', B]);
    session.ws.close();
  });
  test('empty values, and ten of them', async () => {
    const session = await connected();
    const places = Array.from({ length: 10 }, (_, i) => `{"_placeholder":true,"num":${i}}`).join(',');
    session.send(`4510-["message",${places}]`, ...Array(10).fill(Buffer.alloc(0)));
    const heard = await session.next(11);
    assert.equal(heard[0], `4510-["message-back",${places}]`);
    session.ws.close();
  });
  test('pings go through between the parts', async () => {
    const session = await connected();
    session.send('451-["message",{"_placeholder":true,"num":0}]');
    const before = session.pings;
    await until('a ping', () => session.pings > before);
    session.send(A);
    assert.equal((await session.next(2)).length, 2);
    session.ws.close();
  });
  for (const [what, sent] of [
    ['a packet while attachments are due', ['451-["message",{"_placeholder":true,"num":0}]', '42["message"]']],
    ['attachments of nobody', [A]],
    ['one attachment too many', ['451-["message",{"_placeholder":true,"num":0}]', A, B]],
    ['a placeholder out of range', ['451-["message",{"_placeholder":true,"num":1}]']],
    ['a placeholder without a number', ['451-["message",{"_placeholder":true,"num":"0"}]']],
    ['values beyond the bound altogether', ['454-["message"]', ...Array(4).fill(Buffer.alloc(600000))]],
  ])
    test(`${what} end the session`, async () => {
      const session = await connected();
      session.send(...sent);
      await session.ends();
    });
  test('as base64 text, for clients that cannot do better', async () => {
    const session = await connected();
    session.send('451-["message",{"_placeholder":true,"num":0}]', 'bAQIDBA==');
    assert.deepEqual(await session.next(2), ['451-["message-back",{"_placeholder":true,"num":0}]', A]);
    session.send('451-["message",{"_placeholder":true,"num":0}]', 'b!!!');
    await session.ends();
  });
});

describe('leaving', () => {
  test('41 leaves the namespace, and the session stays open', async () => {
    const session = await connected();
    const before = session.pings;
    session.send('41');
    await until('two more pings', () => session.pings >= before + 2);
    assert.deepEqual(session.heard, []);
    session.send('40');
    await session.next(2);
    await session.lives();
  });
  test('1 ends the session', async () => {
    const session = await connected();
    session.send('1');
    await session.ends();
  });
});

describe('heartbeat', () => {
  test('a session that does not answer is ended', async () => {
    const session = await connected();
    session.mute = true;
    await session.ends();
  });
  for (const sent of ['2', '', '9'])
    test(`${JSON.stringify(sent)} from the client ends the session`, async () => {
      const session = await connected();
      session.send(sent);
      await session.ends();
    });
  for (const sent of ['3', '5', '6'])
    test(`${sent} out of turn harms nothing`, async () => (await connected()).send(sent).lives());
});

describe('raw Engine.IO under /engine.io/', () => {
  test('echoes text and binary, without any CONNECT, for longer than the connect timeout', async () => {
    const session = await raw('/engine.io/');
    assert.deepEqual(await session.send('4hello').next(1), ['4hello']);
    assert.deepEqual(await session.send(Buffer.from([1, 2])).next(1), [Buffer.from([1, 2])]);
    await sleep(1200);
    assert.deepEqual(await session.send('4again').next(1), ['4again']);
    session.ws.close();
  });
});

describe('the official client', () => {
  test('main and custom namespace, auth, acks both ways, binary', async () => {
    const options = { transports: ['websocket'], forceNew: true, auth: { token: 'x' } };
    for (const path of ['', '/custom']) {
      const socket = io(service.base + path, options);
      const auth = await new Promise((done) => socket.once('auth', done));
      assert.deepEqual(auth, { token: 'x' });
      assert.deepEqual(await socket.emitWithAck('message-with-ack', 1, { a: Buffer.from([7]) }), 1);
      const back = new Promise((done) => socket.once('message-back', (...args) => done(args)));
      socket.emit('message', 'x', Buffer.from([9]));
      assert.deepEqual(await back, ['x', Buffer.from([9])]);
      socket.on('message-call', (question, answer) => answer(question.toUpperCase()));
      const called = new Promise((done) => socket.once('message-called', done));
      socket.emit('message-with-call', 'who');
      assert.equal(await called, 'WHO');
      socket.disconnect();
    }
  });
  test('a namespace that is not there is refused for good', async () => {
    const socket = io(`${service.base}/nowhere`, { transports: ['websocket'], forceNew: true });
    const error = await new Promise((done) => socket.once('connect_error', done));
    assert.equal(error.message, 'Invalid namespace');
    socket.disconnect();
  });
});
