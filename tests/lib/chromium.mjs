// A real browser: Debian's Chromium, or Google's where that is what there is.
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const PROGRAM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((p) => fs.existsSync(p));
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'];

export const openBrowser = () => chromium.launch({ executablePath: PROGRAM, headless: true, args: ARGS });

// Contexts (a profile each) that are closed together, behind each test.
export class Contexts {
  open = new Set();

  async of(browser, options) {
    const context = await browser.newContext(options);
    this.open.add(context);
    return context;
  }

  async close() {
    await Promise.all([...this.open].map((c) => c.close()));
    this.open.clear();
  }
}
