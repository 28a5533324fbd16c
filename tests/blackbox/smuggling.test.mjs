// Requests that two readers could understand differently, and others that are no requests of ours, byte by byte on the ports of
// both services: each is refused and its connection ended before anything behind it is looked at; nothing else suffers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { RawSocket } from '../lib/polling.mjs';
import { World } from '../lib/world.mjs';

let world;
before(async () => {
  world = await World.open('smuggling', { tap: false });
});
after(() => world?.close());
const services = () => [world.sm, world.gw];

const H = 'Host: x\r\n';
const NEXT = `GET /readyz HTTP/1.1\r\n${H}\r\n`; // what somebody wants to get past a proxy
const get = (lines, target = '/healthz') => `GET ${target} HTTP/1.1\r\n${lines}\r\n`;
const post = (lines, body) => `POST /webhooks/whatsapp HTTP/1.1\r\n${H}${lines}\r\n${body}`;
const upgrade = (word, more = '') => `${H}Connection: keep-alive, Upgrade\r\nUpgrade: ${word}\r\n${more}`;
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const V13 = 'Sec-WebSocket-Version: 13\r\n';

// What comes back: one refusal with that status, or the end without a word (0). Nothing of what stands behind it.
const REFUSED = [
  // two lengths
  ['Content-Length and chunked', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${NEXT}`), 400],
  ['chunked and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${NEXT}`), 400],
  ['Content-Length and identity', post('Transfer-Encoding: identity\r\nContent-Length: 2\r\n', `{}${NEXT}`), 400],
  ['Content-Length and an empty Transfer-Encoding', post('Transfer-Encoding:\r\nContent-Length: 2\r\n', `{}${NEXT}`), 400],
  ['Content-Length and chunked in other letters', post('Content-Length: 2\r\ntRANSFER-eNCODING: cHUNKED\r\n', `{}${NEXT}`), 400],
  ['Content-Length and chunked behind a vertical tab', post('Content-Length: 2\r\nTransfer-Encoding: \x0bchunked\r\n', `{}${NEXT}`), 400],
  ['chunked with a blank before its colon', post('Content-Length: 2\r\nTransfer-Encoding : chunked\r\n', `{}${NEXT}`), 400],
  ['chunked with a tab before its colon', post('Content-Length: 2\r\nTransfer-Encoding\t: chunked\r\n', `{}${NEXT}`), 400],
  ['two Content-Lengths', post('Content-Length: 2\r\nContent-Length: 3\r\n', `{}x${NEXT}`), 400],
  ['the same Content-Length twice', post('Content-Length: 2\r\nContent-Length: 2\r\n', `{}${NEXT}`), 400],
  ['Content-Lengths in a list', post('Content-Length: 2, 2\r\n', `{}${NEXT}`), 400],
  ['a second one with a blank before its colon', post('Content-Length: 2\r\nContent-Length : 40\r\n', `{}${NEXT}`), 400],
  ['two of a GET', get(`${H}Content-Length: 0\r\nContent-Length: ${NEXT.length}\r\n`) + NEXT, 400],
  ['chunked of a GET', get(`${H}Transfer-Encoding: chunked\r\n`) + `0\r\n\r\n${NEXT}`, 411],
  ['a GET whose body is a request', get(`${H}Content-Length: ${NEXT.length}\r\n`) + NEXT, 400],
  // bad lengths
  ...['2abc', '-2', '+2', '0x2', '2.0', '1 2', '2;', '"2"', '\u0662', '', '18446744073709551618', '9'.repeat(400)].map((n) => [`Content-Length ${n.slice(0, 30) || 'empty'}`, post(`Content-Length: ${n}\r\n`, `{}${NEXT}`), 400]),
  ['no length', post('', `{}${NEXT}`), 411],
  ['chunked', post('Transfer-Encoding: chunked\r\n', `2\r\n{}\r\n0\r\n\r\n${NEXT}`), 411],
  ['chunked behind a tab', post('Transfer-Encoding:\tchunked\r\n', `0\r\n\r\n${NEXT}`), 411],
  ['a coding that nobody knows', post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${NEXT}`), 411],
  ['more than may come', post('Content-Length: 99999999\r\n', '{}'), 413],
  ['Expect', post('Content-Length: 2\r\nExpect: 100-continue\r\n', ''), 417],
  ['another Expect', post('Content-Length: 2\r\nExpect: 200-ok\r\n', ''), 417],
  // hosts
  ['no Host', get(''), 400],
  ['an empty Host', get('Host:\r\n'), 400],
  ['two Hosts', get(`${H}Host: y\r\n`), 400],
  ['the same Host twice', get(H + H), 400],
  ['Hosts in a list', get('Host: x, y\r\n'), 400],
  // NUL
  ['NUL in the path', get(H, '/health\0z'), 0],
  ['NUL in the path, escaped', get(H, '/health%00z'), 0],
  ['NUL in the method', `GE\0T / HTTP/1.1\r\n${H}\r\n`, 403],
  // lines that are broken by what is escaped in them
  ['a line end in the path', get(H, '/healthz%0d%0aX-Q:%20y'), 505],
  ['a line feed in the path', get(H, '/healthz%0aContent-Length:%205'), 505],
  ['a bad escape', get(H, '/%zz'), 403],
  // methods and targets that are not for us
  ['CONNECT', `CONNECT x:443 HTTP/1.1\r\n${H}\r\n`, 0],
  ['CONNECT, then a request', `CONNECT x:443 HTTP/1.1\r\n${H}\r\n${NEXT}`, 0],
  ['TRACE', `TRACE / HTTP/1.1\r\n${H}\r\n`, 403],
  ['a method that nobody knows', `FOO / HTTP/1.1\r\n${H}\r\n`, 403],
  ['the whole address of somebody else', get(H, 'http://evil.example/healthz'), 403],
  ['*', `OPTIONS * HTTP/1.1\r\n${H}\r\n`, 403],
  // versions
  ['HTTP/2 from the beginning', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 403],
  ...['HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/11', 'HTTP', 'http/1.1', 'HTTP/1.1x'].map((v) => [`version ${v}`, `GET /healthz ${v}\r\n${H}\r\n`, 505]),
  ['no version', 'GET /healthz\r\n\r\n', 505],
  // upgrades
  ['h2c', get(upgrade('h2c', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n')), 400],
  ['h2c beside websocket', get(upgrade('websocket, h2c', KEY + V13)), [400, 403]],
  ['an upgrade to what nobody knows', get(upgrade('foobarbaz')), 403],
  ['WebSocket of version 8', get(upgrade('websocket', `${KEY}Sec-WebSocket-Version: 8\r\n`), '/ws'), 426],
  ['WebSocket of no version', get(upgrade('websocket', KEY), '/ws'), 426],
  ['WebSocket with a body', get(upgrade('websocket', `${KEY}${V13}Content-Length: 5\r\n`), '/ws') + 'hello', [400, 413, 426]],
  ['WebSocket with chunks', get(upgrade('websocket', `${KEY}${V13}Transfer-Encoding: chunked\r\n`), '/ws'), 411],
  ['WebSocket by POST', `POST /ws HTTP/1.1\r\n${upgrade('websocket', `${KEY}${V13}Content-Length: 0\r\n`)}\r\n`, [400, 426]],
  // no HTTP
  ['TLS', Buffer.from('16030100a5010000a10303aabbccdd', 'hex'), 403],
  ['AMQP', Buffer.from('AMQP\x00\x00\x09\x01', 'latin1'), 403],
  ['noise', Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7919) % 251)), 403],
  ['empty lines', '\r\n\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n', 0],
];

// As the second request of a connection: the library holds something of the first one.
const SECOND = [
  ['an upgrade to what nobody knows (CVE-2025-11677)', get(upgrade('foobarbaz')), 403],
  ['h2c', get(upgrade('h2c')), 400],
  ['h2c without Connection', get(`${H}Upgrade: h2c\r\n`), [400, 403]],
  ['CONNECT', `CONNECT x:443 HTTP/1.1\r\n${H}\r\n`, 0],
  ['two lengths', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${NEXT}`), 400],
  ['no Host', get(''), 400],
  ['HTTP/2 from the beginning', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [0, 403]],
  ['noise', Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 7919) % 251)), [0, 403]],
];

// What libwebsockets reads leniently, without two readers of it disagreeing on where it ends: one answer, as to the strict form.
const LENIENT = [
  ['line feeds alone', 'GET /healthz HTTP/1.1\nHost: x\n\n'],
  ['a carriage return inside a line', get('Host: x\rX-Q: b\r\n')],
  ['NUL in a value', get(`${H}X-Q: a\0b\r\n`)],
  ['a Content-Length with zeros in front', `DELETE /healthz HTTP/1.1\r\n${H}Content-Length: 003\r\n\r\nabc`],
  ['names that look like others', get(`${H}Transfer_Encoding: chunked\r\nContent_Length: 50\r\n`)],
  ['control characters in the path', get(H, '/health\x01z')],
  ['dots', get(H, '/../../etc/passwd')],
  ['dots, escaped', get(H, '/%2e%2e/%2e%2e/etc/passwd')],
  ['two blanks', `GET  /healthz  HTTP/1.1\r\n${H}\r\n`],
];

const answers = (text) => [...text.matchAll(/HTTP\/1\.[01] (\d+)/g)].map((m) => Number(m[1]));
async function says(service, ...pieces) {
  const socket = new RawSocket(service.port);
  for (const [i, piece] of pieces.entries()) {
    if (i) await socket.hears(/^HTTP\/1\.1 200 /);
    socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
  }
  return socket;
}
const expected = (status) => [status].flat();
const lives = async (service) => assert.equal((await service.probe('/healthz')).status, 200, `${service.name} lives`);

describe('refused', () => {
  for (const [what, bytes, status] of REFUSED)
    test(what, async () => {
      for (const service of services()) {
        const socket = await says(service, bytes);
        await socket.ends();
        const got = answers(socket.text);
        assert.ok(got.length < 2 && expected(status).includes(got[0] ?? 0), `${service.name}: ${JSON.stringify(socket.text.slice(0, 300))}`);
        await lives(service);
      }
    });
});

describe('refused as the second request of a connection', () => {
  for (const [what, bytes, status] of SECOND)
    test(what, async () => {
      for (const service of services())
        for (const first of [get(H), get(`${H}Connection: keep-alive\r\n`)])
          for (const pieces of [[first, bytes], [Buffer.concat([Buffer.from(first), Buffer.from(bytes, 'latin1')])]]) {
            const socket = await says(service, ...pieces);
            await socket.ends();
            const got = answers(socket.text);
            assert.equal(got[0], 200, service.name);
            assert.ok(got.length < 3 && expected(status).includes(got[1] ?? 0), `${service.name}: ${JSON.stringify(socket.text.slice(0, 600))}`);
            await lives(service);
          }
    });
});

describe('read as it is by anybody', () => {
  for (const [what, bytes] of LENIENT)
    test(what, async () => {
      for (const service of services()) {
        const socket = await says(service, bytes);
        await socket.hears(/^HTTP\/1\.1 (200|404|405) /);
        socket.write(get(`${H}Connection: close\r\n`)); // and what follows is read from where it begins
        await socket.ends();
        assert.deepEqual(answers(socket.text).slice(1), [200], JSON.stringify(socket.text));
      }
    });
});

test('cut anywhere, they cost nothing, and are no other request', async () => {
  const pieces = [REFUSED[0], REFUSED[8], REFUSED[14], ...REFUSED.filter(([what]) => /^(h2c|WebSocket with a body|NUL in the path)$/.test(what))].map(([, bytes]) => bytes);
  for (const service of services()) {
    const files = service.fds();
    await Promise.all(pieces.flatMap((bytes) => [1, 7, bytes.length >> 1, bytes.length - 1].map(async (n) => {
      const socket = await says(service, bytes.slice(0, n));
      await new Promise((done) => setTimeout(done, 30));
      socket.destroy();
      assert.deepEqual(answers(socket.text).filter((status) => status < 400), []);
    })));
    await until('nothing is left', () => service.fds() <= files + 2);
    await lives(service);
  }
});
