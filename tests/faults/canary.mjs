// The rig's own ears: some times a second an event of a tenant of their own, heard by one client of each transport at each
// gateway. They tell when all is well again after a fault, how long an event is on its way, and who calls itself ready but
// lets nothing through.
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { passFor } from './tenants.mjs';

const TENANT = 't_canary';
const PATIENCE_MS = 1500; // for an answer
const UNDER_WAY = 6;
const DEAF_MS = 25000; // two heartbeats of the broker, and what it takes to get well
const RECONNECT = { reconnectionDelay: 100, reconnectionDelayMax: 500, timeout: 2000 };

class Ear {
  heardAt = 0; // when the newest event that it has heard was sent
  constructor(canary, gateway, url, transport) {
    Object.assign(this, { canary, gateway, url, transport, name: `${transport}@${gateway}` });
  }

  hears(event, data) {
    if (event !== 'canary') return;
    this.heardAt = Math.max(this.heardAt, data.at);
    this.canary.heard(this, data);
  }
}

class SioEar extends Ear {
  open() {
    const transports = { websocket: ['websocket'], polling: ['polling'] }[this.transport];
    this.socket = io(this.url, { auth: { token: this.canary.token() }, forceNew: true, transports, ...RECONNECT });
    this.socket.onAny((event, data) => this.hears(event, data));
    // Told to go by the server itself, the official client would not come again.
    this.socket.on('disconnect', (why) => why === 'io server disconnect' && this.socket.connect());
    return this;
  }

  close() {
    this.socket.disconnect();
  }
}

class WsEar extends Ear {
  open() {
    const socket = new WebSocket(`${this.url.replace('http', 'ws')}/ws`, { handshakeTimeout: RECONNECT.timeout });
    this.socket = socket;
    const alive = () => {
      clearTimeout(this.idle);
      this.idle = setTimeout(() => socket.terminate(), 10000);
    };
    alive();
    socket.on('error', () => {});
    socket.on('ping', alive);
    socket.on('open', () => socket.send(JSON.stringify({ type: 'auth', token: this.canary.token(), ...(this.offset && { offset: this.offset }) })));
    socket.on('message', (bytes) => {
      alive();
      const { offset, event, data } = JSON.parse(bytes);
      if (offset) this.offset = offset;
      this.hears(event, data);
    });
    socket.on('close', () => {
      clearTimeout(this.idle);
      if (!this.isClosed) this.again = setTimeout(() => this.open(), RECONNECT.reconnectionDelay);
    });
    return this;
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.again);
    this.socket.terminate();
  }
}

export class Canary {
  quiet = { websocket: [], polling: [], ws: [] }; // ms on the way, while nothing was broken
  overall = { websocket: [], polling: [], ws: [] };
  isQuiet = true;
  number = 0;
  underWay = 0;

  constructor(rig, everyMs) {
    Object.assign(this, { rig, everyMs });
    this.taken = []; // when the events of the last while were sent that were answered 202
  }

  now() {
    return this.rig.history.now();
  }

  token(role = 'agent') {
    return passFor(TENANT, role);
  }

  start() {
    this.ears = this.rig.all('gateway').flatMap(({ name, url }) => ['websocket', 'polling', 'ws'].map((transport) => new (transport === 'ws' ? WsEar : SioEar)(this, name, url, transport).open()));
    this.timer = setInterval(() => this.sing(), this.everyMs);
  }

  async sing() {
    this.complain();
    if (this.underWay >= UNDER_WAY) return;
    this.underWay++;
    const urls = this.rig.apiUrls();
    const [at, n, isQuiet] = [this.now(), ++this.number, this.isQuiet];
    const answer = await fetch(`${urls[n % urls.length]}/api/v1/events`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.token('service')}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ event: 'canary', data: { n, at, isQuiet } }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).then(async (response) => (await response.arrayBuffer(), response.status), () => 0);
    this.underWay--;
    if (answer === 202) this.taken.push(at);
  }

  heard({ transport }, { at, isQuiet }) {
    const ms = this.now() - at;
    this.overall[transport].push(ms);
    if (isQuiet && this.isQuiet) this.quiet[transport].push(ms);
  }

  // What an event is on its way when nothing is broken: 99 of 100 take no longer.
  ordinaryMs() {
    const all = Object.values(this.quiet).flat().sort((a, b) => a - b);
    return all.length ? all[Math.floor(all.length * 0.99)] : 0;
  }

  // Who has not heard what was sent after that moment.
  deaf(t) {
    return this.ears.filter((ear) => ear.heardAt < t).map(({ name }) => name);
  }

  // Ready all that time.
  isReady(service, now) {
    const { ready, since } = this.rig.readiness.get(service) ?? {};
    return ready && now - since > DEAF_MS;
  }

  // A gateway that has said all the time that it is ready, and so has a state-manager, while what was taken did not come
  // through it. Where all state-managers are away, a gateway stays ready: that is told by them.
  complain() {
    const least = Math.min(...this.ears.map((ear) => ear.heardAt));
    this.taken = this.taken.filter((at) => at > least);
    const now = this.now();
    const isFed = this.rig.all('state-manager').some(({ name }) => this.isReady(name, now));
    for (const ear of this.ears) {
      const missed = this.taken.find((at) => at > ear.heardAt);
      const isDeaf = missed !== undefined && now - missed > DEAF_MS && isFed && this.isReady(ear.gateway, now);
      if (isDeaf && !ear.isBlamed) this.rig.blame('ready means working', `${ear.gateway} and a state-manager have been ready for ${DEAF_MS / 1000} s, but what was taken at ${Math.round(missed)} ms has not come by ${ear.transport}`);
      ear.isBlamed = isDeaf;
    }
  }

  stop() {
    clearInterval(this.timer);
    this.ears?.forEach((ear) => ear.close());
  }
}
