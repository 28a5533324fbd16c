// A client that is away for a second, two minutes, a day, nearly a week: it gets exactly what it missed, whether its gateway has
// lived on or not. Away for longer than events are kept, it is told to reload. The services' wall clock is moved meanwhile.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { WallClock } from '../faults/layer.mjs';
import { PATIENCE, RUN_DIR, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { ALL_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const [MINUTE, DAY] = [60e3, 86400e3];
const AWAY = [
  ['a second', 1000, true],
  ['two minutes', 2 * MINUTE, true],
  ['a day', DAY, true],
  ['a week but an hour', 7 * DAY - 60 * MINUTE, true],
  ['eight days', 8 * DAY, false],
];

let world, clock, second;
before(async () => {
  clock = new WallClock(RUN_DIR);
  const gatewayEnv = { ...clock.env, LOG_LEVEL: 'info', PING_INTERVAL_MS: String(2000 * PATIENCE), PING_TIMEOUT_MS: String(4000 * PATIENCE) };
  world = await World.open('long-away', { tap: false, stateManager: { ...clock.env, LOG_LEVEL: 'info', HOUSEKEEPING_SECONDS: '1' }, gateway: gatewayEnv });
  second = await gateway(world.dir, world.amqpUrl, gatewayEnv);
  world.services.push(second);
  await second.start();
});
after(async () => {
  await world?.close();
  clock.close();
});
afterEach(closeMembers);

let tenants = 0;
const authOf = (tenant) => {
  const now = Math.floor(clock.now() / 1000);
  return { token: tokenOf(tenant, 'agent', { iat: now, exp: now + 30 * 86400 }) };
};
const service = (tenant) => {
  const now = Math.floor(clock.now() / 1000);
  return tokenOf(tenant, 'service', { iat: now, exp: now + 3600 });
};
async function publish(tenant, from, count) {
  const answer = await rest(world.sm, service(tenant), 'POST', '/api/v1/events', Array.from({ length: count }, (_, i) => ({ event: 'n', data: { i: from + i } })));
  assert.equal(answer.status, 202, answer.body);
}
const numbers = (one) => one.of('n').map((h) => h.data.i);
const run = (from, count) => Array.from({ length: count }, (_, i) => from + i);

// What became of the gateway meanwhile, and the one where the client comes back.
const PLACES = [
  ['the same gateway', async () => world.gw],
  ['another', async () => second],
  ['one that was killed and started', async () => (await world.gw.kill(), await world.gw.start(), world.gw)],
];

for (const [long, ms, comesBack] of AWAY)
  describe(`away for ${long}`, () => {
    for (const way of ALL_WAYS)
      for (const [where, place] of PLACES)
        test(`${way}, to ${where}: ${comesBack ? 'all that it missed, once, in order' : 'told to reload, and hears what follows'}`, async () => {
          const tenant = `t_long_${++tenants}`;
          const one = await member(way, world.gw, authOf(tenant)).there();
          await publish(tenant, 0, 5);
          await one.hears('what came first', 'n', 5);
          const { ticket } = one;
          one.drop();
          await publish(tenant, 5, 10);
          if (ms > 1000) clock.set(clock.aheadMs + ms);
          else await sleep(ms);
          await publish(tenant, 15, 10);
          if (!comesBack) {
            // Retention does not believe such a jump; who starts then knows no other time.
            await world.sm.stop();
            await world.sm.start();
            await until('a log that has dropped them', async () => {
              const { json } = await rest(world.sm, authOf(tenant).token, 'GET', `/api/v1/events?after=${ticket.offset}`);
              return json.complete === false;
            }, 20000);
          }
          const back = await until('somebody who gets in', async () => {
            const m = member(way, await place(), { ...ticket, ...authOf(tenant) });
            return Promise.race([m.there(), m.ended.then(() => null)]);
          }, 20000);
          // On the same gateway a plain client may be lucky: what the log has dropped may still be in memory.
          if (comesBack || way !== 'ws' || where !== 'the same gateway') assert.equal(back.isRecovered, comesBack);
          await publish(tenant, 100, 3);
          await back.hears('what follows', (h) => h.data?.i === 102, 1, 20000);
          assert.deepEqual(numbers(back), back.isRecovered ? [...run(5, 20), 100, 101, 102] : [100, 101, 102]);
          const seqs = back.of('n').map((h) => Number(h.offset.split('-').at(-1)));
          assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i));
        });
  });
