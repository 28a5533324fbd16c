// Rules about the services themselves: whether they say truly that they are ready, what a break costs their clients, and
// whether they are at the end what they were at the beginning.

const NOTICE_MS = 15000;
const BACK_MS = 5000;
const CLIENT_MS = 4500; // a try that hangs, and the pause before the next
const BASELINE_MS = 10000;
const FDS_MORE = 5;
const RSS_FACTOR = 1.3;
const RSS_MORE_KB = 32 << 10;
const RSS_MORE_WITH_STORE_KB = 48 << 10; // a store's page caches fill as it is read
const LEAK_RUN_MS = 20 * 60000; // runs of that length are looked at for slow growth,
const LEAK_WARM_MS = 8 * 60000; // in processes of that age
const LEAK_FACTOR = 1.15;

// The faults as spans, of their four records (begin, begun: it is done, ending: it is being mended, end): {id, name, target,
// from, begun, ending, to (ms), begin, end (records), down, shaken, noticeMs, backMs, mayLose, mayLoseOf}.
export function spansOf(records) {
  const open = new Map();
  const spans = [];
  for (const { id, name, target, phase, n, t, details = {} } of records) {
    if (phase === 'begin') {
      const span = { id, name, target, from: t, begun: Infinity, ending: Infinity, to: Infinity, begin: n, end: Infinity, down: [], shaken: [], noticeMs: NOTICE_MS, backMs: BACK_MS };
      open.set(id, span);
      spans.push(span);
    }
    const span = open.get(id);
    if (!span) continue;
    Object.assign(span, details);
    if (phase === 'begun') span.begun = t;
    if (phase === 'ending') span.ending = t;
    if (phase === 'end') {
      Object.assign(span, { begun: Math.min(span.begun, t), ending: Math.min(span.ending, t), to: t, end: n });
      open.delete(id);
    }
  }
  return spans;
}

const nameOf = ({ name, target }) => `${name} of ${target}`;

// --- ready or not ---

// What a service has to say at a moment: true, false, or undefined when either is right.
export function rightAnswer(spans, service, t) {
  let right = true;
  for (const span of spans) {
    const isDown = span.down.includes(service);
    if (!isDown && !span.shaken.includes(service)) continue;
    if (t < span.from || t > span.to + span.backMs) continue;
    if (isDown && t > span.begun + span.noticeMs && t < span.ending) return false;
    right = undefined;
  }
  return right;
}

export function checkReady(records, spans, finds) {
  for (const { service, ready, body, n, t } of records) {
    const right = rightAnswer(spans, service, t);
    if (right === undefined || right === ready) continue;
    const around = spans.filter((s) => t >= s.from && t <= s.to + s.backMs + BACK_MS).map(nameOf);
    finds.add('ready', `${service} says ${ready ? 'ready' : 'not ready'} at ${Math.round(t)} ms, and is ${right ? 'whole' : 'not'}; ${around.length ? `around it ${around}` : 'nothing is broken'}: ${JSON.stringify(body ?? null)}`, { from: spans.filter((s) => s.from <= t).at(-1)?.begin ?? n, to: n });
  }
}

// --- back again ---

// When each client was without a connection: [{client, from, to, n}]. In a tunnel nobody can help it.
function absences(records) {
  const clients = new Map();
  const list = [];
  for (const { kind, client, t, n, phase, unanswered } of records) {
    if (unanswered) continue;
    if (!clients.has(client)) clients.set(client, {});
    const c = clients.get(client);
    if (kind === 'nap') c.isInTunnel = phase === 'begin';
    if (kind === 'linked' && c.since !== undefined) list.push({ client, from: c.since, to: t, n });
    if (kind !== 'nap') c.isLinked = kind === 'linked';
    c.since = c.isLinked || c.isInTunnel ? undefined : (c.since ?? t);
  }
  return list;
}

// Who is without a connection when the last fault ends is back in time: its library tries at least that often.
export function checkBack(records, spans, finds) {
  const slowest = {};
  const gaps = absences(records);
  for (const { name, target, to, backMs, end } of spans) {
    for (const gap of gaps.filter((g) => g.from < to && to < g.to)) {
      if (spans.some((other) => other.to > to && other.from < gap.to)) continue;
      const late = gap.to - to;
      slowest[name] = Math.round(Math.max(slowest[name] ?? 0, late));
      if (late > backMs + CLIENT_MS) finds.add('back', `${gap.client} was connected again ${Math.round(late)} ms after the end of ${name} of ${target}`, { from: end, to: gap.n, clients: [gap.client] });
    }
  }
  return slowest;
}

// --- what a break costs ---

// Not recovered is only who missed more than is given back, or was away while something broke that may cost him that.
export function checkLosses(hearings, spans, { recoveryEvents = 5000, recoveryBytes = 4000000 }, finds) {
  const listed = [];
  for (const { client, transport, log, losses, tenant } of hearings)
    for (const { from, to, n, since, isResync } of losses) {
      const missed = from === undefined || to === undefined ? [] : log.between(from, to);
      const bytes = missed.reduce((total, e) => total + e.bytes, 0);
      const during = spans.filter((s) => s.begin <= n && s.end >= since);
      const tooMuch = to - from > recoveryEvents || bytes > recoveryBytes / 2;
      const excuse = during.find((s) => s.mayLose);
      const why = tooMuch ? 'too much was missed' : excuse ? `${excuse.name} of ${excuse.target}` : 'nothing explains it';
      listed.push({ client, transport, tenant, n, from, to, isResync, why });
      if (!tooMuch && !excuse)
        finds.add('recovered', `${client} by ${transport} was ${isResync ? 'told to reload' : 'not recovered'} at ${from}, and goes on at ${to}; ${during.length ? `meanwhile ${during.map(nameOf)}` : 'nothing was broken'}`, { from: since, to: n, clients: [client] });
    }
  return listed;
}

// --- back to the baseline ---

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

// What each service used around a mark: the samples of the time before it, at least the last three.
function around(samples, mark) {
  const before = samples.filter((s) => s.n < mark.n);
  const near = before.filter((s) => s.t > mark.t - BASELINE_MS);
  const used = near.length >= 3 ? near : before.slice(-3);
  return used.length ? Object.fromEntries(['rssKb', 'fds', 'threads'].map((what) => [what, median(used.map((s) => s[what]))])) : undefined;
}

export function checkUsage(samples, marks, finds) {
  const table = {};
  const [before, after] = ['before', 'after'].map((id) => marks.findLast((mark) => mark.id === id));
  if (!before || !after) return table;
  for (const service of new Set(samples.map((s) => s.service))) {
    const own = samples.filter((s) => s.service === service);
    const [first, last] = [around(own, before), around(own, after)];
    if (!first || !last) continue;
    table[service] = { first, last };
    const say = (what) => finds.add('baseline', `${service}: ${what} were ${first[what]} and are ${last[what]}`, { from: before.n, to: after.n });
    if (last.threads !== first.threads) say('threads');
    if (last.fds > first.fds + FDS_MORE) say('fds');
    if (last.rssKb > first.rssKb * RSS_FACTOR + (service.startsWith('sm') ? RSS_MORE_WITH_STORE_KB : RSS_MORE_KB)) say('rssKb');
    checkGrowth(service, own, finds);
  }
  return table;
}

// What grows slowly shows between the third and the last fifth of a long run, in processes that are no longer young.
function checkGrowth(service, samples, finds) {
  const [from, to] = [samples[0].t, samples.at(-1).t];
  const born = new Map();
  for (const { pid, t } of samples) if (!born.has(pid)) born.set(pid, t);
  const warm = samples.filter(({ pid, t }) => t - born.get(pid) >= LEAK_WARM_MS);
  const [third, last] = [2, 4].map((k) => warm.filter(({ t }) => t >= from + ((to - from) * k) / 5 && t <= from + ((to - from) * (k + 1)) / 5));
  if (to - from < LEAK_RUN_MS || third.length < 3 || last.length < 3) return;
  const [before, after] = [third, last].map((part) => median(part.map((s) => s.rssKb)));
  if (after > before * LEAK_FACTOR) finds.add('baseline', `${service}: rssKb were ${before} in the third fifth of the run and are ${after} in the last`, { from: third[0].n, to: last.at(-1).n });
}
