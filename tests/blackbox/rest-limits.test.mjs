// Every limit of every body and query: at the limit it is taken, one over it is refused, and nothing of it is applied.
// Hostile JSON in the same way; a webhook's sender cannot be refused: what he signs is kept, whatever it is.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { rawExchange, rest, tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000201';
const TENANT = 't_limits';
const MIB = 1 << 20;
let world;
let id;
before(async () => {
  world = await World.open('rest-limits', { gateway: false });
  await world.channel(NUMBER, TENANT);
  assert.equal((await webhook(world.sm, inbound(NUMBER, [textMessage('447700900500', 'hello')]))).status, 200);
  id = (await get('/conversations')).json.items[0].id;
});
after(() => world.close());

const get = (path, role = 'agent') => rest(world.sm, tokenOf(TENANT, role), 'GET', `/api/v1${path}`);
const x = (n) => 'x'.repeat(n);
const e = (bytes) => 'é'.repeat(bytes / 2);
const rooms = (n, name = (i) => `r${i}`) => Array.from({ length: n }, (_, i) => name(i));
const NOT_STRINGS = [5, true, [], {}, ['x'], { a: 'x' }, -0.5, 1e300];
// As they stand in the text: JSON.stringify would not write them.
const HOSTILE_STRINGS = ['"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00"', '"\\udc00\\ud800"', '"\\ud83d\\ud83d"', '"a\\uD83Db"', '"\\ud83d \\ude00"'];
const NUMBERS = ['1e400', '-1e400', '9223372036854775808', '1.0', '1e0', '123456789012345678901234567890'];

// The calls with a body; `state` is what a refused one must leave alone.
const CALLS = {
  patch: { method: 'PATCH', path: () => `/conversations/${id}`, good: { tags: ['ok'] }, state: () => get(`/conversations/${id}`) },
  message: { method: 'POST', path: () => `/conversations/${id}/messages`, good: { text: 'ok' }, status: 202, state: () => get(`/conversations/${id}/messages?limit=200`) },
  correlate: { method: 'POST', path: () => `/conversations/${id}/correlate`, good: { correlationId: 'ok' }, state: () => get(`/conversations/${id}`) },
  events: { method: 'POST', path: () => '/events', good: { event: 'ok' }, status: 202, role: 'service', state: () => get('/events?limit=1000') },
  channel: { method: 'PUT', path: () => '/admin/channels/200000000000299', good: { tenantId: 't_limits_other' }, role: 'platform-admin', state: () => get('/admin/channels/200000000000299', 'platform-admin') },
  tenant: { method: 'PUT', path: () => `/admin/tenants/${TENANT}`, good: { timeZone: 'UTC' }, role: 'platform-admin', state: () => get(`/admin/tenants/${TENANT}`, 'platform-admin') },
  revocation: { method: 'POST', path: () => '/admin/revocations', good: { tenantId: TENANT, sub: 'somebody' }, status: 202, role: 'platform-admin', state: () => get('/events?limit=1000') },
};
const call = (name, body, headers) => rest(world.sm, tokenOf(TENANT, CALLS[name].role), CALLS[name].method, `/api/v1${CALLS[name].path()}`, body, headers);

async function taken(name, body, headers) {
  const answer = await call(name, body, headers);
  assert.equal(answer.status, CALLS[name].status ?? 200, answer.body.slice(0, 300));
  return answer;
}
async function refused(name, body, statuses, headers) {
  const before = await CALLS[name].state();
  const answer = await call(name, body, headers);
  assert.ok([statuses].flat().includes(answer.status), `${answer.status}: ${answer.body.slice(0, 300)}`);
  assert.ok(answer.json.error.message.length > 5 && answer.json.error.message.length < 240, answer.body);
  assert.deepEqual((await CALLS[name].state()).json, before.json, 'nothing of it was applied');
  return answer;
}
const title = (value) => (typeof value === 'string' ? value : JSON.stringify(value)).replace(/[^\x20-\x7e]/g, '?').slice(0, 50);

// call, field, what is taken, what is refused; strings in `raw` stand in the body as they are
const FIELDS = [
  ['patch', 'status', ['open', 'closed'], ['', 'OPEN', 'waiting', 'open ', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['patch', 'assignee', [null, 'x', x(128), e(128), '\u{1f600}', ' '], ['', x(129), e(130), '\u{1f600}'.repeat(33), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['patch', 'tags', [[], ['x'], rooms(32), [x(64)], [e(64)]], [null, 'x', 5, {}, rooms(33), [x(65)], [e(66)], [''], [5], [null], [['x']], ['a', {}]], HOSTILE_STRINGS.map((s) => `["good",${s}]`)],
  ['patch', 'version', [], ['1', null, true, [], {}], NUMBERS],
  ['patch', 'owner', [], ['x', null]],
  ['message', 'text', ['x', x(4096), '\u{1f600}'.repeat(4096), ' '], ['', x(4097), '\u{1f600}'.repeat(4097), null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['message', 'replyTo', [null, 'wamid.x', x(180)], ['', x(181), e(182), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['message', 'type', ['text'], ['', 'smell', 'Text', 'image', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['correlate', 'correlationId', ['x', x(256), e(256)], ['', x(257), e(258), null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['correlate', 'system', [null, 'x', x(256)], ['', x(257), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['events', 'event', ['x', x(64), 'A-z_0.9:x'], ['', x(65), 'a b', 'a/b', 'é', 'connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener', 'portalcast:x', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['events', 'data', [null, x(256 * 1024 - 2), [], 0], [x(256 * 1024 - 1)]],
  ['events', 'rooms', [null, [], ['r'], rooms(32), [x(160)], [e(160)]], ['r', 5, {}, true, rooms(33), [x(161)], [e(162)], [''], [5], [null], [[]]], ['["\\u0000"]']],
  ['events', 'class', ['durable', 'ephemeral'], ['', 'DURABLE', 'latest', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['events', 'key', [null, 'x', x(128), e(128)], ['', x(129), e(130), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['channel', 'tenantId', ['t', x(64), 'A-z_9'], ['', x(65), 'a.b', 'a b', 'é', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['channel', 'displayPhoneNumber', [null, '', x(32)], [x(33), ...NOT_STRINGS], ['"\\u0000"']],
  ['channel', 'accessToken', [null, '', x(1024)], [x(1025), ...NOT_STRINGS], ['"\\u0000"']],
  ['revocation', 'tenantId', ['t', x(64), 'A-z_9'], ['', x(65), 'a.b', 'a b', 'é', null, ...NOT_STRINGS], HOSTILE_STRINGS],
  ['revocation', 'sub', ['x', x(128), e(128), '\u{1f600}'], ['', x(129), e(130), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['revocation', 'jti', [null], ['x', '', x(129), ...NOT_STRINGS], HOSTILE_STRINGS],
  ['tenant', 'timeZone', ['Europe/Berlin', 'UTC'], ['', 'Mars/Base', '../etc/passwd', '/etc/localtime', 'utc\n', x(65), x(5000), null, ...NOT_STRINGS], HOSTILE_STRINGS],
];

for (const [name, field, good, bad, raw = []] of FIELDS)
  describe(`${name}: ${field}`, () => {
    for (const value of good) test(`${title(value)} is taken`, () => taken(name, { ...CALLS[name].good, [field]: value }));
    for (const value of bad) test(`${title(value)} is refused`, () => refused(name, { ...CALLS[name].good, [field]: value }, 422));
    for (const value of raw) test(`${title(value)} is refused`, () => refused(name, `${JSON.stringify({ ...CALLS[name].good, [field]: undefined }).replace(/\}$/, '').replace(/^\{$/, '{').replace(/([^{])$/, '$1,')}${JSON.stringify(field)}:${value}}`, 422));
  });

describe('messages that are no text', () => {
  const image = (more) => ({ type: 'image', image: { link: 'https://example.org/x.png', ...more } });
  test('a caption of 1024 characters, and none', async () => {
    await taken('message', image({ caption: '\u{1f600}'.repeat(1024) }));
    await taken('message', image({ caption: null }));
    await taken('message', image({}));
  });
  for (const caption of [x(1025), 5, {}, '\u0000']) test(`a caption ${title(caption)} is refused`, () => refused('message', image({ caption }), 422));
  test('256 KiB', async () => {
    const around = JSON.stringify(image({ pad: '' })).length;
    await taken('message', image({ pad: x(256 * 1024 - around) }));
    await refused('message', image({ pad: x(256 * 1024 - around + 1) }), 422);
  });
  for (const body of [{ type: 'image' }, { type: 'image', image: 'x' }, { type: 'image', image: null }, { type: 'image', video: {} }, { type: 'template', text: 'x' }])
    test(`${JSON.stringify(body)} is refused`, () => refused('message', body, 422));
});

describe('versions', () => {
  const now = async () => (await get(`/conversations/${id}`)).json.version;
  test('the right one is taken', async () => taken('patch', { tags: ['v'], version: await now() }));
  for (const version of ['-1', '-0', '0', '9223372036854775807']) test(`${version} is stale`, () => refused('patch', `{"tags":["w"],"version":${version}}`, 409));
});

describe('events in arrays', () => {
  test('500 are taken, 501 refused', async () => {
    await taken('events', Array.from({ length: 500 }, () => ({ event: 'ok' })));
    await refused('events', Array.from({ length: 501 }, () => ({ event: 'ok' })), 422);
  });
  for (const wrong of [5, null, 'x', [], [{ event: 'ok' }], { event: '' }, { event: 'ok', class: 'x' }])
    test(`one ${title(wrong)} among good ones refuses all, and is counted`, async () => {
      const answer = await refused('events', [{ event: 'ok' }, { event: 'ok' }, wrong, { event: 'ok' }], 422);
      assert.match(answer.json.error.message, /^event 2: /);
    });
});

describe('what publishers say is passed on byte for byte', () => {
  for (const data of ['"\\u0000\\ud800"', '1e400', '-0', '9223372036854775808.00', '{"a":1,"a":2}', '[  1 , {} ]', '"\\u00e9\\/"'])
    test(data, async () => {
      await taken('events', `{"event":"raw","data":${data}}`);
      const { json } = await get('/events?limit=1000');
      const { body } = await rest(world.sm, tokenOf(TENANT), 'GET', `/api/v1/events?limit=1&after=${json.items.at(-2).offset}`);
      assert.ok(body.includes(`"data":${data},`), body);
    });
});

test('rooms that are empty, however they are written, are everybody', () => taken('events', '{"event":"raw","rooms":[ \n ]}'));

describe('duplicate keys: the last one counts', () => {
  test('and it alone', async () => {
    assert.equal((await taken('patch', '{"assignee":"one","assignee":"two"}')).json.assignee, 'two');
    assert.deepEqual((await taken('correlate', '{"correlationId":5,"correlationId":"last"}')).json.correlation.correlationId, 'last');
    assert.equal((await taken('patch', '{"\\u0061ssignee":"three"}')).json.assignee, 'three');
  });
  test('a wrong one before is refused where fields are taken one by one', () => refused('patch', '{"assignee":5,"assignee":"two"}', 422));
});

const utf8 = (...bytes) => Buffer.concat([Buffer.from('{"text":"'), Buffer.from(bytes), Buffer.from('"}')]);
const HOSTILE = [
  ['nothing', ''], ['blanks', ' \n'], ['no JSON', 'text=ok'], ['a byte order mark', '\ufeff{}'], ['two values', '{}{}'], ['a comma too many', '{"a":1,}'],
  ['a comment', '{/**/}'], ['single quotes', "{'a':1}"], ['a bare key', '{a:1}'], ['an open string', '{"a":"'], ['an open object', '{"a":1'], ['NaN', '{"a":NaN}'],
  ['a leading zero', '{"a":01}'], ['a plus sign', '{"a":+1}'], ['a bare point', '{"a":.5}'], ['hex', '{"a":0x1}'], ['a raw NUL', '{"a":"\u0000"}'], ['a raw line end', '{"a":"\n"}'],
  ['a bad escape', '{"a":"\\x41"}'], ['half an escape', '{"a":"\\u12"}'],
  ['a byte that is no UTF-8', utf8(0xff)], ['an overlong NUL', utf8(0xc0, 0x80)], ['an overlong slash', utf8(0xe0, 0x80, 0xaf)], ['a surrogate in UTF-8', utf8(0xed, 0xa0, 0x80)],
  ['a code point beyond all', utf8(0xf4, 0x90, 0x80, 0x80)], ['a cut character', utf8(0xe2, 0x82)],
  ['65 levels', `{"a":${'['.repeat(64)}${']'.repeat(64)}}`], ['10 000 levels', `{"a":${'['.repeat(10000)}${']'.repeat(10000)}}`], ['10 000 open levels', '['.repeat(10000)], ['10 000 objects', '{"a":'.repeat(10000)],
];
for (const name of Object.keys(CALLS))
  describe(`${name}: hostile bodies`, () => {
    for (const [what, body] of HOSTILE)
      test(`${what}: 400`, async () => {
        const answer = await refused(name, body, 400);
        assert.equal(answer.json.error.code, 'MALFORMED');
        assert.match(answer.json.error.message, /byte \d+$/);
      });
    for (const body of ['null', 'true', '5', '1e400', '"x"', '[]', '[[]]', '{}']) test(body, () => (name === 'patch' && body === '{}' ? taken(name, body) : refused(name, body, 422)));
    test('1 MiB is taken, a byte more is 413', async () => {
      const body = JSON.stringify(CALLS[name].good);
      await taken(name, body + ' '.repeat(MIB - body.length));
      const answer = await refused(name, body + ' '.repeat(MIB - body.length + 1), 413);
      assert.equal(answer.json.error.code, 'TOO_LARGE');
    });
    test('a field name of all sorts is no way in', async () => {
      for (const field of ['\u0000', '"', '\\', 'é'.repeat(200), '__proto__', '%s%n', '</script>', '\u{1f600}'.repeat(30)]) {
        const answer = await call(name, { ...CALLS[name].good, [field]: 1 });
        assert.ok(answer.status === (CALLS[name].status ?? 200) || answer.status === 422, answer.body);
      }
    });
  });

describe('queries', () => {
  for (const [path, good, bad] of [
    ['/conversations?limit=', ['1', '200', '007'], ['0', '201', '-1', '1.0', '1e1', '%201', 'x', '18446744073709551617', '99999999999999999999999']],
    [() => `/conversations/${id}/messages?limit=`, ['1', '200'], ['0', '201', 'x']],
    [() => `/conversations/${id}/messages?before=`, ['1.1', '9223372036854775807.9223372036854775807'], []],
    ['/events?limit=', ['1', '1000'], ['0', '1001', 'x']],
    ['/events?after=', ['deadbeef-0', '-0'], ['x', '1', 'a-', 'a-b', 'a-18446744073709551616', `${x(40)}-1`, `a-${'0'.repeat(40)}1`, '%00', 'a-1%20']],
    ['/conversations?cursor=', ['0.0', '9223372036854775807.0'], ['-1.0', '1', '1.', '.1', '1.2.3', '9223372036854775808.0', x(63), x(64), x(5000)]],
  ]) {
    const full = (value) => (typeof path === 'function' ? path() : path) + value;
    const what = (value) => `${String(path).replace(/.*`(.*)`/, '$1')}${value.slice(0, 30)}`;
    for (const value of good) test(`${what(value)} is taken`, async () => assert.equal((await get(full(value))).status, 200));
    for (const value of bad)
      test(`${what(value)} is refused`, async () => {
        const answer = await get(full(value)).catch((error) => (value === '%00' ? { status: 422, json: { error: {} }, error } : Promise.reject(error)));
        assert.equal(answer.status, 422, answer.body);
      });
  }
});

describe('Idempotency-Key', () => {
  for (const key of ['k', x(100), '!~'.repeat(50)]) test(`${key.slice(0, 20)} (${key.length}) is taken`, () => taken('message', { text: key }, { 'Idempotency-Key': key }));
  for (const key of [x(101), 'a b', 'é', x(4000), 'a\tb']) test(`${JSON.stringify(key.slice(0, 20))} (${key.length}) is refused`, () => refused('message', { text: 'ok' }, 400, { 'Idempotency-Key': key }));
  test('the same key for another path is refused', async () => {
    await taken('correlate', { correlationId: 'keyed' }, { 'Idempotency-Key': 'one' });
    await refused('message', { text: 'keyed' }, 422, { 'Idempotency-Key': 'one' });
  });
  test('the key of a refused call can be used again', async () => {
    await refused('message', { text: '' }, 422, { 'Idempotency-Key': 'mended' });
    await taken('message', { text: 'mended' }, { 'Idempotency-Key': 'mended' });
  });
});

describe('channel ids', () => {
  const at = (channel, method = 'GET') => rest(world.sm, tokenOf(TENANT, 'platform-admin'), method, `/api/v1/admin/channels/${channel}`, method === 'PUT' ? { tenantId: TENANT } : undefined);
  for (const method of ['PUT', 'GET', 'DELETE']) {
    test(`${method} of 64 characters`, async () => assert.ok([200, 204, 404].includes((await at(x(64), method)).status)));
    for (const channel of [x(65), 'a.b', '%C3%A9', 'a%20b', x(3000)]) test(`${method} of ${channel.slice(0, 20)} is refused`, async () => assert.equal((await at(channel, method)).status, 422));
  }
});

describe('webhooks: what is signed is kept', () => {
  const metrics = async () => (await world.sm.metrics()).portalcast_quarantined_total;
  const kept = async (body) => {
    const answer = await webhook(world.sm, body);
    assert.equal(answer.status, 200, answer.body);
  };
  for (const [what, body] of HOSTILE)
    test(`${what}: 200, set aside`, async () => {
      const before = await metrics();
      await kept(typeof body === 'string' ? Buffer.from(`${body} ${what}`.trimEnd() || ' ') : body);
      assert.equal(await metrics(), before + 1);
    });
  const odd = (more) => inbound(NUMBER, [{ ...textMessage('447700900500', 'x'), ...more }]);
  for (const [what, message] of [
    ['no type', { type: undefined }], ['a type that is a number', { type: 5 }], ['a text that is a number', { text: 5 }], ['a body that is an object', { text: { body: {} } }], ['a time that is none', { timestamp: 'yesterday' }],
    ['a negative time', { timestamp: '-5' }], ['a time in 60 000 years', { timestamp: '9999999999999' }], ['errors that are a string', { errors: 'all' }], ['a context that is a list', { context: [] }],
    ['a type of 5000 characters', { type: x(5000) }], ['nesting', { x: JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`) }],
  ])
    test(`a message with ${what} is a message`, async () => {
      const body = odd(message);
      await kept(body);
      assert.ok((await world.messages(TENANT)).has(body.entry[0].changes[0].value.messages[0].id));
    });
  for (const [what, message] of [['no id', { id: undefined }], ['no sender', { from: undefined }], ['an id that is a number', { id: 5 }], ['an id of 5000 characters', { id: x(5000) }], ['a sender that is a list', { from: [] }]])
    test(`a message with ${what} is kept in some way`, () => kept(odd(message)));
  test('a text with lone surrogates and NUL comes out as it went in', async () => {
    const message = textMessage('447700900500', 'PLACE');
    await kept(JSON.stringify(inbound(NUMBER, [message])).replace('"PLACE"', '"\\ud800 \\u0000"'));
    const { body } = await rest(world.sm, tokenOf(TENANT), 'GET', `/api/v1/conversations/${id}/messages?limit=200`);
    assert.ok(body.includes('"\\ud800 \\u0000"'));
  });
  test('a message of 512 KiB is one; over that it is set aside, and does not stop what comes behind it', async () => {
    const sender = '447700900599';
    const sized = (bytes) => {
      const message = textMessage(sender, '');
      return { ...message, text: { body: x(bytes - JSON.stringify(message).length) } };
    };
    const before = await metrics();
    await kept(inbound(NUMBER, [sized(512 * 1024)]));
    assert.equal(await metrics(), before);
    await kept(inbound(NUMBER, [sized(512 * 1024 + 1), sized(2500000), textMessage(sender, 'behind it')]));
    assert.equal(await metrics(), before + 2);
    const own = (await world.list(TENANT, '/api/v1/conversations')).find((c) => c.contact.waId === sender);
    assert.equal(own.lastMessage, 'behind it');
    const lengths = (await world.list(TENANT, `/api/v1/conversations/${own.id}/messages`)).map((m) => m.text.length);
    assert.equal(lengths.length, 2);
    assert.equal(lengths[0], 'behind it'.length);
    assert.ok(lengths[1] > 500000);
  });
  test('3 MiB are taken, a byte more is 413', async () => {
    const body = JSON.stringify(inbound(NUMBER, [textMessage('447700900500', 'large')]));
    await kept(body + ' '.repeat(3 * MIB - body.length));
    const text = await rawExchange(world.sm.port, `POST /webhooks/whatsapp HTTP/1.1\r\nHost: x\r\nContent-Length: ${3 * MIB + 1}\r\n\r\n`, { enough: /\}\}$/ });
    assert.match(text, /^HTTP\/1\.1 413 /);
  });
});
