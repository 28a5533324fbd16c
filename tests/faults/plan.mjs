// What is broken when: a seed, a length and a store give the same list each time, [{id, slot, name, target, at, lasts, args}],
// times in seconds since the first fault may begin. A slot is one fault, or two that overlap; between slots all gets well.
import { seededRandom } from '../lib/env.mjs';
import { FAULTS } from './faults.mjs';

export const WARM_S = 12; // before the first fault
export const SETTLE_S = 14; // after the last
const BACK_S = 3; // what getting well takes as a rule; when it takes longer, all that follows is later
const QUIET_S = 1.5;
const PAIRS = 0.25;

// What there is to break. `ownMongo`: the server is the rig's to kill.
export const stageOf = (store, ownMongo = true) => ({
  store,
  ownMongo: store === 'mongo' && ownMongo,
  gateways: ['gw0', 'gw1', 'gw2'],
  managers: store === 'mongo' ? ['sm0', 'sm1'] : ['sm0'],
});

// Each fault with each group of its targets.
function cards(stage) {
  return FAULTS.filter((row) => row.stores === undefined || row.stores.includes(stage.store)).flatMap((row) => row.targets(stage).map((group) => ({ row, group })));
}

function shuffled(list, random) {
  const all = [...list];
  for (let i = all.length - 1; i > 0; i--) {
    const k = Math.floor(random() * (i + 1));
    [all[i], all[k]] = [all[k], all[i]];
  }
  return all;
}

// All cards: first one of each name, then another of each that has more, and so on, so that a short run has of everything.
function deck(stage, random) {
  const names = new Map();
  for (const card of shuffled(cards(stage), random)) names.set(card.row.name, [...(names.get(card.row.name) ?? []), card]);
  const rounds = Math.max(...[...names.values()].map((all) => all.length));
  return Array.from({ length: rounds }, (_, i) => shuffled([...names.values()].flatMap((all) => all.slice(i, i + 1)), random)).flat();
}

const tenths = (seconds) => Math.round(seconds * 10) / 10;

function deal({ row, group }, random) {
  const [shortest, longest] = row.lasts;
  // More short ones than long ones, but never only short ones.
  return { name: row.name, target: group[Math.floor(random() * group.length)], at: 0, lasts: tenths(shortest + random() ** 2 * (longest - shortest)), args: row.args?.(random) ?? {}, row };
}

const touches = (fault, stage) => fault.row.touches?.(fault.target, stage) ?? [fault.target];
const isApart = (a, b, stage) => !touches(a, stage).some((what) => touches(b, stage).includes(what));
const endOf = ({ row, target, at, lasts }) => at + lasts + (row.costs?.(target) ?? 0);

function slotOf(left, random, stage) {
  const first = deal(left.shift(), random);
  const wantsPair = random() < PAIRS;
  const i = left.findIndex((card) => isApart(first, deal(card, () => 0), stage));
  if (!wantsPair || i < 0) return [first];
  const [card] = left.splice(i, 1);
  const second = deal(card, random);
  if (!isApart(first, second, stage)) return left.unshift(card), [first];
  second.at = tenths(random() * Math.max(0.3, first.lasts));
  return [first, second];
}

export function plan(seed, minutes, store, ownMongo = true) {
  const stage = stageOf(store, ownMongo);
  const random = seededRandom(seed);
  const whole = minutes * 60 - WARM_S - SETTLE_S;
  const faults = [];
  let left = [];
  for (let slot = 1, from = 0, misses = 0; misses < 20; ) {
    if (left.length < 2) left = [...left, ...deck(stage, random)];
    const dealt = slotOf(left, random, stage);
    const length = Math.max(...dealt.map(endOf)) + BACK_S + QUIET_S * (1 + random());
    if (from + length > whole + BACK_S) {
      misses++;
      continue;
    }
    for (const { name, target, at, lasts, args } of dealt) faults.push({ id: faults.length + 1, slot, name, target, at: tenths(from + at), lasts, args });
    from += length;
    slot++;
  }
  return faults;
}

// The same faults of these ids only, as they were dealt, without the time that the others took.
export function only(faults, ids) {
  const begins = new Map();
  for (const { slot, at } of faults) begins.set(slot, Math.min(at, begins.get(slot) ?? Infinity));
  const ends = new Map(faults.map(({ slot }) => [slot, begins.get(slot + 1)]));
  const kept = faults.filter(({ id }) => ids.includes(id));
  let gone = 0;
  let last = 0;
  const moved = [];
  for (const slot of begins.keys()) {
    const mine = kept.filter((fault) => fault.slot === slot);
    if (!mine.length) gone += (ends.get(slot) ?? begins.get(slot)) - begins.get(slot);
    for (const fault of mine) moved.push({ ...fault, at: tenths(fault.at - gone) });
    last = Math.max(last, ...mine.map((fault) => fault.at));
  }
  return moved;
}

export const inWords = ({ id, name, target, at, lasts, args }) =>
  `#${id} ${name} ${target}${lasts ? ` for ${lasts} s` : ''}${Object.entries(args).map(([key, value]) => ` ${key}=${value}`).join('')} at ${at} s`;
