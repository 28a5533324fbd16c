// Profiles as files: docs/profiles.schema.json judges the form of each as the parser does, `portalctl profile` checks and
// explains them, and what docs/profiles.md shows is true. Which words the parser has for which fault: tests/unit.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import Ajv2020 from 'ajv/dist/2020.js';
import { GOLDEN, ROOT, RUN_DIR } from '../lib/env.mjs';
import { runProgram } from '../lib/services.mjs';

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
const OURS = path.join(ROOT, 'deploy/profiles');
const NAMES = fs.readdirSync(OURS).map((file) => file.replace('.json', ''));
const base = readJson(path.join(GOLDEN, 'profiles/base.json'));
const rows = readJson(path.join(GOLDEN, 'profiles/faults.json'));
const schema = readJson(path.join(ROOT, 'docs/profiles.schema.json'));
const hasForm = new Ajv2020({ strictSchema: true }).compile(schema);
// Where shared memory is scarce libmongoc says so whenever a program starts that is linked with it.
async function profile(...args) {
  const { stderr, ...rest } = await runProgram('portalctl', ['profile', ...args]);
  return { ...rest, stderr: stderr.replace(/^.*mongoc: Falling back to malloc for counters\.\n/gm, '') };
}

// What a row of faults.json makes of base.json.
function changed({ at, ...row }) {
  const made = structuredClone(base);
  const steps = at.slice(1).split('/');
  const last = steps.pop();
  const holder = steps.reduce((value, step) => value[step], made);
  if (!('to' in row)) delete holder[last];
  else holder[last] = row.to;
  return made;
}

let files = 0;
function written(value) {
  const file = path.join(RUN_DIR, `profile-${process.pid}-${files++}.json`);
  fs.writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
  return file;
}

describe('the schema', () => {
  test('takes every profile that comes with Portalcast', () => {
    assert.ok(NAMES.length >= 6);
    for (const name of NAMES) assert.ok(hasForm(readJson(path.join(OURS, `${name}.json`))), `${name}: ${JSON.stringify(hasForm.errors)}`);
  });

  // `form` of a row says whether the schema takes it; what it does not take the parser has faults for.
  test('judges the form of every faulty one as the parser does', () => {
    assert.ok(hasForm(base), JSON.stringify(hasForm.errors));
    assert.ok(rows.filter((row) => !row.form).length > 90 && rows.filter((row) => row.form && row.faults.length).length > 90);
    for (const row of rows) {
      assert.equal(hasForm(changed(row)), row.form, JSON.stringify(row));
      assert.ok(row.form || row.faults.length, JSON.stringify(row));
    }
  });
});

describe('portalctl profile check', () => {
  test('says that all is well, by name and by path', async () => {
    for (const args of [['tickets'], [path.join(OURS, 'tickets.json')], [`tickets,agent-portal,${written(base)}`]]) {
      const { code, stdout, stderr } = await profile('check', ...args);
      assert.deepEqual([code, stderr], [0, ''], stderr);
      assert.match(stdout, /^tickets: no faults \(3 rooms, 7 client events, 2 resources with 8 operations\)$/m);
    }
  });

  test('says every fault of a file with its place, and exits 1', async () => {
    const faulty = changed({ at: '/people', to: 'nobody' });
    faulty.rooms[0].colour = 'red';
    faulty.resources.jobs.operations.get.who = ['king'];
    const file = written(faulty);
    const { code, stdout, stderr } = await profile('check', file);
    assert.deepEqual([code, stdout], [1, '']);
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      `${file}: $.rooms[0].colour: a room has no such member; it has: room, of, roles, self, owner`,
      `${file}: $.people: there is no resource "nobody"`,
      `${file}: $.resources.staff: "people": true, but $.people is not "staff"`,
      `${file}: $.resources.jobs.operations.get.who[0]: there is no role "king"`,
    ]);
  });

  test('says what is no file, and what is no command', async () => {
    const none = await profile('check', '/nowhere/x.json');
    assert.deepEqual([none.code, none.stderr], [1, '/nowhere/x.json: cannot be read: No such file or directory\n']);
    for (const args of [[], ['check'], ['mend', 'tickets'], ['check', 'tickets', 'bakery']]) {
      const { code, stdout, stderr } = await profile(...args);
      assert.deepEqual([code, stdout, stderr], [2, '', 'portalctl profile: check FILE, or explain FILE (see portalctl profile --help)\n']);
    }
    assert.match((await profile('--help')).stdout, /explain FILE/);
    assert.match((await runProgram('portalctl', ['--help'])).stdout, /^ {2}profile +checks a profile/m);
  });
});

// The lines of a table from its head to the next blank line, cells by two blanks or more.
const table = (text, head) => text.slice(text.indexOf(head)).split('\n\n')[0].split('\n').map((line) => line.trim().split(/ {2,}/));

describe('portalctl profile explain', () => {
  test('fits into 100 columns', async () => {
    for (const name of [...NAMES, written(base)]) {
      const { code, stdout, stderr } = await profile('explain', name);
      assert.deepEqual([code, stderr], [0, '']);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100 && !/\s$/.test(line), `${name}: ${line}`);
    }
  });

  test('says who may what, and who hears of it', async () => {
    const { stdout } = await profile('explain', 'bakery');
    const has = (head, row) => assert.ok(table(stdout, head).some((cells) => JSON.stringify(cells) === JSON.stringify(row)), `${row}\n${stdout}`);
    has('roles ', ['roles', 'admin, customer']);
    has('roles ', ['typing', '{orderId, isTyping} in order-{orderId}']);
    has('ROOM ', ['user_{userId}', 'the user {userId}']);
    has('CLIENT EVENT', ['join_order (orderId)', 'joins order-{args.orderId}']);
    has('products: id _id', ['price', 'number, from 0']);
    has('METHOD  PATH                     WHO', ['PATCH', '/api/orders/{id}/status', 'admin', 'status (update): status!']);
    has('METHOD  PATH                     WHO', ['GET', '/api/orders/{id}', 'admin, customer (own)', 'get']);
    has('What is heard', ['orders.status', 'user_{document.userId},', 'order_status_updated', '{timestamp: now, data:']);
    has('What is heard', ['notifications.create', 'user:{document.userId}', 'notification', 'document']);
  });

  test('explains nothing that is faulty', async () => {
    const { code, stdout, stderr } = await profile('explain', written('{"profile": 5}'));
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /\$\.profile: must be a string\n.*: \$: "roles" is missing\n$/);
  });
});

describe('docs/profiles.md', () => {
  const page = fs.readFileSync(path.join(ROOT, 'docs/profiles.md'), 'utf8');

  test('shows profiles that are good', async () => {
    const blocks = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map((match) => match[1]);
    const whole = blocks.filter((text) => 'profile' in JSON.parse(text));
    assert.ok(whole.length >= 1 && blocks.length > whole.length);
    for (const text of whole) {
      assert.ok(hasForm(JSON.parse(text)), JSON.stringify(hasForm.errors));
      const { code, stderr } = await profile('check', written(text));
      assert.deepEqual([code, stderr], [0, '']);
    }
  });

  // Pieces are shown as they stand in the profiles that come with Portalcast.
  test('shows pieces that are in them', () => {
    const pieces = new Set();
    const note = (value) => {
      pieces.add(JSON.stringify(value));
      if (value && typeof value === 'object') for (const [key, part] of Object.entries(value)) (pieces.add(JSON.stringify({ [key]: part })), note(part));
    };
    for (const name of NAMES) note(readJson(path.join(OURS, `${name}.json`)));
    for (const [, text] of page.matchAll(/^```json\n(.*?)^```$/gms)) {
      const value = JSON.parse(text);
      if ('profile' in value) continue;
      for (const [key, part] of Object.entries(value)) assert.ok(pieces.has(JSON.stringify({ [key]: part })), `${key} of\n${text}`);
    }
  });
});
