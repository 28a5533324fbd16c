// What a tenant's flood costs its neighbours: twenty tenants with steady traffic (neighbour.c), which takes a third of a processor,
// beside one that does one thing as fast as it is let (flood.c, hookload.c); windows with and without in turn, in one run. A window's
// p99 is held against that of the quiet one right before it, since the machine is not always as fast; the median of the rounds
// counts. The p99 of all windows of a kind together is told, too.
// FLOODS=name+... selects, FLOOD_SHARE is the services' TENANT_SHARE. FLOOD_APART=1: besides, the same flood at services of its own,
// in windows of their own, `apart`: what it costs those who share nothing with it but the broker and the processors. The neighbours'
// calls come at random times, as those of people who do not know each other; FLOOD_EVEN=1: evenly spread, so that they hardly meet.
//
// What loads is somebody else's in the field, and must not take the processors from what is measured. FLOOD_REALTIME=1 (root):
// services, broker and neighbours go before it, and before whatever else this machine does, by realtime priority, and have all
// processors. Without: it has the last processor, beside the neighbours, and services and broker have the others. What it costs
// there even so is a flood of its own, `nobody`, at a sink that does nothing. No processor falls asleep meanwhile: quiet windows
// would pay for waking it up, and look worse than the others. And calls during which the machine itself stood still (hiccups.c), which
// is as often in one kind of window as in the other, do not count; how many those were is told.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT, RUN_DIR, claimPorts, sleep } from '../lib/env.mjs';
import { jwt, rest, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { gateway, stateManager } from '../lib/services.mjs';
import { cpu, end, rssKb, tool } from './tools.mjs';

const ROUNDS = Number(process.env.FLOOD_ROUNDS ?? 5);
const WINDOW_MS = Number(process.env.FLOOD_WINDOW_MS ?? 3000);
const GAP_MS = 1600; // in which late answers of the window before count for it
const AFTERMATH_MS = 8000; // of ten thousand connections
const AT_ONCE_MS = 3000; // until who comes and goes has had what it may have at once
const WINDOWS = ['quiet', 'flood', ...(process.env.FLOOD_APART === '1' ? ['apart'] : [])];
const REALTIME = process.env.FLOOD_REALTIME === '1';
const hurry = (pid) => REALTIME && execFileSync('chrt', ['-arp', '1', String(pid)], { stdio: 'ignore' });
const NEIGHBOURS = Array.from({ length: Number(process.env.FLOOD_NEIGHBOURS ?? 20) }, (_, i) => `t_good_${i}`);
const RATE = Number(process.env.FLOOD_RATE ?? 160) / NEIGHBOURS.length; // of each kind of call, by all of them
const FEW = 0.2;
const FLOODER = 't_0'; // as hookload calls it
const KINDS = ['hook', 'rest', 'command', 'join', 'echo', 'arrive'];
const NUMBER = { [FLOODER]: '32000000000000', ...Object.fromEntries(NEIGHBOURS.map((t, i) => [t, `31000000000${i + 100}`])) };
const CPUS = os.cpus().length;
const [OURS, LOADS] = REALTIME ? [`0-${CPUS - 1}`, `0-${CPUS - 1}`] : CPUS > 1 ? [`0-${CPUS - 2}`, `${CPUS - 1}`] : ['0', '0'];
const pin = (pid, cpus = OURS) => execFileSync('taskset', ['-acp', cpus, String(pid)], { stdio: 'ignore' });

class Site {
  async open(broker, secrets) {
    this.dir = fs.mkdtempSync(path.join(RUN_DIR, 'flood-'));
    this.secrets = secrets;
    const url = broker.url(broker.claimVhost());
    const env = { JWT_SECRET: secrets.jwt, DEMO: '1', LOG_LEVEL: 'warn', PROFILE: 'agent-portal,tickets', WWW_DIR: path.join(ROOT, 'portal-gateway/www'), ...(process.env.FLOOD_ARRIVALS && { ARRIVAL_RATE: process.env.FLOOD_ARRIVALS }), ...(process.env.FLOOD_SHARE && { TENANT_SHARE: process.env.FLOOD_SHARE }) };
    this.sm = await stateManager(this.dir, url, { ...env, WEBHOOK_APP_SECRET: secrets.webhook });
    await this.sm.start();
    this.gw = await gateway(this.dir, url, env);
    await this.gw.start();
    for (const pid of [Number(fs.readFileSync(path.join(broker.dir, 'node.pid'), 'utf8')), this.sm.pid, this.gw.pid]) {
      pin(pid);
      hurry(pid);
    }
    this.conversation = {};
    for (const tenant of [...NEIGHBOURS, FLOODER]) await this.settle(tenant);
    this.ticket = (await this.call(FLOODER, 'farmer', 'POST', '/api/support/tickets', { subject: 'noise', message: 'noise' })).json.ticketId;
    this.sinkPort = await claimPorts();
    return this;
  }
  token(tenantId, role = 'agent', sub = role) {
    return jwt({ tenantId, sub, role }, { secret: this.secrets.jwt });
  }
  // A channel and a conversation.
  async settle(tenant) {
    const numbers = tenant === FLOODER ? Array.from({ length: 10 }, (_, i) => `${NUMBER[tenant].slice(0, -1)}${i}`) : [NUMBER[tenant]];
    for (const number of numbers) await this.call(tenant, 'platform-admin', 'PUT', `/api/v1/admin/channels/${number}`, { tenantId: tenant, displayPhoneNumber: '1' });
    const body = JSON.stringify(inbound(numbers[0], [textMessage('447700900001', 'hello')]));
    const { createHmac } = await import('node:crypto');
    const answer = await webhook(this.sm, body, `sha256=${createHmac('sha256', this.secrets.webhook).update(body).digest('hex')}`);
    if (answer.status !== 200) throw new Error(`webhook: ${answer.status} ${answer.body}`);
    this.conversation[tenant] = (await this.call(tenant, 'agent', 'GET', '/api/v1/conversations')).json.items[0].id;
  }
  async call(tenant, role, method, pathname, body) {
    const answer = await rest(this.sm, this.token(tenant, role), method, pathname, body);
    if (answer.status >= 300) throw new Error(`${method} ${pathname}: ${answer.status} ${answer.body}`);
    return answer;
  }
  // Tenants with steady traffic, rate calls of each kind a second of each.
  async neighbours(rate) {
    const tokens = this.file('neighbours', NEIGHBOURS.map((t) => [this.token(t, 'agent', 'agent-1'), this.token(t, 'service'), this.conversation[t], NUMBER[t]].join(' ')).join('\n') + '\n');
    const child = tool('neighbour', ['--api', this.sm.port, '--gateway', this.gw.port, '--secret', this.secrets.webhook, '--tokens', tokens, '--rate', rate, '--arrivals', rate / 4, ...(process.env.FLOOD_EVEN === '1' ? [] : ['--random'])]);
    pin(child.pid, LOADS);
    hurry(child.pid);
    await child.line(/^READY/, 'READY');
    return child;
  }
  file(name, text) {
    const at = path.join(this.dir, name);
    fs.writeFileSync(at, text);
    return at;
  }
  tokens(count, make) {
    return this.file(`tokens-${Math.random()}`, Array.from({ length: count }, (_, i) => make(i)).join('\n') + '\n');
  }
  close() {
    return Promise.all([this.sm.kill(), this.gw.kill()]);
  }
}

const post = (target, token, body) => `POST ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const get = (target, more = '') => `GET ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const upgrade = (target) => get(target, 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n');
const emit = (event, data) => JSON.stringify({ type: 'emit', event, id: '%n', data });

// name -> (site) => [program, arguments]: what the flooder does.
const api = (s, name, text, conns = 64) => ['flood', ['ask', '--port', s.sm.port, '--conns', conns, '--request', s.file(name, text)]];
const users = (s, count, role = 'agent') => s.tokens(count, (i) => s.token(FLOODER, role, `user-${i}`));
const talking = (s, name, lines, { conns = 50, depth = 8, mode = 'talk', role } = {}) => ['flood', [mode, '--port', s.gw.port, '--conns', conns, '--depth', depth, '--tokens', users(s, conns, role), '--say', s.file(name, lines.join('\n') + '\n')]];
const FLOODS = {
  nobody: (s) => ['flood', ['ask', '--port', s.sinkPort, '--conns', 64, '--request', s.file('nobody', get('/'))], ['flood', ['sink', '--port', s.sinkPort]]],
  webhooks: (s) => ['hookload', ['--port', s.sm.port, '--secret', s.secrets.webhook, '--conns', 64, '--seconds', 3600, '--prefix', NUMBER[FLOODER].slice(0, -1), '--numbers', 10]],
  'webhooks of 50': (s) => ['hookload', ['--port', s.sm.port, '--secret', s.secrets.webhook, '--conns', 64, '--batch', 50, '--seconds', 3600, '--prefix', NUMBER[FLOODER].slice(0, -1), '--numbers', 10]],
  'webhooks, forged': (s) => api(s, 'forged', `POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=${'0'.repeat(64)}\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}`),
  events: (s) => api(s, 'events', post('/api/v1/events', s.token(FLOODER, 'service'), '{"event":"noise","data":{"n":%n}}'.replace('%n', '1')), 64),
  'events of 500': (s) => api(s, 'events500', post('/api/v1/events', s.token(FLOODER, 'service'), JSON.stringify(Array.from({ length: 500 }, (_, n) => ({ event: 'noise', data: { n } }))))),
  messages: (s) => api(s, 'messages', post(`/api/v1/conversations/${s.conversation[FLOODER]}/messages`, s.token(FLOODER), '{"text":"noise"}')),
  tickets: (s) => api(s, 'tickets', post('/api/support/tickets', s.token(FLOODER, 'farmer'), '{"subject":"noise","message":"noise"}')),
  'ticket messages': (s) => api(s, 'ticketmessages', post(`/api/support/tickets/${s.ticket}/messages`, s.token(FLOODER, 'farmer'), '{"message":"noise"}')),
  'ticket lists': (s) => api(s, 'ticketlists', get('/api/support/tickets?limit=200&q=nobody', `Authorization: Bearer ${s.token(FLOODER, 'farmer')}\r\n`)),
  reads: (s) => api(s, 'reads', get('/api/v1/conversations?limit=100', `Authorization: Bearer ${s.token(FLOODER)}\r\n`)),
  searches: (s) => api(s, 'searches', get('/api/v1/conversations?q=nobody', `Authorization: Bearer ${s.token(FLOODER)}\r\n`)),
  'catch-ups': (s) => api(s, 'catchups', get('/api/v1/events?limit=1000', `Authorization: Bearer ${s.token(FLOODER, 'service')}\r\n`)),
  'calls, forged': (s) => api(s, 'forgedcalls', get('/api/v1/conversations', `Authorization: Bearer ${s.token(FLOODER).slice(0, -3)}abc\r\n`)),
  commands: (s) => talking(s, 'say-commands', [emit('send_message', { conversationId: s.conversation[FLOODER], text: 'noise' })]),
  'commands of a profile': (s) => talking(s, 'say-tickets', ['42%n["notify",{"userId":"nobody","title":"noise","message":"noise"}]'], { mode: 'sio', role: 'admin' }),
  typing: (s) => talking(s, 'say-typing', [true, false].map((isTyping) => emit('typing', { conversationId: s.conversation[FLOODER], isTyping }))),
  joins: (s) => talking(s, 'say-joins', ['join', 'leave'].map((type) => JSON.stringify({ type, id: '%n', room: `conversation:${s.conversation[FLOODER]}` }))),
  'joins, Socket.IO': (s) => talking(s, 'say-sio', ['join', 'leave'].map((verb) => `42%n["${verb}_conversation","${s.conversation[FLOODER]}"]`), { mode: 'sio' }),
  pings: (s) => talking(s, 'say-pings', ['{"type":"ping"}'], { depth: 0 }),
  arrivals: (s) => ['flood', ['knock', '--port', s.gw.port, '--conns', 50, '--tokens', users(s, 50), '--request', s.file('arrivals', upgrade('/ws?token=%T')), '--until', '"ready"']],
  'arrivals, forged': (s) => ['flood', ['knock', '--port', s.gw.port, '--conns', 50, '--tokens', s.tokens(50, (i) => `${s.token(FLOODER, 'agent', `user-${i}`).slice(0, -3)}abc`), '--request', s.file('arrivals', upgrade('/ws?token=%T')), '--until', '"error"']],
  handshakes: (s) => ['flood', ['knock', '--port', s.gw.port, '--conns', 50, '--request', s.file('handshakes', get('/socket.io/?EIO=4&transport=polling')), '--until', '"sid"']],
  'bare connections': (s) => ['flood', ['hang', '--port', s.gw.port, '--conns', 10000, '--sources', 100, '--request', s.file('bare', 'GET /ws HTTP/1.1\r\nHost')]],
  slowloris: (s) => ['flood', ['hang', '--port', s.sm.port, '--conns', 5000, '--drip', 500, '--sources', 100, '--request', s.file('drip', post('/api/v1/events', 'x'.repeat(400), '{}'))]],
  storm: (s) => ['flood', ['storm', '--port', s.gw.port, '--conns', 1000, '--every', WINDOW_MS, '--tokens', users(s, 1000)]],
  stall: (s) => ['flood', ['stall', '--port', s.gw.port, '--conns', 50, '--tokens', users(s, 50)], ['hookload', ['--port', s.sm.port, '--jwt', s.secrets.jwt, '--conns', 4, '--rate', 100, '--seconds', 3600]]],
};

const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
const quantile = (list, q) => (list.length ? list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))] / 1000 : NaN);

// When the machine stood still, and about as long behind it, until what had come meanwhile was done.
const stoodStill = (watchers) => watchers.flatMap((one) => one.lines.slice(1).map((l) => l.split(' ').map(Number))).map(([from, to]) => [from, 2 * to - from]);

// One flood: WINDOWS x ROUNDS; where it goes in each of them.
async function measureOne(site, apart, neighbour, name, watchers) {
  const found = Object.fromEntries(WINDOWS.map((kind) => [kind, []]));
  const load = Object.fromEntries(WINDOWS.map((kind) => [kind, []]));
  const services = { sm: site.sm.pid, gw: site.gw.pid };
  const spent = () => Object.fromEntries(Object.entries(services).map(([k, pid]) => [k, cpu(pid)]));
  const used = Object.fromEntries(WINDOWS.map((kind) => [kind, { sm: 0, gw: 0 }]));
  const window = async (kind) => {
    const before = spent();
    neighbour.stdin.write(`${kind}\n`);
    await sleep(WINDOW_MS);
    neighbour.stdin.write('-\n');
    const after = spent();
    for (const k of Object.keys(services)) used[kind][k] += (after[k] - before[k]) / 1000 / WINDOW_MS / ROUNDS;
  };
  const flooded = async (kind, target) => {
    const [program, args, beside] = FLOODS[name](target);
    const helper = beside && tool(...beside);
    if (helper) await sleep(100);
    const flood = tool(program, args);
    for (const one of [flood, helper].filter(Boolean)) pin(one.pid, LOADS);
    if (program === 'flood') await flood.line(/^READY/, 'READY');
    await sleep(GAP_MS);
    if (program === 'flood') flood.kill('SIGUSR1');
    await sleep(args[0] === 'knock' ? AT_ONCE_MS : 200);
    await window(kind);
    flood.kill('SIGTERM');
    await flood.gone;
    load[kind].push(JSON.parse(flood.lines.at(-1)));
    if (helper) await end(helper);
    await sleep(args[0] === 'hang' ? AFTERMATH_MS : GAP_MS);
  };
  const still = Object.fromEntries(WINDOWS.map((kind) => [kind, 0]));
  for (let round = 0; round < ROUNDS; round++) {
    const at = neighbour.lines.length;
    await window('quiet');
    await flooded('flood', site);
    if (apart) await flooded('apart', apart);
    for (const line of neighbour.lines.slice(at)) if (line[0] === '{') {
      const w = JSON.parse(line);
      if (!found[w.window]) continue;
      const gaps = stoodStill(watchers);
      for (const k of KINDS) {
        const counts = w[k].filter(([due, us]) => !gaps.some(([from, to]) => due < to && due + us > from));
        still[w.window] += w[k].length - counts.length;
        w[k] = counts.map(([, us]) => us);
      }
      found[w.window].push(w);
    }
  }
  const together = (kind, calls, q) => quantile(found[kind].flatMap((w) => w[calls]), q);
  const byQuiet = (kind, calls) => median(found[kind].map((w, round) => quantile(w[calls], 0.99) / quantile(found.quiet[round][calls], 0.99)));
  const calls = Object.fromEntries(KINDS.map((k) => [k, Object.fromEntries(WINDOWS.map((w) => [w, { n: found[w].reduce((total, one) => total + one[k].length, 0), p50: together(w, k, 0.5), p90: together(w, k, 0.9), p99: together(w, k, 0.99), times: byQuiet(w, k), lost: found[w].reduce((sum, one) => sum + one[`${k}_lost`] + one[`${k}_refused`], 0) }]))]));
  const sums = (list) => Object.fromEntries(Object.keys(list[0]).filter((k) => !/_us$|per_s$/.test(k)).map((k) => [k, list.reduce((total, one) => total + (one[k] ?? 0), 0)]));
  const loads = Object.fromEntries(Object.entries(load).filter(([, list]) => list.length).map(([kind, list]) => [kind, sums(list)]));
  return { calls, used, still, load: loads, rssMb: Object.fromEntries(Object.entries(services).map(([k, pid]) => [k, Math.round(rssKb(pid) / 1024)])) };
}

export async function measureFlood({ broker, secrets, report = console.error }) {
  const awake = Array.from({ length: CPUS }, () => tool('flood', ['awake']));
  awake.forEach((one, i) => {
    execFileSync('chrt', ['-i', '-p', '0', String(one.pid)], { stdio: 'ignore' });
    pin(one.pid, String(i));
  });
  const watchers = REALTIME ? awake.map(() => tool('hiccups', [])) : [];
  for (const [i, one] of watchers.entries()) {
    await one.line(/^READY/, 'READY');
    pin(one.pid, String(i));
  }
  const names = process.env.FLOODS ? process.env.FLOODS.split('+') : Object.keys(FLOODS);
  const results = {};
  for (const name of names) {
    const site = await new Site().open(broker, secrets);
    const apart = WINDOWS.includes('apart') && (await new Site().open(broker, secrets));
    const neighbour = await site.neighbours(RATE);
    const few = apart && (await apart.neighbours(FEW)); // who is alone would not be held up
    await sleep(1000);
    results[name] = await measureOne(site, apart, neighbour, name, watchers);
    await Promise.all([neighbour, few].filter(Boolean).map(end));
    await Promise.all([site, apart].filter(Boolean).map((one) => one.close()));
    report(line(name, results[name]));
  }
  await Promise.all([...awake, ...watchers].map(end));
  return results;
}

const n1 = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const n2 = (value) => (value >= 10 ? n1(value) : value.toFixed(2));
const line = (name, r) => {
  const flooded = WINDOWS.slice(1);
  const calls = KINDS.map((k) => {
    const lost = flooded.reduce((sum, w) => sum + r.calls[k][w].lost, 0);
    return `${k} ${n2(r.calls[k].quiet.p99)} ->${flooded.map((w) => ` ${n2(r.calls[k][w].p99)} x${r.calls[k][w].times.toFixed(2)}`).join(' |')}` + (lost ? ` !${lost}` : '');
  });
  const spent = ['sm', 'gw'].map((k) => `${k} ${WINDOWS.map((w) => (r.used[w][k] * 100).toFixed(0)).join('->')}%`).join(' ');
  return [name, ...calls, `cpu ${spent} rss ${r.rssMb.sm}|${r.rssMb.gw}, stood still for ${WINDOWS.map((w) => r.still[w]).join(' | ')} calls`, JSON.stringify(r.load)].join('\n    ');
};

export function floodRows(results, add) {
  for (const [name, r] of Object.entries(results))
    for (const k of KINDS) {
      const { quiet, flood, apart } = r.calls[k];
      const beside = apart ? `, apart x ${apart.times.toFixed(2)}` : '';
      add(`${name}: ${k}, p99`, `${n2(flood.p99)} ms, x ${flood.times.toFixed(2)}`, `${n2(quiet.p99)} ms (quiet)${beside}`, '<= x 1.20', flood.times <= 1.2);
    }
}
