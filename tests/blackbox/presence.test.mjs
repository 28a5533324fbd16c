// Presence: who of a tenant is there, over two gateways, whatever becomes of one of them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BrokerProxy } from '../lib/broker.mjs';
import { sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { gateway } from '../lib/services.mjs';
import { SioClient, WsClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const LEASE_MS = 6000;
const ENV = { PRESENCE_LEASE_SECONDS: String(LEASE_MS / 1000), DRAIN_SECONDS: '1' };
const clients = [];
let world, gateways;

async function more(count, env = ENV, url = world.amqpUrl) {
  const started = [];
  for (let i = 0; i < count; i++) {
    const service = await gateway(world.dir, url, env);
    world.services.push(service);
    started.push(await service.start());
  }
  return started;
}

// A service that a test has ended itself.
async function ended(service) {
  world.services = world.services.filter((s) => s !== service);
  clients.filter((c) => c.at === service).forEach((c) => c.close());
}

before(async () => {
  world = await World.open('presence', { gateway: ENV });
  gateways = [world.gw, ...(await more(1))];
});
after(async () => {
  clients.forEach((c) => c.close());
  await world?.close();
});

// A page of that user; it keeps what it was told: user -> status, begun anew with every connection.
async function page(tenant, sub, at = gateways[0], options = { transports: ['websocket'] }) {
  const token = tokenOf(tenant, 'agent', { sub });
  const client = options.ws ? new WsClient(at.base, { token }) : new SioClient(at.base, token, options);
  clients.push(client);
  client.at = at;
  await (options.ws ? client.message('ready') : client.connected());
  return client;
}

const told = (client, sub) => client.of('presence_update').filter((h) => h.data.userId === sub).map((h) => h.data.status);
const knows = (client) => Object.fromEntries(client.of('presence_update').map((h) => [h.data.userId, h.data.status]));
const sees = (client, sub, status, timeoutMs = 10000) => until(`${sub} ${status}`, () => told(client, sub).at(-1) === status, timeoutMs);

const KINDS = [['Socket.IO by WebSocket', { transports: ['websocket'] }], ['Socket.IO by polling', { transports: ['polling'] }], ['/ws', { ws: true }]];

describe('who comes and goes', { concurrency: true }, () => {
  for (const [what, options] of KINDS)
    test(`is told on both gateways, and who comes later hears who is there: ${what}`, async () => {
      const tenant = `t_seen_${KINDS.findIndex((k) => k[0] === what)}`;
      const [alice, bob] = [await page(tenant, 'alice', gateways[0], options), await page(tenant, 'bob', gateways[1], options)];
      await Promise.all([sees(alice, 'bob', 'online'), sees(bob, 'alice', 'online'), sees(alice, 'alice', 'online')]);
      for (const at of gateways) {
        const late = await page(tenant, 'alice', at, options);
        await Promise.all([sees(late, 'alice', 'online'), sees(late, 'bob', 'online')]);
      }
      bob.close();
      await sees(alice, 'bob', 'offline');
      assert.deepEqual(told(alice, 'bob'), ['online', 'offline']);
      assert.deepEqual(told(alice, 'alice'), ['online']);
      const after = await page(tenant, 'carol', gateways[0], options);
      await Promise.all([sees(after, 'carol', 'online'), sees(after, 'alice', 'online')]);
      assert.equal(knows(after).bob, undefined);
    });
  test('a reload, another gateway, a second tab are no news', async () => {
    const alice = await page('t_reload', 'alice');
    let bob = await page('t_reload', 'bob');
    await sees(alice, 'bob', 'online');
    const mark = await page('t_reload', 'mark', gateways[1]);
    await sees(alice, 'mark', 'online');
    for (let i = 0; i < 4; i++) {
      bob.close();
      bob = await page('t_reload', 'bob', gateways[(i + 1) % 2], KINDS[i % 3][1]);
    }
    const tab = await page('t_reload', 'bob', gateways[1]);
    tab.close();
    mark.close();
    await sees(alice, 'mark', 'offline'); // he went last: whoever was to be called gone has been by now
    assert.deepEqual(told(alice, 'bob'), ['online']);
  });
  test('users say how they are, by either protocol, for all their tabs, and it moves with them', async () => {
    const alice = await page('t_set', 'alice');
    let bob = await page('t_set', 'bob');
    const tab = await page('t_set', 'bob', gateways[1], { ws: true });
    await sees(alice, 'bob', 'online');
    assert.equal((await bob.socket.timeout(10000).emitWithAck('set_presence', { status: 'away' })).ok, true);
    await Promise.all([sees(alice, 'bob', 'away'), sees(tab, 'bob', 'away')]);
    tab.send({ type: 'emit', event: 'set_presence', data: { status: 'busy' }, id: 1 });
    assert.equal((await tab.message('ack')).data.ok, true);
    await Promise.all([sees(alice, 'bob', 'busy'), sees(bob, 'bob', 'busy')]);
    for (const status of ['offline', 'here', '', null, 7]) {
      const answer = await bob.socket.timeout(10000).emitWithAck('set_presence', { status });
      assert.deepEqual([answer.ok, answer.error?.code], [false, 'INVALID'], JSON.stringify(status));
    }
    tab.close();
    bob.close();
    bob = await page('t_set', 'bob', gateways[1]);
    const late = await page('t_set', 'late', gateways[0]);
    await Promise.all([sees(bob, 'bob', 'busy'), sees(late, 'bob', 'busy')]);
    assert.deepEqual(told(alice, 'bob'), ['online', 'away', 'busy']);
  });
  test('tenants are walls', async () => {
    const [alice, mallory] = [await page('t_wall_a', 'alice'), await page('t_wall_b', 'mallory', gateways[1])];
    const namesake = await page('t_wall_b', 'alice', gateways[1], { ws: true });
    await Promise.all([sees(mallory, 'alice', 'online'), sees(alice, 'alice', 'online')]);
    namesake.close();
    await sees(mallory, 'alice', 'offline');
    assert.deepEqual(knows(alice), { alice: 'online' });
    assert.deepEqual(told(alice, 'alice'), ['online']);
  });
  test('nothing of it is stored, nor shown of what gateways say to each other', async () => {
    const alice = await page('t_unstored', 'alice'), bob = await page('t_unstored', 'bob', gateways[1]);
    await sees(alice, 'bob', 'online');
    bob.close();
    await sees(alice, 'bob', 'offline');
    const made = await world.api('t_unstored', 'POST', '/api/v1/events', { event: 'first', data: 1 }, 'service');
    assert.equal(made.status, 202, made.body);
    const log = await world.api('t_unstored', 'GET', '/api/v1/events');
    assert.deepEqual(log.json.items.map((item) => item.event), ['first']);
    const said = world.tap.of('t_unstored').filter((b) => b.type.includes('presence'));
    assert.deepEqual([...new Set(said.map((b) => `${b.type} ${b.class} ${b.seq}`))], ['portalcast:presence ephemeral undefined']);
    assert.deepEqual(alice.heard.filter((h) => h.event === 'portalcast:presence'), []);
  });
  test('a crowd is told in few writes, and seen whole', async () => {
    const count = 60;
    const alice = await page('t_crowd', 'alice');
    await Promise.all(Array.from({ length: count }, (_, i) => page('t_crowd', `u${i}`, gateways[i % 2], KINDS[i % 3][1])));
    const crowd = clients.filter((c) => c === alice || told(c, 'u7').length);
    for (const client of crowd) await until('everybody', () => Object.values(knows(client)).filter((s) => s === 'online').length === count + 1, 20000);
    for (let i = 0; i < count; i++) assert.deepEqual(told(alice, `u${i}`), ['online']);
  });
});

describe('when a gateway goes', { concurrency: true }, () => {
  test('killed: its users are offline when its lease is over, who is elsewhere stays', async () => {
    const [dying] = await more(1);
    const alice = await page('t_kill', 'alice'), watcher = await page('t_kill', 'watcher', gateways[1], { ws: true });
    await page('t_kill', 'eve', dying);
    await page('t_kill', 'frank', dying);
    await page('t_kill', 'frank', gateways[1]);
    await Promise.all([sees(alice, 'eve', 'online'), sees(alice, 'frank', 'online'), sees(watcher, 'eve', 'online')]);
    await dying.kill();
    await ended(dying);
    await Promise.all([sees(alice, 'eve', 'offline', LEASE_MS + 6000), sees(watcher, 'eve', 'offline', LEASE_MS + 6000)]);
    assert.deepEqual(told(alice, 'frank'), ['online']);
    const late = await page('t_kill', 'late', gateways[1]);
    await sees(late, 'frank', 'online');
    assert.equal(knows(late).eve, undefined);
  });
  test('stopped: who comes back elsewhere at once was never away, who does not is offline', async () => {
    const [leaving] = await more(1);
    const alice = await page('t_stop', 'alice');
    const bob = await page('t_stop', 'bob', leaving, { ws: true });
    const eve = await page('t_stop', 'eve', leaving);
    await Promise.all([sees(alice, 'bob', 'online'), sees(alice, 'eve', 'online')]);
    const stopped = leaving.stop();
    await bob.closed;
    await page('t_stop', 'bob', gateways[1], { ws: true });
    await until('the end of the other', () => eve.disconnects.length);
    await stopped;
    await ended(leaving);
    await sees(alice, 'eve', 'offline');
    assert.deepEqual(told(alice, 'bob'), ['online']);
  });
  test('a new one learns who is there, and says who is at it', async () => {
    const alice = await page('t_new', 'alice');
    const [fresh] = await more(1);
    const bob = await page('t_new', 'bob', fresh);
    await Promise.all([sees(bob, 'alice', 'online'), sees(alice, 'bob', 'online')]);
  });
});

describe('without the broker', () => {
  test('nobody is called gone, and afterwards it goes on', async () => {
    const proxy = await new BrokerProxy(world.broker.port).open();
    const pair = await more(2, ENV, proxy.url(world.vhost));
    try {
      const alice = await page('t_away', 'alice', pair[0]), bob = await page('t_away', 'bob', pair[1], { ws: true });
      await Promise.all([sees(alice, 'bob', 'online'), sees(bob, 'alice', 'online')]);
      await proxy.down();
      await sleep(LEASE_MS * 1.5); // the outage itself: longer than a lease
      await proxy.up();
      const metric = async (service) => (await service.metrics()).portalcast_gateway_feed_starts_total;
      await until('the feeds', async () => (await Promise.all(pair.map(metric))).every((n) => n >= 2), 20000);
      const carol = await page('t_away', 'carol', pair[1]);
      await Promise.all([sees(alice, 'carol', 'online'), sees(carol, 'alice', 'online')]);
      carol.close();
      await sees(alice, 'carol', 'offline', LEASE_MS + 10000);
      assert.deepEqual([told(alice, 'bob'), told(bob, 'alice')], [['online'], ['online']]);
    } finally {
      clients.filter((c) => pair.includes(c.at)).forEach((c) => c.close());
      await Promise.all(pair.map((s) => s.stop()));
      world.services = world.services.filter((s) => !pair.includes(s));
      await proxy.down().catch(() => {});
    }
  });
});

describe('switched off', () => {
  test('nothing is told', async () => {
    const [silent] = await more(1, { ...ENV, PRESENCE_USERS: '0' });
    const alice = await page('t_off', 'alice', silent), seen = await page('t_off', 'bob');
    await sees(seen, 'bob', 'online');
    const made = await world.api('t_off', 'POST', '/api/v1/events', { event: 'last', data: 1 }, 'service');
    assert.equal(made.status, 202, made.body);
    await alice.hears('the event', 'last');
    assert.deepEqual(knows(alice), {});
    assert.deepEqual(knows(seen), { bob: 'online' });
  });
});
