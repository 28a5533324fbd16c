// What a run prints: what was broken and how long it took to get well, figures, and, of what went wrong, the shortest
// piece of the history that shows it.
import { inWords } from './plan.mjs';

const LINES = 40; // of the history, for one violation
const SHOWN = 5; // more of the same rule
const CONTEXT_MS = 10000;

const s = (ms) => (ms / 1000).toFixed(ms < 10000 ? 2 : 1);
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
const spread = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length ? `p50 ${percentile(sorted, 0.5).toFixed(1)} ms, p99 ${percentile(sorted, 0.99).toFixed(1)} ms (${sorted.length})` : 'none';
};

export class Report {
  constructor(history, say = console.log) {
    Object.assign(this, { history, say });
  }

  names(faults) {
    return faults.map(({ id, name, target, lasts, args }) => `#${id} ${name} ${target}${lasts ? ` ${lasts} s` : ''}${Object.entries(args).map(([k, v]) => ` ${k}=${v}`).join('')}`).join(' with ');
  }

  slot(faults, ms) {
    this.say(`  ${s(this.history.now()).padStart(7)} s  ${this.names(faults).padEnd(64)} ${ms === undefined ? 'NEVER well' : `well again in ${s(ms)} s`}`);
  }

  figures({ canary, held, back, before, after, found }) {
    this.say('figures:');
    for (const [what, lists] of [['quiet', canary.quiet], ['overall', canary.overall]])
      for (const [transport, list] of Object.entries(lists)) this.say(`  sent to heard, ${what}, ${transport}: ${spread(list)}`);
    const names = new Map();
    for (const { faults, ms } of back) for (const { name } of faults) names.set(name, [...(names.get(name) ?? []), ms]);
    for (const [name, list] of [...names].sort(([a], [b]) => a.localeCompare(b))) this.say(`  well again after ${name}: ${list.length} x, at the most ${s(Math.max(...list))} s`);
    for (const now of after) {
      const was = before.find(({ service }) => service === now.service);
      if (was) this.say(`  ${now.service}: ${was.rssKb} -> ${now.rssKb} KB, ${was.fds} -> ${now.fds} descriptors, ${was.threads} -> ${now.threads} threads${was.pid === now.pid ? '' : ', another process'}`);
    }
    this.say(`  the rig itself was held up: p99 ${(held.percentile(99) / 1e6).toFixed(0)} ms, at the most ${(held.max / 1e6).toFixed(0)} ms`);
    for (const [name, value] of Object.entries(found)) this.say(`  ${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  }

  // {rule, text, keys?, clients?, from?, to?, t?}; of each rule the first with its piece of history, some without.
  violations(all, plan) {
    const rules = new Map();
    for (const violation of all) rules.set(violation.rule, [...(rules.get(violation.rule) ?? []), violation]);
    for (const [rule, [first, ...rest]] of rules) {
      this.say(`VIOLATION ${rule}: ${first.text}`);
      for (const line of this.excerpt(first)) this.say(`    ${line}`);
      for (const { text } of rest.slice(0, SHOWN)) this.say(`  also ${rule}: ${text.slice(0, 300)}`);
      if (rest.length > SHOWN) this.say(`  and ${rest.length - SHOWN} more`);
    }
    this.say('plan:');
    for (const fault of plan) this.say(`  ${inWords(fault)}`);
  }

  // The faults around it and the lines about its keys and clients; the middle is left out when they are many.
  excerpt({ keys = [], clients = [], from, to, t }) {
    const about = (r) => (from === undefined ? r.t >= t - CONTEXT_MS && r.t <= t : r.n >= from && r.n <= to);
    const names = new Set([...keys, ...clients]);
    const isOf = (r) => ['fault', 'ready'].includes(r.kind) || names.has(r.key) || (names.has(r.client) && (r.kind !== 'heard' || !keys.length));
    const lines = [];
    for (const record of this.history.records) if (about(record) && isOf(record)) lines.push(JSON.stringify(record).slice(0, 300));
    return lines.length <= LINES ? lines : [...lines.slice(0, LINES / 2), `... ${lines.length - LINES} lines ...`, ...lines.slice(-LINES / 2)];
  }
}
