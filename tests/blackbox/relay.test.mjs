// Polling without sticky sessions: requests of one session spread over three gateways.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { BrokerProxy } from '../lib/broker.mjs';
import { PATIENCE, claimPorts, sleep, until, within } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { PollSession, RS } from '../lib/polling.mjs';
import { SECRETS, gateway } from '../lib/services.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const ALLOWED = 'https://portal.example';
// `echoes` say what they hear and need no state-manager; `portals` are the real thing. Each kind knows its own only.
const ECHO = { PROFILE: 'conformance', RECOVERY: 'off', EVENTS_EXCHANGE: 'echo.events', ALLOWED_ORIGINS: ALLOWED, PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000', CONNECT_TIMEOUT_MS: '60000', MAX_PAYLOAD: '1000000' };
const PORTAL = { PING_INTERVAL_MS: '2000', PING_TIMEOUT_MS: '2000' };
const METER = 'portalcast_gateway_';
let world, echoes, portals;

const metric = async (service, name) => (await service.metrics())[METER + name] ?? 0;
const closed = (service, reason) => metric(service, `sessions_closed_total{reason="${reason}"}`);
const sum = async (services, name) => (await Promise.all(services.map((s) => metric(s, name)))).reduce((a, b) => a + b, 0);
const knowEachOther = (services) =>
  until('gateways that know each other', async () => (await Promise.all(services.map((s) => metric(s, 'peers')))).every((n) => n === services.length - 1));

async function more(count, env) {
  const services = [];
  for (let i = 0; i < count; i++) {
    const service = await gateway(world.dir, world.amqpUrl, env);
    world.services.push(service);
    services.push(service);
    await service.start();
  }
  return services;
}

before(async () => {
  world = await World.open('relay', { gateway: PORTAL });
  portals = [world.gw, ...(await more(2, PORTAL))];
  echoes = await more(3, ECHO);
  await knowEachOther(portals);
  await knowEachOther(echoes);
});
after(async () => {
  sockets.forEach((s) => s.close());
  doors.forEach((d) => d.close());
  await world?.close();
});

// A session of the first gateway whose requests go to the next one each; at(i) asks a certain one.
class Spread extends PollSession {
  turn = 0;
  constructor(services, options = {}) {
    super(undefined, { path: '/engine.io/', ...options });
    Object.defineProperty(this, 'base', { get: () => services[this.turn++ % services.length].base });
    this.services = services;
  }
  at(i) {
    this.turn = i;
    return this;
  }
}
const spread = (options, services = echoes) => new Spread(services, options).open();
const UNKNOWN_SID = JSON.stringify({ code: 1, message: 'Session ID unknown' });
async function isGone(session) {
  for (let i = 0; i < 3; i++) {
    const answer = await session.at(i).get();
    assert.deepEqual([i, answer.status, answer.body], [i, 400, UNKNOWN_SID]);
  }
}

describe('requests anywhere', () => {
  test('each gateway takes POSTs and GETs of a session of the first one, in order', async () => {
    const session = await spread();
    const before = await sum(echoes, 'relayed_total');
    const heard = [];
    for (let i = 0; i < 24; i++) {
      const posted = await session.post(`4m${i}`);
      assert.deepEqual([posted.status, posted.body, posted.headers['content-type']], [200, 'ok', 'text/html']);
      if (i % 3 === 2) heard.push(...(await session.get()).body.split(RS));
    }
    assert.deepEqual(heard, Array.from({ length: 24 }, (_, i) => `4m${i}`));
    assert.ok((await sum(echoes, 'relayed_total')) - before >= 16, 'two of three were relayed');
    assert.equal(await sum(echoes, 'relay_failed_total'), 0);
  });
  test('a POST is taken while a GET is held elsewhere', async () => {
    const session = await spread();
    const { answer } = await session.at(1).held(() => metric(echoes[1], 'relaying'));
    await session.at(2).post('4hello');
    assert.equal((await answer).body, '4hello');
  });
  test('an answer passes as it is: headers, CORS, binary, size', async () => {
    const session = await spread({ headers: { Origin: ALLOWED } });
    const big = 'x'.repeat(900000);
    await session.at(1).post(`4${big}`);
    const direct = session.opened.headers, relayed = await session.at(1).get();
    assert.equal(relayed.body, `4${big}`);
    for (const name of ['access-control-allow-origin', 'access-control-allow-credentials', 'vary', 'cache-control', 'content-type', 'connection'])
      assert.equal(relayed.headers[name], direct[name], name);
    assert.equal(relayed.headers['access-control-allow-origin'], ALLOWED);
    await session.at(2).post('bAQIDBA==');
    assert.equal((await session.at(1).get()).body, 'bAQIDBA==');
  });
  test('what is too big is refused, and the session stays', async () => {
    const session = await spread();
    const before = await metric(echoes[1], 'relayed_total');
    const answer = await session.at(1).post('4'.padEnd(1000001, 'x'));
    assert.deepEqual([answer.status, answer.body], [413, '']);
    assert.equal(await metric(echoes[1], 'relayed_total'), before, 'it is not even read');
    await session.at(1).post('4after');
    assert.equal((await session.at(2).get()).body, '4after');
  });
  test('an unreadable payload ends it everywhere', async () => {
    const session = await spread();
    assert.equal((await session.at(1).post('x')).status, 400);
    await isGone(session);
  });
  for (const [what, sid] of [['no gateway that there is', () => 'AAAAAA-no-such-tag-0123456'], ['a gateway that does not have it', (s) => `${s.sid.slice(0, 6)}-no-such-random-xxx`], ['nobody', () => 'abc']])
    test(`a sid of ${what} is unknown`, async () => {
      const session = await spread();
      session.sid = sid(session);
      await isGone(session);
      const ws = session.at(1).ws();
      const refused = await ws.refused();
      assert.deepEqual([refused.status, refused.body], [400, 'Session ID unknown']);
    });
  test('the client\'s connection is kept, and so are those between gateways', async () => {
    const port = await claimPorts();
    const [owner] = await more(1, { ...ECHO, EVENTS_EXCHANGE: 'kept.events', ADVERTISE_URL: `http://127.0.0.1:${port}` });
    const [between] = await more(1, { ...ECHO, EVENTS_EXCHANGE: 'kept.events' });
    const [inner, outer] = [await door([owner], false, port), await door([between], false)];
    await knowEachOther([owner, between]);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const session = await spread({ agent }, [owner, outer]);
    for (let i = 0; i < 50; i++) {
      await session.at(1).post(`4n${i}`);
      assert.equal((await session.at(1).get()).body, `4n${i}`);
    }
    assert.deepEqual([outer.turn, inner.turn], [1, 1], 'connections made');
    agent.destroy();
  });
});

describe('how a session ends', () => {
  test('a second GET, through another gateway, while one is held', async () => {
    const session = await spread();
    const { answer } = await session.at(1).held(() => metric(echoes[1], 'relaying'));
    const second = await session.at(2).get();
    const answers = [await answer, second].map((a) => [a.status, a.body]).sort();
    assert.deepEqual(answers, [[200, '1'], [400, '']]);
    await isGone(session);
  });
  test('a GET aborted elsewhere', async () => {
    const session = await spread();
    const before = await closed(echoes[0], 'peer_gone');
    const abort = new AbortController();
    const held = session.at(1).get({ signal: abort.signal }).catch(() => 'aborted');
    await until('a held GET', async () => (await metric(echoes[1], 'relaying')) > 0);
    abort.abort();
    assert.equal(await held, 'aborted');
    await until('the end of the session', async () => (await closed(echoes[0], 'peer_gone')) > before, 4000);
    await isGone(session);
    await until('nothing being relayed', async () => (await metric(echoes[1], 'relaying')) === 0);
  });
  test('a client that says so', async () => {
    const session = await spread();
    const { answer } = await session.at(1).held(() => metric(echoes[1], 'relaying'));
    assert.equal((await session.at(2).post('1')).body, 'ok');
    assert.equal((await answer).body, '6');
    await isGone(session);
  });
  test('no pong in time, whoever holds the GET', async () => {
    const quick = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'quick.events', PING_INTERVAL_MS: '600', PING_TIMEOUT_MS: '600' });
    await knowEachOther(quick);
    const session = await spread({}, quick);
    const started = Date.now();
    assert.equal((await session.at(1).get()).body, '2');
    const pinged = Date.now();
    assert.equal((await session.at(1).get()).body, '1');
    const ended = Date.now();
    assert.ok(ended - pinged < 3 * (pinged - started) + 300, `ping after ${pinged - started} ms, end ${ended - pinged} ms later`);
    assert.equal(await closed(quick[0], 'ping_timeout'), 1);
    assert.equal((await session.at(1).get()).body, UNKNOWN_SID);
  });
});

describe('WebSocket through another gateway', () => {
  async function upgraded(i = 1) {
    const session = await spread();
    const ws = await session.at(i).ws().opened();
    ws.send('2probe');
    assert.deepEqual(await ws.next(), ['3probe']);
    ws.send('5');
    return { session, ws };
  }
  test('takes over: probe, released GET, what was queued, text and binary, in order', async () => {
    const session = await spread();
    const ws = await session.at(1).ws().opened();
    const held = session.at(2).get();
    await sleep(100);
    ws.send('2probe');
    assert.deepEqual(await ws.next(), ['3probe']);
    assert.equal((await held).body, '6');
    await session.at(0).post('4queued');
    ws.send('5', '4text', Buffer.from([1, 2, 3]));
    assert.deepEqual(await ws.next(3), ['4queued', '4text', Buffer.from([1, 2, 3])]);
    const late = await session.at(2).get();
    assert.deepEqual([late.status, JSON.parse(late.body).code], [400, 3]);
    assert.equal(await metric(echoes[1], 'sessions{protocol="socketio"}'), 0, 'the session is the first gateway\'s');
    ws.close();
  });
  test('big messages and many small ones, both ways at once', async () => {
    const { ws } = await upgraded();
    const sent = Array.from({ length: 60 }, (_, i) => `4${i}-${'y'.repeat(i % 10 ? 20 : 300000)}`);
    for (const message of sent) {
      ws.send(message);
      await sleep(1);
    }
    assert.deepEqual(await ws.next(sent.length), sent);
    ws.close();
  });
  test('pings and close codes pass', async () => {
    const { session, ws } = await upgraded();
    const pong = new Promise((done) => ws.socket.once('pong', (bytes) => done(bytes.toString())));
    ws.socket.ping('are you there');
    assert.equal(await pong, 'are you there');
    ws.socket.close(4242, 'bye');
    assert.equal(await ws.ends(), 4242);
    await isGone(session);
  });
  test('what breaks the protocol is told so by the owner', async () => {
    const { ws } = await upgraded(2);
    ws.send('4'.padEnd(1000001, 'z'));
    assert.equal(await ws.ends(), 1009);
  });
  test('a client that vanishes ends it at once', async () => {
    const { session, ws } = await upgraded();
    const before = await closed(echoes[0], 'peer_gone');
    ws.close();
    await until('the end of the session', async () => (await closed(echoes[0], 'peer_gone')) > before, 4000);
    await isGone(session);
    await until('no tunnel', async () => (await sum(echoes, 'relaying')) === 0);
  });
  test('a foreign origin is refused', async () => {
    const session = await spread();
    const ws = session.at(1).ws({ headers: { Origin: 'https://evil.example' } });
    assert.equal((await ws.refused()).status, 403);
    const fine = await session.at(1).ws({ headers: { Origin: ALLOWED } }).opened();
    fine.close();
  });
  test('a client that does not read is the owner\'s to cut', async () => {
    const pair = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'slow.events', LAG_MAX_SECONDS: '1', LAG_MAX_BYTES: '1000000000' });
    await knowEachOther(pair);
    const session = await spread({}, pair);
    const ws = await session.at(1).ws().opened();
    ws.send('5', '4first');
    await ws.next();
    ws.socket._socket.pause();
    // more than the kernel keeps in four buffers
    for (let i = 0; i < 60; i++) ws.send('4'.padEnd(900000, 'q'));
    await until('the end', async () => (await closed(pair[0], 'slow_consumer')) === 1, 20000);
    ws.close();
  });
});

describe('who may relay', () => {
  const key = createHmac('sha256', SECRETS.jwt).update('portalcast gateways 1').digest();
  const pass = (method, sid, { at = Date.now(), secret = key } = {}) =>
    `${at}.${createHmac('sha256', secret).update(`relay 1\n${at}\n${method}\n${sid}`).digest('base64url')}`;
  const asked = (session, header, method = 'GET') => {
    session.headers = { 'X-Portalcast-Relay': header };
    return method === 'GET' ? session.get() : session.post('4relayed');
  };
  test('a gateway, with a signed header', async () => {
    const session = await spread();
    assert.equal((await asked(session.at(0), pass('POST', session.sid), 'POST')).body, 'ok');
    assert.equal((await asked(session.at(0), pass('GET', session.sid))).body, '4relayed');
  });
  for (const [what, header] of [
    ['is made up', () => '1.abc'],
    ['has no time', (s) => `.${pass('GET', s.sid).split('.')[1]}`],
    ['is of another secret', (s) => pass('GET', s.sid, { secret: Buffer.from('guess') })],
    ['is old', (s) => pass('GET', s.sid, { at: Date.now() - 40000 })],
    ['is of the future', (s) => pass('GET', s.sid, { at: Date.now() + 40000 })],
    ['is for another session', () => pass('GET', 'somebody-elses')],
    ['is for another method', (s) => pass('POST', s.sid)],
  ])
    test(`nobody with a header that ${what}`, async () => {
      const session = await spread();
      const before = await metric(echoes[0], 'relay_refused_total');
      const answer = await asked(session.at(0), header(session));
      assert.equal(answer.status, 403);
      assert.equal((await metric(echoes[0], 'relay_refused_total')) - before, 1);
    });
  test('a POST and an upgrade neither', async () => {
    const session = await spread();
    assert.equal((await asked(session.at(0), '1.abc', 'POST')).status, 403);
    assert.equal((await session.at(0).ws({ headers: session.headers }).refused()).status, 403);
  });
  test('what was relayed once is not relayed again', async () => {
    const session = await spread();
    const answer = await asked(session.at(1), pass('GET', session.sid));
    assert.deepEqual([answer.status, answer.body], [400, UNKNOWN_SID]);
  });
  test('gateways of another secret neither relay nor are relayed to', async () => {
    const [stranger] = await more(1, { ...ECHO, RELAY_SECRET: 'another-secret-of-somebody-1f2e3d4c' });
    await until('heartbeats that are refused on both sides', async () => (await metric(stranger, 'peer_beats_refused_total')) > 1 && (await metric(echoes[0], 'peer_beats_refused_total')) > 1);
    assert.equal(await metric(stranger, 'peers'), 0);
    assert.equal(await metric(echoes[0], 'peers'), 2);
    for (const pair of [[echoes[0], stranger], [stranger, echoes[0]]]) {
      const session = await spread({}, pair);
      const answer = await session.at(1).get();
      assert.deepEqual([answer.status, answer.body], [400, UNKNOWN_SID]);
      assert.equal((await session.at(1).ws().refused()).status, 400);
    }
  });
});

test('clients that vanish in crowds leave nothing behind', async () => {
  const idle = () => until('nothing being relayed', async () => (await sum(echoes, 'relaying')) === 0);
  await idle();
  const files = echoes.map((s) => s.fds());
  for (let round = 0; round < 3; round++) {
    const sessions = await Promise.all(Array.from({ length: 60 }, () => spread()));
    const abort = new AbortController();
    const held = sessions.map((s, i) => s.at(1 + (i % 2)).get({ signal: abort.signal }).catch(() => 'gone'));
    const tunnels = sessions.filter((_, i) => i % 3 === 0).map((s) => s.at(2).ws());
    await Promise.all(tunnels.map((ws) => ws.opened()));
    await until('all being relayed', async () => (await sum(echoes, 'relaying')) === 80);
    tunnels.forEach((ws) => ws.close());
    abort.abort();
    assert.ok((await Promise.all(held)).every((answer) => answer === 'gone'));
    await idle();
  }
  await until('sessions that have ended', async () => (await metric(echoes[0], 'sessions{protocol="socketio"}')) < 30);
  // connections that are kept between gateways end after a while; nobody used any here
  await until('files that are closed', () => echoes.every((s, i) => s.fds() <= files[i] + 2));
});

// Before the gateways, without sticky sessions: by connection, or by request.
class Door {
  sockets = new Set();
  turn = 0;
  constructor(services, perRequest) {
    this.services = [...services];
    const next = () => this.services[this.turn++ % this.services.length].port;
    this.server = perRequest ? this.byRequest(next) : this.byConnection(next);
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
    });
  }
  pipe(near, far) {
    for (const [from, to] of [[near, far], [far, near]]) from.on('error', () => {}).on('close', () => to.destroy()).pipe(to);
  }
  byConnection(next) {
    return net.createServer((near) => this.pipe(near, net.connect(next(), '127.0.0.1')));
  }
  byRequest(next) {
    const server = http.createServer((req, res) => {
      const { method, url: path, headers } = req;
      const far = http.request({ port: next(), host: '127.0.0.1', method, path, headers, agent: false }, (answer) => {
        res.writeHead(answer.statusCode, answer.headers);
        answer.pipe(res);
      });
      far.on('error', () => res.destroy());
      res.on('close', () => far.destroy());
      req.pipe(far);
    });
    server.on('upgrade', (req, near, head) => {
      const far = net.connect(next(), '127.0.0.1');
      const lines = req.rawHeaders.flatMap((h, i, all) => (i % 2 ? [] : [`${h}: ${all[i + 1]}`]));
      far.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      far.write(head);
      this.pipe(near, far);
    });
    return server;
  }
  async open(port) {
    this.port = port ?? (await claimPorts());
    await new Promise((done) => this.server.listen(this.port, '127.0.0.1', done));
    this.base = `http://127.0.0.1:${this.port}`;
    return this;
  }
  close() {
    this.sockets.forEach((s) => s.destroy());
    this.server.close();
  }
}

const doors = [];
async function door(services, perRequest, port) {
  doors.push(await new Door(services, perRequest).open(port));
  return doors.at(-1);
}
const sockets = [];
// A client that is ended whatever becomes of the test.
function official(base, token, options) {
  sockets.push(new SioClient(base, token, options));
  return sockets.at(-1);
}

describe('the official client behind a round-robin proxy', () => {
  const publish = async (tenant, from, count) => {
    const answer = await world.api(tenant, 'POST', '/api/v1/events', Array.from({ length: count }, (_, i) => ({ event: 'tick', data: from + i })), 'service');
    assert.equal(answer.status, 202, answer.body);
  };
  for (const [how, perRequest] of [['connection', false], ['request', true]])
    for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']])
      test(`by ${how}, ${transports.join(' then ')}: hears all in order`, async () => {
        const tenant = `t_${how}_${transports.length}${transports[0][0]}`;
        const { base } = await door(portals, perRequest);
        const clients = Array.from({ length: 4 }, () => official(base, tokenOf(tenant), { transports }));
        try {
          for (const client of clients) await client.connected();
          if (transports.length > 1)
            for (const client of clients) await until('the upgrade', () => client.socket.io.engine.transport.name === 'websocket');
          for (let i = 0; i < 40; i += 5) {
            await publish(tenant, i, 5);
            await sleep(40);
          }
          for (const client of clients) {
            const heard = await client.hears('ticks', 'tick', 40);
            assert.deepEqual(heard.map((h) => h.data), Array.from({ length: 40 }, (_, i) => i));
          }
          assert.deepEqual(clients.map((c) => c.disconnects), [[], [], [], []]);
        } finally {
          clients.forEach((c) => c.close());
        }
      });
  test('pings pass for several intervals', async () => {
    const { base } = await door(portals, true);
    const client = official(base, tokenOf('t_pings'), { transports: ['polling'] });
    await client.connected();
    await sleep(7000);
    assert.deepEqual(client.disconnects, []);
    client.close();
  });
  test('echoes what it says, with acks and binary', async () => {
    const { base } = await door(echoes, true);
    for (const transports of [['polling'], ['polling', 'websocket']]) {
      const client = official(base, undefined, { transports });
      await client.connected();
      for (let i = 0; i < 10; i++) {
        const back = await client.socket.timeout(10000 * PATIENCE).emitWithAck('message-with-ack', i, { a: [true] }, Buffer.from([i, 2]));
        assert.equal(back, i);
      }
      client.socket.emit('message', 'x'.repeat(200000));
      await client.hears('the echo', 'message-back');
      client.close();
    }
  });
});

describe('when a gateway or the broker goes away', { concurrency: true }, () => {
  test('the client of a killed owner gets an answer, and connects anew by itself', async () => {
    const trio = await more(3, { ...ECHO, EVENTS_EXCHANGE: 'mortal.events' });
    await knowEachOther(trio);
    const proxy = await door(trio, true);
    const session = await spread({}, trio);
    const held = session.at(1).get();
    const ws = await session.at(2).ws().opened();
    proxy.turn = 0;
    const client = official(proxy.base, undefined, { transports: ['polling'], reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 });
    await client.connected();
    const first = client.socket.id;
    await until('both GETs being relayed', async () => (await sum(trio, 'relaying')) >= 2);
    await trio[0].kill();
    world.services.splice(world.services.indexOf(trio[0]), 1);
    proxy.services.shift();
    assert.equal((await held).status, 503);
    await ws.ends();
    assert.equal((await session.at(1).post('4x')).status, 503, 'nobody listens there');
    assert.equal((await session.at(2).ws().refused()).status, 503);
    await until('a new connection', () => client.socket.connected && client.socket.id !== first, 20000);
    client.socket.emit('message', 'again');
    await client.hears('the echo', 'message-back');
    client.close();
    await until('it is forgotten', async () => (await metric(trio[1], 'peers')) === 1, 20000);
    const answer = await session.at(1).get();
    assert.deepEqual([answer.status, answer.body], [400, UNKNOWN_SID]);
  });
  test('one that has just started asks before it says that a session is unknown', async () => {
    const env = { ...ECHO, EVENTS_EXCHANGE: 'fresh.events' };
    const [old] = await more(1, env);
    for (let i = 0; i < 3; i++) {
      const fresh = await gateway(world.dir, world.amqpUrl, env);
      world.services.push(fresh);
      const session = await spread({}, [old, fresh]);
      await session.at(0).post('4waits');
      await fresh.start({ wait: false });
      const answer = await until('a listening gateway', () => session.at(1).get());
      assert.deepEqual([answer.status, answer.body], [200, '4waits']);
    }
  });
  test('the client of a stopped owner gets an answer in time', async () => {
    const pair = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'stopped.events', PING_INTERVAL_MS: '500', PING_TIMEOUT_MS: '500' });
    await knowEachOther(pair);
    const session = await spread({}, pair);
    process.kill(pair[0].pid, 'SIGSTOP');
    try {
      const started = Date.now();
      const ws = session.at(1).ws();
      assert.equal((await session.at(1).get()).status, 503);
      assert.equal((await until('a refusal', () => ws.refusal, 20000)).status, 503);
      assert.ok(Date.now() - started < 16000 * PATIENCE);
    } finally {
      process.kill(pair[0].pid, 'SIGCONT');
    }
  });
  test('nobody is forgotten while the broker is away', async () => {
    const proxy = await new BrokerProxy(world.broker.port).open();
    const pair = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'away.events', AMQP_URL: proxy.url(world.vhost) });
    try {
      await knowEachOther(pair);
      const session = await spread({}, pair);
      await proxy.down();
      await sleep(12000);
      await session.at(1).post('4still');
      assert.equal((await session.at(1).get()).body, '4still');
      await proxy.up();
      await until('the feeds', async () => (await sum(pair, 'feed_starts_total')) === 4, 20000);
      await session.at(1).post('4again');
      assert.equal((await session.at(1).get()).body, '4again');
    } finally {
      await Promise.all(pair.map((s) => s.stop()));
      world.services = world.services.filter((s) => !pair.includes(s));
      await proxy.down().catch(() => {});
    }
  });
  test('a deleted exchange of heartbeats comes back', async () => {
    const env = { ...ECHO, EVENTS_EXCHANGE: 'deleted.events' };
    const pair = await more(2, env);
    await knowEachOther(pair);
    const channel = await world.tap.connection.createChannel();
    await channel.deleteExchange('deleted.events.gateways');
    const third = await more(1, env);
    await until('the new one to know the others', async () => (await metric(third[0], 'peers')) === 2, 30000);
    await knowEachOther([...pair, ...third]);
    await channel.close();
  });
  test('one that ends properly says so', async () => {
    const pair = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'parting.events', DRAIN_SECONDS: '0' });
    await knowEachOther(pair);
    await pair[1].stop();
    await until('it is forgotten', async () => (await metric(pair[0], 'peers')) === 0);
    assert.match(pair[0].log(Infinity), /peer_gone.*why="left"/);
  });
  test('one that drains cuts the WebSockets that it relays, and ends in time', async () => {
    const pair = await more(2, { ...ECHO, EVENTS_EXCHANGE: 'drain.events', DRAIN_SECONDS: '1' });
    await knowEachOther(pair);
    const session = await spread({}, pair);
    const ws = await session.at(1).ws().opened();
    await pair[1].stop();
    await ws.ends();
    assert.match(pair[1].log(Infinity), /event=drained left=0/);
  });
});
