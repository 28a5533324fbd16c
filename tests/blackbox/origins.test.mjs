// Who may connect from a page of which origin: a table of origins on every way in. What is not listed whole gets 403 and no
// session; the state-manager, which gives no 403 (its tokens are in no cookie), lets no such page read an answer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { headersOf, rawExchange, tokenOf } from '../lib/http.mjs';
import { World } from '../lib/world.mjs';

const LIST = ' https://portal.example,https://*.apps.example , http://localhost:3012,https://a.*.deep.example,http://*.lan:8080,https://xn--bcher-kva.example,,*,https://*,https://no*.example,https://*.*.two.example';
let world;
before(async () => {
  world = await World.open('origins', { tap: false, stateManager: { ALLOWED_ORIGINS: LIST }, gateway: { ALLOWED_ORIGINS: LIST, LOG_LEVEL: 'info' } });
});
after(() => world?.close());

const LISTED = ['https://portal.example', 'http://localhost:3012', 'https://shop.apps.example', 'https://a-b-9.apps.example', 'https://xn--caf-dma.apps.example', 'https://a.b.deep.example', 'http://printer.lan:8080', 'https://xn--bcher-kva.example'];
const REFUSED = [
  'null', 'file://', 'about:blank', '*', 'https://*.apps.example', 'https://evil.example',
  // like a listed one
  'https://portal.example.evil.example', 'https://portal.examplex', 'https://evilportal.example', 'https://evil-portal.example', 'https://portal.example@evil.example', 'https://portal.example:443', 'https://portal.example:444', 'https://portal.example/', 'https://portal.example/x', 'https://portal.example?', 'https://portal.example#', 'https://portal.example.', 'https://.portal.example', 'https://portal%2eexample', 'https://p\u043ertal.example', 'https://portal.example\\.evil.example',
  // another scheme, port or spelling
  'http://portal.example', 'HTTPS://portal.example', 'https://PORTAL.example', 'https:portal.example', 'https:/portal.example', '//portal.example', 'portal.example', 'wss://portal.example', 'http://localhost', 'http://localhost:3013', 'http://localhost:30123', 'http://localhost:3012.evil.example', 'http://127.0.0.1:3012', 'http://[::1]:3012',
  // the star is one whole label
  'https://apps.example', 'https://.apps.example', 'https://a.b.apps.example', 'https://a_b.apps.example', 'https://a/.apps.example', 'https://a@.apps.example', 'https://a:1.apps.example', 'https://a%2e.apps.example', 'https://evil.example/.apps.example', 'https://evil.example#.apps.example', 'https://evil.example?.apps.example', 'https://shop.apps.example.evil.example', 'https://shopapps.example', 'https://x.apps.example:8443', 'http://shop.apps.example', `https://${'x'.repeat(64)}.apps.example`, 'https://a..deep.example', 'https://a.deep.example', 'https://b.c.deep.example', 'https://a.b.c.deep.example', 'http://lan:8080', 'http://a.lan:8081', 'http://a.lan', 'http://a.lan:80800', 'https://nope.example', 'https://a.b.two.example',
  // several
  'https://portal.example, https://evil.example', 'https://evil.example, https://portal.example', 'https://portal.example https://evil.example', 'https://portal.example,',
  `https://${'x'.repeat(2000)}.example`,
];

const upgrade = (target) => (lines) => `GET ${target} HTTP/1.1\r\nHost: gateway.internal:3015\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${lines}\r\n`;
const get = (target, more = '') => (lines) => `GET ${target} HTTP/1.1\r\nHost: gateway.internal:3015\r\nConnection: close\r\n${more}${lines}\r\n`;
const WAYS = {
  '/ws': upgrade('/ws'),
  'Socket.IO by WebSocket': upgrade('/socket.io/?EIO=4&transport=websocket'),
  'Socket.IO by polling': get('/socket.io/?EIO=4&transport=polling'),
};
const line = (origin) => `Origin: ${origin}\r\n`;
async function ask(port, request, lines) {
  const text = await rawExchange(port, Buffer.from(request(lines)), { timeoutMs: 3000, enough: /^HTTP\/1\.1 101|"maxPayload"/ });
  return { status: Number(text.slice(9, 12)), headers: headersOf(text), text };
}
const opened = async () => (await world.gw.metrics())['portalcast_gateway_sessions_opened_total'] ?? 0;

async function letIn(lines) {
  for (const [way, request] of Object.entries(WAYS)) {
    const { status, text } = await ask(world.gw.port, request, lines);
    assert.equal(status, /polling/.test(way) ? 200 : 101, `${way}: ${text.slice(0, 200)}`);
  }
}
async function keptOut(lines) {
  const before = await opened();
  for (const [way, request] of Object.entries(WAYS)) {
    const { status, headers, text } = await ask(world.gw.port, request, lines);
    assert.equal(status, 403, `${way}: ${text.slice(0, 200)}`);
    assert.equal(headers['access-control-allow-origin'], undefined, way);
  }
  assert.equal(await opened(), before, 'no session was opened');
}

describe('listed', () => {
  for (const origin of LISTED)
    test(`${origin} connects, and reads answers of the state-manager`, async () => {
      await letIn(line(origin));
      for (const more of ['', `Authorization: Bearer ${tokenOf('t_origins')}\r\n`]) {
        const { headers } = await ask(world.sm.port, get('/api/v1/dashboard/stats', more), line(origin));
        assert.deepEqual([headers['access-control-allow-origin'], headers['access-control-allow-credentials'], headers.vary], [origin, 'true', 'Origin']);
      }
    });
});

describe('not listed', () => {
  for (const origin of REFUSED)
    test(`${JSON.stringify(origin).slice(0, 70)} gets 403, and reads nothing of the state-manager`, async () => {
      await keptOut(line(origin));
      const { status, headers } = await ask(world.sm.port, get('/api/v1/dashboard/stats', `Authorization: Bearer ${tokenOf('t_origins')}\r\n`), line(origin));
      assert.equal(status, 200);
      assert.equal(headers['access-control-allow-origin'], undefined);
    });
  test('two headers of that name are no listed origin', async () => {
    for (const lines of [line(LISTED[0]) + line('https://evil.example'), line('https://evil.example') + line(LISTED[0]), line(LISTED[0]) + line(LISTED[0])]) await keptOut(lines);
  });
});

describe('the rest of the policy', () => {
  test('no origin: no browser, which gets in', () => letIn(''));
  test('the gateway’s own origin, by either scheme', async () => {
    for (const scheme of ['http', 'https']) await letIn(line(`${scheme}://gateway.internal:3015`));
  });
  test('its own name with another port, below another, or in front of one is not its own', async () => {
    for (const origin of ['http://gateway.internal', 'http://gateway.internal:3016', 'http://gateway.internal:3015.evil.example', 'http://x.gateway.internal:3015', 'ws://gateway.internal:3015', 'http://gateway.internal:3015/']) await keptOut(line(origin));
  });
  test('what other headers say does not count', () => keptOut(`${line('https://evil.example')}X-Forwarded-Host: evil.example\r\nX-Origin: ${LISTED[0]}\r\nReferer: ${LISTED[0]}/\r\n`));
});
