// What is kept, for how long, and what waits for an owner.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { rest, tokenOf, webhook } from '../lib/http.mjs';
import { echo, elements, inbound, sample, sampleBytes, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const KEPT = 50;
let world;
before(async () => (world = await World.open('keeping', { stateManager: { HOUSEKEEPING_SECONDS: '1', EVENT_RETENTION_COUNT: String(KEPT), RAW_RETENTION_COUNT: String(KEPT) } })));
after(() => world.close());

const post = async (body) => assert.equal((await webhook(world.sm, body)).status, 200);
const metric = async (name) => (await world.sm.metrics())[name];

describe('messages for a number that nobody owns', () => {
  const NUMBER = '200000000000071';
  const messages = Array.from({ length: 130 }, (_, i) => textMessage('447700900701', `early ${i}`, { timestamp: String(1789200000 + i) }));

  test('are delivered, with all that came with them, once it has an owner', async () => {
    await post(inbound(NUMBER, messages.slice(0, 100), { 447700900701: 'Early Bird' }));
    await post(inbound(NUMBER, messages.slice(100), { 447700900701: 'Early Bird' }));
    await post(echo(NUMBER, '447700900701', 'typed on the phone'));
    const browser = await world.browser('t_late');
    await world.channel(NUMBER, 't_late');
    await until('all of them', async () => (await world.messages('t_late')).size === 131);
    await browser.hears('new_message', 'new_message', 130);
    const [conversation] = await world.list('t_late', '/api/v1/conversations');
    assert.equal(conversation.contact.name, 'Early Bird');
    assert.equal(conversation.unread, 130);
    await until('the metric', async () => (await metric('portalcast_quarantine_delivered_total')) === 131);
    browser.close();
  });

  test('are not delivered again when the channel is set again, or moved', async () => {
    await world.channel(NUMBER, 't_next');
    await post(inbound(NUMBER, [textMessage('447700900701', 'for the next')]));
    assert.equal((await world.messages('t_next')).size, 1);
    assert.equal((await world.messages('t_late')).size, 131);
  });

  test('survive kill -9 right behind the answer to the admin', async () => {
    const number = '200000000000072';
    const early = Array.from({ length: 60 }, (_, i) => textMessage('447700900702', `early ${i}`));
    await post(inbound(number, early));
    await world.channel(number, 't_killed');
    await world.sm.kill();
    await world.sm.start();
    await until('all of them', async () => (await world.messages('t_killed')).size === early.length);
  });
});

describe('fields of the account', () => {
  const FILE = '47_other_webhook_fields.json';
  const number = elements(sample(FILE))[0].number;

  test('go to the tenant of the only number of their entry', async () => {
    await world.channel(number, 't_account');
    await post(sampleBytes(FILE));
    const fields = sample(FILE).entry[0].changes.map((c) => c.field).filter((f) => f !== 'smb_message_echoes');
    await until('each', () => fields.every((f) => world.tap.of('t_account', 'account_update').some((e) => e.data.field === f)));
    await post(sampleBytes(FILE));
    assert.equal(world.tap.of('t_account', 'account_update').length, fields.length);
  });

  test('without any number wait for an owner of the account, which is given like a number', async () => {
    const body = { object: 'whatsapp_business_account', entry: [{ id: '300000000000077', changes: [{ field: 'account_alerts', value: { entity_type: 'WABA', alert: 'x' } }] }] };
    await post(body);
    await world.channel('300000000000077', 't_waba');
    await until('it', () => world.tap.of('t_waba', 'account_update').length === 1);
    assert.deepEqual(world.tap.of('t_waba', 'account_update')[0].data.value, body.entry[0].changes[0].value);
  });
});

describe('account updates', () => {
  const WABA = '300000000000078';
  const TENANT = 't_raw';
  const GONE = 20;
  const body = (numbers) => ({ object: 'whatsapp_business_account', entry: [{ id: WABA, changes: numbers.map((n) => ({ field: 'account_alerts', value: { alert: `number ${n}` } })) }] });
  const all = Array.from({ length: KEPT + GONE }, (_, n) => n);
  const heard = () => world.tap.of(TENANT, 'account_update').map((e) => Number(e.data.value.alert.slice('number '.length)));
  const dropped = () => metric('portalcast_retention_dropped_total{what="documents"}');

  test('are kept up to a number, the newest: what is sent again is known by those', async () => {
    await world.channel(WABA, TENANT);
    const before = await dropped();
    for (let at = 0; at < all.length; at += 10) await post(body(all.slice(at, at + 10)));
    await until('the older ones are dropped', async () => (await dropped()) >= before + GONE);
    await until('all are heard', () => heard().length === all.length);
    await post(body([...all.slice(GONE), ...all.slice(0, GONE)]));
    await until('those that had gone', () => heard().length >= all.length + GONE);
    assert.deepEqual(heard(), [...all, ...all.slice(0, GONE)], 'only what had gone is news again');
    await until('as many are dropped again', async () => (await dropped()) >= before + 2 * GONE);
    assert.equal(await dropped(), before + 2 * GONE);
  });

  test('that were too many before the start are found without a new one', async () => {
    await world.sm.stop();
    world.sm.env.RAW_RETENTION_COUNT = String(KEPT - GONE);
    await world.sm.start();
    await until('the older ones are dropped', async () => (await dropped()) === GONE);
  });
});

describe('the log', () => {
  const NUMBER = '200000000000073';
  const TENANT = 't_log';
  const events = async (after) => (await world.api(TENANT, 'GET', `/api/v1/events?limit=1000${after ? `&after=${after}` : ''}`)).json;

  test('keeps the newest events while traffic flows, and says so to who asks for older ones', async () => {
    await world.channel(NUMBER, TENANT);
    const browser = await world.browser(TENANT);
    for (let i = 0; i < 12; i++) await Promise.all(Array.from({ length: 25 }, (_, k) => post(inbound(NUMBER, [textMessage('447700900703', `${i}.${k}`)]))));
    await browser.hears('all live', 'new_message', 300);
    const seqs = browser.seqs();
    assert.deepEqual(seqs, seqs.map((_, i) => seqs[0] + i), 'in order, once');
    const first = await until('older events are gone', async () => {
      const { items, head } = await events();
      const [oldest, newest] = [items[0].offset, head].map((o) => Number(o.split('-')[1]));
      return newest - oldest < 2 * KEPT && items;
    });
    assert.ok(first.length >= KEPT, `${first.length} are kept`);
    const epoch = first[0].offset.split('-')[0];
    assert.equal((await events(`${epoch}-1`)).complete, false);
    const { items, complete } = await events(first.at(-10).offset);
    assert.equal(complete, true);
    assert.equal(items.length, 9);
    assert.equal((await world.messages(TENANT)).size, 300, 'messages stay');
    browser.close();
  });
});

test('an account update that is refused by nobody is kept raw, whatever is in it', async () => {
  const value = { metadata: { phone_number_id: '200000000000073' }, deep: [[[{ a: null }]]], big: 1e300, text: '\ud83d\ude00' };
  await post({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'something_new', value }] }] });
  await until('it', () => world.tap.of('t_log', 'account_update').length === 1);
  assert.deepEqual(world.tap.of('t_log', 'account_update')[0].data.value, value);
  assert.equal((await rest(world.sm, tokenOf('t_log'), 'GET', '/api/v1/conversations')).status, 200);
});
