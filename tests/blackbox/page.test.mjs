// The page, in a real browser: signed in by its fragment, messages arrive live, and it says when the link is gone.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../lib/chromium.mjs';
import { PATIENCE } from '../lib/env.mjs';
import { tokenOf, webhook } from '../lib/http.mjs';
import { inbound, textMessage } from '../lib/samples.mjs';
import { World } from '../lib/world.mjs';

const NUMBER = '200000000000001';
const WAIT = { timeout: 15000 * PATIENCE };
let world;
let chrome;
let page;
const faults = [];

before(async () => {
  world = await World.open('page');
  await world.channel(NUMBER, 't_page');
  chrome = await openBrowser();
  page = await chrome.newPage();
  page.on('pageerror', (error) => faults.push(error.message));
});
after(async () => {
  await chrome?.close();
  await world.close();
});

const post = (body, name) => webhook(world.sm, inbound(NUMBER, [textMessage('447700900601', body)], { 447700900601: name }));

test('opens signed in and says Live', async () => {
  await page.goto(`${world.gw.base}/#token=${tokenOf('t_page')}`, WAIT);
  await page.getByText(/\blive\b/i).first().waitFor(WAIT);
});

test('a message arrives without reloading, markup stays text', async () => {
  const body = 'Hello <img src=x onerror="document.title=\'owned\'"> there';
  assert.equal((await post(body, 'Ana <b>K</b>')).status, 200);
  await page.getByText(body).first().waitFor(WAIT);
  assert.notEqual(await page.title(), 'owned');
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  await page.screenshot({ path: path.join(world.dir, 'page.png') });
});

test('another tenant sees nothing of it', async () => {
  const other = await chrome.newPage();
  await other.goto(`${world.gw.base}/#token=${tokenOf('t_page_other')}`, WAIT);
  await other.getByText(/\blive\b/i).first().waitFor(WAIT);
  assert.equal((await post('for one tenant only', 'Ana')).status, 200);
  await page.getByText('for one tenant only').first().waitFor(WAIT);
  assert.equal(await other.getByText('for one tenant only').count(), 0);
  await other.close();
});

test('warns when the gateway is gone, and is live again when it is back', async () => {
  await world.gw.kill();
  await page.getByText(/disconnected|offline|reconnecting|connection lost|no connection/i).first().waitFor(WAIT);
  await world.gw.start();
  await page.getByText(/\blive\b/i).first().waitFor({ timeout: 30000 * PATIENCE });
  assert.equal((await post('after the break', 'Ana')).status, 200);
  await page.getByText('after the break').first().waitFor(WAIT);
});

test('no script failed', () => assert.deepEqual(faults, []));
