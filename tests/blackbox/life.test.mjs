// A page's life with the official client in a real browser: no network, sleep, a token that is refreshed or runs out, a tab
// that is duplicated. It hears everything once, in order, and has not one line for it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Contexts, openBrowser } from '../lib/chromium.mjs';
import { PATIENCE, ROOT, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { World } from '../lib/world.mjs';

const BUNDLE = path.join(ROOT, 'tests/node_modules/socket.io-client/dist/socket.io.min.js');
const WAIT = { timeout: 15000 * PATIENCE };
const WAYS = [['polling'], ['websocket'], ['polling', 'websocket']];
const PINGS = { PING_INTERVAL_MS: String(700 * PATIENCE), PING_TIMEOUT_MS: String(900 * PATIENCE) };
let world, chrome, pages;

before(async () => {
  pages = http.createServer((request, answer) => {
    if (request.url === '/io.js') return answer.setHeader('Content-Type', 'text/javascript').end(fs.readFileSync(BUNDLE));
    return answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>app</title><link rel="icon" href="data:,"><script src="/io.js"></script>');
  });
  await new Promise((done) => pages.listen(0, '127.0.0.1', done));
  world = await World.open('life', { tap: false, gateway: { ...PINGS, TOKEN_EXPIRING_SECONDS: String(3 * PATIENCE), ALLOWED_ORIGINS: `http://127.0.0.1:${pages.address().port}` } });
  chrome = await openBrowser();
});
after(async () => {
  await chrome?.close();
  pages?.close();
  await world?.close();
});
const contexts = new Contexts();
afterEach(() => contexts.close());

let tenants = 0;
const newTenant = () => `t_life_${++tenants}`;
const now = () => Math.floor(Date.now() / 1000);
async function say(tenant, ...numbers) {
  const answer = await rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', numbers.map((n) => ({ event: 'n', data: { n } })));
  assert.equal(answer.status, 202, answer.body);
}
const closed = async (reason) => (await world.gw.metrics())[`portalcast_gateway_sessions_closed_total{reason="${reason}"}`] ?? 0;

// A tab whose page asks `freshToken` whenever the client needs one.
async function tab(freshToken, context) {
  context ??= await contexts.of(chrome);
  const page = await context.newPage();
  await page.exposeFunction('freshToken', freshToken);
  await page.goto(`http://127.0.0.1:${pages.address().port}/`, WAIT);
  return page;
}
// Connects; what happens is kept in the page as `seen`. `refreshes`: it answers token_expiring by refresh_token.
const connect = (page, transports, refreshes = false) =>
  page.evaluate(([base, list, isRefreshing]) => {
    const seen = (window.seen = { numbers: [], ids: [], recovered: [], errors: [], disconnects: [], refreshed: [] });
    const socket = (window.socket = window.io(base, { transports: list, auth: (done) => window.freshToken().then((token) => done({ token })), reconnectionDelay: 50, reconnectionDelayMax: 200 }));
    socket.on('connect', () => (seen.ids.push(socket.id), seen.recovered.push(socket.recovered)));
    socket.on('connect_error', (e) => seen.errors.push([e.message, e.data]));
    socket.on('disconnect', (reason) => seen.disconnects.push(reason));
    socket.on('n', (data) => seen.numbers.push(data.n));
    if (isRefreshing) socket.on('token_expiring', async () => socket.emit('refresh_token', { token: await window.freshToken() }, (answer) => seen.refreshed.push(answer.ok)));
  }, [world.gw.base, transports, refreshes]);
const look = (page) => page.evaluate(() => ({ ...window.seen, connected: window.socket.connected, transport: window.socket.io.engine?.transport?.name }));
const sees = (page, what, check, timeoutMs = 15000) =>
  until(what, async () => {
    const seen = await look(page);
    if (!check(seen)) throw new Error(JSON.stringify(seen));
    return seen;
  }, timeoutMs);
const isOn = (transports) => (s) => s.connected && s.transport === transports.at(-1);

// The same session the whole time, which heard these and saw so many ends.
function checkOneSession(seen, numbers, ends) {
  assert.deepEqual(seen.numbers, numbers, 'in order, once');
  assert.equal(new Set(seen.ids).size, 1, `${seen.ids}`);
  assert.deepEqual(seen.recovered, [false, ...Array(ends).fill(true)]);
  assert.equal(seen.disconnects.length, ends);
  assert.deepEqual(seen.errors.filter(([, data]) => data?.code), [], 'never refused');
}

// Stops the processes that run pages, as a machine that sleeps does; gives what wakes them.
async function sleepingPages() {
  const session = await chrome.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  assert.ok(renderers.length > 0);
  for (const pid of renderers) process.kill(pid, 'SIGSTOP');
  return () => renderers.forEach((pid) => process.kill(pid, 'SIGCONT'));
}

for (const transports of WAYS)
  describe(transports.join(', then '), () => {
    test('offline, twice', async () => {
      const tenant = newTenant();
      const page = await tab(() => tokenOf(tenant));
      await connect(page, transports);
      await sees(page, 'a connection', isOn(transports));
      await say(tenant, 0, 1);
      await sees(page, 'what came first', (s) => s.numbers.length === 2);
      for (let i = 1; i <= 2; i++) {
        await page.context().setOffline(true);
        await sees(page, 'the end', (s) => !s.connected && s.disconnects.length === i);
        await say(tenant, 10 * i, 10 * i + 1, 10 * i + 2);
        await page.context().setOffline(false);
        await sees(page, 'a connection again', (s) => s.connected && s.ids.length === 1 + i);
        await say(tenant, 10 * i + 3);
        await sees(page, 'what follows', (s) => s.numbers.at(-1) === 10 * i + 3);
      }
      checkOneSession(await look(page), [0, 1, 10, 11, 12, 13, 20, 21, 22, 23], 2);
    });
    test('asleep for longer than a ping may take', async () => {
      const tenant = newTenant();
      const page = await tab(() => tokenOf(tenant));
      await connect(page, transports);
      await sees(page, 'a connection', isOn(transports));
      await say(tenant, 0);
      await sees(page, 'what came first', (s) => s.numbers.length === 1);
      const wake = await sleepingPages();
      try {
        await say(tenant, 1, 2);
        await until('the gateway gives it up', () => new RegExp(`session_closed .*tenant=${tenant} reason=ping_timeout`).test(world.gw.log(Infinity)));
        await say(tenant, 3, 4);
      } finally {
        wake();
      }
      await sees(page, 'a connection again', (s) => s.connected && s.ids.length === 2);
      await say(tenant, 5);
      await sees(page, 'what follows', (s) => s.numbers.at(-1) === 5);
      checkOneSession(await look(page), [0, 1, 2, 3, 4, 5], 1);
    });
    test('a token that runs out: the transport ends, and it is back with a new one', async () => {
      const tenant = newTenant();
      let asked = 0;
      const page = await tab(() => tokenOf(tenant, 'agent', { exp: now() + (asked++ ? 3600 : 3 * PATIENCE) }));
      const before = await closed('token_expired');
      await connect(page, transports);
      await sees(page, 'a connection', (s) => s.connected);
      await say(tenant, 0, 1);
      await sees(page, 'a connection again', (s) => s.ids.length === 2 && s.connected);
      await say(tenant, 2);
      await sees(page, 'what follows', (s) => s.numbers.at(-1) === 2);
      checkOneSession(await look(page), [0, 1, 2], 1);
      assert.deepEqual([asked, (await closed('token_expired')) - before], [2, 1]);
    });
    test('a token that is refreshed in time: one connection throughout', async () => {
      const tenant = newTenant();
      let asked = 0;
      const first = now() + 4 * PATIENCE;
      const page = await tab(() => tokenOf(tenant, 'agent', { exp: asked++ ? now() + 3600 : first }));
      await connect(page, transports, true);
      await sees(page, 'a refresh', (s) => s.refreshed.length === 1);
      await until('the first token has run out', () => now() > first + 1);
      await say(tenant, 1);
      const seen = await sees(page, 'what follows', (s) => s.numbers.length === 1);
      assert.deepEqual(seen.refreshed, [true]);
      checkOneSession(seen, [1], 0);
    });
    test('a duplicated tab is a session of its own', async () => {
      const tenant = newTenant();
      const one = await tab(() => tokenOf(tenant));
      await one.evaluate(() => sessionStorage.setItem('draft', 'hello'));
      await connect(one, transports);
      await sees(one, 'a connection', isOn(transports));
      await say(tenant, 0);
      await sees(one, 'what came first', (s) => s.numbers.length === 1);
      const [two] = await Promise.all([one.context().waitForEvent('page'), one.evaluate(() => void window.open(location.href))]);
      await two.waitForLoadState();
      assert.equal(await two.evaluate(() => sessionStorage.getItem('draft')), 'hello', 'with what the first one had stored');
      await two.exposeFunction('freshToken', () => tokenOf(tenant));
      await connect(two, transports);
      await sees(two, 'a connection', isOn(transports));
      await say(tenant, 1);
      const both = [await sees(one, 'news', (s) => s.numbers.at(-1) === 1), await sees(two, 'news', (s) => s.numbers.at(-1) === 1)];
      assert.deepEqual(both.map((s) => [s.numbers, s.disconnects, s.recovered]), [[[0, 1], [], [false]], [[1], [], [false]]]);
      assert.notEqual(both[0].ids[0], both[1].ids[0]);
    });
  });
