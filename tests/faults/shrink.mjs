// A failure with fewer faults: first those that were on when it showed, then halves, as long as it still fails and time is
// left. Each attempt is a run of its own.
import { spawn } from 'node:child_process';

// Ids of the faults that were on when it showed, and of the last before it.
function suspects({ t, from, to }, history) {
  const [key, first, last] = from === undefined ? ['t', t, t] : ['n', from, to];
  const spans = new Map();
  for (const record of history.of('fault')) {
    if (record.phase === 'begin') spans.set(record.id, { begin: record[key], end: Infinity });
    if (record.phase === 'end') spans.get(record.id).end = record[key];
  }
  const before = [...spans].filter(([, { end }]) => end < first).map(([id]) => id);
  const during = [...spans].filter(([, { begin, end }]) => begin <= last && end >= first).map(([id]) => id);
  return [...before.slice(-1), ...during];
}

function attempt({ program, env }, ids, msLeft) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [program], { env: { ...process.env, ...env, ONLY: ids.join(','), SHRINK: '', RUN_DIR: '' }, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (part) => (text += part));
    const timer = setTimeout(() => child.kill('SIGTERM'), msLeft);
    child.on('exit', (code) => (clearTimeout(timer), done({ failed: code === 1 && /^VIOLATION/m.test(text), text })));
  });
}

// Ids left out one half after the other (delta debugging), smaller parts when nothing goes.
function* smaller(ids) {
  for (let size = Math.ceil(ids.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let i = 0; i < ids.length; i += size) yield ids.filter((_, k) => k < i || k >= i + size);
}

export async function shrink({ plan, violations, history, seconds, say, ...how }) {
  const deadline = Date.now() + seconds * 1000;
  const tried = new Set();
  let best = { ids: plan.map(({ id }) => id) };
  const tryThese = async (ids) => {
    const key = ids.join(',');
    if (!ids.length || tried.has(key) || Date.now() > deadline) return false;
    tried.add(key);
    const result = await attempt(how, ids, deadline - Date.now() + 60000);
    say(`  shrink: ONLY=${key} ${result.failed ? 'fails, too' : 'goes well'}`);
    if (result.failed) best = { ids, text: result.text };
    return result.failed;
  };
  await tryThese(suspects(violations[0], history));
  for (let again = true; again && Date.now() < deadline; ) {
    again = false;
    for (const ids of smaller(best.ids))
      if (await tryThese(ids)) {
        again = true;
        break;
      }
  }
  if (best.text) say(`the smallest that failed, ONLY=${best.ids.join(',')}:\n${best.text}`);
}
