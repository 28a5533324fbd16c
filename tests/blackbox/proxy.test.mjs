// The door of the containers: HAProxy with deploy/haproxy.cfg before a state-manager and two gateways.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT, claimPorts, until } from '../lib/env.mjs';
import { rawExchange, request, sign, tokenOf, webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 'door', NUMBER = '100000000000077', CUSTOMER = '5511999990077';
let world, second, door;

// The file as it is, but for what Docker's name server would say, and for the door's address.
function configuration(port) {
  const servers = (name, services) => services.map((s, i) => `server ${name}${i + 1} 127.0.0.1:${s.port}`).join('\n    ');
  return [
    [/server-template state-manager .*/, servers('state-manager', [world.sm])],
    [/server-template portal-gateway .*/, servers('portal-gateway', [world.gw, second])],
    [/ resolvers docker init-addr none/, ''],
    [/bind :8080/, `bind 127.0.0.1:${port}`],
  ].reduce((all, [what, by]) => {
    assert.match(all, what);
    return all.replace(what, by);
  }, fs.readFileSync(path.join(ROOT, 'deploy/haproxy.cfg'), 'utf8'));
}

async function openDoor() {
  const port = await claimPorts();
  const file = path.join(world.dir, 'haproxy.cfg');
  fs.writeFileSync(file, configuration(port));
  const child = spawn('haproxy', ['-db', '-f', file], { env: { PATH: `${process.env.PATH}:/usr/sbin` }, stdio: ['ignore', 'pipe', 'pipe'] });
  const opened = { base: `http://127.0.0.1:${port}`, port, child, log: '' };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (lines) => (opened.log += lines));
  opened.gone = new Promise((done) => child.once('error', done).once('exit', done));
  process.on('exit', () => child.kill('SIGKILL'));
  await until('the door to be ready', async () => (await request('GET', `${opened.base}/readyz`)).status === 200);
  return opened;
}

before(async () => {
  world = await World.open('proxy');
  second = await gateway(world.dir, world.amqpUrl);
  world.services.push(second);
  await second.start();
  await world.channel(NUMBER, TENANT);
  door = await openDoor();
});
after(async () => {
  door?.child.kill('SIGKILL');
  await door?.gone;
  await world?.close();
});

const said = (words) => text(NUMBER, CUSTOMER, words);
const post = (words, headers = '') => {
  const body = JSON.stringify(said(words));
  return `POST /webhooks/whatsapp HTTP/1.1\r\nHost: door\r\nConnection: close\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n` +
    `Content-Type: application/json\r\nX-Hub-Signature-256: ${sign(body)}\r\n\r\n${body}`;
};
const get = (target, headers = '', method = 'GET') => `${method} ${target} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n${headers}\r\n`;
const upgrade = (...words) => `GET /ws HTTP/1.1\r\nHost: door\r\nConnection: upgrade\r\n${words.map((w) => `Upgrade: ${w}\r\n`).join('')}\r\n`;

describe('what goes through', () => {
  const rows = [
    ['the page', get('/'), 200],
    ['the API', get('/api/v1/conversations'), 401],
    ['a webhook', post('one'), 200],
    // libwebsockets would lose the Content-Length behind it, and answer 411
    ['a header that begins as a known one', post('three', 'Transfer: x\r\n'), 200],
    ['alive', get('/healthz'), 200],
    ['metrics of a replica', get('/metrics'), 404],
    ['the same in disguise', get('/%6detrics'), 404],
    ['through a double slash', get('//metrics'), 400],
    ['through dots', get('/ws/../metrics'), 400],
    ['through encoded dots', get('/ws/%2e%2e/metrics'), 400],
    ['a NUL', get('/a%00b'), 400],
    ['an odd method', get('/', '', 'TRACE'), 405],
    ['CONNECT', 'CONNECT door:80 HTTP/1.1\r\nHost: door:80\r\n\r\n', 405],
    ['another upgrade', upgrade('foobarbaz'), 400],
    ['two upgrades', upgrade('websocket', 'foobarbaz'), 400],
    ['HTTP/2 at once', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a long head', get('/', `X-Long: ${'a'.repeat(13000)}\r\n`), 431],
    ['a longer one', get('/', `X-Long: ${'a'.repeat(20000)}\r\n`), 400],
  ];
  for (const [what, bytes, ...wanted] of rows)
    test(what, async () => {
      const answer = await rawExchange(door.port, bytes, { enough: /^HTTP\/1\.1 [2-5]/m });
      const status = Number(/^HTTP\/1\.1 ([2-5]\d\d)/m.exec(answer)?.[1]);
      assert.ok(wanted.includes(status), `${status}, wanted ${wanted}: ${answer.slice(0, 200)}`);
    });

  test('who waits for a 100 gets it', async () => {
    const answer = await rawExchange(door.port, post('two', 'Expect: 100-continue\r\n'), { enough: /^HTTP\/1\.1 [2-5]/m });
    assert.match(answer, /^HTTP\/1\.1 100 [^]*^HTTP\/1\.1 200 /m);
  });

  test('no token gets into its log', async () => {
    await request('GET', `${door.base}/portal.js?token=not-for-the-log`);
    await until('the line', () => door.log.includes('/portal.js'));
    assert.doesNotMatch(door.log, /not-for-the-log/);
  });
});

describe('which gateway', () => {
  const sessions = async (service) => JSON.parse((await service.probe('/readyz')).body).sessions;

  test('requests of one long-polling session go to one gateway', async () => {
    const from = door.log.length;
    const count = 8;
    for (let i = 0; i < count; i++) await request('GET', `${door.base}/socket.io/?EIO=4&transport=polling${i ? '&sid=abc' : ''}`);
    const seen = await until('the lines', () => {
      const lines = door.log.slice(from).match(/to=gateways\/\S+ .*GET \/socket\.io\/"/g) ?? [];
      return lines.length === count && lines.map((line) => /gateways\/(\S+)/.exec(line)[1]);
    });
    assert.equal(new Set(seen).size, 1, seen.join(' '));
  });

  test('browsers are spread, hear the same, and find the other gateway when theirs is gone', async () => {
    const open = async () => {
      const client = new SioClient(door.base, tokenOf(TENANT));
      world.browsers.push(client);
      return client.connected();
    };
    const counts = async () => [await sessions(world.gw), await sessions(second)];
    const before = await counts(); // a handshake of the test before may not have ended yet
    const browsers = [await open(), await open()];
    const plain = new WsClient(door.base, { token: tokenOf(TENANT) });
    world.browsers.push(plain);
    await plain.message('ready');
    assert.deepEqual((await counts()).map((n, i) => n - before[i]).sort(), [1, 2]);

    assert.equal((await webhook(door, said('to both'))).status, 200);
    for (const browser of [...browsers, plain]) await browser.hears('the message', (h) => h.event === 'new_message' && h.data.message === 'to both');

    await second.kill();
    const again = await open();
    assert.equal((await webhook(door, said('to the rest'))).status, 200);
    await again.hears('the message', (h) => h.event === 'new_message' && h.data.message === 'to the rest');
  });
});
