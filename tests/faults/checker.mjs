// Holds a history against what is in the stores at its end. Each rule is a sentence of what this system promises; whatever
// speaks against one is said with the records that show it.
import { Books, Log } from './books.mjs';
import { Hearing } from './hearing.mjs';
import { checkPromises } from './promises.mjs';
import { checkBack, checkLosses, checkReady, checkUsage, spansOf } from './system.mjs';

export const RULES = {
  kept: 'What was answered ok is in the store once, and so are its events in the log; what is there was said by somebody.',
  heard: 'Each event of the log is heard by every client that it is for, once, from its first connection to the end, or the client is told that it missed something, and what it missed is given to it over REST.',
  order: 'Nothing is heard twice, or behind what comes after it, within a connection and over recovered ones.',
  walls: 'Nobody hears anything of another tenant, or of a room that he is not in.',
  rooms: 'Who comes back is in the rooms that he had joined.',
  log: 'A tenant\'s log is one history without gaps; what was promised earlier stands before what was said later; nothing is heard that is not in it.',
  latest: 'Of a figure the newest value is known at the end, and an older one never follows a newer one.',
  same: 'What is said twice under one name is answered as at first.',
  answers: 'A right request is never refused for good, and every answer is as docs/openapi.json has it.',
  recovered: 'Who comes back within the limits is recovered, whatever broke, and is never turned away.',
  ready: 'A service says that it is ready when it is, and only then, and is back in time once nothing is broken.',
  back: 'Once nothing is broken, every client is connected again in time.',
  baseline: 'When all is quiet again, a service has the threads, descriptors and memory that it had before.',
};

const OF_A_RULE = 40; // are told; the rest is counted

class Finds {
  list = [];
  counts = {};

  constructor(spans) {
    this.spans = spans;
  }

  add(rule, text, { keys = [], clients = [], from, to } = {}) {
    this.counts[rule] = (this.counts[rule] ?? 0) + 1;
    if (this.counts[rule] <= OF_A_RULE) this.list.push({ rule, text, keys, clients, from: from ?? to, to: to ?? from });
  }

  // Whether a fault was on that may cost such a thing, around that record or later.
  mayLose(what, n) {
    return this.spans.some((span) => span.mayLoseOf?.includes(what) && span.end >= n);
  }
}

// The kinds of a history, also of one that is only a list.
const kindsOf = (history) => (history.of ? (...kinds) => history.of(...kinds) : (...kinds) => [...history.records].filter((r) => kinds.includes(r.kind)));

// Of each figure the newest value that was promised.
function newest(entries, tenant) {
  const slots = new Map();
  for (const entry of entries.values())
    if (entry.tenant === tenant && entry.class === 'latest' && entry.isPromised && entry.value > (slots.get(entry.slot)?.value ?? 0)) slots.set(entry.slot, entry);
  return slots;
}

function readLogs(stores, books) {
  const logs = new Map();
  for (const [tenant, store] of Object.entries(stores.tenants)) {
    const log = new Log(tenant, store, books.entries);
    log.newest = newest(books.entries, tenant);
    logs.set(tenant, log);
  }
  return logs;
}

// Joins and leaves take places in the log that no client sees: how many may there be.
function countMoves(records) {
  const moves = new Map();
  for (const { way, tenant } of records) if (way === 'join' || way === 'leave') moves.set(tenant, (moves.get(tenant) ?? 0) + 1);
  return moves;
}

// Feeds every client's automaton.
function listen(records, { logs, books, finds }) {
  const hearings = new Map();
  const tenantOf = (epoch) => [...logs.values()].find((log) => log.epoch === epoch)?.tenant;
  let last = 0;
  for (const record of records) {
    const { kind, client } = record;
    last = record.n;
    if (kind === 'linked' && !hearings.has(client)) {
      const log = logs.get(record.tenant);
      if (!log) finds.add('log', `${client} is of ${record.tenant}, which has no log`, { to: record.n });
      else hearings.set(client, new Hearing(record, { log, books, finds, tenantOf }));
    }
    if (kind === 'refused') finds.add('recovered', `${client} was turned away: ${record.code ?? ''} ${record.message}`, { to: record.n, clients: [client] });
    if (kind === 'settled') for (const hearing of hearings.values()) hearing.settled(record);
    else if (client !== undefined) hearings.get(client)?.take(record);
  }
  for (const hearing of hearings.values()) hearing.settled({ n: last });
  return [...hearings.values()];
}

// history: {records}; stores: of readStores(); limits: {recoveryEvents, recoveryBytes} of the gateways.
// -> {violations: [{rule, text, keys, clients, from, to}], figures}; from and to are numbers of records.
export function check(history, stores, { limits = {} } = {}) {
  const of = kindsOf(history);
  const spans = spansOf(of('fault'));
  const finds = new Finds(spans);
  const said = of('sent', 'answered', 'joined', 'left');
  const books = new Books(said);
  const logs = readLogs(stores, books);
  checkPromises({ books, logs, stores, moves: countMoves(said), finds });
  const hearings = listen(history.records, { logs, books, finds });
  for (const { kind, client, room, ok, error, n } of said)
    if ((kind === 'joined' || kind === 'left') && !ok && REFUSED.has(error)) finds.add('rooms', `${client} was refused ${room}: ${error}`, { to: n, clients: [client] });
  const losses = checkLosses(hearings, spans, limits, finds);
  checkReady(of('ready'), spans, finds);
  const backMs = checkBack(of('linked', 'unlinked', 'nap'), spans, finds);
  const usage = checkUsage(of('usage'), of('quiet'), finds);
  return { violations: finds.list, figures: { ...count(books, logs, hearings), faults: spans.length, notRecovered: losses, backMs, usage, violations: finds.counts } };
}

const REFUSED = new Set(['DENIED', 'NOT_FOUND', 'INVALID', 'CONFLICT']);

function count(books, logs, hearings) {
  const entries = [...books.entries.values()];
  const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
  return {
    said: entries.length,
    promised: entries.filter((e) => e.isPromised).length,
    answers: books.statuses,
    logged: sum([...logs.values()], (log) => log.list.length),
    clients: hearings.length,
    heard: sum(hearings, (h) => h.counts.heard),
    connections: sum(hearings, (h) => h.counts.links),
    recovered: sum(hearings, (h) => h.counts.recovered),
  };
}
