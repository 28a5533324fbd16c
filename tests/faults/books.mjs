// What the rules of the checker look things up in: what was said and promised (Books), and a tenant's log (Log).
import { isTag, markOf, seqOf, epochOf } from './marks.mjs';

// Of sorted numbers, how many are below x.
function below(sorted, x) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

// What was said under a tag.
class Entry {
  firstSent = Infinity;
  answered = Infinity; // the record of the first answer that promised something
  ids = new Set();
  offsets = new Set();
  ends = undefined; // an answer that ended it without a promise

  constructor(sent) {
    const { key, tenant, way, client, messageId, conversationId, rooms, class: kind, slot, value, n } = sent;
    Object.assign(this, { key, tenant, way, client, messageId, conversationId, rooms, class: kind, slot, value, firstSent: n });
  }

  get isPromised() {
    return this.answered < Infinity;
  }

  take({ n, ok, id, offset }) {
    if (!ok) return;
    this.answered = Math.min(this.answered, n);
    if (id) this.ids.add(id);
    if (offset) this.offsets.add(offset);
  }
}

export class Books {
  entries = new Map(); // tag -> Entry
  answers = { odd: [], refused: [] };
  statuses = {};

  // records: of the kinds sent, answered, joined, left
  constructor(records) {
    for (const record of records)
      if (record.kind === 'sent') this.sent(record);
      else if (record.kind === 'answered') this.answered(record);
  }

  sent(record) {
    if (!this.entries.has(record.key)) this.entries.set(record.key, new Entry(record));
  }

  answered(record) {
    const entry = this.entries.get(record.key);
    const outcome = record.status ?? record.error ?? (record.ok ? 'ok' : 'not ok');
    this.statuses[outcome] = (this.statuses[outcome] ?? 0) + 1;
    if (record.odd) this.answers.odd.push(record);
    if (isRefusal(record)) this.answers.refused.push(record);
    entry?.take(record);
  }
}

// Nothing that is sent here deserves a no for good.
const TEMPORARY = new Set([408, 429]);
const REFUSALS = new Set(['INVALID', 'MALFORMED', 'UNKNOWN_EVENT', 'DENIED', 'NOT_FOUND', 'TOO_LARGE', 'CONFLICT', 'UNAUTHENTICATED', 'INTERNAL']);
const isRefusal = ({ ok, status, error }) => !ok && ((status >= 400 && status < 500 && !TEMPORARY.has(status)) || REFUSALS.has(error));

// By which tags an event of the log is found again: an outbound message is told by its conversation.
const tagOf = ({ event, data }) => [data?.key, data?.message, event === 'conversation_update' ? data.lastMessage : undefined].find(isTag);

export class Log {
  bySeq = new Map();
  byTag = new Map(); // tag -> [its events]

  // store: {events, head, complete, bodies?}; entries: of the Books
  constructor(tenant, store, entries) {
    Object.assign(this, { tenant, store, epoch: store.head ? epochOf(store.head) : '', head: store.head ? seqOf(store.head) : 0 });
    this.list = store.events.map((item) => this.take(item));
    this.seqs = this.list.map(({ seq }) => seq);
    this.timeline(entries);
  }

  take(item) {
    const { event, data, offset, rooms } = item;
    const taken = { seq: seqOf(offset), epoch: epochOf(offset), event, mark: markOf(event, data), tag: tagOf(item), rooms, data, bytes: JSON.stringify(item).length };
    if (!this.bySeq.has(taken.seq)) this.bySeq.set(taken.seq, taken);
    if (taken.tag) this.byTag.set(taken.tag, [...(this.byTag.get(taken.tag) ?? []), taken]);
    return taken;
  }

  // When events were said and promised, by record: what was answered before a moment has a lower seq than what is there then;
  // what was first sent behind it a higher one. The queue's confirm promises no place.
  timeline(entries) {
    const known = [...this.byTag].map(([tag, [first]]) => ({ entry: entries.get(tag), seq: first.seq })).filter(({ entry }) => entry);
    const answered = known.filter(({ entry }) => entry.isPromised && entry.way !== 'intake').sort((a, b) => a.entry.answered - b.entry.answered);
    const sent = known.sort((a, b) => a.entry.firstSent - b.entry.firstSent);
    this.answeredAt = answered.map(({ entry }) => entry.answered);
    this.sentAt = sent.map(({ entry }) => entry.firstSent);
    this.highest = running(answered.map(({ seq }) => seq), Math.max);
    this.lowest = running(sent.map(({ seq }) => seq).reverse(), Math.min).reverse();
    this.sentInOrder = sent;
  }

  // The highest seq that was promised before that record.
  promisedBefore(n) {
    const count = below(this.answeredAt, n);
    return count ? this.highest[count - 1] : 0;
  }

  // The lowest seq of what was first said behind that record.
  saidAfter(n) {
    const count = below(this.sentAt, n + 1);
    return count < this.lowest.length ? this.lowest[count] : Infinity;
  }

  // The events with from < seq <= to.
  between(from, to) {
    return this.list.slice(below(this.seqs, from + 1), below(this.seqs, to + 1));
  }
}

function running(list, better) {
  let best;
  return list.map((x) => (best = best === undefined ? x : better(best, x)));
}
