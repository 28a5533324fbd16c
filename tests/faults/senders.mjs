// Those who write: Meta's webhooks, agents over REST, backends with events. Each says a thing again, under the same name,
// until it is answered; what was answered 2xx is promised. Everything goes into the history under a tag of its own.
import { seededRandom, sleep } from '../lib/env.mjs';
import { rest, webhook } from '../lib/http.mjs';
import { echo, inbound, receipts, textMessage } from '../lib/samples.mjs';
import { ForeignProducer } from './producer.mjs';
import { PUBLISHED, conversationRoom } from './marks.mjs';
import { ROLES, TEAMS, customerOf, passFor, prepare, userOf } from './tenants.mjs';

const TIMEOUT_MS = 3000;
const PAUSES_MS = [50, 100, 200, 400, 800];
const USERS = 10;
const ECHOED = 500; // customers from that number on are only echoed to
// Where the answer does not change by asking again.
const isAgain = (status) => status === 408 || status === 429 || status >= 500;
const isGood = (status) => status >= 200 && status < 300;

// The figures that only the newest of counts, and who hears them.
export const SLOTS = [
  { name: 'kettle' },
  { name: 'desk', rooms: [`role:${ROLES[1]}`] },
  { name: 'north', rooms: ['team:0'] },
];

export class Senders {
  running = false;
  promised = 0;
  numbers = new Map(); // of the tags that were given out
  workers = [];

  // tenants: [{id, number}]; apiUrls(): state-managers that may be asked, now; amqpUrl(): the broker, for foreign producers;
  // perSecond: requests of all; burstShare: how many of the calls with several events have hundreds.
  constructor({ history, random, tenants, apiUrls, amqpUrl, perSecond = 40, burstShare = 0.01 }) {
    Object.assign(this, { history, random, tenants, apiUrls, amqpUrl, perSecond, burstShare });
  }

  async start() {
    await prepare(this);
    this.running = true;
    for (const tenant of this.tenants)
      for (const [i, [name, make]] of Object.entries(JOBS).flatMap(([job, { count, make }]) => Array.from({ length: count }, () => [job, make])).entries())
        if (name !== 'foreign' || this.amqpUrl) this.workers.push(this.work(tenant, `${name}${i}`, make));
  }

  // Ends when all is answered that was begun, or nothing answers for a minute.
  async stop(timeoutMs = 60000) {
    this.running = false;
    this.deadline = Date.now() + timeoutMs;
    await Promise.all(this.workers.splice(0));
    await this.producer?.close();
  }

  // One more event for everybody of each tenant: what is heard behind it is late. Map tenant -> key
  async sayLast() {
    const last = new Map();
    this.deadline = Date.now() + 60000;
    for (const tenant of this.tenants) {
      const worker = { tenant, name: 'last', random: seededRandom(1), senders: this };
      const request = events(worker, [{ event: PUBLISHED.durable, key: this.tag(worker) }]);
      await this.insist(worker, request);
      last.set(tenant.id, request.items[0].key);
    }
    return last;
  }

  tag({ tenant, name }) {
    const who = `${tenant.id}/${name}`;
    const n = (this.numbers.get(who) ?? 0) + 1;
    this.numbers.set(who, n);
    return `${who}.${n}`;
  }

  async work(tenant, name, make) {
    const random = seededRandom(Math.floor(this.random() * 2 ** 32));
    const worker = { tenant, name, random, senders: this };
    const pause = (1000 * this.tenants.length * WORKERS) / this.perSecond;
    await sleep(random() * pause);
    while (this.running) {
      const began = Date.now();
      await this.deliver(worker, make(worker));
      await sleep(Math.max(0, pause * (0.5 + random()) - (Date.now() - began)));
    }
  }

  // Some things are said twice: once more behind the answer, or both at a time.
  async deliver(worker, request) {
    const again = { ...request, again: true };
    if (request.repeats && chance(worker.random, 0.4)) await Promise.all([this.insist(worker, request), this.insist(worker, again)]);
    else if ((await this.insist(worker, request)) && request.repeats) await this.insist(worker, again);
  }

  // Until it is answered for good; true: it was taken.
  async insist(worker, request) {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.attempt(worker, request, attempt);
      if (outcome.ok) return true;
      if (outcome.isFinal || Date.now() > this.deadline) return false;
      await sleep(PAUSES_MS[Math.min(attempt, PAUSES_MS.length) - 1] * (0.5 + worker.random()));
    }
  }

  async attempt(worker, request, attempt) {
    const urls = this.apiUrls();
    const base = urls[Math.floor(worker.random() * urls.length)];
    const { way, items, again } = request;
    for (const item of items) this.history.add('sent', { sender: worker.name, tenant: worker.tenant.id, way, attempt, ...(again && { again }), ...item });
    const outcome = await request.ask(base).then((answer) => this.judge(request, answer), (error) => ({ ok: false, error: error.code ?? error.message, ...(isOdd(error) && { odd: true }) }));
    const { results = [], isFinal, ...told } = outcome;
    items.forEach(({ key }, i) => this.history.add('answered', { key, ...told, ...results[i], ...(again && { again }) }));
    this.promised += outcome.ok && !again ? items.length : 0;
    return outcome;
  }

  judge({ resultsOf }, { status, json }) {
    if (isGood(status)) return { ok: true, status, results: resultsOf?.(json) };
    return { ok: false, status, code: json?.error?.code, isFinal: !isAgain(status) };
  }
}

// An answer came, but not one that docs/openapi.json describes.
const isOdd = (error) => /docs\/openapi\.json/.test(error.message);

const pick = (random, list) => list[Math.floor(random() * list.length)];
const chance = (random, share) => random() < share;
const api = (tenantId, role, method, path, body, key, more) => (base) => within3s(rest({ base }, passFor(tenantId, role, more), method, path, body, key ? { 'Idempotency-Key': key } : {}));

// The request goes on behind our back, as one does that was lost on its way; what it does must not matter.
function within3s(promise) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })), TIMEOUT_MS)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
const post = (body) => (base) => within3s(webhook({ base }, body));

// --- webhooks ---

function textFor(worker, tenant) {
  const key = worker.senders.tag({ tenant, name: worker.name });
  const message = textMessage(customerOf(tenant.index, Math.floor(worker.random() * 12)), key);
  return { message, item: { tenant: tenant.id, key, messageId: message.id } };
}

// One to five messages, one time in four of several tenants.
function texts(worker) {
  const { random, tenant, senders } = worker;
  const of = chance(random, 0.25) ? senders.tenants : [tenant];
  const parts = of.map((one) => ({ one, all: Array.from({ length: 1 + Math.floor(random() * 3) }, () => textFor(worker, one)) }));
  const bodies = parts.map(({ one, all }) => inbound(one.number, all.map(({ message }) => message)));
  const body = JSON.stringify({ ...bodies[0], entry: bodies.flatMap(({ entry }) => entry) });
  return { way: 'webhook', items: parts.flatMap(({ all }) => all.map(({ item }) => item)), ask: post(body), repeats: chance(random, 0.1) };
}

// What an agent types on the phone; then, some requests later, what became of it.
function echoes(worker) {
  const { random, tenant } = worker;
  worker.echoed ??= [];
  if (worker.echoed.length > 3) {
    const [id, to] = worker.echoed.shift();
    const list = pick(random, [['delivered', 'read'], ['read', 'delivered'], ['delivered'], ['read']]).map((status) => [id, status, to]);
    const items = list.map(([messageId, status]) => ({ key: `${messageId}=${status}`, messageId, status }));
    return { way: 'status', items, ask: post(JSON.stringify(receipts(tenant.number, list))), repeats: chance(random, 0.2) };
  }
  const to = customerOf(tenant.index, ECHOED + Math.floor(random() * 5));
  const key = worker.senders.tag(worker);
  const body = echo(tenant.number, to, key);
  const { id } = body.entry[0].changes[0].value.message_echoes[0];
  worker.echoed.push([id, to]);
  return { way: 'echo', items: [{ key, messageId: id }], ask: post(JSON.stringify(body)), repeats: chance(random, 0.1) };
}

// --- REST ---

function message(worker) {
  const { random, tenant } = worker;
  const key = worker.senders.tag(worker);
  const { id } = pick(random, tenant.conversations);
  const path = `/api/v1/conversations/${id}`;
  const author = { sub: `${worker.name}` };
  if (chance(random, 0.15)) return { way: 'read', items: [{ key, conversationId: id }], ask: api(tenant.id, 'agent', 'POST', `${path}/read`, undefined, key, author) };
  const resultsOf = (json) => [{ id: json.id }];
  return { way: 'message', items: [{ key, conversationId: id }], ask: api(tenant.id, 'agent', 'POST', `${path}/messages`, { text: key }, key, author), resultsOf, repeats: chance(random, 0.1) };
}

// --- events of backends ---

function someRooms({ random, tenant }) {
  const one = () => pick(random, [
    () => `role:${pick(random, ROLES)}`,
    () => `team:${Math.floor(random() * TEAMS)}`,
    () => `user:${userOf(tenant.id, `c${Math.floor(random() * USERS)}`)}`,
    () => conversationRoom(pick(random, tenant.conversations).id),
    () => conversationRoom(pick(random, tenant.conversations).id),
  ])();
  if (chance(random, 0.35)) return undefined;
  return chance(random, 0.2) ? [...new Set([one(), one()])] : [one()];
}

// all: [{event, key, rooms?, class?, slot?, value?}]
export function events({ tenant, random, name }, all) {
  const body = all.map(({ event, key, rooms, class: kind, slot, value }) => ({ event, data: { key, ...(slot && { slot, value }) }, ...(rooms && { rooms }), ...(kind && { class: kind }), ...(slot && { key: slot }) }));
  const items = all.map(({ event, key, rooms, class: kind = 'durable', slot, value }) => ({ key, event, class: kind, ...(rooms && { rooms }), ...(slot && { slot, value }) }));
  const isOne = all.length === 1 && chance(random, 0.5);
  const resultsOf = (json) => (isOne ? [json] : json).map(({ id, offset }) => ({ id, offset }));
  return { way: 'event', items, ask: api(tenant.id, 'service', 'POST', '/api/v1/events', isOne ? body[0] : body, all[0].key, { sub: name }), resultsOf, repeats: chance(random, 0.1) };
}

function published(worker) {
  const { random } = worker;
  const count = chance(random, 0.2) ? 2 + Math.floor(random() * (chance(random, worker.senders.burstShare) ? 498 : 20)) : 1;
  const one = () => ({ event: PUBLISHED.durable, key: worker.senders.tag(worker), rooms: someRooms(worker) });
  return events(worker, Array.from({ length: count }, one));
}

// Values of one slot come from one worker, one after the other: the last one answered is the newest.
function passing(worker) {
  const { random } = worker;
  const key = worker.senders.tag(worker);
  if (chance(random, 0.3)) return events(worker, [{ event: PUBLISHED.ephemeral, class: 'ephemeral', key, rooms: someRooms(worker) }]);
  worker.value = (worker.value ?? 0) + 1;
  const { name, rooms } = pick(random, SLOTS);
  return events(worker, [{ event: PUBLISHED.latest, class: 'latest', key, slot: name, value: worker.value, rooms }]);
}

function foreign(worker) {
  const { senders, tenant } = worker;
  const key = senders.tag(worker);
  const rooms = someRooms(worker);
  senders.producer ??= new ForeignProducer(senders.amqpUrl);
  const ask = () => senders.producer.publish({ type: PUBLISHED.durable, tenantId: tenant.id, data: { key }, ...(rooms && { rooms }) }, key);
  return { way: 'intake', items: [{ key, event: PUBLISHED.durable, class: 'durable', ...(rooms && { rooms }) }], ask };
}

const JOBS = {
  web: { count: 2, make: texts },
  echo: { count: 1, make: echoes },
  rest: { count: 1, make: message },
  evt: { count: 2, make: published },
  slot: { count: 1, make: passing },
  foreign: { count: 1, make: foreign },
};
const WORKERS = Object.values(JOBS).reduce((total, { count }) => total + count, 0);
