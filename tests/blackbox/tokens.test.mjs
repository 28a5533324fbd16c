// A new token on a live connection: what it changes, and what no token changes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, until, within } from '../lib/env.mjs';
import { jwt, rest, tokenOf } from '../lib/http.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_tokens';
const NUMBER = '200000000000086';
let world, id;
before(async () => {
  world = await World.open('tokens', { gateway: { TOKEN_EXPIRING_SECONDS: '2' } });
  await world.channel(NUMBER, TENANT);
  id = await world.conversation(TENANT, NUMBER, '447700930001');
});
after(() => world.close());

const now = () => Math.floor(Date.now() / 1000);
const token = (more = {}) => jwt({ tenantId: TENANT, sub: 'ann', role: 'agent', ...more });
// A token for some seconds: the fewer, the sooner a test is over; the more, the safer on a slow machine.
const brief = (more = {}) => token({ exp: now() + 4 * PATIENCE, ...more });
async function browser(t) {
  const client = new SioClient(world.gw.base, t);
  world.browsers.push(client);
  return client.connected();
}
async function plain(t) {
  const client = new WsClient(world.gw.base, { token: t });
  world.browsers.push(client);
  await client.message('ready');
  return client;
}
// Both protocols in one shape: {ok, ...} or {ok: false, error: {code}}.
const SOCKETIO = { open: browser, refresh: (c, t) => c.asks('refresh_token', { token: t }), isOpen: (c) => c.socket.connected, join: (c) => c.asks('join_conversation', id) };
const shaped = (m) => (m.type === 'ack' ? m.data : { ok: false, error: { code: m.code } });
const WS = {
  open: plain,
  refresh: async (c, t) => shaped(await c.asks({ type: 'refresh', token: t })),
  isOpen: (c) => c.socket.readyState === 1,
  join: async (c) => shaped(await c.asks({ type: 'join', room: `conversation:${id}` })),
};
let turn = 0;
async function publish(rooms) {
  const n = ++turn;
  const answer = await world.api(TENANT, 'POST', '/api/v1/events', { event: 'ring', data: { n }, ...(rooms ? { rooms } : {}) }, 'service');
  assert.equal(answer.status, 202, answer.body);
  return n;
}
const rings = (client) => client.of('ring').map((h) => h.data.n);
async function heardOf(client, numbers) {
  const last = await publish();
  await until('the last one', () => rings(client).includes(last));
  return rings(client).filter((n) => numbers.includes(n));
}

for (const [name, kind] of [['Socket.IO', SOCKETIO], ['/ws', WS]])
  describe(name, () => {
    test('a connection outlives the token it began with, and is warned before the end of the next', async () => {
      const client = await kind.open(brief());
      await client.hears('a warning', 'token_expiring');
      const exp = now() + 8 * PATIENCE;
      const answer = await kind.refresh(client, token({ exp }));
      assert.deepEqual(answer, { ok: true, expiresAt: new Date(exp * 1000).toISOString(), rooms: answer.rooms });
      assert.deepEqual([...answer.rooms].sort(), ['role:agent', 'user:ann']);
      const warnings = await client.hears('another warning', 'token_expiring', 2, 30000);
      assert.ok(kind.isOpen(client), 'the first token has long expired');
      assert.equal(warnings[1].data.expiresAt, answer.expiresAt);
      await until('the end', () => !kind.isOpen(client), 30000);
      if (client.closed) assert.equal((await within(client.closed, 5000 * PATIENCE)).code, 4401);
      else assert.deepEqual(client.disconnects, ['transport close']);
      assert.ok(Date.now() >= exp * 1000 - 50, 'not before');
    });
    test('its rooms are those of the new token; what was joined stays', async () => {
      const client = await kind.open(token({ role: ['agent', 'lead'], teams: ['red'], rooms: ['vip', 'old'] }));
      assert.equal((await kind.join(client)).ok, true);
      const answer = await kind.refresh(client, token({ role: 'agent', teams: ['blue'], rooms: ['vip', 'new'] }));
      assert.deepEqual([...answer.rooms].sort(), ['new', 'role:agent', 'team:blue', 'user:ann', 'vip', `conversation:${id}`].sort());
      const gone = [await publish(['old']), await publish(['team:red']), await publish(['role:lead'])];
      const kept = [await publish(['new']), await publish(['team:blue', 'team:red']), await publish(['vip']), await publish([`conversation:${id}`])];
      assert.deepEqual(await heardOf(client, [...gone, ...kept]), kept);
    });
    const REFUSED = [
      ['of another user', () => token({ sub: 'bob' }), 'TOKEN_FOREIGN'],
      ['of another tenant', () => token({ tenantId: 't_other' }), 'TOKEN_FOREIGN'],
      ['expired', () => token({ iat: 1000, exp: now() - 5 }), 'TOKEN_EXPIRED'],
      ['signed by a stranger', () => jwt({ tenantId: TENANT, sub: 'ann', role: 'admin' }, { secret: 'a-secret-of-somebody-else-012345' }), 'TOKEN_INVALID'],
      ['no token', () => 'abc', 'TOKEN_INVALID'],
      ['empty', () => '', 'TOKEN_MISSING'],
      ['none', () => undefined, null],
    ];
    for (const [what, make, code] of REFUSED)
      test(`one that is ${what} is refused, and the one before goes on`, async () => {
        const client = await kind.open(token({ rooms: ['vip'] }));
        const answer = await kind.refresh(client, make());
        assert.equal(answer.ok, false, JSON.stringify(answer));
        assert.equal(answer.error.code, code ?? (kind === WS ? 'TOKEN_MISSING' : 'INVALID'));
        const n = await publish(['vip']);
        assert.deepEqual(await heardOf(client, [n]), [n]);
        assert.ok(kind.isOpen(client));
      });
    test('one that is revoked is refused, and another frees from the fate of the one before', async () => {
      const [first, second, stolen] = ['first', 'second', 'stolen'].map((jti) => `${jti}-${name}`);
      const client = await kind.open(token({ jti: first }));
      const revoke = async (jti) => {
        const answer = await rest(world.sm, tokenOf('t_platform', 'platform-admin'), 'POST', '/api/v1/admin/revocations', { tenantId: TENANT, jti });
        assert.equal(answer.status, 202, answer.body);
      };
      const old = { iat: now() - 60 };
      await revoke(stolen);
      const behind = await publish(); // what comes behind it in the stream: the gateway knows by then
      assert.deepEqual(await heardOf(client, [behind]), [behind]);
      assert.equal((await kind.refresh(client, token({ jti: stolen, ...old }))).error?.code, 'TOKEN_REVOKED');
      assert.equal((await kind.refresh(client, token({ jti: second, ...old }))).ok, true);
      await revoke(first);
      const n = await publish();
      assert.deepEqual(await heardOf(client, [n]), [n]);
      assert.ok(kind.isOpen(client));
      await revoke(second);
      await until('the end', () => !kind.isOpen(client));
    });
    test('a refused token does not prolong the one before', async () => {
      const client = await kind.open(brief());
      assert.equal((await kind.refresh(client, token({ sub: 'bob' }))).error.code, 'TOKEN_FOREIGN');
      await until('the end', () => !kind.isOpen(client), 20000);
    });
  });
