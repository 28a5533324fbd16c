// A page of another origin in a real browser: the client's bundle, every transport with CORS and credentials, preflights,
// the switch to offline and back, a closed tab, and the origin that is not allowed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Contexts, openBrowser } from '../lib/chromium.mjs';
import { MATRIX } from '../lib/clients.mjs';
import { PATIENCE, ROOT, sleep, until } from '../lib/env.mjs';
import { jwt, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_browser';
const NUMBER = '200000000000001';
const WAIT = { timeout: 15000 * PATIENCE };
const modules = path.join(ROOT, 'tests/node_modules');
const NEWEST = '4.8';
const folderOf = (version) => path.join(modules, version === NEWEST ? 'socket.io-client' : `socket.io-client-${version}`, 'dist');
let world;
let calm; // a gateway whose pings find nobody out
let chrome;
let pages;
let friend; // the origin that is allowed
let stranger; // the same server under another name

// Serves an empty page with the bundle of a release; that of the newest comes from the gateway.
function serve() {
  const server = http.createServer((request, answer) => {
    const [, version, file] = /^\/([\d.]+)\/(.*)$/.exec(request.url) ?? [];
    if (file) return answer.setHeader('Content-Type', 'text/javascript').end(fs.readFileSync(path.join(folderOf(version), file)));
    const wanted = request.url.slice(1);
    const script = wanted === NEWEST ? `${world.gw.base}/socket.io/socket.io.min.js` : `/${wanted}/socket.io.js`;
    answer.setHeader('Content-Type', 'text/html').end(`<!doctype html><title>app</title><link rel="icon" href="data:,"><script src="${script}"></script>`);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

before(async () => {
  pages = await serve();
  friend = `http://127.0.0.1:${pages.address().port}`;
  stranger = `http://localhost:${pages.address().port}`;
  world = await World.open('browser', { gateway: { ALLOWED_ORIGINS: `https://portal.example,${friend}`, SOCKET_IO_CLIENT_DIR: folderOf(NEWEST) } });
  await world.channel(NUMBER, TENANT);
  calm = await gateway(world.dir, world.amqpUrl, { ALLOWED_ORIGINS: friend, PING_INTERVAL_MS: '600000', PING_TIMEOUT_MS: '600000' });
  world.services.push(calm);
  await calm.start();
  chrome = await openBrowser();
});
after(async () => {
  await chrome?.close();
  pages?.close();
  await world?.close();
});
const contexts = new Contexts();
afterEach(() => contexts.close());

// A tab of the origin with `io` of that release; `asked` are the requests that reached the network, as "METHOD transport".
async function tab(origin, version = NEWEST) {
  const context = await contexts.of(chrome);
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  await page.goto(`${origin}/${version}`, WAIT);
  assert.deepEqual([page.faults, await page.evaluate(() => typeof window.io)], [[], 'function'], 'the bundle runs');
  return page;
}
// Connects; what happens is kept in the page as `seen`.
const connect = (page, options = {}, token = tokenOf(TENANT), service = world.gw) =>
  page.evaluate(([base, auth, more]) => {
    const seen = (window.seen = { texts: [], events: [], errors: [], disconnects: [], connects: 0 });
    const socket = (window.socket = window.io(base, { auth, reconnectionDelay: 50, reconnectionDelayMax: 200, ...more }));
    socket.on('connect', () => seen.connects++);
    socket.on('connect_error', (e) => seen.errors.push([e.message, e.data]));
    socket.on('disconnect', (reason) => seen.disconnects.push(reason));
    socket.onAny((event, data) => (seen.events.push(event), event === 'new_message' && seen.texts.push(data.message)));
  }, [service.base, { token }, options]);
const look = (page) => page.evaluate(() => ({ ...window.seen, connected: window.socket.connected, transport: window.socket.io.engine?.transport?.name }));
const sees = (page, what, test, timeoutMs) =>
  until(what, async () => {
    const seen = await look(page);
    if (!test(seen)) throw new Error(JSON.stringify(seen));
    return seen;
  }, timeoutMs);

let counter = 0;
async function post() {
  const text = `message ${++counter}`;
  assert.equal((await webhook(world.sm, inbound(NUMBER, [textMessage('447700900701', text)]))).status, 200);
  return text;
}
const metric = async (name, service = world.gw) => (await service.metrics())[`portalcast_gateway_${name}`] ?? 0;

describe('a page of an origin that is listed', () => {
  for (const version of new Set(MATRIX.map((m) => m.version)))
    test(`release ${version} connects, hears by polling and by WebSocket, and moves between them`, async () => {
      const page = await tab(friend, version);
      await connect(page);
      await sees(page, 'a WebSocket', (seen) => seen.connected && seen.transport === 'websocket');
      const text = await post();
      const seen = await sees(page, 'a message', ({ texts }) => texts.length);
      assert.deepEqual([seen.texts, seen.errors, seen.disconnects, seen.events[0]], [[text], [], [], 'portalcast:hello']);
      await page.evaluate(() => window.socket.disconnect());
      await connect(page, { transports: ['polling'], forceNew: true });
      await sees(page, 'connected', (s) => s.connected && s.transport === 'polling');
      const texts = [await post(), await post()];
      assert.deepEqual((await sees(page, 'messages', (s) => s.texts.length >= 2)).texts, texts);
    });
  test('credentials, headers that need a preflight, and parameters go with every request', async () => {
    const page = await tab(friend);
    await connect(page, { withCredentials: true, extraHeaders: { 'x-portal': 'one', authorization: 'whatever' }, query: { v: '1 & 2' }, transports: ['polling'] });
    await sees(page, 'connected', (s) => s.connected);
    const texts = [await post(), await post()];
    const seen = await sees(page, 'messages', (s) => s.texts.length >= 2);
    assert.deepEqual([seen.texts, seen.errors, seen.disconnects], [texts, [], []]);
  });
  test('sees why it was refused, by each transport', async () => {
    for (const transports of [['polling'], ['websocket']]) {
      const page = await tab(friend);
      await connect(page, { transports }, jwt({ tenantId: TENANT, sub: 'a', role: 'agent', exp: 1 }));
      const { errors } = await sees(page, 'a refusal', (s) => s.errors.length);
      assert.deepEqual(errors[0].slice(0, 2), ['the token has expired', { code: 'TOKEN_EXPIRED' }]);
    }
  });
  test('can read the status and the body of an error', async () => {
    const page = await tab(friend);
    const read = (more) => page.evaluate(async (url) => {
      const answer = await fetch(url, { credentials: 'include' });
      return [answer.status, await answer.json()];
    }, `${world.gw.base}/socket.io/?${more}`);
    assert.deepEqual(await read('EIO=3&transport=polling'), [400, { code: 5, message: 'Unsupported protocol version' }]);
    assert.deepEqual(await read('EIO=4&transport=polling&sid=gone'), [400, { code: 1, message: 'Session ID unknown' }]);
  });
  for (const transports of [['polling'], ['websocket']])
    test(`a closed tab ends its session at once: ${transports}`, async () => {
      const page = await tab(friend);
      const polls = new Set();
      page.on('request', (request) => request.method() === 'GET' && polls.add(request));
      for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => polls.delete(request));
      await connect(page, { transports }, tokenOf(TENANT), calm);
      await sees(page, 'connected', (s) => s.connected);
      await until('a held GET', () => polls.size || transports[0] === 'websocket');
      await sleep(50 * PATIENCE);
      assert.equal(await metric('sessions{protocol="socketio"}', calm), 1);
      await page.close();
      await until('no session', async () => (await metric('sessions{protocol="socketio"}', calm)) === 0);
    });
  for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']])
    test(`${transports.join(', then ')}: offline and online again, and it hears what follows`, async () => {
      const page = await tab(friend);
      await connect(page, { transports });
      await sees(page, 'connected', (s) => s.connected && s.transport === transports.at(-1));
      await page.context().setOffline(true);
      await sees(page, 'the end', (s) => !s.connected && s.disconnects.length === 1);
      await page.context().setOffline(false);
      await sees(page, 'connected again', (s) => s.connected && s.connects === 2, 20000);
      const text = await post();
      assert.deepEqual((await sees(page, 'a message', (s) => s.texts.length)).texts, [text]);
    });
});

describe('a page of any other origin', () => {
  for (const [transports, message] of [[['polling'], 'xhr poll error'], [['websocket'], 'websocket error'], [undefined, 'xhr poll error']])
    test(`${transports ?? 'by default'}: gets nothing, and costs no session`, async () => {
      const page = await tab(stranger);
      const opened = await metric('sessions_opened_total');
      await connect(page, transports ? { transports } : {});
      const { errors } = await sees(page, 'two refusals', (s) => s.errors.length >= 2);
      assert.deepEqual(errors[0].slice(0, 1), [message]);
      const seen = await look(page);
      assert.deepEqual([seen.connects, seen.events], [0, []]);
      assert.equal(await metric('sessions_opened_total'), opened);
    });
  test('cannot read a session that it guessed, nor an error', async () => {
    const page = await tab(stranger);
    for (const more of ['EIO=4&transport=polling', 'EIO=4&transport=polling&sid=x', 'EIO=3&transport=polling'])
      assert.equal(await page.evaluate((url) => fetch(url).then(() => 'read', () => 'hidden'), `${world.gw.base}/socket.io/?${more}`), 'hidden');
  });
});
