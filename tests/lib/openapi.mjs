// docs/openapi.json as a judge: every answer of the state-manager that a test receives is held against it (http.mjs), so
// that neither can drift from the other.
import fs from 'node:fs';
import path from 'node:path';
import addFormats from 'ajv-formats';
import Ajv2020 from 'ajv/dist/2020.js';
import { ROOT } from './env.mjs';

export const spec = JSON.parse(fs.readFileSync(path.join(ROOT, 'docs/openapi.json'), 'utf8'));
const METHODS = ['get', 'put', 'post', 'patch', 'delete'];

// The document lets answers grow; here a field that it does not know is a fault.
function closed(value) {
  if (Array.isArray(value)) return value.map(closed);
  if (!value || typeof value !== 'object') return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, ['example', 'examples', 'const', 'enum'].includes(key) ? part : closed(part)]));
  if (copy.type === 'object' && copy.properties && !('additionalProperties' in copy)) copy.additionalProperties = false;
  return copy;
}

function schemas(document) {
  const ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: true });
  addFormats(ajv);
  ajv.addSchema({ ...document, $id: 'spec' });
  return (pointer) => ajv.getSchema(`spec#${pointer}`);
}
const ofAnswers = schemas(closed(spec));
const ofRequests = schemas(spec);

const escape = (key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
const lookUp = (pointer) => pointer.split('/').slice(1).reduce((at, key) => at[decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~')], spec);
// Where a thing really stands, through its $ref.
function follow(pointer) {
  const { $ref } = lookUp(pointer) ?? {};
  return $ref ? follow($ref.slice(1)) : pointer;
}

const paths = Object.keys(spec.paths).map((template) => ({
  template,
  pointer: `/paths/${escape(template)}`,
  shape: new RegExp(`^${template.split(/\{[^}]+\}/).map((part) => part.replace(/[.*+?^$()|[\]\\]/g, '\\$&')).join('[^/]+')}$`),
}));
export const operations = paths.flatMap(({ template, pointer }) => METHODS.filter((m) => spec.paths[template][m]).map((method) => ({ method: method.toUpperCase(), template, pointer: `${pointer}/${method}`, ...spec.paths[template][method] })));

const pathOf = (pathname) => paths.find(({ shape }) => shape.test(pathname));
const operationOf = (method, template) => operations.find((o) => o.template === template && o.method === (method === 'HEAD' ? 'GET' : method));

// operationId and status of all that this process has received
export const seen = new Set();

function mustFit(validate, value, what) {
  if (!validate(value)) throw new Error(`${what} is not as docs/openapi.json has it: ${validate.errors.map((e) => `${e.instancePath || '/'} ${e.message} ${JSON.stringify(e.params)}`).join('; ')}\n${(JSON.stringify(value) ?? 'no JSON').slice(0, 1000)}`);
}

function checkHeaders(pointer, headers, what) {
  const { headers: described = {} } = lookUp(pointer);
  for (const name of Object.keys(described)) {
    const value = headers[name.toLowerCase()];
    if (value === undefined) throw new Error(`${what} has no ${name}`);
    const at = follow(`${pointer}/headers/${escape(name)}`);
    mustFit(ofAnswers(`${at}/schema`), value, `${what}: ${name}`);
  }
}

function checkContent(pointer, { method, status, headers, body, json }, what) {
  const { content } = lookUp(pointer);
  const media = headers['content-type']?.split(';')[0];
  if (!content || method === 'HEAD' || status === 304) {
    if (body) throw new Error(`${what} has a body`);
    return;
  }
  if (!content[media]) throw new Error(`${what} is of type ${media}`);
  mustFit(ofAnswers(`${pointer}/content/${escape(media)}/schema`), media === 'application/json' ? json : body, what);
}

function checkRequest(operation, requestBody, what) {
  let value;
  try {
    value = JSON.parse(requestBody);
  } catch {
    return; // a webhook that is no JSON
  }
  mustFit(ofRequests(`${operation.pointer}/requestBody/content/application~1json/schema`), value, `${what}: the body that was accepted`);
}

// Throws when an answer is not what the document says. Paths that it does not have are somebody else's.
export function checkAnswer(method, url, requestBody, answer) {
  const found = pathOf(new URL(url).pathname);
  if (!found || method === 'OPTIONS') return;
  const operation = operationOf(method, found.template);
  const what = `${answer.status} to ${method} ${found.template}`;
  const pointer = operation ? `${operation.pointer}/responses/${answer.status}` : '/components/responses/MethodNotAllowed';
  if (operation && !operation.responses[answer.status]) throw new Error(`${what} is not in docs/openapi.json: ${answer.body.slice(0, 300)}`);
  if (!operation && answer.status !== 405) throw new Error(`${what}: docs/openapi.json does not know the method`);
  seen.add(`${operation?.operationId ?? 'none'} ${answer.status}`);
  const at = follow(pointer);
  checkHeaders(at, answer.headers, what);
  checkContent(at, { method, ...answer }, what);
  if (operation?.requestBody && answer.status < 300 && requestBody !== undefined) checkRequest(operation, requestBody.toString(), what);
}
