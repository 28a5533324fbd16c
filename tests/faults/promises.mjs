// Rules about what was promised: it is in the store and in the log, once; and about the log itself.
import { isTag, seqOf } from './marks.mjs';

const RANK = ['received', 'queued', 'accepted', 'sent', 'delivered', 'read', 'played'];
const OUTBOUND = new Set(['message', 'command', 'echo']);
const MESSAGES = new Set(['webhook', ...OUTBOUND]);
const EVENTS = new Set(['event', 'intake']);

function grouped(list, by) {
  const groups = new Map();
  for (const one of list) {
    const name = by(one);
    if (groups.has(name)) groups.get(name).push(one);
    else groups.set(name, [one]);
  }
  return groups;
}

// Whose message took its place in the past: it was never the last one of its conversation, and so is not told as that.
function lateMessages(messages) {
  const late = new Set();
  for (const list of grouped(messages, (m) => m.conversationId).values()) {
    let newest = '';
    for (const message of list.sort((a, b) => a.ord - b.ord)) {
      if (message.timestamp < newest) late.add(message.text);
      else newest = message.timestamp;
    }
  }
  return late;
}

class Promises {
  constructor(tenant, store, log, entries, finds) {
    Object.assign(this, { tenant, store, log, finds });
    this.entries = [...entries.values()].filter((entry) => entry.tenant === tenant);
    this.known = entries;
    this.byText = grouped(store.messages, (m) => m.text);
    this.byWamid = grouped(store.messages.filter((m) => m.messageId), (m) => m.messageId);
    this.late = lateMessages(store.messages);
    this.statuses = grouped(log.list.filter((e) => e.event === 'status_update'), (e) => e.mark);
  }

  broken(entry, text) {
    this.finds.add('kept', `${entry.key}, by ${entry.way}: ${text}`, { keys: [entry.key], from: entry.firstSent, to: entry.isPromised ? entry.answered : entry.firstSent });
  }

  check() {
    for (const entry of this.entries) {
      if (MESSAGES.has(entry.way)) this.checkMessage(entry);
      else if (EVENTS.has(entry.way) && entry.class === 'durable') this.checkEvent(entry);
      else if (entry.way === 'status') this.checkStatus(entry);
      this.checkSameAnswer(entry);
    }
    this.checkOrigins();
    this.checkVersions();
    this.checkMoves();
  }

  checkMessage(entry) {
    const stored = this.byText.get(entry.key) ?? [];
    const events = this.log.byTag.get(entry.key) ?? [];
    if (stored.length > 1) this.broken(entry, `is in the store ${stored.length} times`);
    if (entry.way === 'webhook' && events.filter((e) => e.event === 'new_message').length > 1) this.broken(entry, `is announced ${events.length} times, at ${events.map((e) => e.seq)}`);
    if (!entry.isPromised) return this.checkNothingByHalves(entry, stored, events);
    if (!stored.length) return this.broken(entry, 'was promised and is not in the store');
    if (entry.ids.size && !entry.ids.has(stored[0].id)) this.broken(entry, `was answered with the id ${[...entry.ids]}, and is stored as ${stored[0].id}`);
    const isTold = events.some((e) => e.event === (OUTBOUND.has(entry.way) ? 'conversation_update' : 'new_message'));
    if (!isTold && !(OUTBOUND.has(entry.way) && this.late.has(entry.key))) this.broken(entry, 'was promised and is not in the log');
  }

  // What nobody was promised may be there or not, but its state and its event go together.
  checkNothingByHalves(entry, stored, events) {
    if (this.late.has(entry.key)) return;
    if (stored.length && !events.length) this.broken(entry, 'was not promised, and is in the store, but not in the log');
    if (!stored.length && events.length) this.broken(entry, 'was not promised, and is in the log, but not in the store');
  }

  checkEvent(entry) {
    const events = this.log.byTag.get(entry.key) ?? [];
    if (events.length > 1) this.broken(entry, `is in the log ${events.length} times, at ${events.map((e) => e.seq)}`);
    if (!entry.isPromised) return;
    if (!events.length) {
      if (entry.way !== 'intake' || !this.finds.mayLose('intake', entry.firstSent)) this.broken(entry, 'was promised and is not in the log');
      return;
    }
    const [{ seq, rooms }] = events;
    for (const offset of entry.offsets) if (seqOf(offset) !== seq) this.broken(entry, `was answered with ${offset} and stands at ${seq}`);
    if ([...(rooms ?? [])].join() !== [...(entry.rooms ?? [])].join()) this.broken(entry, `was for ${entry.rooms} and is for ${rooms} in the log`);
  }

  checkStatus(entry) {
    const [id, status] = [entry.messageId, entry.key.slice(entry.key.lastIndexOf('=') + 1)];
    const [message] = this.byWamid.get(id) ?? [];
    const times = message?.statusHistory.filter((h) => h.status === status).length ?? 0;
    if (times > 1) this.broken(entry, `is kept ${times} times`);
    if (!entry.isPromised || !message) return; // a receipt without its message is parked
    if (!times) return this.broken(entry, 'was promised and is not among the receipts');
    if (RANK.indexOf(message.status) < RANK.indexOf(status)) this.broken(entry, `the message is only ${message.status}`);
  }

  // A message's moves are told once each, upwards, and the last one is told.
  checkMoves() {
    for (const [mark, list] of this.statuses)
      if (list.length > 1) this.finds.add('kept', `${mark} is announced ${list.length} times, at ${list.map((e) => e.seq)}`, { keys: [mark] });
    const moves = grouped(this.log.list.filter((e) => e.event === 'status_update'), (e) => e.data.messageId);
    for (const [id, list] of moves) {
      const ranks = list.map((e) => RANK.indexOf(e.data.status));
      if (ranks.some((rank, i) => i && rank <= ranks[i - 1])) this.finds.add('kept', `the status of ${id} went ${list.map((e) => e.data.status)}`, { keys: list.map((e) => e.mark) });
    }
    for (const { messageId, status, statusHistory, text } of this.store.messages)
      if (statusHistory.length && messageId && !this.statuses.has(`${messageId}=${status}`) && status !== 'sent')
        this.finds.add('kept', `${text} is ${status}, and no event says so`, { keys: [text, `${messageId}=${status}`] });
  }

  // Whatever is there was said by somebody.
  checkOrigins() {
    const strange = (tag) => isTag(tag) && !this.known.has(tag);
    for (const { text } of this.store.messages) if (!this.known.has(text)) this.finds.add('kept', `the store has a message that nobody sent: ${text}`, { keys: [text] });
    for (const { tag, seq } of this.log.list) if (strange(tag)) this.finds.add('kept', `the log has at ${seq} what nobody said: ${tag}`, { keys: [tag] });
    for (const { tag, seq } of this.log.list) if (tag && this.known.get(tag) && this.known.get(tag).tenant !== this.tenant) this.finds.add('walls', `the log of ${this.tenant} has at ${seq} what was said in ${this.known.get(tag).tenant}: ${tag}`, { keys: [tag] });
  }

  // Each change of a conversation made one event: a message from the customer is told as such, all others with its version.
  checkVersions() {
    const changes = grouped(this.log.list.filter((e) => e.data?.conversationId && e.event !== 'status_update'), (e) => e.data.conversationId);
    for (const { id, version } of this.store.conversations) {
      const all = changes.get(id) ?? [];
      const told = all.filter((e) => e.event === 'conversation_update').map((e) => e.data.version);
      if (told.some((v, i) => i && v <= told[i - 1])) this.finds.add('kept', `the versions of ${id} are told as ${told.slice(-50)}`, { keys: [id] });
      const messages = all.length - told.length;
      if (told.length + messages !== version) this.finds.add('kept', `the conversation ${id} has version ${version}, but ${messages} messages and ${told.length} changes are in the log`, { keys: [id] });
    }
  }

  checkSameAnswer(entry) {
    for (const [what, values] of [['ids', entry.ids], ['offsets', entry.offsets]])
      if (values.size > 1) this.finds.add('same', `${entry.key} was answered with several ${what}: ${[...values]}`, { keys: [entry.key], from: entry.firstSent });
  }
}

// --- the log ---

function checkSeqs({ tenant, list, epoch, store }, finds) {
  let last = 0;
  for (const { seq, epoch: own, mark } of list) {
    if (own !== epoch) finds.add('log', `${tenant}: ${mark} is of the epoch ${own}, the head of ${epoch}`, { keys: [mark] });
    if (seq <= last) finds.add('log', `${tenant}: ${seq} comes behind ${last}`, { keys: [mark] });
    last = seq;
  }
  if (store.complete === false) finds.add('log', `${tenant}: the log says that something is gone`);
}

// All that the log has, inside events too: without a gap, and the rest just as REST tells it.
function checkBodies({ tenant, bySeq, store, head }, finds) {
  let last = 0;
  for (const { seq, type, data } of store.bodies) {
    if (seq !== last + 1) finds.add('log', `${tenant}: ${seq} follows ${last}`);
    last = seq;
    const told = bySeq.get(seq);
    const isInside = type.startsWith('portalcast:');
    if (isInside ? told : !told || told.event !== type || JSON.stringify(told.data) !== JSON.stringify(data))
      finds.add('log', `${tenant}: ${seq} is ${type} in the log, and ${told ? told.event : 'nothing'} over REST`, { keys: told ? [told.mark] : [] });
  }
  if (last !== head) finds.add('log', `${tenant}: the log ends at ${last}, its head is ${head}`);
}

// Not more places without an event than may have been taken by joins and leaves, which are not told.
function checkHoles({ tenant, list, head }, finds, inside) {
  const holes = head - new Set(list.map((e) => e.seq)).size;
  if (holes > inside) finds.add('log', `${tenant}: ${holes} of ${head} places are empty, and only ${inside} joins and leaves were tried`);
}

// What was promised before something else was said stands before it.
function checkTime(log, finds) {
  for (const { entry, seq } of log.sentInOrder) {
    const before = log.promisedBefore(entry.firstSent);
    if (before > seq) finds.add('log', `${entry.key} stands at ${seq}, before ${log.bySeq.get(before)?.tag} at ${before}, which had been promised when it was first sent`, { keys: [entry.key, log.bySeq.get(before)?.tag], from: log.bySeq.get(before) ? 0 : undefined, to: entry.firstSent });
  }
}

export function checkPromises({ books, logs, stores, moves, finds }) {
  for (const record of books.answers.odd) finds.add('answers', `${record.key}: ${record.error}`, { keys: [record.key], from: record.n, to: record.n });
  for (const record of books.answers.refused) finds.add('answers', `${record.key} was refused with ${record.status ?? ''} ${record.code ?? record.error ?? ''}`, { keys: [record.key], from: record.n, to: record.n });
  for (const [tenant, log] of logs) {
    new Promises(tenant, stores.tenants[tenant], log, books.entries, finds).check();
    checkSeqs(log, finds);
    if (log.store.bodies) checkBodies(log, finds);
    else checkHoles(log, finds, moves.get(tenant) ?? 0);
    checkTime(log, finds);
  }
}
