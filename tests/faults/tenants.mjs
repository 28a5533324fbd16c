// The tenants of a run: their channels, conversations and people, and requests in their name that are said again until
// somebody answers.
import { sleep } from '../lib/env.mjs';
import { tokenOf, webhook, rest } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';

const CONVERSATIONS = 8;
const PREPARE_MS = 60000;
export const ROLES = ['agent', 'supervisor'];
export const TEAMS = 4;

// Good whatever the clock does in the meantime: an hour back or forth.
export function passFor(tenantId, role, more = {}) {
  const now = Math.floor(Date.now() / 1000);
  return tokenOf(tenantId, role, { iat: now - 7200, exp: now + 86400, ...more });
}

export const userOf = (tenantId, name) => `${tenantId}.${name}`;
export const customerOf = (tenantIndex, i) => `44770${String(tenantIndex).padStart(2, '0')}${String(i).padStart(6, '0')}`;

// Asks one after the other until the answer is good; for what is done before and after the faults.
async function insist(what, ask, isGood) {
  const deadline = Date.now() + PREPARE_MS;
  for (let last; ; await sleep(100)) {
    try {
      last = await ask();
      if (isGood(last)) return last;
      last = `${last.status} ${last.body}`;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > deadline) throw new Error(`${what}: ${last}`);
  }
}

export const asked = (apiUrls, tenantId, role, method, path, body) => {
  let turn = 0;
  return insist(`${method} ${path}`, () => {
    const urls = apiUrls();
    return rest({ base: urls[turn++ % urls.length] }, passFor(tenantId, role), method, path, body);
  }, (answer) => answer.status >= 200 && answer.status < 300);
};

// All pages of a list.
export async function listed(apiUrls, tenantId, path, key = 'cursor') {
  const items = [];
  for (let cursor = ''; ; ) {
    const { json } = await asked(apiUrls, tenantId, 'agent', 'GET', `${path}?limit=100${cursor && `&${key}=${encodeURIComponent(cursor)}`}`);
    items.push(...json.items);
    cursor = json.nextCursor;
    if (!cursor) return items;
  }
}

async function prepareOne({ history, apiUrls }, tenant, index) {
  await asked(apiUrls, tenant.id, 'platform-admin', 'PUT', `/api/v1/admin/channels/${tenant.number}`, { tenantId: tenant.id, displayPhoneNumber: '15550100200' });
  const messages = Array.from({ length: CONVERSATIONS }, (_, i) => textMessage(customerOf(index, i), `${tenant.id}/first.${i}`));
  const body = JSON.stringify(inbound(tenant.number, messages));
  for (const { id, text } of messages) history.add('sent', { sender: 'prepare', tenant: tenant.id, way: 'webhook', key: text.body, messageId: id, attempt: 1 });
  await insist('a first webhook', () => webhook({ base: apiUrls()[0] }, body), (answer) => answer.status === 200);
  for (const { text } of messages) history.add('answered', { key: text.body, ok: true, status: 200 });
  const found = await listed(apiUrls, tenant.id, '/api/v1/conversations');
  tenant.conversations = found.map(({ id, contact }) => ({ id, customer: contact.waId })).sort((a, b) => a.customer.localeCompare(b.customer));
  tenant.index = index;
}

// Gives each tenant its channel and its conversations: tenant.conversations = [{id, customer}].
export async function prepare(options) {
  for (const [i, tenant] of options.tenants.entries()) await prepareOne(options, tenant, i);
}
