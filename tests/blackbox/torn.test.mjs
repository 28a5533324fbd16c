// A link that breaks while a client hears what it has missed: the official client hears each event once all the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Balancer } from '../lib/balancer.mjs';
import { until } from '../lib/env.mjs';
import { tokenOf } from '../lib/http.mjs';
import { SioClient } from '../lib/sockets.mjs';
import { SlowLink } from '../lib/slow-link.mjs';
import { World } from '../lib/world.mjs';

const MISSED = 3000;
const PART = 300; // heard, or kept by the client, when the link breaks
let world;
before(async () => void (world = await World.open('torn', { tap: false })));
after(() => world?.close());

let tenants = 0;
async function say(tenant, from, count) {
  for (let at = from; at < from + count; at += 500) {
    const events = Array.from({ length: Math.min(500, from + count - at) }, (_, i) => ({ event: 'n', data: { n: at + i, pad: 'x'.repeat(200) } }));
    const answer = await world.api(tenant, 'POST', '/api/v1/events', events, 'service');
    assert.equal(answer.status, 202, answer.body);
  }
}

describe('a link that breaks in the middle of what was missed', () => {
  for (const [name, transports] of [['websocket', ['websocket']], ['polling', ['polling']], ['the default', undefined]])
    test(name, async () => {
      const tenant = `t_torn_${++tenants}`;
      const slow = await SlowLink.open(world.gw.port, 125000);
      const fast = await new Balancer([world.gw.port]).open();
      const client = new SioClient(fast.base, tokenOf(tenant), { transports, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 });
      try {
        await client.connected();
        await until('hello', () => client.of('portalcast:hello').length);
        await say(tenant, 0, 5);
        await client.hears('the first', 'n', 5);
        fast.only(1).cut();
        await until('cut', () => !client.socket.connected);
        client.socket.io.uri = slow.base;
        await say(tenant, 5, MISSED);
        await until('a part of it', () => client.of('n').length + client.socket.receiveBuffer.length > PART, 30000);
        client.socket.io.uri = fast.base;
        fast.only(undefined);
        slow.close();
        client.socket.io.engine?.transport?.ws?.terminate();
        await say(tenant, 5 + MISSED, 1);
        await client.hears('the last', (h) => h.data?.n === 5 + MISSED, 1, 30000);
        assert.equal(client.socket.recovered, true);
        assert.deepEqual(client.of('n').map((h) => h.data.n), Array.from({ length: 6 + MISSED }, (_, n) => n), 'in order, once');
      } finally {
        client.close();
        fast.close();
        slow.close();
      }
    });
});
