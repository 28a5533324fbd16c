// What the tests of the checker share: stories that are made up (made.mjs), changed, and judged.
import assert from 'node:assert/strict';
import { RULES, check } from './checker.mjs';
import { LIMITS, Made } from './made.mjs';
import { isLogged } from './marks.mjs';

export const judge = (made) => check(made, made.stores, { limits: LIMITS });
const renumbered = (records) => records.map((record, n) => ({ ...record, n, t: n * 10 }));

// The records as `change` leaves them, or those that it returns in their place.
export function edited(made, change) {
  made.records = renumbered(change(made.records) ?? made.records);
  return made;
}

export const told = (made, rule) => judge(made).violations.filter((v) => !rule || v.rule === rule);
export const isFine = (made) => assert.deepEqual(told(made), []);
// Something is said of that rule (and in such words), with what a report needs.
export function complains(made, rule, pattern) {
  const found = told(made, rule);
  assert.ok(found.length, `nothing about ${rule}; ${JSON.stringify(told(made).slice(0, 3))}`);
  if (pattern) assert.ok(found.some((v) => pattern.test(v.text)), JSON.stringify(found.slice(0, 3)));
  for (const { rule: name, text, keys, clients, from, to } of found)
    assert.ok(RULES[name] && text && Array.isArray(keys) && Array.isArray(clients) && (from === undefined || from <= to), JSON.stringify({ name, from, to }));
}

// A run with these steps, of one tenant (or more), whose clients are all connected.
export function story(steps, options = { tenants: 1, perTenant: 4 }) {
  const made = new Made(1, options);
  for (const client of made.clients) made.link(client);
  steps(made, made.tenants[0], made.clients);
  return made;
}

// The tag of an event that is promised, or is not, and is in the log, or is not.
export function promised(made, tenant, { logged = true, answered = true } = {}) {
  const key = made.tag(tenant);
  made.add('sent', { sender: 'w', tenant: tenant.id, way: 'event', key, class: 'durable', attempt: 1 });
  const offset = logged ? made.offset(tenant, made.log(tenant, 'news', { key })) : undefined;
  if (answered) made.add('answered', { key, ok: true, status: 202, id: 'e_1', ...(offset && { offset }) });
  return key;
}

export const lastHeard = (records) => records.findLastIndex((r) => r.kind === 'heard' && isLogged(r.event) && r.via === undefined);
