// Two tenants under load, and clients of both that try everything to hear the other: rooms, pids, offsets, ids and event
// names of somebody else, by every way in, on two gateways. Not one foreign frame, and not one change.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { PATIENCE, seededRandom, sleep, until, within } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { ALL_WAYS, closeMembers, member } from '../lib/recovering.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const SECONDS = 12 * PATIENCE;
const ACTORS = 12; // of each tenant
const CONVERSATIONS = 4;
const TEAMS = ['north', 'south', 'east'];
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
console.log(`# seed ${seed}`);
const random = seededRandom(seed);
const pick = (list) => list[Math.floor(random() * list.length)];
const chance = (p) => random() < p;

const tenants = ['t_canary_one', 't_canary_two'].map((id, i) => ({ id, number: `20000000070${i}`, conversations: [] }));
const otherOf = (tenant) => tenants.find((t) => t !== tenant);
const pool = { pids: [], offsets: [] }; // of anybody
const faults = [];
const count = { sessions: 0, recovered: 0, foreign: 0, joined: 0, denied: 0, frames: 0 };
let world, balancer, running;
let published = 0;

before(async () => {
  world = await World.open('canary', { tap: false, gateway: { LOG_LEVEL: 'info' }, stateManager: { LOG_LEVEL: 'info' } });
  const second = await gateway(world.dir, world.amqpUrl, { LOG_LEVEL: 'info' });
  world.services.push(second);
  await second.start();
  balancer = await new Balancer([world.gw.port, second.port]).open();
  for (const tenant of tenants) {
    await world.channel(tenant.number, tenant.id);
    for (let i = 0; i < CONVERSATIONS; i++) await post(tenant, i);
    tenant.conversations = (await world.list(tenant.id, '/api/v1/conversations')).map((c) => c.id);
    assert.equal(tenant.conversations.length, CONVERSATIONS);
  }
});
after(async () => {
  closeMembers();
  balancer?.close();
  await world?.close();
});

const post = async (tenant, i) => assert.equal((await webhook(world.sm, inbound(tenant.number, [textMessage(`44770090100${i}`, `for ${tenant.id}`)], { [`44770090100${i}`]: `Customer of ${tenant.id}` }))).status, 200);

// What both tenants hear all the while, each event with its owner's name in it and the room that it is for.
async function load(tenant) {
  while (running) {
    const only = pick([undefined, ...TEAMS.map((t) => `team:${t}`), ...tenant.conversations.map((c) => `conversation:${c}`), `user:${tenant.id}.0`, `user:${tenant.id}.1`]);
    const event = { event: pick(['n', 'preference.updated', 'status']), data: { owner: tenant.id, only }, ...(only && { rooms: [only] }), ...pick([{}, {}, { class: 'ephemeral' }, { class: 'latest', key: `k${Math.floor(random() * 5)}` }]) };
    const answer = await rest(world.sm, tokenOf(tenant.id, 'service'), 'POST', '/api/v1/events', event);
    assert.equal(answer.status, 202, answer.body);
    published++;
    if (chance(0.05)) await post(tenant, Math.floor(random() * CONVERSATIONS));
    await sleep(10);
  }
}

const garbage = () => pick(['', '*', '#', '..', 'x'.repeat(300), '\u0000', '{"a":1}', 'tenant', '/', 'team:', ':']);
const mangled = (text) => (text ? pick([text.slice(0, -1), `${text}x`, text.slice(1), text.replace(/\d/, '7'), text.split('.').reverse().join('.')]) : garbage());
// A room of the other tenant, of nobody, or one that its token does not give.
const strangeRoom = (actor) => {
  const { id, conversations } = otherOf(actor.tenant);
  return pick([`conversation:${pick(conversations)}`, `tenant:${id}`, `tenant.${id}`, id, `${id}/team:north`, `user:${id}.0`, `user:${actor.tenant.id}.x`, `role:platform-admin`, `team:${pick(TEAMS.filter((t) => t !== actor.team))}`, garbage()]);
};
const strangeId = (actor) => pick([pick(otherOf(actor.tenant).conversations), `${otherOf(actor.tenant).id}/${pick(otherOf(actor.tenant).conversations)}`, garbage()]);

// What an actor has heard is its tenant's, and for a room that it may be in.
function check(actor, one) {
  const foreign = otherOf(actor.tenant).id;
  for (const { event, data } of one.heard) {
    count.frames++;
    if (JSON.stringify([event, data]).includes(foreign)) faults.push(`${actor.sub} heard ${event} ${JSON.stringify(data)}`);
    if (data?.only && !actor.rooms.has(data.only)) faults.push(`${actor.sub} in ${[...actor.rooms]} heard ${event} ${JSON.stringify(data)}`);
    if (event.startsWith('portalcast:') && !['portalcast:hello', 'portalcast:cursor'].includes(event)) faults.push(`${actor.sub} heard ${event}`);
  }
}

// Asks by that way; {ok, ...} or undefined when it was not answered.
async function asks(way, one, type, argument) {
  if (way !== 'ws') return within(one.asks(type, argument), 3000 * PATIENCE).catch(() => undefined);
  const id = `q${Math.floor(random() * 1e9)}`;
  if (type === 'join_conversation' || type === 'leave_conversation') one.send({ type: type.split('_')[0], room: `conversation:${argument}`, id });
  else if (type === 'join') one.send({ type, room: argument, id });
  else one.send({ type: 'emit', event: type, data: argument, id });
  const answer = await until('an answer', () => one.messages.find((m) => m.id === id) || !one.isOpen, 3000).catch(() => undefined);
  return answer?.type === 'ack' ? { ok: true, ...answer.data } : answer?.type === 'error' ? { ok: false } : undefined;
}

const DEEDS = [
  async (actor, way, one) => {
    const id = pick(actor.tenant.conversations);
    actor.rooms.add(`conversation:${id}`); // from before the answer on
    if ((await asks(way, one, 'join_conversation', id))?.ok) count.joined++;
  },
  async (actor, way, one) => asks(way, one, 'leave_conversation', pick(actor.tenant.conversations)),
  async (actor, way, one) => isDenied(actor, await asks(way, one, 'join_conversation', strangeId(actor)), 'join_conversation'),
  async (actor, way, one) => way === 'ws' && isDenied(actor, await asks(way, one, 'join', strangeRoom(actor)), 'join'),
  async (actor, way, one) => isDenied(actor, await asks(way, one, 'send_message', { conversationId: strangeId(actor), text: `from ${actor.sub}`, clientMessageId: `m${Math.floor(random() * 20)}` }), 'send_message'),
  async (actor, way, one) => isDenied(actor, await asks(way, one, 'mark_read', { conversationId: strangeId(actor) }), 'mark_read'),
  async (actor, way, one) => isDenied(actor, await asks(way, one, 'typing', { conversationId: strangeId(actor), isTyping: true }), 'typing'),
  async (actor, way, one) => asks(way, one, 'set_presence', { status: pick(['online', 'away', 'busy']) }),
  async (actor, way, one) => isDenied(actor, await asks(way, one, 'refresh_token', { token: tokenOf(otherOf(actor.tenant).id, 'agent', { sub: actor.sub }) }), 'refresh_token'),
  async (actor, way, one) => {
    const name = pick(['portalcast:session', 'portalcast:fence', 'portalcast:revoked', 'portalcast:presence', 'new_message', 'n', `tenant.${otherOf(actor.tenant).id}.n`, '__proto__']);
    const data = { pid: pick(pool.pids)?.split('.')[0], tenantId: otherOf(actor.tenant).id, room: strangeRoom(actor), in: true, ended: true, generation: 99, owner: actor.tenant.id };
    if (way === 'ws') one.send({ type: 'emit', event: name, data });
    else one.say(`42${JSON.stringify([name, data])}`);
  },
];
function isDenied(actor, answer, what) {
  if (answer?.ok) faults.push(`${actor.sub} was allowed to ${what}`);
  if (answer) count.denied++;
}

// What it brings to its next session: its own, somebody else's, or nonsense.
function brings(actor, way) {
  const offset = pick([actor.ticket?.offset, actor.ticket?.offset, pick(pool.offsets), mangled(pick(pool.offsets)), undefined]);
  if (way === 'ws') return { auth: { ...(offset && { offset }), rooms: Array.from({ length: 4 }, () => strangeRoom(actor)) } };
  const isOwn = actor.ticket?.pid && chance(0.5);
  const pid = isOwn ? actor.ticket.pid : pick([pick(pool.pids), pick(pool.pids), mangled(pick(pool.pids)), undefined]);
  return { auth: { ...(pid !== undefined && { pid }), ...(offset !== undefined && { offset }) }, isStolen: pid !== undefined && !actor.pids.has(pid) };
}

async function session(actor) {
  const way = pick(ALL_WAYS);
  const { auth, isStolen } = brings(actor, way);
  const one = member(way, balancer, { ...auth, token: actor.token });
  try {
    await one.there();
  } catch {
    return; // taken over by itself, say; it comes again
  }
  count.sessions++;
  count.recovered += one.isRecovered;
  count.foreign += Boolean(isStolen);
  if (isStolen && one.isRecovered) faults.push(`${actor.sub} got the session of somebody else`);
  const told = JSON.stringify((one.ready ?? one.hello.data).rooms);
  for (const room of JSON.parse(told)) if (!actor.rooms.has(room)) faults.push(`${actor.sub} is in ${room}`);
  for (let deeds = Math.floor(random() * 5); deeds > 0 && one.isOpen; deeds--) {
    await pick(DEEDS)(actor, way, one);
    await sleep(random() * 40);
  }
  actor.ticket = one.ticket;
  if (one.ticket.pid) (actor.pids.add(one.ticket.pid), pool.pids.push(one.ticket.pid));
  if (one.ticket.offset) pool.offsets.push(one.ticket.offset);
  if (way !== 'ws' && chance(0.1)) one.say('41');
  await sleep(random() * 20);
  check(actor, one);
  one.drop();
}

test('not one foreign frame, not one foreign room, not one change', async () => {
  running = true;
  const loads = tenants.map(load);
  const honest = await Promise.all(tenants.map(({ id }) => member('websocket', balancer, { token: tokenOf(id, 'agent', { sub: `${id}.honest`, teams: TEAMS }) }).there()));
  const actors = tenants.flatMap((tenant) => Array.from({ length: ACTORS }, (_, i) => {
    const [sub, team] = [`${tenant.id}.${i}`, TEAMS[i % 3]];
    return { tenant, sub, team, pids: new Set(), rooms: new Set([`user:${sub}`, 'role:agent', `team:${team}`]), token: tokenOf(tenant.id, 'agent', { sub, teams: [team] }) };
  }));
  const until_ = Date.now() + SECONDS * 1000;
  await Promise.all(actors.map(async (actor) => {
    while (Date.now() < until_ && !faults.length) await session(actor);
  }));
  running = false;
  await Promise.all(loads);
  console.log(`# ${JSON.stringify(count)}, ${published} events published`);
  assert.deepEqual(faults.slice(0, 5), []);
  for (const [name, least] of Object.entries({ sessions: 100, recovered: 20, foreign: 20, joined: 20, denied: 50, frames: 500 })) assert.ok(count[name] > least, `${name}: ${count[name]}`);
  for (const [i, one] of honest.entries()) {
    assert.ok(one.isOpen, 'who does nothing wrong is not disturbed');
    check({ tenant: tenants[i], sub: 'honest', rooms: new Set(TEAMS.map((t) => `team:${t}`)) }, one);
    assert.ok(one.heard.filter((h) => h.data?.owner === tenants[i].id).length > 50);
  }
  assert.deepEqual(faults, []);
});

test('nobody has written to the other\'s conversations', async () => {
  for (const tenant of tenants)
    for (const message of (await world.messages(tenant.id)).values()) assert.equal(message.text, `for ${tenant.id}`);
});
