// What a write of a profile costs beside one of the agent portal, from REST to the browser: the same two services, rounds of
// either in turn, one client of the official library that hears both.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { io } from 'socket.io-client';
import { jwt, sign, webhook } from '../lib/http.mjs';
import { text } from '../lib/samples.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { cpu } from './tools.mjs';

const ROUNDS = 8;
const WRITES = 150; // of a round, one after the other
const TENANT = 't_bench';
const NUMBER = '100000009';

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const at = (values, share) => [...values].sort((a, b) => a - b)[Math.floor(values.length * share)];

// secrets: {jwt, webhook}
export async function measureProfiles({ broker, secrets, dir }) {
  const home = fs.mkdtempSync(path.join(dir, 'profiles-'));
  const url = broker.url(broker.claimVhost());
  const env = { JWT_SECRET: secrets.jwt, DEMO: '1', LOG_LEVEL: 'warn', PROFILE: 'agent-portal,tickets' };
  const sm = await (await stateManager(home, url, { ...env, WEBHOOK_APP_SECRET: secrets.webhook })).start();
  const gw = await (await gateway(home, url, env)).start();
  const token = (role, sub) => jwt({ tenantId: TENANT, sub, role }, { secret: secrets.jwt });
  const [admin, farmer] = [token('admin', 'a1'), token('farmer', 'f1')];
  const call = async (bearer, method, pathname, body) => {
    const answer = await fetch(sm.base + pathname, { method, headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    if (answer.status >= 300) throw new Error(`${method} ${pathname}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  await call(token('platform-admin', 'p1'), 'PUT', `/api/v1/admin/channels/${NUMBER}`, { tenantId: TENANT, displayPhoneNumber: '1' });
  const hello = JSON.stringify(text(NUMBER, '4915550000001', 'hello'));
  assert.equal((await webhook(sm, hello, sign(hello, secrets.webhook))).status, 200);
  const [conversation] = (await (await fetch(`${sm.base}/api/v1/conversations`, { headers: { Authorization: `Bearer ${admin}` } })).json()).items;

  const socket = io(gw.base, { auth: { token: admin }, transports: ['websocket'], forceNew: true });
  const waiting = new Map();
  const heard = (key) => (waiting.get(key)?.(), waiting.delete(key));
  socket.on('conversation_update', (c) => heard(`m ${c.lastMessage}`));
  socket.on('ticket-updated', ({ ticket, type }) => heard(type === 'new-ticket' ? `t ${ticket.subject}` : `p ${ticket.ticketId} ${ticket.version}`));
  await new Promise((done, fail) => (socket.on('connect', done), socket.on('connect_error', fail)));
  assert.equal((await new Promise((done) => socket.emit('join-admin', done))).ok, true);
  const ticket = await call(farmer, 'POST', '/api/support/tickets', { subject: 'kept', message: 'x' });
  let [writes, version] = [0, 1];

  // A write and its event: from the call to the page.
  const kinds = {
    message: () => [`m words ${++writes}`, () => call(admin, 'POST', `/api/v1/conversations/${conversation.id}/messages`, { text: `words ${writes}` })],
    create: () => [`t words ${++writes}`, () => call(farmer, 'POST', '/api/support/tickets', { subject: `words ${writes}`, message: 'some more words' })],
    change: () => [`p ${ticket.ticketId} ${++version}`, () => call(admin, 'PATCH', `/api/support/tickets/${ticket.ticketId}`, { status: version % 2 ? 'open' : 'resolved' })],
  };
  async function round(kind) {
    const [spent, times] = [cpu(sm.pid) + cpu(gw.pid), []];
    for (let i = 0; i < WRITES; i++) {
      const [key, write] = kinds[kind]();
      const seen = new Promise((done) => waiting.set(key, done));
      const started = performance.now();
      await Promise.all([seen, write()]);
      times.push(performance.now() - started);
    }
    return { ms: times, us: (cpu(sm.pid) + cpu(gw.pid) - spent) / WRITES };
  }
  const rounds = { message: [], create: [], change: [] };
  for (const kind of Object.keys(rounds)) await round(kind); // warm
  for (let i = 0; i < ROUNDS; i++) for (const kind of Object.keys(rounds)) rounds[kind].push(await round(kind));
  socket.disconnect();
  await Promise.all([sm.kill(), gw.kill()]);
  return Object.fromEntries(
    Object.entries(rounds).map(([kind, all]) => [kind, { p50ms: median(all.map((r) => median(r.ms))), p99ms: median(all.map((r) => at(r.ms, 0.99))), us: median(all.map((r) => r.us)) }]),
  );
}

export function profileRows({ message, create, change }, add) {
  const n = (value) => value.toFixed(2);
  const worst = (name) => Math.max(create[name], change[name]) / message[name];
  add('REST write -> browser, agent portal, p50 | CPU', `${n(message.p50ms)} ms | ${Math.round(message.us)} us`, '', '');
  add('a profile\'s, create | change, time / the above', `${n(create.p50ms / message.p50ms)} | ${n(change.p50ms / message.p50ms)}`, '', '<= 1.5', worst('p50ms') <= 1.5);
  add('a profile\'s, create | change, CPU / the above', `${n(create.us / message.us)} | ${n(change.us / message.us)}`, '', '<= 1.5', worst('us') <= 1.5);
}
