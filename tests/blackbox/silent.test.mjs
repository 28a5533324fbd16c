// Gateways that relay to each other, over links that die without a word: nothing is left of what went through them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Wires } from '../faults/proxy.mjs';
import { PATIENCE, claimPorts, until } from '../lib/env.mjs';
import { PollSession } from '../lib/polling.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const PING = 400 * PATIENCE; // interval and timeout
const ECHO = { PROFILE: 'conformance', RECOVERY: 'off', EVENTS_EXCHANGE: 'silent.events', PING_INTERVAL_MS: String(PING), PING_TIMEOUT_MS: String(PING), CONNECT_TIMEOUT_MS: '60000' };
const METER = 'portalcast_gateway_';
let world, wires, owner, between, door;
before(async () => {
  wires = new Wires();
  world = await World.open('silent', { stateManager: false, gateway: false, tap: false });
  const ports = [await claimPorts(), await claimPorts()];
  owner = await gateway(world.dir, world.amqpUrl, { ...ECHO, ADVERTISE_URL: `http://127.0.0.1:${ports[0]}` });
  between = await gateway(world.dir, world.amqpUrl, ECHO);
  world.services.push(owner, between);
  await Promise.all([owner.start(), between.start()]);
  await wires.open('peers', ports[0], { port: owner.port });
  await wires.open('door', ports[1], { port: between.port });
  door = `http://127.0.0.1:${ports[1]}`;
  await until('gateways that know each other', async () => (await metric('peers')) === 1);
});
after(async () => {
  await wires?.end();
  await world?.close();
});
const metric = async (name) => (await between.metrics())[METER + name] ?? 0;
const die = () => Promise.all(['peers', 'door'].map((name) => wires.mode(name, 'half-open')));

// A session of `owner` whose requests go to the other one.
async function session() {
  const one = await new PollSession(owner.base, { path: '/engine.io/' }).open();
  one.base = door;
  return one;
}

test('a WebSocket lasts as long as pings pass, and ends when its links are dead at both ends', async () => {
  const one = await session();
  const files = between.fds();
  const ws = await one.ws().opened();
  ws.send('2probe');
  assert.deepEqual(await ws.next(), ['3probe']);
  ws.send('5');
  for (let pings = 0; pings < 8; pings++) {
    assert.deepEqual(await ws.next(), ['2']);
    ws.send('3');
  }
  assert.equal(await metric('relaying'), 1);
  await die();
  await until('nothing that is relayed', async () => (await metric('relaying')) === 0, 20000);
  assert.match(between.log(Infinity), /event=relay_failed what=websocket why="nothing passes"/);
  await until('no files of it', () => between.fds() <= files, 20000);
  ws.close();
});

test('a held GET ends too', async () => {
  const one = await session();
  one.get().catch(() => {});
  await until('a GET that is relayed', async () => (await metric('relaying')) === 1);
  await die();
  await until('nothing that is relayed', async () => (await metric('relaying')) === 0, 20000);
});
