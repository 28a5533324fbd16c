// Rules about what a client heard: one automaton per client that is fed its records in their order. It stands at a seq of its
// tenant's log; whatever it hears moves it, and what it moves over must be none of its business, or was told as missed.
import { classOf, epochOf, isTag, seqOf } from './marks.mjs';

// A set of the seqs of a log, one bit each.
class Seqs {
  constructor(head) {
    this.bits = new Uint8Array((head >> 3) + 1);
  }

  add(seq) {
    this.bits[seq >> 3] |= 1 << (seq & 7);
  }

  has(seq) {
    return (this.bits[seq >> 3] & (1 << (seq & 7))) !== 0;
  }

  // Those above that one.
  forget(last) {
    for (let seq = last + 1; seq < this.bits.length * 8; seq++) this.bits[seq >> 3] &= ~(1 << (seq & 7));
  }
}

export class Hearing {
  at = undefined; // where it stands; undefined: not known (yet)
  movedBy = 0; // the record that brought it there
  places = new Map(); // room -> {since: not before that, surely: from there on for sure, leaving}
  gone = new Map(); // room -> behind that it has left it for sure
  holes = []; // {from, to, n, why}: told as missed
  losses = []; // {from, to, n, since}: connections that were not recovered
  slots = new Map(); // figure -> its value
  catchUps = new Map(); // number -> the seqs that came
  caught = []; // {from, to}: catch-ups that came to their end
  counts = { heard: 0, links: 0, recovered: 0 };

  constructor({ client, tenant, user, role, team, transport }, { log, books, finds, tenantOf }) {
    Object.assign(this, { client, tenant, transport, log, books, finds, tenantOf });
    this.given = new Set([`user:${user}`, `role:${role}`, `team:${team}`]);
    this.heardSeqs = new Seqs(log.head);
    this.isPlain = transport === 'ws';
  }

  find(rule, text, { from = this.movedBy, to, keys = [] }) {
    this.finds.add(rule, `${this.client} by ${this.transport}: ${text}`, { from, to, keys, clients: [this.client] });
  }

  // --- rooms ---

  // Whether it must hear an event at that seq, as far as it has been told of its rooms.
  mustHear({ rooms, seq }) {
    if (!rooms?.length) return true;
    return rooms.some((room) => this.given.has(room) || this.isSurelyIn(room, seq));
  }

  isSurelyIn(room, seq) {
    const place = this.places.get(room);
    return place !== undefined && !place.leaving && seq >= place.surely;
  }

  // Whether it may hear it now; a seq is not known of what is not logged.
  mayHear(rooms, seq = Infinity) {
    if (!rooms?.length) return true;
    return rooms.some((room) => this.given.has(room) || seq > (this.places.get(room)?.since ?? Infinity));
  }

  // A join has been asked for. A Socket.IO client's has its place in the log; a plain one's counts from where its gateway stands,
  // which may be behind.
  joining({ n, room }) {
    const since = this.log.promisedBefore(n);
    const place = this.places.get(room);
    const from = Math.min(this.isPlain ? (this.at ?? 0) : since, since, place?.since ?? Infinity);
    this.places.set(room, { since: from, surely: place && !place.leaving ? place.surely : Infinity });
  }

  joined({ n, room, ok }) {
    const place = this.places.get(room);
    if (ok && place && place.surely === Infinity) place.surely = this.log.saidAfter(n);
  }

  leaving({ room }) {
    const place = this.places.get(room);
    if (place) place.leaving = true;
  }

  left({ n, room, ok }) {
    if (!ok) return;
    this.places.delete(room);
    this.gone.set(room, this.log.saidAfter(n));
  }

  // --- where it stands ---

  move(to, n) {
    this.at = to;
    this.movedBy = n;
  }

  // It has come to that seq: nothing that it must hear may lie between.
  pass(to, n, how) {
    if (this.at === undefined || to <= this.at) return;
    const missed = this.log.between(this.at, to).filter((e) => this.mustHear(e));
    if (!missed.length) return;
    const [{ seq, mark, rooms }] = missed;
    this.find('heard', `stands at ${to} ${how}, and never heard ${missed.length > 1 ? `${missed.length} events, first ` : ''}${mark} at ${seq}${rooms ? ` for ${rooms}` : ''}; before that it stood at ${this.at}`, { to: n, keys: missed.map((e) => e.mark) });
  }

  linked(record) {
    const { n, recovered, offset } = record;
    const isFirst = !this.counts.links++;
    this.isLinked = true;
    if (record.said !== undefined && record.said !== recovered) this.find('recovered', `was told recovered: ${record.said}, and its library says ${recovered}`, { to: n });
    this.checkEpoch(offset, record);
    if (recovered && isFirst) this.find('recovered', 'was recovered before it ever was there', { to: n });
    if (recovered && !isFirst) this.resumed(record);
    else this.began(record, isFirst);
    this.checkRooms(record);
    if (offset === undefined) this.at = undefined;
    this.endedAt = undefined;
  }

  resumed({ n, offset, rooms = [] }) {
    this.counts.recovered++;
    if (offset !== undefined) {
      const to = seqOf(offset);
      if (this.at !== undefined && to < this.at) this.find('order', `was recovered at ${to}, behind which it had heard up to ${this.at}`, { to: n });
      this.pass(to, n, 'after its recovery');
      this.move(to, n);
    }
    if (this.isPlain) this.nameRooms(rooms);
  }

  // The stream begins anew: what lies between is told as missed.
  began({ n, offset, rooms = [] }, isFirst) {
    const to = offset === undefined ? undefined : seqOf(offset);
    if (!isFirst) {
      this.holes.push({ from: this.at, to, n });
      this.losses.push({ from: this.at, to, n, since: this.endedAt ?? this.movedBy });
      if (to < this.at) this.heardSeqs.forget(to);
    }
    if (this.isPlain) {
      if (to !== undefined) this.move(to, n);
      this.nameRooms(rooms);
    } else this.places.clear();
    if (to !== undefined) this.move(to, n);
  }

  // It named its rooms itself, and was told in which it is: what was said in them behind its offset follows.
  nameRooms(rooms) {
    for (const [room, place] of this.places) {
      if (rooms.includes(room)) place.since = Math.min(place.since, this.at ?? 0);
      else this.places.delete(room);
    }
  }

  // The rooms that it is told to be in are those that it was told of before, as far as that gateway's stream has come.
  checkRooms({ n, rooms = [], offset, head = offset }) {
    const told = new Set(rooms);
    const to = head === undefined ? 0 : seqOf(head);
    const isForgotten = ([room, place]) => !told.has(room) && !place.leaving && to >= place.surely;
    const isStrange = (room) => !this.given.has(room) && !this.places.has(room) && to >= (this.gone.get(room) ?? 0);
    for (const room of this.given) if (rooms.length && !told.has(room)) this.find('rooms', `is not in ${room}, which its token gives`, { to: n });
    for (const room of told) if (isStrange(room)) this.find('walls', `is told to be in ${room}, where it has no business`, { to: n });
    for (const [room] of [...this.places].filter(isForgotten)) this.find('rooms', `is not in ${room} any more, although its join was answered`, { to: n });
  }

  unlinked({ n, unanswered }) {
    this.isLinked = false;
    if (!unanswered) this.endedAt = n;
  }

  resync({ n, offset }) {
    const to = seqOf(offset);
    this.holes.push({ from: this.at, to, n });
    this.losses.push({ from: this.at, to, n, since: this.movedBy, isResync: true });
    this.move(to, n);
  }

  // --- what it hears ---

  // Each frame is of its own tenant's history.
  checkEpoch(offset, { n, key }) {
    if (offset === undefined || !epochOf(offset) || epochOf(offset) === this.log.epoch) return true;
    const owner = this.tenantOf(epochOf(offset));
    if (owner) this.find('walls', `got the offset ${offset} of ${owner}`, { to: n, keys: [key] });
    else this.find('log', `got the offset ${offset} of a history that is not the tenant's, ${this.log.epoch}`, { to: n, keys: [key] });
    return false;
  }

  heard(record) {
    const { n, tenant, event, key, offset, via } = record;
    this.counts.heard++;
    if (tenant !== undefined && tenant !== this.tenant) return this.find('walls', `heard ${event} ${key} of ${tenant}`, { to: n, keys: [key] });
    if (!this.checkEpoch(offset, record)) return;
    const kind = classOf(event);
    if (kind === 'durable') this.logged(record);
    else if (via !== undefined) this.find('log', `was given ${event} ${key} by catching up, which is not in the log`, { to: n, keys: [key] });
    else this[kind](record);
  }

  logged(record) {
    const { n, event, key, offset, via } = record;
    const seq = seqOf(offset);
    const e = this.log.bySeq.get(seq);
    if (!e || e.event !== event || e.mark !== key) return this.find('log', `heard ${event} ${key} at ${seq}, where the log has ${e ? `${e.event} ${e.mark}` : 'nothing'}`, { to: n, keys: [key, ...(e ? [e.mark] : [])] });
    if (via !== undefined) return this.caughtOne(record, e);
    if (!this.mayHear(e.rooms, seq)) this.find('walls', `heard ${key} at ${seq}, which was for ${e.rooms} only`, { to: n, keys: [key] });
    if (this.at !== undefined && seq <= this.at) {
      const what = this.heardSeqs.has(seq) ? 'heard again' : 'heard too late';
      return this.find('order', `${what}: ${key} at ${seq}, when it stood at ${this.at}`, { from: 0, to: n, keys: [key] });
    }
    this.pass(seq - 1, n, `having heard ${key} behind that`);
    this.heardSeqs.add(seq);
    this.move(seq, n);
  }

  // What is not logged carries the place where the client stands by now, which it would name when it came back.
  stand({ n, offset, key }) {
    if (offset === undefined || !epochOf(offset)) return;
    const to = seqOf(offset);
    if (this.at !== undefined && to < this.at) return this.find('order', `stood at ${this.at}, and ${key} says ${to}`, { to: n, keys: [key] });
    this.pass(to, n, `says ${key}`);
    this.move(to, n);
  }

  latest(record) {
    const { n, key, slot, value } = record;
    const said = this.books.entries.get(key);
    if (!said) return this.find('latest', `heard ${key}, which nobody said`, { to: n, keys: [key] });
    if (!this.mayHear(said.rooms)) this.find('walls', `heard ${key}, which was for ${said.rooms} only`, { to: n, keys: [key] });
    const last = this.slots.get(slot);
    if (last && value < last.value) this.find('latest', `heard ${slot} = ${value} behind ${last.value}`, { from: last.n, to: n, keys: [key, last.key] });
    this.slots.set(slot, { value, n, key });
    this.stand(record);
  }

  ephemeral(record) {
    const said = this.books.entries.get(record.key);
    if (!said) return this.find('log', `heard ${record.key}, which nobody said`, { to: record.n, keys: [record.key] });
    if (!this.mayHear(said.rooms)) this.find('walls', `heard ${record.key}, which was for ${said.rooms} only`, { to: record.n, keys: [record.key] });
    this.stand(record);
  }

  // Who is there, figures, and what is said to one client alone.
  other(record) {
    if (record.event === 'typing') this.typing(record);
    if (record.event === 'presence_update' && !record.key?.startsWith(`${this.tenant}.`)) return this.find('walls', `heard that ${record.key} is there`, { to: record.n, keys: [record.key] });
    if (isTag(record.key)) this.find('log', `heard ${record.event} ${record.key}, which nobody said`, { to: record.n, keys: [record.key] });
    this.stand(record);
  }

  // Somebody in a conversation that it is in types, or does no longer; perhaps it was itself, on a connection before.
  typing({ n, key }) {
    const [, userId, room] = /^(.*)@(.*)=/.exec(key);
    if (!userId.startsWith(`${this.tenant}.`) || !this.mayHear([`conversation:${room}`])) this.find('walls', `heard that ${key}, and is not there`, { to: n, keys: [key] });
  }

  // --- catching up over REST ---

  caughtOne({ n, key, via, offset }, { rooms, seq }) {
    if (!this.catchUps.has(via)) this.catchUps.set(via, []);
    const seqs = this.catchUps.get(via);
    if (!this.mayCatch(rooms)) this.find('walls', `was given ${key} at ${offset} by catching up, which was for ${rooms} only`, { to: n, keys: [key] });
    if (seqs.length && seq <= seqs.at(-1)) this.find('order', `was given ${seq} behind ${seqs.at(-1)} by catching up`, { to: n, keys: [key] });
    seqs.push(seq);
  }

  mayCatch(rooms) {
    return !rooms?.length || rooms.some((room) => this.given.has(room));
  }

  caughtAll({ n, via, from, to, complete }) {
    const came = new Set(this.catchUps.get(via));
    this.catchUps.delete(via);
    const [after, head] = [seqOf(from), seqOf(to)];
    const missed = this.log.between(after, head).filter((e) => this.mayCatch(e.rooms) && !came.has(e.seq));
    if (missed.length) this.find('heard', `caught up from ${from} to ${to}, and was not given ${missed.length}, first ${missed[0].mark} at ${missed[0].seq}`, { to: n, keys: missed.map((e) => e.mark) });
    if (!complete) this.find('heard', `was told that what is behind ${from} is gone`, { to: n });
    this.caught.push({ from: after, to: head });
  }

  // --- the end ---

  settled({ n, late = [] }) {
    if (this.isOver) return;
    this.isOver = true;
    if (late.includes(this.client) || !this.isLinked) this.find('heard', `is ${this.isLinked ? 'connected' : 'not connected'} at the end, stands at ${this.at}, and has not heard the last event`, { to: n });
    if (this.isLinked) this.pass(this.log.head, n, 'at the end of the log');
    for (const { from, to, n: told } of this.holes)
      if (from !== undefined && !this.caught.some((c) => c.from <= from && (to === undefined || c.to >= to))) this.find('heard', `was told that it missed ${from} to ${to}, and did not catch up`, { from: told, to: n });
    this.checkNewest(n);
  }

  // Of each figure it knows the newest value.
  checkNewest(n) {
    for (const [slot, { value, key, rooms }] of this.log.newest ?? []) {
      if (!this.mayCatch(rooms)) continue;
      const last = this.slots.get(slot);
      if (!last || last.value < value) this.find('latest', `knows ${slot} = ${last?.value}, and ${value} was written last`, { from: last?.n, to: n, keys: [key, ...(last ? [last.key] : [])] });
    }
  }


  take(record) {
    if (this.isOver) return;
    STEPS[record.kind]?.(this, record);
  }
}

// What a record does to its client.
const STEPS = {
  linked: (c, r) => c.linked(r),
  unlinked: (c, r) => c.unlinked(r),
  heard: (c, r) => c.heard(r),
  resync: (c, r) => c.resync(r),
  caught: (c, r) => c.caughtAll(r),
  joined: (c, r) => c.joined(r),
  left: (c, r) => c.left(r),
  sent: (c, r) => (r.way === 'join' ? c.joining(r) : r.way === 'leave' ? c.leaving(r) : undefined),
};
