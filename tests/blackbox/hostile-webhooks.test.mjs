// Webhooks that somebody made to hurt: a rotten element among good ones, signatures that are guessed, somebody else's tenant in
// every place but the signed one, bodies that are large in a bad way.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { PATIENCE, sleep, until } from '../lib/env.mjs';
import { hmac, request, sign, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage, wamid } from '../lib/samples.mjs';
import { SECRETS } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const MIB = 1 << 20;
const [NUMBER, OTHER] = ['200000000000701', '200000000000702'];
const [TENANT, OTHER_TENANT] = ['t_hostile', 't_hostile_other'];
let world, browser, foreign;
before(async () => {
  world = await World.open('hostile-webhooks', { stateManager: { LOG_LEVEL: 'info', REQUEST_TIMEOUT_MS: '8000' } });
  await world.channel(NUMBER, TENANT);
  await world.channel(OTHER, OTHER_TENANT);
  browser = await world.browser(TENANT);
  foreign = await world.browser(OTHER_TENANT);
});
after(() => world.close());

const metric = async (name) => (await world.sm.metrics())[name];
const raw = (value) => (Buffer.isBuffer(value) ? value : Buffer.from(value));

describe('one rotten element in a batch', () => {
  // Good, rotten, good: its bytes stand where the word PLACE stood, quotes and all.
  const around = (good, rotten) => {
    const [head, tail] = JSON.stringify(inbound(NUMBER, [good[0], 'PLACE', good[1]])).split('"PLACE"');
    return Buffer.concat([Buffer.from(head), raw(rotten), Buffer.from(tail)]);
  };
  const inText = (bytes) => {
    const [head, tail] = JSON.stringify(textMessage('447700920002', 'PLACE')).split('PLACE');
    return Buffer.concat([Buffer.from(head), Buffer.from(bytes, 'latin1'), Buffer.from(tail)]);
  };
  const with_ = (more) => Buffer.from(JSON.stringify({ ...textMessage('447700920002', 'rotten'), ...more }));
  // what it is, its bytes, what becomes of it: a message, or set aside
  const ROTTEN = [
    ['a lone surrogate', inText('\\ud83d'), 'stored'], ['surrogates the wrong way round', inText('\\udc00\\ud800'), 'stored'], ['an escaped NUL', inText('\\u0000'), 'stored'],
    ['a byte that is never UTF-8', inText('\xff'), 'aside'], ['an overlong slash', inText('\xc0\xaf'), 'aside'], ['a surrogate in UTF-8', inText('\xed\xa0\x80'), 'aside'],
    ['half a character', inText('\xf0\x9f\x98'), 'aside'], ['a code point over the last', inText('\xf4\x90\x80\x80'), 'aside'], ['bad UTF-8 in its id', Buffer.from(inText('x').toString('latin1').replace('wamid.', 'wamid.\xfe'), 'latin1'), 'aside'],
    ['a string', '"message"', 'aside'], ['a number', '17', 'aside'], ['null', 'null', 'aside'], ['a list', '[[]]', 'aside'], ['an empty object', '{}', 'aside'],
    ['an id that is a number', with_({ id: 17 }), 'stored'], ['an id that is a list', with_({ id: ['x'] }), 'stored'], ['no id', with_({ id: undefined }), 'stored'], ['no sender', with_({ from: undefined }), 'aside'],
    ['a text that is a number', with_({ text: 5 }), 'stored'], ['a time that is none', with_({ timestamp: {} }), 'stored'], ['all fields of a wrong type', with_({ type: [], timestamp: [], text: [], context: 1, errors: 'x', referral: false }), 'stored'],
  ];
  for (const [what, bytes, outcome] of ROTTEN)
    test(`${what}: the others are stored and heard, and 200; it is ${outcome === 'stored' ? 'a message, too' : 'set aside'}`, async () => {
      const good = [textMessage('447700920001', `before ${what}`), textMessage('447700920001', `behind ${what}`)];
      const [aside, size] = [await metric('portalcast_quarantined_total'), (await world.messages(TENANT)).size];
      for (let times = 0; times < 2; times++) {
        const answer = await webhook(world.sm, around(good, bytes));
        assert.equal(answer.status, 200, answer.body);
      }
      await browser.hears('both', (h) => good.some((m) => m.id === h.data?.messageId), 2);
      const stored = await world.messages(TENANT);
      assert.deepEqual(good.filter((m) => !stored.has(m.id)), []);
      assert.deepEqual([stored.size - size, (await metric('portalcast_quarantined_total')) - aside], outcome === 'stored' ? [3, 0] : [2, 2], 'messages, and what was set aside of two posts');
    });
});

describe('a signature that is guessed', () => {
  const body = Buffer.from(JSON.stringify({ object: 'x', pad: 'x'.repeat(2000) }));
  const right = hmac(body);
  // The right digits up to a place, and behind it others.
  const rightUpTo = (n) => right.slice(0, n) + [...right.slice(n)].map((c) => ((parseInt(c, 16) + 7) % 16).toString(16)).join('');
  const REFUSED = [
    ['none', undefined, 401], ['empty', '', 401], ['sha1 of the same', `sha1=${createHmac('sha1', SECRETS.webhook).update(body).digest('hex')}`, 403], ['63 digits', `sha256=${right.slice(0, 63)}`, 403], ['65 digits', `sha256=${right}0`, 403],
    ['no digit at all', 'sha256=', 403], ['the scheme twice', `sha256=sha256=${right}`, 403], ['a blank before it', `sha256= ${right}`, 403], ['the scheme in upper case', `SHA256=${right}`, 403], ['the digits reversed', `sha256=${[...right].reverse().join('')}`, 403],
    ['with a key that is empty', `sha256=${createHmac('sha256', '').update(body).digest('hex')}`, 403], ['two of them', `sha256=${rightUpTo(0)},sha256=${right}`, 403], ['of the body without its last byte', sign(body.subarray(0, -1)), 403],
    ['63 right digits', `sha256=${rightUpTo(63)}`, 403], ['none right', `sha256=${rightUpTo(0)}`, 403],
  ];
  for (const [what, signature, status] of REFUSED)
    test(`${what}: ${status}, and nothing is kept`, async () => {
      const [stored, aside] = [await metric('portalcast_webhooks_total{result="stored"}'), await metric('portalcast_quarantined_total')];
      const headers = { 'Content-Type': 'application/json', ...(signature === undefined ? {} : { 'X-Hub-Signature-256': signature }) };
      const answer = await request('POST', `${world.sm.base}/webhooks/whatsapp`, { headers, body });
      assert.equal(answer.status, status, answer.body);
      assert.deepEqual([await metric('portalcast_webhooks_total{result="stored"}'), await metric('portalcast_quarantined_total')], [stored, aside]);
    });
  test('in upper-case digits it is right', async () => assert.equal((await webhook(world.sm, body, `sha256=${right.toUpperCase()}`)).status, 200));

  // The comparison itself is timed in tests/unit/test_crypto.c; here nothing else on the way may tell how much was right.
  test('how many digits are right does not show in the time that the refusal takes', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const post = (digits) => new Promise((done, fail) => {
      const from = process.hrtime.bigint();
      const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length, 'X-Hub-Signature-256': `sha256=${digits}` };
      http.request(`${world.sm.base}/webhooks/whatsapp`, { method: 'POST', agent, headers }, (a) => a.resume().on('end', () => (a.statusCode === 403 ? done(Number(process.hrtime.bigint() - from)) : fail(new Error(`${a.statusCode}`))))).on('error', fail).end(body);
    });
    const guesses = [0, 16, 32, 63].map((n) => ({ digits: rightUpTo(n), took: [] }));
    for (let i = 0; i < 400; i++) for (const g of guesses) g.took.push(await post(g.digits));
    agent.destroy();
    const medians = guesses.map(({ took }) => took.sort((a, b) => a - b)[took.length >> 1]);
    assert.ok(Math.max(...medians) < 1.25 * Math.min(...medians), `medians in ns: ${medians}`);
  });
});

describe("somebody else's tenant", () => {
  const at = '/webhooks/whatsapp';
  const bearer = { Authorization: `Bearer ${tokenOf(OTHER_TENANT, 'platform-admin')}` };
  const WAYS = [
    ['in the query', `${at}?tenantId=${OTHER_TENANT}&tenant=${OTHER_TENANT}&phone_number_id=${OTHER}`], ['in the path', `${at}/${OTHER_TENANT}`], ['in front of the path', `/${OTHER_TENANT}${at}`], ['as a folder', `/webhooks/${OTHER_TENANT}/whatsapp`],
    ['behind dots', `${at}/../whatsapp/${OTHER_TENANT}`], ['behind a semicolon', `${at};tenant=${OTHER_TENANT}`], ['in headers', at, { 'X-Tenant-Id': OTHER_TENANT, 'X-Tenant': OTHER_TENANT, 'X-Phone-Number-Id': OTHER, 'X-Forwarded-Host': `${OTHER_TENANT}.example` }],
    ['in the Host', at, { Host: `${OTHER_TENANT}.example` }], ['in a token', at, bearer], ['in a cookie', at, { Cookie: `tenantId=${OTHER_TENANT}` }],
  ];
  const body = () => {
    const b = inbound(NUMBER, [{ ...textMessage('447700920003', `mine ${wamid()}`), tenantId: OTHER_TENANT, phone_number_id: OTHER }]);
    Object.assign(b, { tenantId: OTHER_TENANT, phone_number_id: OTHER });
    Object.assign(b.entry[0], { tenantId: OTHER_TENANT, phone_number_id: OTHER });
    Object.assign(b.entry[0].changes[0].value, { tenantId: OTHER_TENANT, phone_number_id: OTHER });
    return b;
  };
  for (const [where, target, headers = {}] of WAYS)
    test(`${where}: it is the owner's of the signed number, or refused`, async () => {
      const b = body();
      const { id } = b.entry[0].changes[0].value.messages[0];
      const text = Buffer.from(JSON.stringify(b));
      const status = await new Promise((done, fail) => http.request({ port: world.sm.port, host: '127.0.0.1', path: target, method: 'POST', headers: { 'Content-Type': 'application/json', 'Content-Length': text.length, 'X-Hub-Signature-256': sign(text), ...headers } }, (a) => a.resume().on('end', () => done(a.statusCode))).on('error', fail).end(text));
      assert.ok(status === 200 || (status >= 400 && status < 500), `${status}`);
      if (status === 200) await browser.hears('it', (h) => h.data?.messageId === id);
      else await sleep(150);
      assert.equal((await world.messages(TENANT)).has(id), status === 200);
      assert.equal((await world.messages(OTHER_TENANT)).size, 0);
      assert.deepEqual(foreign.news, []);
    });
});

describe('bodies that are large in a bad way', () => {
  const rss = (what) => 1024 * Number(new RegExp(`${what}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${world.sm.pid}/status`, 'utf8'))[1]);
  const filled = (make) => {
    const parts = [];
    for (let i = 0, n = 0; n < 3 * MIB - 2000; i++) parts.push(make(i)), (n += parts.at(-1).length + 1);
    return parts;
  };
  const inElement = (json) => JSON.stringify(inbound(NUMBER, [{ ...textMessage('447700920004', 'odd'), odd: 'PLACE' }])).replace('"PLACE"', json);
  const padded = (text) => text.padEnd(3 * MIB, ' ');
  const deep = (n, [open, close]) => open.repeat(n) + close.repeat(n);
  // what it is, its text, how many messages and rows aside it becomes
  const BODIES = [
    ['one text of 3 MiB', () => padded(JSON.stringify(inbound(NUMBER, [textMessage('447700920004', 'x'.repeat(3 * MIB - 2000))]))), [0, 1]],
    ['10^5 keys in an element', () => inElement(`{${Array.from({ length: 1e5 }, (_, i) => `"k${i}":1`).join()}}`), undefined],
    ['10^5 keys beside the entries', () => JSON.stringify({ ...Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`k${i}`, i])), ...inbound(NUMBER, [textMessage('447700920004', 'beside')]) }), [1, 0]],
    ['the same key 10^5 times', () => inElement(`{${'"k":1,'.repeat(1e5 - 1)}"k":1}`), undefined],
    ['1000 lists in each other', () => inElement(deep(1000, '[]')), [0, 1]],
    ['1000 objects in each other', () => inElement('{"a":'.repeat(1000) + '1' + '}'.repeat(1000)), [0, 1]],
    ['as many lists in each other as fit', () => deep(1.5 * MIB, '[]'), [0, 1]],
    ['as many empty entries as fit', () => `{"object":"whatsapp_business_account","entry":[${filled(() => '{}').join()}]}`, [0, 0]],
    ['as many empty changes as fit', () => `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[${filled(() => '{"field":"messages"}').slice(0, 20000).join()}]}]}`, undefined],
    ['as many elements that are nothing as fit', () => JSON.stringify(inbound(NUMBER, ['PLACE'])).replace('"PLACE"', filled((i) => String(i)).slice(0, 20000).join()), undefined],
    ['escapes only', () => JSON.stringify(inbound(NUMBER, [textMessage('447700920004', 'PLACE')])).replace('PLACE', '\\u00e9'.repeat(70000)), [1, 0]],
  ];
  let plain; // ms that 3 MiB of blanks take
  const timed = async (text) => {
    const from = performance.now();
    const answer = await webhook(world.sm, Buffer.from(text));
    assert.equal(answer.status, 200, answer.body);
    return performance.now() - from;
  };
  before(async () => {
    await timed(padded('{}'));
    plain = Math.min(...[await timed(padded('{"a":1}')), await timed(padded('{"a":2}')), await timed(padded('{"a":3}'))]);
  });

  for (const [what, make, becomes] of BODIES)
    test(`${what}: kept, in a bounded time and memory`, async () => {
      const text = make();
      const [aside, size, before] = [await metric('portalcast_quarantined_total'), (await world.messages(TENANT)).size, rss('VmRSS')];
      fs.writeFileSync(`/proc/${world.sm.pid}/clear_refs`, '5'); // the peak is counted from here
      const took = await timed(text);
      const grown = rss('VmHWM') - before;
      if (becomes) assert.deepEqual([(await world.messages(TENANT)).size - size, (await metric('portalcast_quarantined_total')) - aside], becomes);
      assert.ok(grown < 64 * MIB * (PATIENCE > 1 ? 4 : 1), `the peak is ${(grown / MIB).toFixed(1)} MiB over what it was`);
      assert.ok(took < 60 * plain, `${took.toFixed(0)} ms; blanks of the same size take ${plain.toFixed(0)}`);
      assert.equal((await world.sm.probe('/readyz')).status, 200);
    });
  test('3 MiB and a byte: 413, and nothing is read', async () => {
    const text = Buffer.from(padded('{}') + ' ');
    const answer = await webhook(world.sm, text).catch((error) => ({ status: error.code }));
    assert.ok([413, 'EPIPE', 'ECONNRESET'].includes(answer.status), `${answer.status}`);
  });
  test('twenty of the worst at once are taken, and a small one between them is not the last', async () => {
    let done = 0;
    const worst = Array.from({ length: 20 }, (_, i) => webhook(world.sm, Buffer.from(inElement(`{${Array.from({ length: 1e5 }, (_, k) => `"k${i}.${k}":1`).join()}}`))).then((a) => (done++, a.status)));
    assert.equal((await webhook(world.sm, inbound(OTHER, [textMessage('447700920005', 'small')]))).status, 200);
    assert.ok(done < worst.length, `${done} were answered first`);
    assert.deepEqual([...new Set(await Promise.all(worst))], [200]);
    await until('readiness', async () => (await world.sm.probe('/readyz')).status === 200);
  });
});
