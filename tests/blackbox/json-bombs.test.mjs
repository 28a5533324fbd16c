// One text of JSON, many readers: REST and the intake of the state-manager; the exchange, the replay, the clients of both protocols
// at the gateway. What one of them takes they all take, and it comes out byte for byte; what one refuses they all refuse, with
// the documented answer. (Both services read JSON by the same shared/json.h; here it is seen from outside.)
import assert from 'node:assert/strict';
import amqp from 'amqplib';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/env.mjs';
import { rest, tokenOf } from '../lib/http.mjs';
import { member } from '../lib/recovering.mjs';
import { gateway } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const TENANT = 't_bombs';
let world, connection, channel, plain, raw, second;
before(async () => {
  world = await World.open('json-bombs', { gateway: { LOG_LEVEL: 'info', MESSAGE_RATE: '0' }, stateManager: { LOG_LEVEL: 'info' } });
  connection = await amqp.connect(world.amqpUrl);
  channel = await connection.createChannel();
  plain = await world.plain(TENANT);
  plain.texts = [];
  plain.socket.on('message', (bytes) => plain.texts.push(bytes.toString()));
  raw = await member('websocket', world.gw, { token: tokenOf(TENANT) }).there();
});
after(async () => {
  raw?.close();
  await connection?.close();
  await world?.close();
});

const nest = (open, close, n, core = '') => open.repeat(n) + core + close.repeat(n);
const keys = (n) => `{${Array.from({ length: n }, (_, i) => `"k${i}":${i}`).join()}}`;
const MOST = 63; // levels of what stands in a body, which may have 64
const TAKEN = {
  'the most levels of arrays': nest('[', ']', MOST), 'the most levels of objects': nest('{"a":', '}', MOST, '1'), 'many beside each other': `[${'[[]],'.repeat(5000)}[]]`,
  'a number beyond 2^53': '9007199254740993', 'a number beyond 64 bits': '123456789012345678901234567890', 'a number beyond all': '1e400', 'a number below all': '-1e-400', 'minus nothing': '-0', 'many digits': '9'.repeat(5000), 'many digits behind the point': `0.${'1'.repeat(5000)}`, 'an exponent of many digits': `1e${'9'.repeat(300)}`, 'a capital E': '1E+2',
  'a key twice': '{"a":1,"a":2}', 'a key twice, escaped once': '{"a":1,"\\u0061":2}', 'a key that says nothing': '{"":{"":[]}}', 'keys of prototypes': '{"__proto__":{"x":1},"constructor":{"prototype":1},"toString":0}', 'keys like ours': '{"tenantId":"t_x","seq":7,"epoch":"e","rooms":["vip"],"type":"x"}', '5000 keys': keys(5000),
  'NUL, escaped': '"a\\u0000b"', 'lone surrogates': '"\\ud800 \\udc00 \\udc00\\ud800"', 'a pair': '"\\ud83d\\ude00"', 'the last code point': '"\u{10ffff}\uffff"', 'a separator of lines': '"\u2028\u2029\\u2028"', 'all escapes': '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u001f\\u007f"', 'a record separator': '"\\u001e"', 'markup': '"</script><!--"', 'a long string': `"${'x'.repeat(100000)}"`, 'a long string of escapes': `"${'\\u0041'.repeat(20000)}"`,
  'blanks of all kinds': ' \t\r\n[ 1 ,\t2 \r\n] ', 'null': 'null', 'true': 'true', 'an empty string': '""',
};
const REFUSED = {
  'a level too many': nest('[', ']', 64), '1000 levels': nest('[', ']', 1000), '100 000 levels': nest('[', ']', 100000), '1000 objects': nest('{"a":', '}', 1000, '1'), '100 000 open ones': '['.repeat(100000), 'many open objects': '{"a":'.repeat(1000),
  'a leading zero': '01', 'a plus sign': '+1', 'a bare point': '.5', 'a point at the end': '1.', 'a bare exponent': '1e', 'two signs': '--1', 'hex': '0x10', 'NaN': 'NaN', 'Infinity': '-Infinity', 'a number with a tail': '1a',
  'a raw NUL': '"a\u0000b"', 'a raw line end': '"a\nb"', 'a raw tab': '"a\tb"', 'a bad escape': '"\\x41"', 'half an escape': '"\\u12"', 'single quotes': "'a'", 'an open string': '"a', 'a comma too many': '[1,]', 'no comma': '[1 2]', 'no colon': '{"a" 1}', 'a bare key': '{a:1}', 'a number as a key': '{1:1}', 'a comment': '[1/**/]', 'mixed brackets': '[1}', 'one bracket too many': '[1]]', 'nothing': '', 'capitals': 'TRUE',
  'no UTF-8': Buffer.from([0x22, 0xff, 0x22]), 'an overlong NUL': Buffer.from([0x22, 0xc0, 0x80, 0x22]), 'a surrogate in UTF-8': Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'a code point beyond all': Buffer.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]), 'a cut character': Buffer.from([0x22, 0xe2, 0x82, 0x22]),
};
let turn = 0;
const around = (before, data, after) => Buffer.concat([before, data, after].map((p) => Buffer.from(p)));
const post = (body) => rest(world.sm, tokenOf(TENANT, 'service'), 'POST', '/api/v1/events', body);
const send = (body, id) => channel.sendToQueue('waba.agent-portal.events', body, { persistent: true, messageId: id });
const metric = async (service, name) => (await service.metrics())[name] ?? 0;
const poison = () => metric(world.gw, 'portalcast_gateway_poison_total');
// The bytes of the data of an event, as each client had them.
const atPlain = (type) => plain.texts.filter((t) => t.includes(`"event":"${type}"`)).map((t) => /"data":(.*),"offset":"/s.exec(t)?.[1] ?? /"data":(.*)\}$/s.exec(t)[1]);
const atRaw = (type) => raw.packets.filter((p) => p.startsWith(`42["${type}",`)).map((p) => p.slice(`42["${type}",`.length).replace(/(,"[\w-]+")?\]$/s, ''));
const heard = (types) => until('what follows', () => types.every((t) => atPlain(t).length && atRaw(t).length));

describe('taken by all', () => {
  for (const [what, data] of Object.entries(TAKEN))
    test(what, async () => {
      const types = ['rest', 'intake', 'exchange'].map((way) => `${way}.${++turn}`);
      const before = await poison();
      assert.equal((await post(around(`{"event":"${types[0]}","data":`, data, '}'))).status, 202);
      send(around(`{"type":"${types[1]}","tenantId":"${TENANT}","data":`, data, '}'), types[1]);
      await world.tap.publish(`tenant.${TENANT}.${types[2]}`, around(`{"type":"${types[2]}","tenantId":"${TENANT}","data":`, data, '}').toString());
      await heard(types);
      for (const type of types) for (const got of [atPlain(type), atRaw(type)]) assert.deepEqual(got.map((t) => t.trim()), [data.trim()], type);
      // What a client says is read the same way, if an event of that name is none.
      plain.send(`{"type":"emit","event":"nobody","data":${data},"id":"${what}"}`);
      assert.equal((await until('an answer', () => plain.messages.find((m) => m.id === what))).code, 'UNKNOWN_EVENT');
      raw.say(`42["nobody",${data}]`);
      raw.say(`429["nobody",${data}]`);
      assert.equal((await raw.asks('set_presence', { status: 'online' })).ok, true, 'the session lives');
      assert.equal(await poison(), before);
    });
});

describe('refused by all', () => {
  for (const [what, data] of Object.entries(REFUSED))
    test(what, async () => {
      const [type, marker] = [`bad.${++turn}`, `marker.${turn}`];
      const [before, dead] = [await poison(), await metric(world.sm, 'portalcast_intake_total{result="poison"}')];
      const answer = await post(around(`{"event":"${type}","data":`, data, '}'));
      assert.deepEqual([answer.status, answer.json.error.code], [400, 'MALFORMED'], answer.body);
      assert.match(answer.json.error.message, /byte \d+$/);
      send(around(`{"type":"${type}","tenantId":"${TENANT}","data":`, data, '}'), type);
      await world.tap.channel.publish(world.tap.exchange, `tenant.${TENANT}.${type}`, around(`{"type":"${type}","tenantId":"${TENANT}","data":`, data, '}'));
      await until('a dead letter', async () => (await metric(world.sm, 'portalcast_intake_total{result="poison"}')) === dead + 1);
      assert.equal((await post({ event: marker, data: 1 })).status, 202);
      await heard([marker]);
      await until('a mark at the gateway', async () => (await poison()) === before + 1);
      assert.deepEqual([atPlain(type), atRaw(type)], [[], []]);
      if (Buffer.isBuffer(data)) return; // those cannot be said in a text of WebSocket: frames.test.mjs
      const count = plain.messages.length;
      plain.send(`{"type":"emit","event":"nobody","data":${data},"id":"${what}"}`);
      assert.equal((await until('an answer', () => plain.messages.slice(count).find((m) => m.type === 'error'))).code, 'MALFORMED');
      const other = await member('websocket', world.gw, { token: tokenOf(TENANT) }).there();
      other.say(`42["nobody",${data}]`);
      await until('the end of the session', () => !other.isOpen);
    });
});

describe('what was taken is heard later, too', () => {
  test('by who comes back, from the log, and the newest of the latest, at a gateway that knows nothing yet; others do not suffer', async () => {
    const late = await member('ws', world.gw, { token: tokenOf('t_later') }).there();
    const offset = late.offset;
    late.drop();
    const events = Object.values(TAKEN);
    for (const [i, data] of events.entries()) {
      assert.equal((await rest(world.sm, tokenOf('t_later', 'service'), 'POST', '/api/v1/events', `{"event":"later","data":${data}}`)).status, 202);
      assert.equal((await rest(world.sm, tokenOf('t_later', 'service'), 'POST', '/api/v1/events', `{"event":"newest","class":"latest","key":"k${i}","data":${data}}`)).status, 202);
    }
    second = await gateway(world.dir, world.amqpUrl);
    world.services.push(second);
    await second.start();
    const back = await member('ws', second, { token: tokenOf('t_later'), offset }).there();
    assert.equal(back.isRecovered, true);
    await back.hears('all of the log', 'later', events.length);
    await back.hears('all of the newest', 'newest', events.length);
    const other = await member('websocket', second, { token: tokenOf('t_beside') }).there();
    const caughtUp = await world.api('t_later', 'GET', '/api/v1/events?limit=500');
    assert.equal(caughtUp.json.items.length, events.length);
    back.drop();
    other.drop();
  });
});

describe('more of the newest values than an answer holds', () => {
  test('keep nobody out, and no other tenant without its own', async () => {
    const publish = async (tenant, key, data) => assert.equal((await rest(world.sm, tokenOf(tenant, 'service'), 'POST', '/api/v1/events', { event: 'newest', class: 'latest', key, data })).status, 202);
    const [large, others] = ['t_large', ['t_a', 't_m', 't_z']];
    for (let i = 0; i < 80; i++) await publish(large, `k${i}`, 'x'.repeat(250000));
    for (const tenant of others) await publish(tenant, 'k', tenant);
    const fresh = await gateway(world.dir, world.amqpUrl, { LOG_LEVEL: 'info' });
    world.services.push(fresh);
    await fresh.start();
    const clients = await Promise.all([large, ...others].map((tenant) => member('ws', fresh, { token: tokenOf(tenant) }).there()));
    await clients[0].hears('some of them', 'newest', 5);
    for (const [i, tenant] of others.entries()) assert.equal((await clients[i + 1].hears('its own', 'newest'))[0].data, tenant);
    clients.forEach((c) => c.drop());
  });
});
