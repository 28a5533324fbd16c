// What is in the stores at the end, read over REST: each tenant's log from its beginning, its conversations and messages.
import { conversationRoom, seqOf } from './marks.mjs';
import { ROLES, TEAMS, listed, passFor, userOf } from './tenants.mjs';
import { rest } from '../lib/http.mjs';
import { sleep } from '../lib/env.mjs';

const ROOMS_OF_A_TOKEN = 32;
const LIMIT = 1000;
const PATIENCE_MS = 60000;

async function page(apiUrls, tenantId, token, after) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await rest({ base: apiUrls()[0] }, token, 'GET', `/api/v1/events?limit=${LIMIT}${after && `&after=${encodeURIComponent(after)}`}`).catch((error) => ({ status: 0, body: error.message }));
    if (answer.status === 200) return answer.json;
    if (Date.now() > deadline) throw new Error(`the log of ${tenantId}: ${answer.status} ${answer.body}`);
    await sleep(200);
  }
}

// The log as a token with these rooms sees it.
async function logFor(apiUrls, tenantId, rooms) {
  const token = passFor(tenantId, 'auditor', { sub: 'auditor', rooms });
  const log = { events: [], complete: true };
  for (let after = ''; ; ) {
    const { items, next, head, complete } = await page(apiUrls, tenantId, token, after);
    log.events.push(...items);
    log.complete &&= complete;
    log.head = head;
    if (next === head) return log;
    after = next;
  }
}

const roomsOf = (tenant, perTenant) => [
  ...ROLES.map((role) => `role:${role}`),
  ...Array.from({ length: TEAMS }, (_, i) => `team:${i}`),
  ...tenant.conversations.map(({ id }) => conversationRoom(id)),
  ...Array.from({ length: perTenant }, (_, i) => `user:${userOf(tenant.id, `c${i}`)}`),
];

// A token has so many rooms and no more: several readings that are laid over each other by seq.
async function wholeLog(apiUrls, tenant, perTenant) {
  const rooms = roomsOf(tenant, perTenant);
  const bySeq = new Map();
  let [head, complete] = ['', true];
  for (let i = 0; i < rooms.length; i += ROOMS_OF_A_TOKEN) {
    const log = await logFor(apiUrls, tenant.id, rooms.slice(i, i + ROOMS_OF_A_TOKEN));
    const seen = new Set();
    for (const event of log.events) {
      const seq = seqOf(event.offset);
      if (seen.has(seq)) bySeq.set(`${seq} again ${seen.size}`, event); // a page that repeats: the checker is to see it
      seen.add(seq);
      bySeq.set(seq, event);
    }
    [head, complete] = [log.head, complete && log.complete];
  }
  const events = [...bySeq.values()].sort((a, b) => seqOf(a.offset) - seqOf(b.offset));
  return { events, head, complete };
}

// log(tenantId): all bodies of the log, inside events too, where the caller can read them.
export async function readStores({ tenants, apiUrls, perTenant = 40, log }) {
  const stores = { tenants: {} };
  for (const tenant of tenants) {
    const conversations = await listed(apiUrls, tenant.id, '/api/v1/conversations');
    const messages = [];
    for (const { id } of conversations) messages.push(...(await listed(apiUrls, tenant.id, `/api/v1/conversations/${id}/messages`, 'before')));
    stores.tenants[tenant.id] = { ...(await wholeLog(apiUrls, tenant, perTenant)), conversations, messages, ...(log && { bodies: await log(tenant.id) }) };
  }
  return stores;
}
