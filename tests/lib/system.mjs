// A system that a profile describes, and its people: each with a token, REST calls, and tabs of a browser that use the
// official client as a page does.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { PATIENCE, until, within } from './env.mjs';
import { jwt } from './http.mjs';
import { World } from './world.mjs';

const QUICK = { PING_INTERVAL_MS: '1000', PING_TIMEOUT_MS: '5000' };
// As the pages of the originals open theirs: with the list that two of them use, and with the client's default.
export const TRANSPORTS = [['websocket', 'polling'], undefined];

// A tab: all that it hears, as the page's handlers get it.
export class Tab {
  heard = []; // [event, payload], without what the framework says
  lifted = []; // offsets, in the order that they came
  connects = 0;
  recovered = [];
  refusals = [];
  disconnects = [];

  constructor(base, token, { transports, onConnect, ...options } = {}) {
    this.socket = io(base, {
      auth: { token },
      ...(transports ? { transports } : {}),
      forceNew: true,
      reconnection: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 500,
      ...options,
    });
    this.socket.on('connect', () => {
      this.connects++;
      this.recovered.push(this.socket.recovered);
      onConnect?.(this.socket);
    });
    this.socket.on('connect_error', (error) => this.refusals.push(error.data?.code ?? error.message));
    this.socket.on('disconnect', (reason) => this.disconnects.push(reason));
    this.socket.onAny((event, payload, offset) => {
      if (typeof offset === 'string') this.lifted.push(offset);
      if (!/^portalcast:|^presence_update$|^typing$|^token_expiring$/.test(event)) this.heard.push([event, payload]);
      else (this.framework ??= []).push([event, payload]);
    });
  }

  async connected(count = 1) {
    await until(`connection ${count}`, () => this.connects >= count && this.socket.connected, 15000);
    return this;
  }

  // What the server answers to an event with an ack.
  async asks(event, ...args) {
    const answer = await within(new Promise((done) => this.socket.emit(event, ...args, done)), 10000 * PATIENCE);
    assert.ok(answer, `an answer to ${event}`);
    return answer;
  }

  events(name) {
    return this.heard.filter(([event]) => event === name).map(([, payload]) => payload);
  }

  // What it has heard since it was asked last, once there are so many: exactly those events, in that order.
  async hears(...names) {
    const from = this.read ?? 0;
    await until(`${names.join(', ')}; heard: ${this.heard.slice(from).map(([event]) => event)}`, () => this.heard.length >= from + names.length, 10000);
    const got = this.heard.slice(from);
    assert.deepEqual(got.map(([event]) => event), names);
    this.read = this.heard.length;
    return got.map(([, payload]) => payload);
  }

  // Nothing since it was asked last. The caller has waited for something that came later elsewhere.
  hearsNothing() {
    assert.deepEqual(this.heard.slice(this.read ?? 0), []);
  }

  status(user) {
    return (this.framework ?? []).filter(([event, p]) => event === 'presence_update' && p.userId === user).at(-1)?.[1].status;
  }

  typing() {
    return (this.framework ?? []).filter(([event]) => event === 'typing').map(([, p]) => p);
  }

  close() {
    this.socket.disconnect();
  }
}

export class Person {
  constructor(system, tenantId, role, sub, claims = {}) {
    Object.assign(this, { system, tenantId, role, sub });
    this.token = jwt({ tenantId, sub, role, ...claims });
  }

  tab(options = {}) {
    const tab = new Tab(this.system.world.gw.base, this.token, options);
    this.system.tabs.push(tab);
    return tab.connected();
  }

  // {status, json, headers}
  async api(method, pathname, body, headers = {}) {
    const answer = await fetch(this.system.world.sm.base + pathname, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(10000 * PATIENCE),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, json: text ? JSON.parse(text) : undefined };
  }

  // The same, and it must go well: the body of the answer.
  async does(method, pathname, body, headers) {
    const answer = await this.api(method, pathname, body, headers);
    assert.ok(answer.status === 200 || answer.status === 201, `${method} ${pathname}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  // It must be refused, with that status and code.
  async isRefused(status, code, method, pathname, body, headers) {
    const answer = await this.api(method, pathname, body, headers);
    assert.deepEqual([answer.status, answer.json?.error?.code], [status, code], `${method} ${pathname}: ${answer.text}`);
    return answer.json.error.message;
  }
}

export class System {
  tabs = [];

  static async open(profile, env = {}) {
    const system = new System();
    system.world = await World.open(profile.replace(/.*\//, '').replace('.json', ''), {
      tap: false,
      stateManager: { PROFILE: profile, ...env },
      gateway: { PROFILE: profile, ...QUICK, ...env },
    });
    return system;
  }

  person(tenantId, role, sub, claims) {
    return new Person(this, tenantId, role, sub, claims);
  }

  // The gateway dies, something happens, it comes back where it was; all tabs are back and have missed nothing.
  async whileGatewayIsDead(tabs, meanwhile) {
    const before = tabs.map((tab) => tab.connects);
    await this.world.gw.kill();
    await meanwhile();
    await this.world.gw.start();
    for (const [i, tab] of tabs.entries()) await tab.connected(before[i] + 1);
    tabs.forEach((tab) => assert.equal(tab.recovered.at(-1), true, 'recovered'));
  }

  async restartStateManager() {
    await this.world.sm.kill();
    await this.world.sm.start();
  }

  closeTabs() {
    for (const tab of this.tabs.splice(0)) {
      const sorted = [...tab.lifted].map((o) => Number(o.slice(o.lastIndexOf('-') + 1)));
      assert.deepEqual(sorted, [...sorted].sort((a, b) => a - b), 'in the order of the stream');
      tab.close();
    }
  }

  async close() {
    this.tabs.forEach((tab) => tab.close());
    await this.world.close();
  }
}

export const isTime = (value) => assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
// The object without these members, each of which is a time.
export function timeless(object, ...names) {
  const rest = { ...object };
  for (const name of names) {
    isTime(rest[name]);
    delete rest[name];
  }
  return rest;
}
