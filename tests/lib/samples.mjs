// Webhook bodies: the golden samples with their manifest, and small ones made to measure.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { GOLDEN } from './env.mjs';

const folder = path.join(GOLDEN, 'webhooks');
export const MANIFEST = JSON.parse(fs.readFileSync(path.join(folder, 'MANIFEST.json'), 'utf8')).files;
export const sampleBytes = (name) => fs.readFileSync(path.join(folder, name));
export const sample = (name) => JSON.parse(sampleBytes(name));

// The elements of a body: [{number, field, message|status|echo, contacts}]
export function elements(body) {
  const found = [];
  for (const entry of body.entry ?? [])
    for (const { field, value } of entry.changes ?? [])
      for (const [list, kind] of [['messages', 'message'], ['statuses', 'status'], ['message_echoes', 'echo']])
        for (const element of value[list] ?? [])
          found.push({ number: value.metadata?.phone_number_id, field, kind, element, contacts: value.contacts ?? [] });
  return found;
}

export const wamid = () => `wamid.${randomBytes(18).toString('base64')}`;
const now = () => String(Math.floor(Date.now() / 1000));

function envelope(number, field, value) {
  return {
    object: 'whatsapp_business_account',
    entry: [{ id: '300000000000001', changes: [{ field, value: { messaging_product: 'whatsapp', metadata: { display_phone_number: '15550100200', phone_number_id: number }, ...value } }] }],
  };
}

export const textMessage = (from, body, more = {}) => ({ from, id: wamid(), timestamp: now(), type: 'text', text: { body }, ...more });

// messages: made by textMessage(); names: {wa_id: name}
export const inbound = (number, messages, names = {}) =>
  envelope(number, 'messages', {
    contacts: [...new Set(messages.map((m) => m.from))].map((wa_id) => ({ wa_id, profile: { name: names[wa_id] ?? `Customer ${wa_id}` } })),
    messages,
  });

export const text = (number, from, body, more) => inbound(number, [textMessage(from, body, more)]);

export const echo = (number, to, body, id = wamid()) =>
  envelope(number, 'smb_message_echoes', { message_echoes: [{ from: '15550100200', to, id, timestamp: now(), type: 'text', text: { body } }] });

// list: [[id, status, recipient], ...]
export const receipts = (number, list) =>
  envelope(number, 'messages', {
    statuses: list.map(([id, status, recipient_id, timestamp]) => ({ id, status, timestamp: timestamp ?? now(), recipient_id, ...(status === 'failed' ? { errors: [{ code: 131026, title: 'Message undeliverable' }] } : {}) })),
  });
