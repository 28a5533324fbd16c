// Secrets of callers - tokens in addresses, headers and messages, an app's verify token, a channel's access token - and of the
// services themselves are nowhere to be read: not in logs at their most talkative, answers, metrics, process lists, or files.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, until } from '../lib/env.mjs';
import { hmac, jwt, rawExchange, tokenOf } from '../lib/http.mjs';
import { PollSession, RawWs, ask } from '../lib/polling.mjs';
import { SECRETS, gateway, runProgram, stateManager } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const VERIFY = 'canary-verify-8d41c5';
const ACCESS = 'canary-access-EAAG77b0';
const PASSWORD = 'canary-password-55aa01';
const CANARIES = new Set([VERIFY, ACCESS, PASSWORD, SECRETS.jwt, SECRETS.webhook, SECRETS.webhookPrevious]);
// A token of its own each time; whatever part of it is found, is found.
function canary(claims = {}, options) {
  const token = jwt({ tenantId: 't_secret', sub: 'ann', role: 'agent', jti: `canary-${CANARIES.size}-${Math.random()}`, ...claims }, options);
  for (const part of token.split('.').slice(1)) CANARIES.add(part);
  return token;
}
const OLD = { iat: 1600000000, exp: 1600000100 };
const KINDS = { good: () => canary(), expired: () => canary(OLD), forged: () => canary({}, { secret: 'a-secret-of-somebody-else-0123456' }), foreign: () => canary({ role: undefined }), long: () => canary({ filler: 'x'.repeat(7000) }), rubbish: () => (CANARIES.add('canary-rubbish-11ff'), 'canary-rubbish-11ff.canary-rubbish-11ff.canary-rubbish-11ff') };

let world, second;
const answers = []; // whatever anybody was told
before(async () => {
  world = await World.open('secrets', { stateManager: { WEBHOOK_VERIFY_TOKEN: VERIFY }, gateway: { MAX_CONNECTIONS_PER_USER: '0', CONNECT_TIMEOUT_MS: String(500 * PATIENCE) } });
  second = await gateway(world.dir, world.amqpUrl, { MAX_CONNECTIONS_PER_USER: '0' });
  world.services.push(second);
  await second.start();
});
after(() => world?.close());

const keep = (text) => void answers.push(String(text));
// An answer to a request, or how it was cut: a head has a size.
async function told(method, url, options) {
  keep(await ask(method, url, options).then((a) => a.body + JSON.stringify(a.headers), (error) => error.code));
}
async function raw(service, text) {
  keep(await rawExchange(service.port, text, { timeoutMs: 1500, enough: /\r\n\r\n/ }).catch((error) => error.message));
}
const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';

describe('said by every way', () => {
  for (const [what, make] of Object.entries(KINDS))
    test(`a ${what} token, to gateways`, async () => {
      const q = () => `token=${encodeURIComponent(make())}`;
      const sockets = [];
      const ws = (query, options = {}) => sockets.push(new WsClient(world.gw.base, { query, ...options }));
      ws(`?${q()}`);
      ws(`?x=1&${q()}&${q()}`);
      ws('', { headers: { Authorization: `Bearer ${make()}` } });
      ws('', { headers: { Authorization: `Basic ${make()}` } });
      ws('', { token: make() });
      if (!/long/.test(what)) ws('', { protocols: ['portalcast', make()] });
      await Promise.all(sockets.map((s) => until('an end or a start', () => s.messages.length || s.closeCode)));
      for (const s of sockets) {
        s.messages.forEach((m) => keep(JSON.stringify(m)));
        keep(JSON.stringify(s.closeCode ?? ''));
        if (s.socket.readyState === 1) {
          for (const message of [{ type: 'refresh', token: make(), id: 1 }, { type: make() }]) s.send(message);
          s.socket.send(`{"type":"auth","token":"${make()}"`);
          await until('answers', () => s.messages.filter((m) => m.type === 'error' || m.type === 'ack').length > 2);
          s.messages.forEach((m) => m.type !== 'error' || keep(m.code + m.message));
        }
      }
      const clients = [['polling', world.gw.base], ['websocket', second.base]].map(([transport, base]) => new SioClient(base, make(), { transports: [transport], query: { token: make() } }));
      await Promise.all(clients.map((c) => c.connected().then(() => c.asks('refresh_token', { token: make() }).then((a) => keep(JSON.stringify(a.error))), (error) => keep(`${error.message} ${JSON.stringify(error.data)}`))));
      // Requests that are refused for something else, with a token in them.
      for (const target of ['/socket.io/?EIO=3&transport=polling', '/socket.io/?EIO=4&transport=none', '/socket.io/?EIO=4&transport=polling&sid=none', '/nothing?x=1', '/ws?x=1', '/metrics?x=1', '/readyz?x=1']) {
        await told('GET', `${world.gw.base}${target}&${q()}`, { headers: { Authorization: `Bearer ${make()}` } });
      }
      // A session of one gateway at the other, which relays what it is asked.
      const session = new PollSession(world.gw.base, { query: /long/.test(what) ? '' : `&${q()}` });
      await session.open();
      session.base = second.base;
      keep((await session.post('40')).body + (await session.get()).body + (await session.post(make())).body + (await session.get()).body);
      await raw(world.gw, `GET /ws?${q()} HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n${UPGRADE}\r\n`);
      for (const s of sockets) s.close();
      for (const c of clients) c.close();
    });
  for (const [what, make] of Object.entries(KINDS))
    test(`a ${what} token, to the state-manager`, async () => {
      const bearer = { Authorization: `Bearer ${make()}` };
      for (const [method, target, body, type] of [['GET', '/api/v1/conversations'], ['GET', '/api/v1/conversations?limit=x'], ['GET', '/api/v1/nothing'], ['DELETE', '/api/v1/conversations'], ['POST', '/api/v1/events', '{"event":', 'application/json'], ['POST', '/api/v1/events', '{}', 'text/plain'], ['POST', '/api/v1/events', '[]', 'application/json'], ['PATCH', '/api/v1/conversations/none', '{"status":1}', 'application/json']]) {
        const at = `${world.sm.base}${target}${target.includes('?') ? '&' : '?'}token=${make()}&access_token=${make()}`;
        await told(method, at, { headers: { ...bearer, ...(type && { 'Content-Type': type }) }, body });
      }
      await raw(world.sm, `GET /api/v1/events?after=${make().slice(0, 100)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${make()}\r\nConnection: close\r\n\r\n`);
    });
  test('heads that the HTTP library itself refuses', async () => {
    const token = canary();
    for (const service of [world.gw, world.sm])
      for (const text of [`GET /ws?token=${token}%zz HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n`, `GET /ws?token=${token}%00 HTTP/1.1\r\nHost: x\r\n\r\n`, `GET /?token=${token} HTTP/1.1\r\nHost: x\r\nUpgrade: ${token.slice(0, 30)}\r\nConnection: Upgrade\r\n\r\n`, `${token} / HTTP/1.1\r\n\r\n`, `GET ${token} HTTP/1.1\r\nHost: x\r\n\r\n`, `GET /?token=${token.repeat(80)} HTTP/1.1\r\nHost: x\r\n\r\n`, `GET / ${token}\r\n\r\n`, `POST /?token=${token} HTTP/1.1\r\nHost: ${token}\r\nHost: x\r\nContent-Length: ${token.slice(-5)}\r\n\r\n`, `GET /ws?token=${token} HTTP/1.1\r\nHost: x\r\n${UPGRADE.replace('13', token.slice(0, 8))}\r\n`]) await raw(service, text);
    const ws = await new RawWs(`${world.gw.base.replace('http', 'ws')}/ws?token=${token}`).opened();
    ws.socket._socket.write(Buffer.from([0xff, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    await ws.ends();
  });
  test('a verify token, and an access token of a channel', async () => {
    for (const token of [VERIFY, `${VERIFY}x`]) keep((await ask('GET', `${world.sm.base}/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=7&hub.verify_token=${token}`)).body);
    const headers = { Authorization: `Bearer ${tokenOf('t_secret', 'platform-admin')}`, 'Content-Type': 'application/json' };
    const at = `${world.sm.base}/api/v1/admin/channels/200000000000061`;
    for (const body of [{ tenantId: 't_secret', displayPhoneNumber: '1', accessToken: ACCESS }, { tenantId: 'a.b', displayPhoneNumber: '1', accessToken: ACCESS }, { tenantId: 't_secret', displayPhoneNumber: 7, accessToken: ACCESS }, `{"accessToken":"${ACCESS}"`, { accessToken: { [ACCESS]: 1 } }])
      for (const method of ['PUT', 'GET']) keep((await ask(method, at, { headers, body: method === 'PUT' ? (typeof body === 'string' ? body : JSON.stringify(body)) : undefined })).body);
    const bad = Buffer.from('{"object":"whatsapp_business_account"}');
    for (const signature of [SECRETS.webhook, `sha256=${hmac(bad, 'x')}`, `sha1=${SECRETS.webhook}`]) keep((await ask('POST', `${world.sm.base}/webhooks/whatsapp`, { headers: { 'X-Hub-Signature-256': signature }, body: bad })).body);
  });
  test('a password of a broker and of a store that do not answer', async () => {
    const env = { ...world.sm.env, STATE_MANAGER_PORT: '1', AMQP_URL: world.amqpUrl.replace('guest:guest', `guest:${PASSWORD}`), STORE_URL: `mongodb://user:${PASSWORD}@127.0.0.1:9/x` };
    for (const [name, arg] of [['state-manager', '--check-config'], ['state-manager', '--print-config'], ['portal-gateway', '--print-config'], ['portal-gateway', '--check-config']]) {
      const { stdout, stderr } = await runProgram(name, [arg], env);
      keep(stdout + stderr);
      assert.ok(stdout.length + stderr.length > 10);
    }
    const deaf = await stateManager(path.join(world.dir), env.AMQP_URL, { STORE_URL: `sqlite:${path.join(world.dir, 'deaf.db')}` });
    await deaf.start({ wait: false });
    await until('a refusal of the broker', () => /relay_connect/.test(deaf.log(Infinity)));
    keep((await deaf.probe('/readyz')).body);
    await deaf.stop();
  });
});

describe('and found', () => {
  // What of the secrets is in a text.
  const found = (text) => [...CANARIES].filter((secret) => text.includes(secret));
  const filesOf = (dir) => fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((f) => f.isFile()).map((f) => path.join(f.parentPath ?? f.path, f.name));
  test('in no log, though they say much', () => {
    for (const service of world.services) {
      const log = service.log(Infinity);
      assert.deepEqual(found(log), [], service.logFile);
      assert.match(log, /level=debug/, service.logFile);
    }
    assert.ok(world.gw.log(Infinity).match(/event=sign_in_refused/g).length > 20);
    assert.match(world.gw.log(Infinity), /event=libwebsockets/);
  });
  test('in no answer', () => {
    assert.ok(answers.length > 150, `${answers.length} answers`);
    for (const answer of answers) assert.deepEqual(found(answer), [], answer.slice(0, 300));
  });
  test('in no metric and no word about health', async () => {
    for (const service of world.services) for (const at of ['/metrics', '/readyz', '/healthz', '/']) assert.deepEqual(found((await service.probe(at)).body), [], at);
  });
  test('in no list of processes, no name of a thread, and no name of a core file', () => {
    const pattern = fs.readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
    for (const service of world.services) {
      const tasks = fs.readdirSync(`/proc/${service.pid}/task`);
      const names = [`/proc/${service.pid}/cmdline`, ...tasks.map((t) => `/proc/${service.pid}/task/${t}/comm`)].map((f) => fs.readFileSync(f, 'utf8'));
      assert.deepEqual(found(names.join('\n')), []);
      assert.ok(tasks.length > 1);
    }
    assert.deepEqual(found(pattern + filesOf(world.dir).join('\n')), []);
  });
  test('in no file but the access token in the store, and on no exchange', () => {
    for (const file of filesOf(world.dir)) assert.deepEqual(found(fs.readFileSync(file, 'latin1')).filter((secret) => !(secret === ACCESS && /store\.db/.test(file))), [], file);
    assert.deepEqual(found(JSON.stringify(world.tap.events)), []);
  });
});
