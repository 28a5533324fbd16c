// Tokens that must not hold, by every way in which one may come to either service. Each is wrong in one thing, and would give
// the room `vault` if it held: nobody gets in by it, and nobody who is in hears more for it.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { request } from '../lib/http.mjs';
import { PollSession, RawWs } from '../lib/polling.mjs';
import { SECRETS, gateway, stateManager } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const [TENANT, ISSUER, AUDIENCE] = ['t_vault', 'https://id.example', 'portal'];
const NOW = Math.floor(Date.now() / 1000);
const b64 = (value) => Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url');
const mac = (text, secret = SECRETS.jwt, hash = 'sha256') => createHmac(hash, secret).update(text).digest('base64url');

const CLAIMS = { tenantId: TENANT, sub: 'ann', role: ['agent', 'service', 'platform-admin'], rooms: ['vault'], iss: ISSUER, aud: AUDIENCE, iat: NOW - 60, exp: NOW + 3600 };
const HEADER = { alg: 'HS256', typ: 'JWT' };
const signed = (header, payload, secret, hash) => ((text) => `${text}.${mac(text, secret, hash)}`)(`${b64(header)}.${b64(payload)}`);
// Right but for these claims (undefined: left out), or this text of all of them.
const claims = (more) => signed(HEADER, typeof more === 'string' ? more : { ...CLAIMS, ...more });
const headed = (header, ...how) => signed(header, CLAIMS, ...how);
const written = (members) => JSON.stringify(CLAIMS).replace(/}$/, `,${members}}`);
const good = (more = {}) => claims({ rooms: [], ...more });
const parts = () => claims({}).split('.');

const BAD = {
  // the algorithm
  'alg none': () => headed({ alg: 'none' }),
  'alg none, unsigned': () => `${b64({ alg: 'none', typ: 'JWT' })}.${b64(CLAIMS)}.`,
  'alg None': () => headed({ alg: 'None' }),
  'alg nOnE, unsigned': () => `${b64({ alg: 'nOnE' })}.${b64(CLAIMS)}.`,
  'alg hs256': () => headed({ alg: 'hs256' }),
  'alg with a blank': () => headed({ alg: 'HS256 ' }),
  'alg HS384, signed so': () => headed({ alg: 'HS384' }, SECRETS.jwt, 'sha384'),
  'alg HS512, signed so': () => headed({ alg: 'HS512' }, SECRETS.jwt, 'sha512'),
  'alg RS256, signed by HMAC': () => headed({ alg: 'RS256' }),
  'alg ES256, signed by HMAC': () => headed({ alg: 'ES256' }),
  'alg empty': () => headed({ alg: '' }),
  'alg null': () => headed({ alg: null }),
  'alg in an array': () => headed({ alg: ['HS256'] }),
  'no alg': () => headed({ typ: 'JWT' }),
  'alg twice, none last': () => headed('{"alg":"HS256","alg":"none"}'),
  'alg twice, none first': () => headed('{"alg":"none","alg":"HS256"}'),
  'alg twice, one escaped': () => headed('{"\\u0061lg":"none","alg":"HS256"}'),
  // the rest of the header
  'crit that nobody knows': () => headed({ ...HEADER, crit: ['vip'], vip: 1 }),
  'crit of exp': () => headed({ ...HEADER, crit: ['exp'], exp: NOW + 3600 }),
  'crit empty': () => headed({ ...HEADER, crit: [] }),
  'crit null': () => headed({ ...HEADER, crit: null }),
  'b64 false, critical': () => headed({ ...HEADER, b64: false, crit: ['b64'] }),
  'a key of its own (jwk)': () => headed({ ...HEADER, jwk: { kty: 'oct', k: b64('mine'.repeat(8)) } }, 'mine'.repeat(8)),
  'typ JWE': () => headed({ ...HEADER, typ: 'JWE' }),
  'typ a number': () => headed({ ...HEADER, typ: 7 }),
  'a header that is an array': () => headed(['HS256']),
  'a header with a tail': () => headed(`${JSON.stringify(HEADER)} x`),
  'a header that is no JSON': () => headed('{alg:HS256}'),
  // the signature
  'signed by somebody else': () => headed(HEADER, 'a-secret-of-somebody-else-0123456'),
  'signed with the empty key': () => headed(HEADER, ''),
  'signed with the beginning of the key': () => headed(HEADER, SECRETS.jwt.slice(0, -1)),
  'signed with the name of the algorithm': () => headed(HEADER, 'HS256'),
  'no signature': () => `${parts()[0]}.${parts()[1]}.`,
  'two parts': () => parts().slice(0, 2).join('.'),
  'a short signature': () => claims({}).slice(0, -4),
  'a signature with one bit changed': () => ((t) => t.slice(0, -20) + (t.at(-20) === 'A' ? 'B' : 'A') + t.slice(-19))(claims({})),
  'a signature of garbage': () => `${parts()[0]}.${parts()[1]}.${'A'.repeat(43)}`,
  'a signature with padding': () => `${claims({})}=`,
  'a signature of another token': () => `${parts()[0]}.${b64({ ...CLAIMS, sub: 'eve' })}.${parts()[2]}`,
  'a fourth part': () => `${claims({})}.e30`,
  'a part in front': () => `.${claims({})}`,
  'blanks in it': () => claims({}).replace('.', ' .'),
  // times
  'exp of a second ago': () => claims({ iat: NOW - 60, exp: NOW - 1 }),
  'exp 0': () => claims({ exp: 0 }),
  'exp below 0': () => claims({ exp: -1 }),
  'exp in milliseconds': () => claims({ exp: (NOW + 3600) * 1000 }),
  'exp a string': () => claims({ exp: String(NOW + 3600) }),
  'exp null': () => claims({ exp: null }),
  'exp beyond all numbers': () => claims(written('"exp":1e400').replace(/"exp":\d+,/, '')),
  'no exp': () => claims({ exp: undefined }),
  'exp twice': () => claims(written(`"exp":${NOW + 7200}`)),
  'nbf in an hour': () => claims({ nbf: NOW + 3600 }),
  'nbf a string': () => claims({ nbf: '0' }),
  'iat in an hour': () => claims({ iat: NOW + 3600 }),
  // whose and for whom
  'another issuer': () => claims({ iss: 'https://evil.example' }),
  'an issuer that begins so': () => claims({ iss: `${ISSUER}.evil.example` }),
  'issuers': () => claims({ iss: [ISSUER] }),
  'no issuer': () => claims({ iss: undefined }),
  'another audience': () => claims({ aud: 'shop' }),
  'an audience that begins so': () => claims({ aud: 'portals' }),
  'audiences without ours': () => claims({ aud: ['shop', 'Portal'] }),
  'an audience inside another': () => claims({ aud: [['portal']] }),
  'no audience': () => claims({ aud: undefined }),
  // who
  'no tenant': () => claims({ tenantId: undefined }),
  'a tenant twice': () => claims(written('"tenantId":"t_other"')),
  'a tenant twice, one escaped': () => claims(written('"tenant\\u0049d":"t_other"')),
  'a tenant of all (*)': () => claims({ tenantId: '*' }),
  'a tenant of all (#)': () => claims({ tenantId: '#' }),
  'a tenant with a dot': () => claims({ tenantId: `${TENANT}.x` }),
  'a tenant of 65 characters': () => claims({ tenantId: 'x'.repeat(65) }),
  'a tenant that looks like ours': () => claims({ tenantId: 't_v\u0430ult' }),
  'tenants': () => claims({ tenantId: [TENANT] }),
  'no subject': () => claims({ sub: undefined }),
  'an empty subject': () => claims({ sub: '' }),
  'a subject with NUL': () => claims({ sub: 'ann\u0000' }),
  'no role': () => claims({ role: undefined }),
  'a role that is an object': () => claims({ role: { 0: 'agent' } }),
  'rooms that are a string': () => claims({ rooms: 'vault' }),
  // texts
  'claims in an array': () => claims(JSON.stringify([CLAIMS])),
  'claims that are no JSON': () => claims('tenantId=t_vault'),
  'claims with a tail': () => claims(`${JSON.stringify(CLAIMS)}{}`),
  'claims that are no UTF-8': () => signed(HEADER, Buffer.concat([Buffer.from(written('"name":"').slice(0, -1)), Buffer.from([0xff]), Buffer.from('"}')])),
  'claims 2000 deep': () => claims(written(`"x":${'['.repeat(2000)}${']'.repeat(2000)}`)),
  '9 KB': () => claims({ filler: 'x'.repeat(7000) }),
  '100 KB': () => claims({ filler: 'x'.repeat(75000) }),
  rubbish: () => 'abc.def.ghi',
  dots: () => '..',
};

// Each way: what comes of a token there, 'in' or why not.
const verdict = (packet) => (packet.startsWith('40') ? 'in' : packet.startsWith('44') ? (JSON.parse(packet.slice(2)).data?.code ?? packet) : packet);
async function byWebSocket(base, token, { headers, query = '' } = {}) {
  const ws = new RawWs(`${base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket${query}`, { headers });
  try {
    await until('101 or not', () => ws.heard.length || ws.refusal || ws.code !== undefined);
    if (!ws.heard.length) return `${ws.refusal?.status ?? ws.code}`;
    ws.send(headers || query ? '40' : `40${JSON.stringify({ token })}`);
    await until('an answer', () => ws.heard.length > 1 || ws.code !== undefined);
    return verdict(ws.heard[1] ?? `closed ${ws.code}`);
  } finally {
    ws.close();
  }
}
async function byPolling(base, token) {
  const session = await new PollSession(base).open();
  await session.post(`40${JSON.stringify({ token })}`);
  const answer = verdict((await session.get()).body.split('\x1e')[0]);
  await session.post('1').catch(() => {});
  return answer;
}
async function byWs(base, options) {
  const ws = new WsClient(base, options);
  try {
    let status;
    ws.refused.then((s) => (status = s));
    const first = await until('an answer', () => ws.messages[0] ?? status ?? ws.closeCode);
    if (first.type === 'ready') return 'in';
    if (first.type !== 'error') return `${status ?? first.code}`;
    assert.equal((await ws.closed).code, 4401);
    return first.code;
  } finally {
    ws.close();
  }
}
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const GATEWAY = {
  'Socket.IO, payload of CONNECT': byWebSocket,
  'Socket.IO by polling, payload of CONNECT': byPolling,
  'Socket.IO, Authorization': (base, token) => byWebSocket(base, token, { headers: bearer(token) }),
  'Socket.IO, query': (base, token) => byWebSocket(base, token, { query: `&token=${encodeURIComponent(token)}` }),
  '/ws, first message': (base, token) => byWs(base, { token }),
  '/ws, Authorization': (base, token) => byWs(base, { headers: bearer(token) }),
  '/ws, query': (base, token) => byWs(base, { query: `?token=${encodeURIComponent(token)}` }),
  '/ws, subprotocol': (base, token) => (/^[\w.-]*$/.test(token) ? byWs(base, { protocols: ['portalcast', token] }) : 'no token of HTTP'),
};
// Calls of the state-manager that each want something of the token.
async function byRest(base, token) {
  const calls = [['GET', '/api/v1/conversations'], ['POST', '/api/v1/events', '{"event":"x","data":1}'], ['GET', `/api/v1/admin/tenants/${TENANT}`]];
  const answers = await Promise.all(calls.map(([method, at, body]) => request(method, base + at, { headers: { ...bearer(token), ...(body && { 'Content-Type': 'application/json' }) }, body }).then((a) => a.status, (error) => `cut (${error.code})`)));
  return answers.every((a) => a >= 200 && a < 300) ? 'in' : [...new Set(answers)].join();
}

// What it may be told: a code of the table of docs/gateway.md; or, where a head would not take it, nothing.
const TOLD = /^(TOKEN_INVALID|TOKEN_EXPIRED|TOKEN_MISSING)$/;
const UNTOLD = /^(400|1006|no token of HTTP)$/;
async function isRefusedEverywhere(services, token) {
  const isLong = token.length > 7000; // a head does not take it
  const checks = Object.entries(GATEWAY).map(async ([way, by]) => {
    const isHead = !/first message|payload/.test(way);
    assert.match(await by(services.gw.base, token), isHead && (isLong || !/^[\w.-]*$/.test(token)) ? new RegExp(`${TOLD.source}|${UNTOLD.source}`) : TOLD, way);
  });
  checks.push(byRest(services.sm.base, token).then((answer) => assert.match(answer, isLong ? /^(401|cut .*)$/ : /^401$/, 'REST')));
  await Promise.all(checks);
}
async function holdsEverywhere(services, token) {
  await Promise.all(Object.entries(GATEWAY).map(async ([way, by]) => assert.equal(await by(services.gw.base, token), 'in', way)));
  assert.equal(await byRest(services.sm.base, token), 'in', 'REST');
}

let world;
before(async () => {
  const parties = { JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };
  world = await World.open('bad-tokens', { tap: false, stateManager: parties, gateway: { ...parties, LOG_LEVEL: 'info' } });
});
after(() => world?.close());

describe('HS256, with issuer and audience', () => {
  let browser, plain;
  before(async () => {
    browser = new SioClient(world.gw.base, good());
    plain = new WsClient(world.gw.base, { token: good() });
    world.browsers.push(browser, plain);
    await browser.connected();
    await plain.message('ready');
  });

  test('a good one holds by every way', async () => {
    for (const more of [{}, { aud: ['shop', AUDIENCE] }, { nbf: NOW - 5 }, { role: ['agent', 'service', 'platform-admin'], iat: undefined }, { exp: NOW + 3600.5 }]) await holdsEverywhere(world, good(more));
  });
  test('the table has its size', () => assert.ok(Object.keys(BAD).length >= 60));
  for (const [what, make] of Object.entries(BAD))
    test(`${what}: refused by every way, and as the next token of a connection`, async () => {
      const token = make();
      await isRefusedEverywhere(world, token);
      const [one, other] = await Promise.all([browser.asks('refresh_token', { token }), plain.asks({ type: 'refresh', token })]);
      assert.deepEqual([one.ok, other.type], [false, 'error'], JSON.stringify([one, other]));
    });
  test('none of them has opened a room', async () => {
    const publish = async (body) => assert.equal((await request('POST', `${world.sm.base}/api/v1/events`, { headers: { ...bearer(good()), 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).status, 202);
    await publish([{ event: 'gold', data: 1, rooms: ['vault'] }, { event: 'end', data: 2 }]);
    for (const client of [browser, plain]) {
      await client.hears('what follows', 'end');
      assert.deepEqual(client.of('gold'), []);
    }
    await until('nobody else', async () => (await world.gw.metrics())['portalcast_gateway_live_sessions'] === 2);
  });
});

describe('RS256', () => {
  const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
  const [main, next, stranger] = [pair(), pair(), pair()];
  const rs = (header, key = main, payload = CLAIMS) => ((text) => `${text}.${signWith('sha256', Buffer.from(text), key.privateKey).toString('base64url')}`)(`${b64(header)}.${b64(payload)}`);
  const head = { alg: 'RS256', typ: 'JWT', kid: 'main' };
  const services = {};
  before(async () => {
    const dir = path.join(world.dir, 'rsa');
    const keys = path.join(dir, 'keys');
    fs.mkdirSync(keys, { recursive: true });
    for (const [kid, key] of Object.entries({ main, next })) fs.writeFileSync(path.join(keys, `${kid}.pem`), key.publicKey);
    const env = { JWT_ALG: 'RS256', JWT_PUBLIC_KEYS: keys, JWT_SECRET: '' };
    services.sm = await stateManager(dir, world.amqpUrl, { ...env, EVENTS_EXCHANGE: 'signed-by-key' });
    services.gw = await gateway(dir, world.amqpUrl, { ...env, EVENTS_EXCHANGE: 'signed-by-key', LOG_LEVEL: 'info' });
    world.services.push(services.sm, services.gw);
    await services.sm.start();
    await services.gw.start();
  });

  test('good ones hold by every way', async () => {
    await holdsEverywhere(services, rs(head));
    await holdsEverywhere(services, rs({ ...head, kid: 'next' }, next));
  });
  const rows = {
    'HS256 with the public key as its secret': () => headed({ ...head, alg: 'HS256' }, main.publicKey),
    'HS256 with the public key without its last line end': () => headed({ ...head, alg: 'HS256' }, main.publicKey.trimEnd()),
    'RS256 in the header, HMAC with the public key behind it': () => headed(head, main.publicKey),
    'HS256 with the empty key': () => headed({ ...head, alg: 'HS256' }, ''),
    'alg none': () => `${b64({ ...head, alg: 'none' })}.${b64(CLAIMS)}.`,
    'no signature': () => `${b64(head)}.${b64(CLAIMS)}.`,
    'another key': () => rs(head, stranger),
    'the other one of our keys': () => rs(head, next),
    'no kid, of two keys': () => rs({ alg: 'RS256' }),
    'a kid that nobody has': () => rs({ ...head, kid: 'other' }),
    'a kid that is a path': () => rs({ ...head, kid: '../keys/main' }),
    'a kid that is a file': () => rs({ ...head, kid: 'main.pem' }),
    'a kid with a NUL': () => rs({ ...head, kid: 'main\u0000' }),
    'a kid that is a number': () => rs({ ...head, kid: 1 }),
    'a kid in other letters': () => rs({ ...head, kid: 'MAIN' }),
    'a key of its own (jwk, x5u)': () => rs({ ...head, kid: undefined, jwk: { kty: 'RSA' }, x5u: 'https://evil.example/key.pem' }, stranger),
    'alg rs256': () => rs({ ...head, alg: 'rs256' }),
    'alg PS256': () => rs({ ...head, alg: 'PS256' }),
    'kid twice': () => ((text) => `${text}.${signWith('sha256', Buffer.from(text), stranger.privateKey).toString('base64url')}`)(`${b64('{"alg":"RS256","kid":"main","kid":"next"}')}.${b64(CLAIMS)}`),
  };
  for (const [what, make] of Object.entries(rows)) test(`${what}: refused by every way`, () => isRefusedEverywhere(services, make()));
});
