// Allocations fail, each place that asks once: of the libraries all, of our own some (those end the process, with one line,
// and it is started again). Nothing that was answered well is lost, nobody is told something wrong for good, nothing
// crashes once it runs. MEMORY_SECONDS=... and OWN_EVERY=1 for longer and for all, SEED=... for others.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Memory } from '../faults/layer.mjs';
import { sleep, until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { Load, NUMBER } from '../lib/load.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_kept';
const SECONDS = Number(process.env.MEMORY_SECONDS ?? 35);
const OWN_EVERY = Number(process.env.OWN_EVERY ?? 24);
const seed = Number(process.env.SEED ?? Date.now() % 1e9);
console.log(`# seed memory ${seed}`);

const worlds = [];
after(async () => {
  for (const world of worlds) await world.close();
});

// Memory fails in one of the two: 'sm' or 'gw'.
async function openWorld(name, who) {
  const world = await World.open(name, { stateManager: false, gateway: false });
  worlds.push(world);
  world.memory = new Memory(world.dir, { depth: 6, ownEvery: OWN_EVERY, seed });
  const env = (of) => (of === who ? world.memory.env : {});
  world.sm = await stateManager(world.dir, world.amqpUrl, env('sm'));
  world.services.push(world.sm);
  await world.sm.start();
  world.gw = await gateway(world.dir, world.amqpUrl, env('gw'));
  world.services.push(world.gw);
  await world.gw.start();
  await world.channel(NUMBER, TENANT);
  return world;
}

// Keeps a service running while allocations fail. Once it listens it may end with a line that says why, and by no other way;
// before, libraries that begin without memory may do as they like: nobody was promised anything yet.
async function sweep(world, service) {
  const deaths = { starting: 0, running: 0 };
  const until = Date.now() + SECONDS * 1000;
  let read = service.log(Infinity).length;
  let listens = true;
  world.memory.fail(true);
  while (Date.now() < until) {
    await sleep(20);
    const said = service.log(Infinity).slice(read);
    if (!listens && /event=listening/.test(said)) {
      listens = true;
      world.memory.fail(true);
    }
    if (service.code === undefined) continue;
    deaths[listens ? 'running' : 'starting']++;
    if (listens) {
      assert.ok(['SIGABRT', 1].includes(service.code), `${service.code} after\n${world.memory.last()}\n${said.slice(-1000)}`);
      assert.match(said, /event=(out_of_memory|aborted|fatal)/);
    }
    read += said.length;
    listens = false;
    world.memory.fail((deaths.starting + deaths.running) % 4 === 0); // also as it starts, now and then
    await service.start({ wait: false });
  }
  world.memory.fail(false);
  if (service.code !== undefined) await service.start({ wait: false });
  await service.waitReady();
  const count = world.memory.count();
  console.log(`# ${service.name}: failed ${count.failed} of libraries, ${count.own} of its own; ended ${deaths.starting} times as it started, ${deaths.running} times later`);
  assert.ok(count.failed > 100 && count.own > 0, JSON.stringify(count));
  assert.ok(deaths.running > 0, 'some end it');
}

describe(`memory runs out, seed ${seed}`, () => {
  test('in the state-manager: what was answered is there, once, in order', async () => {
    const world = await openWorld('memory', 'sm');
    const load = new Load(world, { workers: 3, pauseMs: 5 });
    await sweep(world, world.sm);
    await load.stop();
    assert.ok(load.accepted.length > 100, `${load.accepted.length} accepted`);
    assert.deepEqual([...new Set(load.refusals)].filter((status) => ![500, 503].includes(status)), [], 'refused as what may be sent again');
    const stored = await world.messages(TENANT);
    assert.deepEqual(load.accepted.filter((id) => !stored.has(id)).slice(0, 5), []);
    const events = [];
    for (let at = ''; ; ) {
      const { json } = await world.api(TENANT, 'GET', `/api/v1/events?limit=1000${at && `&after=${at}`}`);
      events.push(...json.items);
      if ((at = json.next) === json.head) break;
    }
    const seqs = events.map((e) => Number(e.offset.split('-')[1]));
    assert.deepEqual(seqs, seqs.map((_, i) => i + 1), 'no hole in the log');
    const ids = events.filter((e) => e.event === 'new_message').map((e) => e.data.messageId);
    assert.equal(new Set(ids).size, ids.length, 'nothing twice');
    assert.deepEqual([...stored.keys()].sort(), ids.sort(), 'log and state are one');
    await until('the last is published', () => world.tap.of(TENANT).some((e) => e.seq === seqs.length));
  });

  test('in the gateway: clients are told nothing wrong for good, and have heard all in the end', async () => {
    const world = await openWorld('memory-gateway', 'gw');
    const clients = [['websocket'], ['polling'], undefined].map((transports) => new SioClient(world.gw.base, tokenOf(TENANT), { transports, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 400, timeout: 3000 }));
    world.browsers.push(...clients);
    await Promise.all(clients.map((c) => c.connected()));
    const load = new Load(world, { workers: 2, pauseMs: 60 });
    await sweep(world, world.gw);
    await load.stop();
    assert.deepEqual(load.refusals, []);
    for (const client of clients) {
      const refused = client.refusals.map((e) => e.data?.code).filter(Boolean);
      assert.deepEqual(refused, [], 'a refusal ends a client');
      // What it missed it was told, or that it cannot be.
      const hellos = client.heard.flatMap((h, i) => (h.event === 'portalcast:hello' && !h.data.recovered ? [i] : []));
      const since = () => client.heard.slice(hellos.at(-1)).filter((h) => h.event === 'new_message' || h.event === 'conversation_update');
      await until('the last message', () => since().some((h) => h.data.messageId === load.accepted.at(-1)), 40000);
      const seqs = [...new Set(since().map((h) => Number(h.offset.split('-')[1])))];
      assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i), 'no hole');
    }
  });
});
