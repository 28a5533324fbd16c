// Start, stop, health, and what a program says of itself.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Broker, BrokerProxy } from '../lib/broker.mjs';
import { PATIENCE, sleep, until, within } from '../lib/env.mjs';
import { rawExchange, tokenOf, webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { SECRETS, gateway, runProgram, stateManager } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const SERVICES = ['state-manager', 'portal-gateway'];
const GOOD = { JWT_SECRET: SECRETS.jwt, WEBHOOK_APP_SECRET: SECRETS.webhook, WEBHOOK_VERIFY_TOKEN: SECRETS.verify };

describe('what a program says of itself', () => {
  for (const name of [...SERVICES, 'portalctl']) {
    test(`${name} --help`, async () => {
      const { code, stdout } = await runProgram(name, ['--help']);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(name));
      if (name !== 'portalctl') assert.match(stdout, /JWT_SECRET/);
      else for (const command of ['token', 'publish', 'tail']) assert.match(stdout, new RegExp(`\\b${command}\\b`));
    });
    test(`${name} --version`, async () => {
      const { code, stdout } = await runProgram(name, ['--version']);
      assert.equal(code, 0);
      assert.match(stdout, /\d+\.\d+\.\d+/);
    });
    test(`${name} with an unknown option says so`, async () => {
      const { code, stderr } = await runProgram(name, ['--frobnicate'], GOOD);
      assert.notEqual(code, 0);
      assert.match(stderr, /frobnicate|usage|--help/i);
    });
  }
  for (const name of SERVICES) {
    test(`${name} --print-config shows no secret`, async () => {
      const { code, stdout } = await runProgram(name, ['--print-config'], GOOD);
      assert.equal(code, 0);
      assert.match(stdout, /^AMQP_URL=/m);
      for (const secret of Object.values(SECRETS)) assert.ok(!stdout.includes(secret));
    });
    test(`${name} --check-config`, async () => {
      assert.equal((await runProgram(name, ['--check-config'], GOOD)).code, 0);
      const bad = await runProgram(name, ['--check-config'], { ...GOOD, LOG_LEVEL: 'loud', STATE_MANAGER_PORT: '99999', GATEWAY_PORT: 'x' });
      assert.notEqual(bad.code, 0);
      const said = bad.stdout + bad.stderr;
      assert.match(said, /LOG_LEVEL/);
      assert.match(said, name === 'state-manager' ? /STATE_MANAGER_PORT/ : /GATEWAY_PORT/, 'all faults at once');
    });
    for (const [what, env] of [['short', 'abc'], ['well known', 'dev-secret-change-me-0123456789abcdef'], ['missing', '']])
      test(`${name} does not start with a ${what} secret`, async () => {
        const { code, stderr, stdout } = await runProgram(name, [], { ...GOOD, JWT_SECRET: env });
        assert.equal(code, 1);
        assert.match(stderr + stdout, /JWT_SECRET/);
        if (env) assert.ok(!(stderr + stdout).includes(env), 'and does not repeat it');
      });
    test(`${name} takes a weak secret with DEMO=1`, async () => {
      assert.equal((await runProgram(name, ['--check-config'], { ...GOOD, JWT_SECRET: 'abc', DEMO: '1' })).code, 0);
    });
    test(`${name} --health is not 0 when nobody answers`, async () => {
      const { code } = await runProgram(name, ['--health'], { ...GOOD, STATE_MANAGER_PORT: '1', GATEWAY_PORT: '1' });
      assert.notEqual(code, 0);
    });
  }
});

describe('running', () => {
  let world;
  let proxy;
  before(async () => {
    proxy = await new BrokerProxy((await Broker.shared()).port).open();
    world = await World.open('lifecycle', { proxy });
  });
  after(async () => {
    await world.close();
    await proxy.down();
  });

  test('--health of a running service is 0', async () => {
    for (const service of world.services) assert.equal((await runProgram(service.name, ['--health'], service.env)).code, 0, service.name);
  });
  test('a second state-manager on the same store exits 1 and names the holder', async () => {
    const second = await stateManager(world.dir, world.amqpUrl, { STORE_URL: world.sm.env.STORE_URL });
    await second.start({ wait: false });
    await within(second.gone, 8000 * PATIENCE);
    assert.equal(second.code, 1);
    assert.match(second.log(), new RegExp(`\\b${world.sm.pid}\\b`));
    assert.equal((await world.sm.probe('/readyz')).status, 200, 'the first is not disturbed');
  });
  test('a taken port is said', async () => {
    const second = await gateway(world.dir, world.amqpUrl, { GATEWAY_PORT: String(world.gw.port) });
    await second.start({ wait: false });
    await within(second.gone, 8000 * PATIENCE);
    const { code } = second;
    if (code === undefined) await second.kill();
    assert.equal(code, 1);
    assert.match(second.log(), new RegExp(`${world.gw.port}`));
  });
  test('ready only while it works: the broker goes away and comes back', async () => {
    await world.channel('200000000000001', 't_away');
    const browser = await world.browser('t_away');
    await proxy.down();
    const away = await until('the gateway to say that it is not ready', async () => {
      const answer = await world.gw.probe('/readyz');
      return answer.status === 503 ? answer : null;
    }, 15000);
    assert.ok(away.body.length > 0, 'and why');
    await until('the state-manager to show it', async () => {
      const answer = await world.sm.probe('/readyz');
      const metrics = await world.sm.metrics();
      return answer.status === 503 || metrics['portalcast_broker_connected{part="relay"}'] === 0;
    }, 15000);
    assert.equal((await world.gw.probe('/healthz')).status, 200, 'alive all the same');
    assert.equal((await webhook(world.sm, text('200000000000001', '447700900501', 'while away'))).status, 200, 'ingest goes on');
    assert.ok(browser.socket.connected, 'links stay');
    await proxy.up();
    for (const service of world.services) await until(`${service.name} ready again`, async () => (await service.probe('/readyz')).status === 200, 30000);
    await browser.hears('what came meanwhile', (h) => h.data?.message === 'while away', 1, 20000);
    browser.close();
  });
  test('files and threads do not grow', async () => {
    const round = async () => {
      const clients = Array.from({ length: 20 }, (_, i) => (i % 2 ? new SioClient(world.gw.base, tokenOf(`t_fd${i % 5}`)) : new WsClient(world.gw.base, { token: tokenOf(`t_fd${i % 5}`) })));
      await Promise.all(clients.map((c) => (c instanceof WsClient ? c.message('ready') : c.connected())));
      clients.forEach((c) => c.close());
      await Promise.all(Array.from({ length: 20 }, () => rawExchange(world.sm.port, 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', { enough: /\r\n\r\n/ })));
      await Promise.all(Array.from({ length: 10 }, () => rawExchange(world.gw.port, 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n\r\n', { enough: /\r\n\r\n/ })));
    };
    const count = () => world.services.map((s) => ({ fds: s.fds(), threads: s.threads() }));
    await round();
    await sleep(1500);
    const before = count();
    for (let i = 0; i < 5; i++) await round();
    const quiet = () => count().every((now, i) => now.fds <= before[i].fds + 5 && now.threads <= before[i].threads);
    await until(`no more than ${JSON.stringify(before)}`, () => quiet() || Promise.reject(new Error(JSON.stringify(count()))), 10000);
  });
  test('SIGTERM under load ends with 0, in time, and the store is whole', async () => {
    const browsers = await Promise.all(Array.from({ length: 10 }, () => world.browser('t_term')));
    await world.channel('200000000000002', 't_term');
    let accepted = 0;
    let posting = true;
    const load = (async () => {
      for (let i = 0; posting; i++) {
        const answer = await webhook(world.sm, text('200000000000002', '447700900502', `m${i}`)).catch(() => null);
        if (answer?.status === 200) accepted++;
        if (!answer) await sleep(20);
      }
    })();
    await sleep(500);
    const started = Date.now();
    await Promise.all([world.sm.stop(), world.gw.stop()]);
    assert.ok(Date.now() - started < 12000 * PATIENCE, 'in time');
    posting = false;
    await load;
    await until('the browsers to notice', () => browsers.every((b) => b.disconnects.length));
    assert.ok(browsers.every((b) => b.disconnects[0].startsWith('transport')), `a close that clients retry: ${browsers[0].disconnects}`);
    await world.sm.start();
    const kept = (await world.messages('t_term')).size;
    assert.ok(kept >= accepted, `${kept} kept of ${accepted} accepted`);
    await world.gw.start();
  });
  // To close them takes a while in which timers are due.
  test('SIGTERM with 2 000 open connections ends with 0', async () => {
    for (const service of world.services) {
      const sockets = Array.from({ length: 2000 }, () => net.connect(service.port, '127.0.0.1').on('error', () => {}));
      try {
        await until('all to be taken', () => service.fds() > sockets.length);
        await service.stop();
      } finally {
        sockets.forEach((socket) => socket.destroy());
      }
      await service.start();
    }
  });
});
