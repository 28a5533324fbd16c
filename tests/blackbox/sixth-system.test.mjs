// A sixth system, written here and nowhere else: the bed board of a hospital. No line of C knows of it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { RUN_DIR, until } from '../lib/env.mjs';
import { SECRETS, runProgram } from '../lib/services.mjs';
import { System, timeless } from '../lib/system.mjs';

const PROFILE = {
  profile: 'bed-board',
  description: 'Beds of wards: nurses ask for them, the bed desk gives them.',
  roles: ['nurse', 'bed-desk', 'porter'],
  presence: { rooms: ['role:bed-desk'] },
  typing: { bedId: 'bed-{bedId}' },
  rooms: [
    { room: 'bed-{bedId}', of: 'beds', roles: ['nurse', 'bed-desk'] },
    { room: 'desk', roles: ['bed-desk'] },
    { room: 'request-{requestId}', of: 'requests', owner: true, roles: ['bed-desk'] },
  ],
  events: {
    watch_bed: { arguments: ['bedId'], join: ['bed-${args.bedId}'] },
    forget_bed: { arguments: ['bedId'], leave: ['bed-${args.bedId}'] },
    at_desk: { join: ['desk'] },
    follow: { arguments: ['requestId'], join: ['request-${args.requestId}'] },
    point: { arguments: ['bedId', 'where'], emit: { event: 'pointed', to: ['bed-${args.bedId}'], data: { bed: '${args.bedId}', where: '${args.where}', by: '${token.name|token.sub}' } } },
    ask: { arguments: ['request', 'key'], command: 'requests.create', body: '${args.request}', key: '${args.key}' },
  },
  resources: {
    beds: {
      id: { names: ['bedId'], form: 'B-######' },
      state: 'state',
      fields: {
        ward: { type: 'string', max: 20 },
        state: { type: 'string', enum: ['free', 'taken', 'cleaning'] },
        patient: { type: 'string' },
        equipment: { type: 'array', items: { name: { type: 'string', required: true }, count: { type: 'integer', min: 1, max: 9 } } },
      },
      operations: {
        list: { do: 'list', method: 'GET', path: '/ward/beds', who: ['*'], filters: ['state', 'ward'], search: ['bedId', 'patient'] },
        open: { do: 'create', method: 'POST', path: '/ward/beds', who: ['bed-desk'], fields: ['ward!', 'equipment'], set: { state: 'free' }, emit: [{ event: 'bed', data: '${document}' }] },
        take: {
          do: 'update', method: 'POST', path: '/ward/beds/{bedId}/take', id: '${params.bedId}', who: ['nurse', 'bed-desk'],
          fields: ['patient!'], set: { state: 'taken', since: '${now}' },
          then: [{ resource: 'wards', id: '${document.ward}', set: { lastTaken: '${document.bedId}' } }],
          emit: [{ event: 'bed', data: '${document}' }, { event: 'taken', to: ['bed-${document.bedId}', 'desk'], when: { changed: ['patient'] }, data: { bed: '${document.bedId}', was: '${before.state}', text: '${document.patient} is in ${document.bedId}' } }],
          audit: { who: '${token.sub}', patient: '${document.patient}' },
        },
        trail: { do: 'audit', method: 'GET', path: '/ward/beds/{id}/trail', who: ['bed-desk'] },
        close: { do: 'delete', method: 'DELETE', path: '/ward/beds/{id}', who: ['bed-desk'], emit: [{ event: 'bed_closed', data: { bed: '${document.bedId}' } }] },
      },
    },
    wards: {
      fields: { lastTaken: { type: 'string' } },
      absent: { lastTaken: null },
      operations: { get: { do: 'get', method: 'GET', path: '/ward/wards/{id}', who: ['*'] } },
    },
    requests: {
      owner: 'by',
      fields: { ward: { type: 'string' }, urgent: { type: 'boolean', default: false } },
      operations: {
        list: { do: 'list', method: 'GET', path: '/ward/requests', who: ['bed-desk', 'nurse:own'], filters: ['urgent'] },
        create: {
          do: 'create', method: 'POST', path: '/ward/requests', who: ['nurse'], fields: ['ward!', 'urgent'], set: { by: '${token.sub}' },
          emit: [{ event: 'asked', to: ['desk'], when: { is: { 'document.urgent': true } }, data: '${document}' }],
        },
      },
    },
  },
};

const SET = { JWT_SECRET: SECRETS.jwt, WEBHOOK_APP_SECRET: SECRETS.webhook, WEBHOOK_VERIFY_TOKEN: SECRETS.verify };
let system;
let file;
before(async () => {
  file = path.join(RUN_DIR, 'bed-board.json');
  fs.writeFileSync(file, JSON.stringify(PROFILE));
  const { code, stdout, stderr } = await runProgram('portalctl', ['profile', 'check', file]);
  assert.equal(code, 0, stdout + stderr);
  system = await System.open(file);
});
afterEach(() => system.closeTabs());
after(() => system?.close());

const people = (tenant) => ({
  nurse: system.person(tenant, 'nurse', 'n1', { name: 'Nia' }),
  other: system.person(tenant, 'nurse', 'n2'),
  desk: system.person(tenant, 'bed-desk', 'd1'),
  porter: system.person(tenant, 'porter', 'p1'),
  stranger: system.person(`${tenant}_x`, 'bed-desk', 'd1'),
});

test('beds are opened, taken, watched and closed', async () => {
  const { nurse, desk, porter, stranger } = people('t_beds');
  const tabs = { nurse: await nurse.tab(), desk: await desk.tab(), porter: await porter.tab(), stranger: await stranger.tab() };
  const bed = await desk.does('POST', '/ward/beds', { ward: 'west', equipment: [{ name: 'pump', count: 2 }] });
  assert.match(bed.bedId, /^B-\d{6}$/);
  assert.deepEqual(bed, { bedId: bed.bedId, ward: 'west', state: 'free', equipment: [{ name: 'pump', count: 2 }], version: 1 });
  for (const tab of [tabs.nurse, tabs.desk, tabs.porter]) assert.deepEqual(await tab.hears('bed'), [bed]);

  assert.deepEqual(await tabs.nurse.asks('watch_bed', bed.bedId), { ok: true, room: `bed-${bed.bedId}` });
  assert.equal((await tabs.porter.asks('watch_bed', bed.bedId)).error.code, 'DENIED');
  assert.equal((await tabs.nurse.asks('watch_bed', 'B-xyz')).error.code, 'NOT_FOUND');
  assert.equal((await tabs.nurse.asks('at_desk')).error.code, 'DENIED');
  assert.equal((await tabs.desk.asks('at_desk')).ok, true);
  const taken = await nurse.does('POST', `/ward/beds/${bed.bedId}/take`, { patient: 'Mr Oak' });
  assert.deepEqual(timeless(taken, 'since'), { ...bed, state: 'taken', patient: 'Mr Oak', version: 2 });
  const told = { bed: bed.bedId, was: 'free', text: `Mr Oak is in ${bed.bedId}` };
  for (const tab of [tabs.nurse, tabs.desk]) assert.deepEqual(await tab.hears('bed', 'taken'), [taken, told]);
  assert.deepEqual(await tabs.porter.hears('bed'), [taken]);
  assert.deepEqual((await porter.does('GET', '/ward/wards/west')), { id: 'west', lastTaken: bed.bedId, version: 1 });
  assert.deepEqual(await porter.does('GET', '/ward/wards/east'), { id: 'east', lastTaken: null, version: 0 });

  assert.deepEqual(await tabs.nurse.asks('point', bed.bedId, { x: 1 }), { ok: true });
  tabs.nurse.hearsNothing();
  assert.equal((await tabs.desk.asks('watch_bed', bed.bedId)).ok, true);
  assert.deepEqual(await tabs.desk.asks('point', bed.bedId, 'door'), { ok: true });
  assert.deepEqual(await tabs.nurse.hears('pointed'), [{ bed: bed.bedId, where: 'door', by: 'd1' }]);
  assert.deepEqual(await tabs.nurse.asks('typing', { bedId: bed.bedId, isTyping: true }), { ok: true });
  await until('typing', () => tabs.desk.typing().length);

  await system.restartStateManager();
  assert.deepEqual((await porter.does('GET', '/ward/beds?state=taken')).items, [taken]);
  assert.deepEqual((await desk.does('GET', `/ward/beds/${bed.bedId}/trail`)).items.map((row) => [row.who, row.patient]), [['n1', 'Mr Oak']]);
  await desk.does('DELETE', `/ward/beds/${bed.bedId}`);
  for (const tab of [tabs.nurse, tabs.desk, tabs.porter]) {
    await until('closed', () => tab.events('bed_closed').length);
    assert.deepEqual(tab.events('bed_closed'), [{ bed: bed.bedId }]);
  }
  await desk.isRefused(404, 'NOT_FOUND', 'POST', `/ward/beds/${bed.bedId}/take`, { patient: 'x' });
  tabs.stranger.hearsNothing();
});

test('what a body may hold; whose is whose', async () => {
  const { nurse, other, desk, porter } = people('t_beds_2');
  for (const [equipment, field] of [[[{ count: 1 }], 'name'], [[{ name: 'x', count: 10 }], 'count'], [[{ name: 'x', count: 1.5 }], 'count'], [[{ name: 'x', colour: 1 }], 'colour'], ['x', 'equipment']])
    assert.match(await desk.isRefused(422, 'INVALID', 'POST', '/ward/beds', { ward: 'w', equipment }), new RegExp(field));
  assert.match(await desk.isRefused(422, 'INVALID', 'POST', '/ward/beds', { ward: 'x'.repeat(21) }), /ward/);
  await nurse.isRefused(403, 'DENIED', 'POST', '/ward/beds', { ward: 'w' });
  const tab = await desk.tab();
  assert.equal((await tab.asks('at_desk')).ok, true);
  const calm = await nurse.does('POST', '/ward/requests', { ward: 'w' });
  assert.equal(calm.urgent, false);
  const page = await nurse.tab();
  const urgent = (await page.asks('ask', { ward: 'w', urgent: true }, 'k-1')).document;
  assert.deepEqual((await page.asks('ask', { ward: 'w', urgent: true }, 'k-1')).document, urgent);
  assert.deepEqual(await tab.hears('asked'), [urgent], 'the calm one is not announced');
  assert.equal((await page.asks('follow', urgent.id)).ok, true);
  assert.equal((await (await other.tab()).asks('follow', urgent.id)).error.code, 'DENIED');
  assert.deepEqual((await nurse.does('GET', '/ward/requests?urgent=true')).items, [urgent]);
  assert.deepEqual((await other.does('GET', '/ward/requests')).items, []);
  assert.equal((await desk.does('GET', '/ward/requests')).items.length, 2);
  await porter.isRefused(403, 'DENIED', 'GET', '/ward/requests');
});

test('a profile with faults starts nothing, and says where', async () => {
  const broken = structuredClone(PROFILE);
  broken.resources.beds.operations.take.emit[1].to[0] = 'bed-${document.bed}';
  broken.resources.beds.colour = 'red';
  broken.rooms[1].roles = ['king'];
  const faulty = path.join(RUN_DIR, 'bed-board-broken.json');
  fs.writeFileSync(faulty, JSON.stringify(broken));
  for (const [program, args, env] of [['portalctl', ['profile', 'check', faulty], {}], ['state-manager', ['--check-config'], { PROFILE: faulty, ...SET }], ['portal-gateway', ['--check-config'], { PROFILE: faulty, ...SET }]]) {
    const { code, stdout, stderr } = await runProgram(program, args, env);
    assert.notEqual(code, 0, program);
    for (const at of ['$.resources.beds.operations.take.emit[1].to[0]', '$.resources.beds', '$.rooms[1].roles']) assert.ok((stdout + stderr).includes(at), `${program}: ${at} in ${stdout}${stderr}`);
    assert.ok((stdout + stderr).includes(faulty), program);
  }
  const { code, stdout } = await runProgram('portalctl', ['profile', 'explain', file]);
  assert.equal(code, 0);
  for (const word of ['/ward/beds/{bedId}/take', 'bed-desk', 'taken', 'bed-{bedId}']) assert.ok(stdout.includes(word), `${word} in\n${stdout}`);
});
