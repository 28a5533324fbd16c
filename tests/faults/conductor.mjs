// Plays a plan: begins and ends each fault at its time, then waits until all is well again, and sees how long that took.
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { rowOf } from './faults.mjs';

const BACK_MS = 5000 * PATIENCE; // twice as long on the MongoDB server of the tests
const SLOW_MS = 5000; // what the travel of an event may add on a machine that has other things to do
const GIVE_UP_MS = 60000;

export class Conductor {
  back = []; // {faults, ms}

  constructor({ rig, canary, stage, report }) {
    Object.assign(this, { rig, canary, stage, report, history: rig.history });
  }

  // How long getting well may take: the promise, and what an event is on its way here and now when nothing is broken.
  get backMs() {
    return BACK_MS + Math.min(SLOW_MS, this.canary.ordinaryMs());
  }

  // False: it never got well, and there is no point in going on.
  async play(plan) {
    const from = this.history.now();
    const slots = new Map();
    for (const fault of plan) slots.set(fault.slot, [...(slots.get(fault.slot) ?? []), { ...fault }]);
    for (const faults of slots.values()) {
      const begin = Math.min(...faults.map(({ at }) => at));
      await sleep(Math.max(0, from + begin * 1000 - this.history.now()));
      if (!(await this.playSlot(faults, begin))) return false;
    }
    return true;
  }

  async playSlot(faults, begin) {
    this.canary.isQuiet = false;
    await Promise.all(faults.map(async (fault) => {
      await sleep((fault.at - begin) * 1000);
      await this.one(fault);
    }));
    const mended = this.history.now();
    const ms = await this.well(faults, mended);
    if (ms !== undefined) this.back.push({ faults, ms });
    this.report.slot(faults, ms);
    this.canary.isQuiet = ms !== undefined;
    return ms !== undefined;
  }

  async one(fault) {
    const row = rowOf(fault, this.stage);
    const list = (of) => row[of]?.(fault.target, this.stage) ?? [];
    const details = { args: fault.args, lasts: fault.lasts, down: list('down'), shaken: list('shaken'), mayLoseOf: list('mayLoseOf'), noticeMs: row.noticeMs?.(fault.target) ?? 0, backMs: this.backMs };
    const mark = (phase) => this.history.add('fault', { id: fault.id, name: fault.name, target: fault.target, phase, ...(phase === 'begin' && { details }) });
    const does = async (what) => {
      try {
        await row[what](this.rig, fault);
      } catch (error) {
        this.rig.blame('faults can be made', `#${fault.id} ${fault.name} ${fault.target}, ${what}: ${error.message}`);
      }
    };
    mark('begin');
    await does('begin');
    mark('begun');
    await sleep(fault.lasts * 1000);
    mark('ending');
    await does('end');
    mark('end');
  }

  // How long after that moment an event sent after it was heard by all, and all said that they are ready.
  async well(faults, mended) {
    const missing = () => [...this.rig.unready(mended).map((name) => `${name} is not ready`), ...this.canary.deaf(mended).map((name) => `${name} hears nothing`)];
    const allowed = this.backMs;
    let late;
    try {
      await until('all to be well', () => {
        const left = missing();
        if (left.length && this.history.now() - mended > allowed) late ??= left;
        return !left.length;
      }, GIVE_UP_MS);
    } catch {
      this.rig.blame('comes back', `not within ${GIVE_UP_MS / 1000} s after ${this.report.names(faults)}: ${missing().join(', ')}`);
      return undefined;
    }
    const ms = this.history.now() - mended;
    // `late`: it was looked at behind that time, and something was missing; a rig that was held up itself proves nothing.
    if (late) this.rig.blame('back in time', `${(ms / 1000).toFixed(1)} s after ${this.report.names(faults)}; after ${(allowed / 1000).toFixed(1)} s: ${late.join(', ')}`);
    return ms;
  }
}
