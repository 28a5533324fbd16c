// A gateway that stood still wakes up: what its clients said into it meanwhile is theirs no longer when their sessions go on
// elsewhere. They are stopped with SIGSTOP, and the old links stay open: so their sockets hold what was said.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { SIO_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const PING = 1000 * PATIENCE; // interval and timeout of `quick`
const NUMBER = '200000000000091';
const TENANT = 't_stopped';
let world, elsewhere, quick, calm, id, room;
before(async () => {
  const CALM = { PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000' };
  world = await World.open('stopped', { gateway: CALM });
  elsewhere = world.gw;
  for (const env of [CALM, { PING_INTERVAL_MS: String(PING), PING_TIMEOUT_MS: String(PING) }]) {
    const service = await gateway(world.dir, world.amqpUrl, env);
    world.services.push(service);
    await service.start();
  }
  [, calm, quick] = world.services.filter((s) => s.name === 'portal-gateway');
  await world.channel(NUMBER, TENANT);
});
after(() => world.close());
afterEach(closeMembers);

let turn = 0;
// A conversation of its own for each test.
async function newRoom() {
  id = await world.conversation(TENANT, NUMBER, `4477009200${String(++turn).padStart(2, '0')}`);
  room = `conversation:${id}`;
}
const authOf = (sub) => ({ token: tokenOf(TENANT, 'agent', { sub }) });
const move = async (one, what) => {
  const answer = await one.asks(`${what}_conversation`, id);
  assert.equal(answer.ok, true, `${what}: ${JSON.stringify(answer)}`);
};
let rung = 0;
// Publishes to the room, then to everyone; whether the client hears the first.
async function isIn(one) {
  const [n, last] = [++rung, ++rung];
  for (const [data, rooms] of [[{ n }, { rooms: [room] }], [{ n: last }, {}]])
    assert.equal((await rest(world.sm, tokenOf(TENANT, 'service'), 'POST', '/api/v1/events', { event: 'ring', data, ...rooms })).status, 202);
  await one.hears('the last one', (h) => h.data?.n === last);
  return one.heard.some((h) => h.data?.n === n);
}
const closings = (service) => (service.log(Infinity).match(/event=session_closed /g) ?? []).length;

// Stops the gateway, lets clients speak into it and go on elsewhere, and wakes it: all that it had from them, or from us behind
// it, is done then.
async function whileStopped(service, ms, happens) {
  const before = closings(service);
  process.kill(service.pid, 'SIGSTOP');
  try {
    const [ended] = await Promise.all([happens(), sleep(ms)]);
    process.kill(service.pid, 'SIGCONT');
    await until('the end of the old sessions', () => closings(service) >= before + ended, 20000);
  } finally {
    process.kill(service.pid, 'SIGCONT');
  }
  const last = await member('websocket', service, authOf('zoe')).there();
  await move(last, 'join');
  last.close();
}

// what it is at first, what is said into the stopped one, what is done elsewhere, whether it is in at last
const HISTORIES = [
  ['in', 'leave', ['leave', 'join'], true],
  ['in', 'leave', ['join'], true],
  ['out', 'join', ['join', 'leave'], false],
  ['out', 'join', ['leave'], false],
];
for (const [what, stopped, ms] of [
  ['for longer than its clients wait', () => quick, 2.5 * PING],
  ['for a moment', () => calm, 0],
])
  describe(`a gateway that stands still ${what}`, () => {
    for (const way of SIO_WAYS)
      for (const [at, said, done, isInside] of HISTORIES)
        test(`${way}: ${said} into it; elsewhere ${done.join(' and ')}: ${isInside ? 'in' : 'out'}, and stays so`, async () => {
          await newRoom();
          const auth = authOf('ann');
          const one = await member(way, stopped(), auth).there();
          if (at === 'in') await move(one, 'join');
          let two;
          await whileStopped(stopped(), ms, async () => {
            one.say(`42${JSON.stringify([`${said}_conversation`, id])}`);
            two = await member(way, elsewhere, { ...one.ticket, ...auth }).there();
            assert.equal(two.isRecovered, true);
            for (const each of done) await move(two, each);
            return 1;
          });
          assert.equal(await isIn(two), isInside, 'what it hears there');
          assert.equal(two.isOpen, true);
          const three = await member(way, stopped(), { ...two.ticket, ...auth }).there();
          assert.equal(three.isRecovered, true);
          assert.equal(three.hello.data.rooms.includes(room), isInside, 'its rooms after the next break');
          assert.equal(await isIn(three), isInside, 'what it hears then');
        });
  });

describe('a gateway whose clients have given it up', () => {
  test('carries out nothing of what they said before', async () => {
    await newRoom();
    const auth = authOf('ben');
    const watcher = await member('websocket', elsewhere, authOf('wes')).there();
    await move(watcher, 'join');
    const [one, left] = await Promise.all([member('websocket', quick, auth).there(), member('polling', quick, authOf('cid')).there()]);
    await move(one, 'join');
    await whileStopped(quick, 2.5 * PING, async () => {
      one.say(`42["set_presence",{"status":"busy"}]`);
      one.say(`42["typing",{"conversationId":"${id}","isTyping":true}]`);
      one.say(`42["mark_read",{"conversationId":"${id}"}]`);
      one.say(`42["leave_conversation","${id}"]`);
      left.say('41');
      return 2;
    });
    const two = await member('websocket', elsewhere, { ...one.ticket, ...auth }).there();
    assert.deepEqual([two.isRecovered, await isIn(two)], [true, true], 'it is in the room that it wanted to leave');
    assert.equal((await member('polling', elsewhere, { ...left.ticket, ...authOf('cid') }).there()).isRecovered, true, 'it had left, and was not heard');
    assert.equal(await isIn(watcher), true);
    assert.deepEqual(watcher.of('typing'), []);
    assert.deepEqual(watcher.of('presence_update').filter((h) => h.data.status === 'busy'), []);
    const { json } = await world.api(TENANT, 'GET', `/api/v1/conversations/${id}`);
    assert.equal(json.unread, 1);
  });
});
