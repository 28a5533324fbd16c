// A deploy under load: three gateways and two state-managers are restarted one after the other. Nothing is lost, nothing is
// repeated, everybody is recovered, and a gateway sends its clients away bit by bit.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { Crowd, checkLogs } from '../lib/crowd.mjs';
import { PATIENCE, sleep } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { Mongo } from '../lib/mongo.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { Stream } from '../lib/stream.mjs';
import { World } from '../lib/world.mjs';

const CLIENTS = PATIENCE > 1 ? 120 : 450;
const PER_SECOND = PATIENCE > 1 ? 20 : 100;
const DRAIN_S = 3;
const TEAMS = 5;
const KINDS = ['websocket', 'polling', 'ws'];
const tenants = Array.from({ length: 6 }, (_, i) => ({ id: `t_roll_${i}`, number: `2000000006${String(i).padStart(4, '0')}`, rooms: Array.from({ length: TEAMS }, (_, k) => `team:${k}`) }));
const members = Array.from({ length: CLIENTS }, (_, i) => {
  const [tenant, team] = [tenants[i % 6].id, String(Math.floor(i / 6) % TEAMS)];
  return { kind: KINDS[Math.floor(i / 6) % 3], token: tokenOf(tenant, 'agent', { sub: `user-${i}`, teams: [team] }), key: `${tenant} ${team}` };
});

let mongo, world, gateways, managers, balancer, crowd, stream;
before(async () => {
  mongo = await Mongo.start();
  const gatewayEnv = { LOG_LEVEL: 'info', DRAIN_SECONDS: String(DRAIN_S) };
  const managerEnv = { LOG_LEVEL: 'info', STORE_URL: mongo.url('rolling') };
  world = await World.open('rolling', { tap: false, gateway: gatewayEnv, stateManager: managerEnv });
  for (let i = 1; i < 3; i++) world.services.push(await gateway(world.dir, world.amqpUrl, gatewayEnv));
  world.services.push(await stateManager(world.dir, world.amqpUrl, managerEnv));
  for (const service of world.services.slice(2)) await service.start();
  gateways = world.services.filter((s) => s.name === 'portal-gateway');
  managers = world.services.filter((s) => s.name === 'state-manager');
  for (const { number, id } of tenants) await world.channel(number, id);
  balancer = await Balancer.apart(gateways.map((g) => g.port));
});
after(async () => {
  await crowd?.end();
  await balancer?.close();
  await world?.close();
  await mongo?.stop();
});

const live = async (service) => (await service.metrics()).portalcast_gateway_live_sessions;
// Ends of connections in that time, ms from its beginning.
const endsWithin = async (from, to) => (await crowd.logs()).flatMap((c) => c.ends).filter((at) => at >= from && at <= to).map((at) => at - from).sort((a, b) => a - b);

test('everybody is there', async () => {
  crowd = new Crowd(balancer.port, members);
  await crowd.settled(0, 60000);
  stream = new Stream(managers, tenants, { perSecond: PER_SECOND });
  await sleep(1000);
});

test('each gateway in turn: its clients go bit by bit, and are all recovered elsewhere', async () => {
  for (const service of gateways) {
    const had = await live(service);
    assert.ok(had > CLIENTS / 10, `${had} clients`);
    const from = Date.now();
    await service.stop(DRAIN_S * 1000 + 10000);
    const took = Date.now() - from;
    const ends = await endsWithin(from, from + took);
    assert.ok(ends.length >= had * 0.95, `${ends.length} of ${had}`);
    // In every tenth of the window some, nowhere a crowd; behind it those of other gateways that were relayed here.
    const tenths = Array.from({ length: 10 }, (_, i) => ends.filter((at) => at >= i * DRAIN_S * 100 && at < (i + 1) * DRAIN_S * 100).length);
    const late = ends.filter((at) => at >= DRAIN_S * 1000).length;
    console.log(`# ${had} clients of a gateway that is drained: ${tenths} went in each tenth of ${DRAIN_S} s, ${late} behind it`);
    assert.ok(late < 0.4 * ends.length, `${late} of ${ends.length} at the end`);
    assert.ok(Math.max(...tenths) < 0.4 * ends.length, `${tenths}`);
    assert.ok(tenths.filter(Boolean).length >= 6, `${tenths}`);
    await service.start();
    await crowd.settled(0, 30000);
  }
});

test('each state-manager in turn', async () => {
  for (const service of managers) {
    const before = (await crowd.figures()).returns;
    await service.stop();
    await sleep(1500);
    await service.start();
    await sleep(500);
    assert.equal((await crowd.figures()).returns, before, 'no client noticed');
  }
});

test('a state-manager and a gateway together', async () => {
  await Promise.all([managers[0].stop(), gateways[0].stop(DRAIN_S * 1000 + 10000)]);
  await Promise.all([managers[0].start(), gateways[0].start()]);
  await crowd.settled(0, 30000);
});

test('everybody\'s log is the tenant\'s, in order, once, and everybody was recovered each time', async () => {
  await stream.stop();
  await checkLogs(managers[1], crowd, (m) => m.key);
  const { returns, recovered, refused, resyncs, heard } = await crowd.figures();
  console.log(`# ${returns} reconnects, ${heard} events heard, ${stream.made} published, ${stream.posted} webhooks`);
  assert.deepEqual({ notRecovered: returns - recovered, refused, resyncs }, { notRecovered: 0, refused: 0, resyncs: 0 });
  assert.ok(returns >= CLIENTS, `${returns} reconnects`);
});
