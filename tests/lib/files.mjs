// What tests/lib/run.mjs has to know of the files of tests/blackbox/, to run them side by side without their disturbing each
// other. A file without a row is one of a few seconds.
//
//   s       how long it takes, about, beside others on two cores: the longest begin
//   load    how much of the machine is its own meanwhile; a core has room for 2.5, or 2 where all is slower
//             1  it waits most of the time, as nearly all do: for timers, for what is away; less than a third of a core
//             2  it is at work, or has a broker or a browser of its own
//             3  it compares how long things take, or is very many clients: beside few others
//   mongo   says something of the store's contract: STORE=mongo runs it, too
//   layer   preloads a library of its own, which does not go together with a sanitizer's
//   brief   why SHORT=1 leaves it out (make check, sanitized): what it says little of is memory and undefined behaviour, or
//           others go the same ways. `make san` runs it all the same.
const LONG_WAITS = 'waits for what is away; fake-broker, recovery and relay lose and find it, too';
const NOT_OURS = 'most of it is a browser, a proxy or clients of others; conformance, gateway and polling speak the same to the services';
const IN_NUMBERS = 'what counts is how many, how fast, how much memory: sanitizers change all of them';
const KILLED = 'its services are killed before a sanitizer could say anything at their end; writers does some of the same';

const ROWS = {
  api: { s: 4, mongo: true },
  backup: { s: 14, load: 2 },
  'bad-tokens': { s: 11 },
  bakery: { s: 7, mongo: true },
  browser: { s: 20, load: 2, brief: NOT_OURS },
  canary: { s: 26, load: 2, brief: IN_NUMBERS },
  clients: { s: 30, brief: NOT_OURS },
  clock: { s: 31, layer: true },
  commands: { s: 11, mongo: true },
  conformance: { s: 10 },
  damage: { s: 17, load: 2 },
  desk: { s: 3, mongo: true },
  disk: { s: 46, layer: true },
  durability: { s: 55, load: 2, mongo: true, brief: KILLED },
  enriched: { s: 3, mongo: true },
  'fake-broker': { s: 36 },
  feed: { s: 15 },
  gateway: { s: 27 },
  'hostile-webhooks': { s: 17, load: 2 },
  hostile: { s: 50 },
  intake: { s: 4, mongo: true },
  'json-bombs': { s: 14 },
  keeping: { s: 8, mongo: true },
  'kill-points': { s: 33, layer: true },
  life: { s: 51, load: 2, brief: NOT_OURS },
  'long-away': { s: 46, layer: true },
  memory: { s: 72, load: 2, layer: true },
  neighbours: { s: 60, load: 3, brief: IN_NUMBERS },
  outage: { s: 80, load: 3, brief: IN_NUMBERS },
  outbox: { s: 65, load: 2, brief: LONG_WAITS },
  page: { s: 8, load: 2, brief: NOT_OURS },
  polling: { s: 30 },
  'portal-clients': { s: 37, load: 2, brief: NOT_OURS },
  power: { s: 20, load: 2, layer: true },
  preferences: { s: 5, mongo: true },
  presence: { s: 35 },
  proxy: { s: 6, brief: NOT_OURS },
  python: { s: 20, brief: NOT_OURS },
  'recovery-scale': { s: 50, load: 3, brief: IN_NUMBERS },
  recovery: { s: 73 },
  relay: { s: 36 },
  'resource-rpc': { s: 5, mongo: true },
  resources: { s: 7, mongo: true },
  'rest-limits': { s: 7 },
  'rest-openapi': { s: 9, mongo: true },
  rest: { s: 20, mongo: true },
  revocations: { s: 5, mongo: true },
  rolling: { s: 50, load: 2, brief: IN_NUMBERS },
  rpc: { s: 8, mongo: true },
  'service-desk': { s: 7, mongo: true },
  silent: { s: 17 },
  'sixth-system': { s: 4, mongo: true },
  slow: { s: 100, load: 3, brief: IN_NUMBERS },
  smuggling: { s: 12 },
  stalls: { s: 85, brief: LONG_WAITS },
  stopped: { s: 28 },
  'store-away': { s: 60, brief: LONG_WAITS },
  tenants: { s: 3, mongo: true },
  terms: { s: 32, brief: IN_NUMBERS },
  tickets: { s: 8, mongo: true },
  'token-ends': { s: 10 },
  tokens: { s: 30 },
  typing: { s: 24 },
  unconfirmed: { s: 50, brief: LONG_WAITS },
  vanish: { s: 66, load: 2 },
  walls: { s: 13 },
  webhook: { s: 12, mongo: true },
  writers: { s: 18, load: 2, mongo: true },
};

export const KNOWN = Object.keys(ROWS);
export const rowOf = (name) => ({ s: 5, load: 1, ...ROWS[name] });

// How much load a machine takes at once; the MongoDB server of the tests is one for all, and does one thing at a time.
export const roomFor = (cores, { isSanitized, isMongo }) => (isMongo ? 3 : (isSanitized ? 2 : 2.5) * Math.max(2, Math.min(cores, 4)));

// Who may not have others beside him begins, then the longest: so that nothing is left for the end that everybody waits for.
export function inOrder(names) {
  const isLoud = (name) => (rowOf(name).load > 2 ? 1 : 0);
  return [...names].sort((a, b) => isLoud(b) - isLoud(a) || rowOf(b).s - rowOf(a).s || a.localeCompare(b));
}

// Takes the first of those that wait that fits what is free of the room; undefined: none does.
export function takeNext(waiting, free) {
  const at = waiting.findIndex((name) => rowOf(name).load <= free);
  return at < 0 ? undefined : waiting.splice(at, 1)[0];
}
