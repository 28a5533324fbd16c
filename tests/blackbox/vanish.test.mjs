// Two thousand polling clients that are there at once and vanish at random moments, in the middle of whatever they do:
// nothing is left of them, nothing spins on their behalf, and the next two thousand find as much room.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { PATIENCE, seededRandom, sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { FLAT } from '../lib/services.mjs';
import { Vanishing, WAYS_TO_GO } from '../lib/vanishing.mjs';
import { World } from '../lib/world.mjs';

const CLIENTS = 2000;
const TENANTS = 10;
const USERS = 100; // of whom each is many clients: who hears of thousands of users is busy with that
const LANES = 50; // handshakes at a time
const EVENTS = 100; // while they vanish
const ROUNDS = 3; // that are compared, behind one that makes room
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
console.log(`# seed ${seed}`);
const random = seededRandom(seed);
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']));

let world;
before(async () => {
  world = await World.open('vanish', {
    tap: false,
    gateway: {
      PING_INTERVAL_MS: String(1000 * PATIENCE),
      PING_TIMEOUT_MS: String(5000 * PATIENCE),
      CONNECT_TIMEOUT_MS: String(20000 * PATIENCE),
      LOG_LEVEL: 'warn',
      ...FLAT,
    },
  });
});
after(() => world?.close());

const metric = async (name) => (await world.gw.metrics())[`portalcast_gateway_${name}`] ?? 0;
// Sessions that have ended, by reason.
async function ended() {
  const all = Object.entries(await world.gw.metrics()).map(([name, n]) => [/sessions_closed_total\{reason="(.*)"/.exec(name)?.[1], n]);
  return Object.fromEntries(all.filter(([reason, n]) => reason && n));
}
const sessions = () => metric('transports{transport="polling"}');
// Seconds of processor time that the gateway has used.
function cpu() {
  const fields = fs.readFileSync(`/proc/${world.gw.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
const rssKb = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${world.gw.pid}/status`, 'utf8'))[1]);
const rounds = []; // VmRSS behind each
const peaks = []; // and while all are there
const shuffled = (list) => list.map((v) => [random(), v]).sort(([a], [b]) => a - b).map(([, v]) => v);

async function openAll() {
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Vanishing(world.gw.port, tokenOf(`t_vanish_${i % TENANTS}`, 'agent', { sub: `user-${i % USERS}` })));
  const queue = [...clients];
  const lane = async () => {
    for (let c = queue.shift(); c; c = queue.shift()) assert.ok(await c.open(), 'connected');
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return clients;
}

// Events go out all the while, so that some are being written to who has just gone.
async function publish() {
  for (let i = 0; i < EVENTS; i++) {
    await world.api(`t_vanish_${i % TENANTS}`, 'POST', '/api/v1/events', { event: 'tick', data: { i, padding: 'x'.repeat(300) } }, 'service');
    await sleep(2);
  }
}

// The first round is the one that needs most room: all have begun something before anybody goes.
async function vanish(clients) {
  const first = rounds.length ? 0 : 1500;
  let left = clients.length;
  const publishing = publish();
  for (const client of shuffled(clients)) {
    client.begin(WAYS_TO_GO[Math.floor(random() * WAYS_TO_GO.length)]);
    // Some at once, some while it is under way.
    setTimeout(() => (client.go(random() < 0.5), left--), first + (random() < 0.2 ? 0 : random() * 300));
    if (random() < 0.1) await sleep(2);
  }
  await until('all gone', () => left === 0);
  await publishing;
}

async function round() {
  const clients = await openAll();
  assert.equal(await sessions(), CLIENTS, 'all are there at once');
  await world.api('t_vanish_0', 'POST', '/api/v1/events', { event: 'tick', data: 0 }, 'service');
  await until('everybody of a tenant to hear it', () => clients.every((c, i) => i % TENANTS || c.events >= 2));
  peaks.push(rssKb());
  await vanish(clients);
  await until('no session', async () => (await sessions()) === 0, 15000);
  await sleep(3000); // what they had is given back soon after the last one
  return rssKb();
}

test('all are gone after the ping timeout, and so are their files, four times', async () => {
  await metric('live_sessions');
  const files = world.gw.fds();
  const [from, used] = [Date.now(), cpu()];
  for (let i = 0; i <= ROUNDS; i++) {
    rounds.push(await round());
    await until(`${files} open files, not ${world.gw.fds()}`, () => world.gw.fds() <= files + 2);
    assert.deepEqual([await metric('sessions{protocol="socketio"}'), await metric('live_sessions')], [0, 0]);
  }
  rounds.busy = (cpu() - used) / (Date.now() - from);
});

test('nothing spins when they are gone', async () => {
  const [from, used] = [Date.now(), cpu()];
  await sleep(2000);
  const idle = (cpu() - used) / (Date.now() - from);
  console.log(`# busy ${(rounds.busy * 1e5).toFixed(1)} %, idle ${(idle * 1e5).toFixed(2)} %, VmRSS ${rounds.join(', ')} of ${peaks.join(', ')} kB`);
  assert.ok(idle < rounds.busy / 5, `${idle} idle, ${rounds.busy} while busy`);
});

// The events of the last minute or two are still there: half a megabyte a round. What else grows is what sessions leave
// behind. AddressSanitizer's allocator gives back in its own time.
test('memory stays flat', () => {
  const [, first, , last] = rounds;
  const most = PATIENCE > 1 ? 1.3 : 1.25;
  assert.ok(last < first * most, `VmRSS after each round: ${rounds.join(', ')} kB`);
});

test('what they had goes back to the system', () => {
  const most = PATIENCE > 1 ? 1.3 : 0.9;
  assert.ok(rounds.every((kept, i) => kept < most * peaks[i]), `VmRSS ${peaks.join(', ')} kB with all, ${rounds.join(', ')} kB without`);
});

// One user of a tenant of its own: whoever is told of others just then has not held its GET for long, and that is not looked at.
test('a client that went just before an event is noticed by that event, not by a ping', async () => {
  const clients = Array.from({ length: 50 }, () => new Vanishing(world.gw.port, tokenOf('t_vanish_quiet')));
  for (const c of clients) assert.ok(await c.open());
  const before = await ended();
  await sleep(300); // they hold GETs
  clients.forEach((c) => c.go(false));
  await world.api('t_vanish_quiet', 'POST', '/api/v1/events', { event: 'tick', data: 0 }, 'service');
  await until('no session', async () => (await sessions()) === 0, 15000);
  const now = await ended();
  const noticed = (now.peer_gone ?? 0) - (before.peer_gone ?? 0);
  const told = `${noticed} of ${clients.length}; the others may have been between two GETs: ${JSON.stringify([before, now])}`;
  assert.ok(noticed > clients.length * 0.8, told);
});

test('a client that comes now is served', async () => {
  const client = new Vanishing(world.gw.port, tokenOf('t_vanish_0'));
  assert.equal(await client.open(), true);
  client.go(false);
  await until('no session', async () => (await sessions()) === 0, 15000);
});
