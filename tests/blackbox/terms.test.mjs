// SIGTERM under load, again and again: callers of a state-manager see no 5xx, what was answered is kept, sockets are told to move,
// and each process ends with 0 within its drain. ROUNDS=100 goes on for longer.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { Light } from '../lib/light.mjs';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { sign, tokenOf } from '../lib/http.mjs';
import { Mongo } from '../lib/mongo.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 6);
const CALLERS = 8;
const NUMBER = '200000000000961';
const TENANT = 't_terms';
const DRAIN_S = 2;

const worlds = [];
after(async () => {
  for (const world of worlds) await world.close();
});

// Callers on kept connections, each doing one thing after the other; what is not answered, or 503, is said again.
class Callers {
  answers = []; // {status, ended: at}
  lost = 0; // cut off without an answer
  kept = [];
  running = true;
  constructor(portOf) {
    this.portOf = portOf;
    this.done = Promise.all(Array.from({ length: CALLERS }, (_, i) => this.work(i)));
  }

  ask(agent, method, path, headers, body) {
    return new Promise((done) => {
      const r = http.request({ host: '127.0.0.1', port: this.portOf(), method, path, agent, headers: { ...headers, ...(body && { 'Content-Length': body.length, 'Content-Type': 'application/json' }) } }, (a) => {
        a.resume();
        a.on('end', () => done(a.statusCode)).on('error', () => done(0));
      });
      r.on('error', (e) => done(e.code === 'ECONNREFUSED' ? -1 : 0)).end(body);
    });
  }

  async work(caller) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; this.running; i++) {
      const message = textMessage(`4477009608${caller}0`, `${caller}.${i}`);
      const hook = Buffer.from(JSON.stringify(inbound(NUMBER, [message])));
      const token = (role) => ({ Authorization: `Bearer ${tokenOf(TENANT, role)}` });
      const things = [
        () => this.ask(agent, 'POST', '/webhooks/whatsapp', { 'X-Hub-Signature-256': sign(hook) }, hook),
        () => this.ask(agent, 'GET', '/api/v1/conversations', token('agent')),
        () => this.ask(agent, 'POST', '/api/v1/events', { ...token('service'), 'Idempotency-Key': `${caller}-${i}` }, Buffer.from('{"event":"x"}')),
      ];
      const what = i % things.length;
      for (let status = 0; status < 200 || status >= 500; ) {
        status = await things[what]();
        if (status > 0) this.answers.push(status);
        else if (!status) this.lost++;
        if (status < 200) await sleep(20);
        if (!this.running) break;
        if (status === 200 && what === 0) this.kept.push(message.id);
      }
    }
    agent.destroy();
  }

  async stop() {
    this.running = false;
    await this.done;
  }

  // Nobody was told 5xx, and nearly all were told something.
  check() {
    assert.deepEqual(this.answers.filter((s) => s >= 500), [], `among ${this.answers.length} answers`);
    assert.deepEqual([...new Set(this.answers)].sort(), [200, 202]);
    assert.ok(this.lost <= CALLERS * ROUNDS, `${this.lost} calls were cut off`);
  }
}

describe('a state-manager alone', () => {
  test(`${ROUNDS} times: no 5xx, and what was answered is kept`, async () => {
    const world = await World.open('terms', { gateway: false, tap: false, stateManager: { LOG_LEVEL: 'info' } });
    worlds.push(world);
    await world.channel(NUMBER, TENANT);
    const callers = new Callers(() => world.sm.port);
    for (let i = 0; i < ROUNDS; i++) {
      await sleep(400);
      await world.sm.stop();
      await world.sm.start();
    }
    await callers.stop();
    console.log(`# ${callers.answers.length} answers, ${callers.lost} calls were cut off in ${ROUNDS} rounds`);
    callers.check();
    const stored = await world.messages(TENANT);
    assert.deepEqual(callers.kept.filter((id) => !stored.has(id)), []);
  });
});

describe('all of them in turn', () => {
  let world, mongo, managers, gateways;
  const env = { LOG_LEVEL: 'info', DRAIN_SECONDS: String(DRAIN_S) };
  before(async () => {
    mongo = await Mongo.start();
    world = await World.open('terms-rolling', { tap: false, stateManager: { LOG_LEVEL: 'info', STORE_URL: mongo.url('terms') }, gateway: env });
    worlds.push({ close: () => world.close().finally(() => mongo.stop()) });
    managers = [world.sm, await stateManager(world.dir, world.amqpUrl, { LOG_LEVEL: 'info', STORE_URL: mongo.url('terms') })];
    gateways = [world.gw, await gateway(world.dir, world.amqpUrl, env)];
    world.services.push(managers[1], gateways[1]);
    for (const service of [managers[1], gateways[1]]) await service.start();
    await world.channel(NUMBER, TENANT);
  });

  test(`${ROUNDS} times behind a balancer: no caller sees a 5xx`, async () => {
    const balancer = await new Balancer(managers.map((s) => s.port)).open();
    const callers = new Callers(() => balancer.port);
    for (let i = 0; i < ROUNDS; i++) {
      const service = managers[i % 2];
      balancer.only(managers[1 - (i % 2)].port); // as a deploy does: first out of the balancer, then ended
      await sleep(200);
      await service.stop();
      await service.start();
      balancer.only();
      await sleep(300);
    }
    await callers.stop();
    console.log(`# ${callers.answers.length} answers, ${callers.lost} calls were cut off in ${ROUNDS} rounds`);
    callers.check();
    const stored = await world.messages(TENANT);
    assert.deepEqual(callers.kept.filter((id) => !stored.has(id)), []);
    balancer.close();
  });

  test(`${ROUNDS} times a gateway: sockets are told to move, it ends within its drain, and its requests are no 5xx`, async () => {
    const balancer = await new Balancer(gateways.map((s) => s.port)).open();
    const clients = Array.from({ length: 60 }, (_, i) => new Light({ i, port: balancer.port, kind: ['websocket', 'polling', 'ws'][i % 3], token: tokenOf(TENANT, 'agent', { sub: `user-${i}` }) }));
    const back = (n) => until('all of them', () => clients.every((c) => c.answered && c.connects) && clients.reduce((sum, c) => sum + c.returns, 0) >= n, 20000);
    await back(0);
    let returns = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const service = gateways[i % 2];
      const had = (await service.metrics()).portalcast_gateway_live_sessions;
      const from = performance.now();
      await service.stop((DRAIN_S + 5) * 1000);
      const took = performance.now() - from;
      assert.ok(took < (DRAIN_S + 3) * 1000 * PATIENCE, `${took.toFixed(0)} ms for a drain of ${DRAIN_S} s`);
      returns += had * 0.9;
      await back(returns);
      await service.start();
    }
    assert.deepEqual(clients.filter((c) => c.refusal), []);
    clients.forEach((c) => c.close());
    balancer.close();
  });
});
