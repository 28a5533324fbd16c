// What most test files need: a vhost of their own, a state-manager and a gateway on it, a tap on the exchange, channels.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Broker, Tap } from './broker.mjs';
import { RUN_DIR, claim } from './env.mjs';
import { rest, tokenOf, webhook } from './http.mjs';
import { text } from './samples.mjs';
import { gateway, stateManager } from './services.mjs';
import { SioClient, WsClient } from './sockets.mjs';

function ownFolder(name) {
  for (let i = 0; ; i++)
    if (claim(`world-${name}-${i}`)) {
      const dir = path.join(RUN_DIR, `${name}-${i}`);
      fs.mkdirSync(dir, { recursive: true });
      return dir;
    }
}

export class World {
  browsers = [];
  services = [];

  // options: {broker, amqpUrl, stateManager: env|false, gateway: env|false, tap: false}
  static async open(name, options = {}) {
    const world = new World();
    world.dir = ownFolder(name);
    world.broker = options.broker ?? (await Broker.shared());
    world.vhost = world.broker.claimVhost();
    world.amqpUrl = world.broker.url(world.vhost);
    world.serviceUrl = options.proxy ? options.proxy.url(world.vhost) : world.amqpUrl;
    try {
      if (options.tap !== false) world.tap = await new Tap(world.amqpUrl).open();
      if (options.stateManager !== false) {
        world.sm = await stateManager(world.dir, world.serviceUrl, options.stateManager);
        world.services.push(world.sm);
        await world.sm.start();
      }
      if (options.gateway !== false) {
        world.gw = await gateway(world.dir, world.serviceUrl, options.gateway);
        world.services.push(world.gw);
        await world.gw.start();
      }
    } catch (error) {
      await world.close().catch(() => {});
      throw error;
    }
    return world;
  }

  // Gives a phone number id to a tenant.
  async channel(number, tenantId, displayPhoneNumber = '15550100200') {
    const admin = tokenOf(tenantId, 'platform-admin');
    const answer = await rest(this.sm, admin, 'PUT', `/api/v1/admin/channels/${number}`, { tenantId, displayPhoneNumber });
    assert.ok([200, 201].includes(answer.status), `PUT channel: ${answer.status} ${answer.body}`);
  }

  api(tenantId, method, pathname, body, role = 'agent') {
    return rest(this.sm, tokenOf(tenantId, role), method, pathname, body);
  }

  // All pages of a list.
  async list(tenantId, pathname) {
    const items = [];
    let cursor = '';
    for (let pages = 0; pages < 200; pages++) {
      const mark = pathname.includes('?') ? '&' : '?';
      const key = /messages/.test(pathname) ? 'before' : 'cursor';
      const answer = await this.api(tenantId, 'GET', `${pathname}${mark}limit=100${cursor && `&${key}=${encodeURIComponent(cursor)}`}`);
      assert.equal(answer.status, 200, answer.body);
      items.push(...answer.json.items);
      cursor = answer.json.nextCursor;
      if (!cursor) return items;
    }
    throw new Error(`${pathname} has no end`);
  }

  // Every message of a tenant, by its wamid.
  async messages(tenantId) {
    const all = new Map();
    for (const conversation of await this.list(tenantId, '/api/v1/conversations'))
      for (const message of await this.list(tenantId, `/api/v1/conversations/${conversation.id}/messages`)) all.set(message.messageId ?? message.id, message);
    return all;
  }

  // The id of the conversation with a customer, who has just written.
  async conversation(tenantId, number, from, words = 'hello') {
    const answer = await webhook(this.sm, text(number, from, words));
    assert.equal(answer.status, 200, answer.body);
    const found = await this.list(tenantId, `/api/v1/conversations?q=${from}`);
    assert.equal(found.length, 1, `one conversation with ${from}`);
    return found[0].id;
  }

  async browser(tenantId, { role = 'agent', claims = {}, ...options } = {}) {
    const client = new SioClient(this.gw.base, tokenOf(tenantId, role, claims), options);
    this.browsers.push(client);
    await client.connected();
    return client;
  }

  async plain(tenantId, options = {}) {
    const client = new WsClient(this.gw.base, { token: tokenOf(tenantId), ...options });
    this.browsers.push(client);
    await client.message('ready');
    return client;
  }

  // Ends everything; fails when a service does not end well.
  async close() {
    for (const browser of this.browsers) browser.close();
    const ended = await Promise.allSettled(this.services.filter((s) => s.child).map((s) => s.stop()));
    await this.tap?.close();
    if (Broker.own) await Broker.own.stop();
    const failed = ended.filter((e) => e.status === 'rejected');
    if (failed.length) throw new Error(failed.map((f) => f.reason.message).join('\n'));
  }
}
