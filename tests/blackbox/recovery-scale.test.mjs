// Two thousand clients on two gateways behind a balancer, events all the while, and a gateway that is killed again and
// again: everybody's log is the tenant's, in order, once, and the store is read for tenants, not for clients.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { Crowd, checkLogs } from '../lib/crowd.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { gateway } from '../lib/services.mjs';
import { Stream } from '../lib/stream.mjs';
import { World } from '../lib/world.mjs';

const IS_SMALL = PATIENCE > 1;
const CLIENTS = IS_SMALL ? 300 : 2000;
const KILLS = IS_SMALL ? 3 : 10;
const PER_SECOND = IS_SMALL ? 50 : 200;
const TENANTS = 20;
const TEAMS = 10;
const READS = 5; // of the store, for a tenant and a kill: heads, log and sessions
const KINDS = ['websocket', 'polling', 'ws'];

let world, gateways, balancer, crowd, stream;
const tenants = Array.from({ length: TENANTS }, (_, i) => ({ id: `t_scale_${i}`, number: i % 4 ? undefined : `2000000005${String(i).padStart(4, '0')}`, rooms: Array.from({ length: TEAMS }, (_, k) => `team:${k}`) }));
// Everybody is one user of a tenant, in one team.
const members = Array.from({ length: CLIENTS }, (_, i) => {
  const [tenant, team] = [tenants[i % TENANTS].id, String(Math.floor(i / TENANTS) % TEAMS)];
  return { kind: KINDS[Math.floor(i / TENANTS) % 3], token: tokenOf(tenant, 'agent', { sub: `user-${i}`, teams: [team] }), key: `${tenant} ${team}` };
});

before(async () => {
  const env = { LOG_LEVEL: 'info', CONNECT_TIMEOUT_MS: String(15000 * PATIENCE) };
  world = await World.open('recovery-scale', { tap: false, gateway: env, stateManager: { LOG_LEVEL: 'info' } });
  const second = await gateway(world.dir, world.amqpUrl, env);
  world.services.push(second);
  gateways = [world.gw, await second.start()];
  for (const { number, id } of tenants) if (number) await world.channel(number, id);
  balancer = await Balancer.apart(gateways.map((g) => g.port));
});
after(async () => {
  await crowd?.end();
  await balancer?.close();
  await world?.close();
});

const live = async (service) => (await service.metrics()).portalcast_gateway_live_sessions;
const reads = async () => (await world.sm.metrics()).portalcast_rpc_requests_total;

test('all are there, on both gateways', async () => {
  crowd = new Crowd(balancer.port, members);
  await crowd.settled(0, 60000);
  for (const service of gateways) assert.ok((await live(service)) > CLIENTS / 4, `${await live(service)} of ${CLIENTS}`);
});

test(`kill -9, ${KILLS} times: the log of everybody is the log of the tenant, in order, once`, async () => {
  stream = new Stream([world.sm], tenants, { perSecond: PER_SECOND });
  await sleep(1000);
  let [returns, store] = [0, []];
  for (let i = 0; i < KILLS; i++) {
    const victim = gateways[i % 2];
    const had = await live(victim);
    assert.ok(had > CLIENTS / 10, `the one that is killed has ${had}`);
    const before = await reads();
    await victim.kill();
    await sleep(100);
    await victim.start();
    returns += had * 0.95; // some may have been between two connections
    await crowd.settled(returns, 60000);
    await sleep(500);
    store.push((await reads()) - before);
  }
  await stream.stop();
  await checkLogs(world.sm, crowd, (m) => m.key);
  const { returns: came, recovered, refused, heard } = await crowd.figures();
  console.log(`# ${came} reconnects, ${came - recovered} not recovered, ${heard} events heard, ${stream.made} published and ${stream.posted} webhooks; requests to the store's owner per kill: ${store}`);
  assert.equal(refused, 0);
  assert.ok(came >= returns, `${came} reconnects`);
  assert.ok(recovered >= came * 0.999, `${came - recovered} of ${came} were not recovered`);
  assert.ok(heard > 2 * CLIENTS, `${heard} events`);
  const median = store.sort((a, b) => a - b)[store.length >> 1];
  assert.ok(median < READS * TENANTS, `${median} requests for ${TENANTS} tenants`);
});
