// The plan of the fault rig: the same for the same seed, whole, and such that it can be played.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, rowOf } from './faults.mjs';
import { only, plan, stageOf } from './plan.mjs';

const STORES = ['sqlite', 'mongo'];
const SEEDS = Array.from({ length: 30 }, (_, i) => 1000 + 77 * i);
const LONG = 60;
const touches = (fault, stage) => rowOf(fault, stage).touches?.(fault.target, stage) ?? [fault.target];
const bySlot = (faults) => [...new Set(faults.map(({ slot }) => slot))].map((slot) => faults.filter((f) => f.slot === slot));

test('the same seed gives the same plan, another one another', () => {
  for (const store of STORES) {
    assert.deepEqual(plan(7, 10, store), plan(7, 10, store));
    assert.notDeepEqual(plan(7, 10, store), plan(8, 10, store));
  }
});

test('every fault that the store allows appears, at everything that it may befall', () => {
  for (const store of STORES) {
    const stage = stageOf(store);
    const allowed = FAULTS.filter(({ stores }) => !stores || stores.includes(store));
    const wanted = new Set(allowed.flatMap(({ name, targets }) => targets(stage).flat().map((target) => `${name} ${target}`)));
    const hours = SEEDS.slice(0, 10).map((seed) => plan(seed, LONG, store));
    assert.deepEqual(new Set(hours.flat().map(({ name, target }) => `${name} ${target}`)), wanted, store);
    // In an hour each fault at each sort of target.
    for (const { name, targets } of allowed)
      for (const group of targets(stage)) assert.ok(hours.every((faults) => faults.some((f) => f.name === name && group.includes(f.target))), `${store}: ${name} ${group}`);
  }
  for (const { name, stores } of FAULTS) assert.ok(!stores || stores.some((store) => STORES.includes(store)), name);
});

test('three minutes hold many sorts of faults', () => {
  for (const store of STORES)
    for (const seed of SEEDS) {
      const names = new Set(plan(seed, 3, store).map(({ name }) => name));
      assert.ok(names.size >= 7, `${store}, seed ${seed}: ${[...names]}`);
    }
});

test('a server of somebody else is not killed', () => {
  for (const seed of SEEDS) assert.deepEqual(plan(seed, LONG, 'mongo', false).filter(({ target }) => target === 'mongo'), []);
});

test('about one in four slots is a pair; those overlap, and touch nothing of each other', () => {
  for (const store of STORES) {
    const stage = stageOf(store);
    const slots = SEEDS.flatMap((seed) => bySlot(plan(seed, LONG, store)));
    const pairs = slots.filter((slot) => slot.length > 1);
    assert.ok(pairs.length > 0.15 * slots.length && pairs.length < 0.35 * slots.length, `${pairs.length} of ${slots.length}`);
    for (const [a, b] of pairs) {
      assert.deepEqual(touches(a, stage).filter((what) => touches(b, stage).includes(what)), [], `${a.name} and ${b.name}`);
      assert.ok(b.at - a.at <= Math.max(0.3, a.lasts) + 0.11, `${a.name} for ${a.lasts} s and ${b.name} ${b.at - a.at} s later`);
    }
  }
});

test('slots follow each other, within the time, each fault in the bounds of its row', () => {
  for (const store of STORES) {
    const stage = stageOf(store);
    for (const seed of SEEDS) {
      const faults = plan(seed, 5, store);
      assert.deepEqual(faults.map(({ id }) => id), faults.map((_, i) => i + 1));
      let free = 0;
      for (const slot of bySlot(faults)) {
        assert.ok(Math.min(...slot.map(({ at }) => at)) >= free);
        free = Math.max(...slot.map(({ at, lasts }) => at + lasts));
      }
      assert.ok(free <= 300, `${free} s`);
      for (const fault of faults) {
        const [shortest, longest] = rowOf(fault, stage).lasts;
        assert.ok(fault.lasts >= shortest && fault.lasts <= longest, `${fault.name}: ${fault.lasts}`);
      }
    }
  }
});

test('some of a plan: the same faults, as far from their neighbours in the slot, without the time of the others', () => {
  const faults = plan(SEEDS[0], 20, 'sqlite');
  const pair = bySlot(faults).find((slot) => slot.length > 1 && slot[0].slot > 3);
  const few = only(faults, pair.map(({ id }) => id));
  assert.deepEqual(few.map(({ at, ...rest }) => rest), pair.map(({ at, ...rest }) => rest));
  assert.ok(Math.abs(few[1].at - few[0].at - (pair[1].at - pair[0].at)) < 0.01);
  assert.ok(few[0].at < 0.01, `${few[0].at}`);
  assert.deepEqual(only(faults, faults.map(({ id }) => id)), faults);
});
