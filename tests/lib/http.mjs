// Tokens, signatures, and requests to the services.
import { createHmac } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { SECRETS } from './services.mjs';
import { PATIENCE } from './env.mjs';
import { checkAnswer } from './openapi.mjs';

const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function jwt(claims, { secret = SECRETS.jwt, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const text = `${b64(header)}.${b64({ iat: now, exp: now + 3600, ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

// A token of somebody in a tenant.
export const tokenOf = (tenantId, role = 'agent', more = {}) => jwt({ tenantId, sub: `${role}-1`, role, ...more });

export const hmac = (body, secret = SECRETS.webhook) => createHmac('sha256', secret).update(body).digest('hex');
export const sign = (body, secret) => `sha256=${hmac(body, secret)}`;

const agent = new http.Agent({ keepAlive: true, maxSockets: 128 });

// Whose answers docs/openapi.json describes: these paths are the state-manager's alone.
const isDescribed = (url) => /^\w+:\/\/[^/]+\/(api\/v1|webhooks)\//.test(url);

// One request; resolves to {status, headers, body, json}. Rejects when the answer is not as docs/openapi.json has it.
export function request(method, url, { headers = {}, body, timeoutMs = 10000 } = {}) {
  return new Promise((done, fail) => {
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(body);
    const all = { ...headers };
    if (bytes !== undefined) all['Content-Length'] = bytes.length;
    const r = http.request(url, { method, headers: all, agent, timeout: timeoutMs * PATIENCE }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        let json;
        try {
          json = text ? JSON.parse(text) : undefined;
        } catch {
          json = undefined;
        }
        const result = { status: answer.statusCode, headers: answer.headers, body: text, json };
        try {
          if (isDescribed(url)) checkAnswer(method, url, bytes, result);
        } catch (error) {
          return fail(error);
        }
        done(result);
      });
      answer.on('error', fail);
    });
    r.on('timeout', () => r.destroy(new Error(`no answer in ${timeoutMs * PATIENCE} ms: ${method} ${url}`)));
    r.on('error', fail);
    r.end(bytes);
  });
}

// REST with a token; body is made JSON, unless it is text or bytes already.
export function rest(service, token, method, pathname, body, headers = {}) {
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all['Content-Type'] ??= 'application/json';
  const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return request(method, service.base + pathname, { headers: all, body: text });
}

// Posts a webhook with a right signature, or with the given one (null: none).
export function webhook(service, body, signature) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const headers = { 'Content-Type': 'application/json' };
  if (signature !== null) headers['X-Hub-Signature-256'] = signature ?? sign(bytes);
  return request('POST', `${service.base}/webhooks/whatsapp`, { headers, body: bytes });
}

// Bytes as they are; resolves to all that came back until the end, or until `enough` matches.
export function rawExchange(port, bytes, { timeoutMs = 5000, enough } = {}) {
  return new Promise((done, fail) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    const timer = setTimeout(() => socket.destroy(), timeoutMs * PATIENCE);
    socket.on('data', (part) => {
      text += part.toString('latin1');
      if (enough?.test(text)) socket.destroy();
    });
    socket.on('error', (error) => (text ? undefined : fail(error)));
    socket.on('close', () => (clearTimeout(timer), done(text)));
  });
}

// The headers of an answer that came as text.
export function headersOf(text) {
  const lines = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n').slice(1);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
}
