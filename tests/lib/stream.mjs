// Events at a steady pace, of several tenants and rooms: published by a backend, and made of webhooks. What is not answered
// is said again under the same key, so that whatever dies, each event is there once.
import assert from 'node:assert/strict';
import { sleep } from './env.mjs';
import { rest, tokenOf, webhook } from './http.mjs';
import { inbound, textMessage } from './samples.mjs';

const TICK_MS = 50;

export class Stream {
  made = 0; // events that a backend published
  posted = 0; // webhooks
  faults = []; // answers that a sender would not send again
  // services: state-managers, asked in turn; tenants: [{id, number?, rooms: [name]}]; every `forAll`th event is for everybody
  constructor(services, tenants, { perSecond = 200, forAll = 5, webhooks = 0.1 } = {}) {
    Object.assign(this, { services, tenants, perSecond, forAll, webhooks, n: 0, running: true, under: new Set() });
    this.done = this.go();
  }

  async go() {
    const from = Date.now();
    for (let sent = 0; this.running; await sleep(TICK_MS))
      for (const due = ((Date.now() - from) * this.perSecond) / 1000; sent < due && this.under.size < 200; sent++) {
        const one = this.one().finally(() => this.under.delete(one));
        this.under.add(one);
      }
    await Promise.all(this.under);
  }

  // One event or webhook, until it is accepted.
  async one() {
    const n = ++this.n;
    const tenant = this.tenants[n % this.tenants.length];
    const isWebhook = tenant.number && Math.random() < this.webhooks;
    const room = n % this.forAll ? { rooms: [tenant.rooms[Math.floor(Math.random() * tenant.rooms.length)]] } : {};
    const ask = isWebhook
      ? this.webhook(tenant, n)
      : (service) => rest(service, tokenOf(tenant.id, 'service'), 'POST', '/api/v1/events', { event: 'n', data: { n, tenant: tenant.id }, ...room }, { 'Idempotency-Key': `n-${n}` });
    for (let tries = 0; ; tries++) {
      const answer = await ask(this.services[(n + tries) % this.services.length]).catch(() => ({ status: 0 }));
      if (answer.status === 200 || answer.status === 202) break;
      if (![0, 429, 503].includes(answer.status)) return this.faults.push(`${answer.status} ${answer.body}`);
      await sleep(100);
    }
    isWebhook ? this.posted++ : this.made++;
  }

  webhook(tenant, n) {
    const body = JSON.stringify(inbound(tenant.number, [textMessage(`4477009${String(n % 50).padStart(5, '0')}`, `message ${n}`)]));
    return (service) => webhook(service, body);
  }

  async stop() {
    this.running = false;
    await this.done;
    assert.deepEqual(this.faults.slice(0, 3), []);
  }
}
