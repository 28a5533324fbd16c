// Programs that load and watch: built here, started, read by line, ended with the run.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, RUN_DIR, sleep } from '../lib/env.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const TOOLS = path.join(ROOT, 'build/bench');
const children = new Set();

export function build() {
  fs.mkdirSync(TOOLS, { recursive: true });
  for (const [name, libraries] of Object.entries({ fanload: ['-lcrypto', '-lm'], fanpub: ['-lrabbitmq'], floor: [], hookload: ['-lcrypto'], flood: [], neighbour: ['-lcrypto', '-lm'], hiccups: [] }))
    execFileSync('cc', ['-O2', '-w', '-o', path.join(TOOLS, name), path.join(HERE, `${name}.c`), ...libraries], { stdio: 'inherit' });
}

export function installPeers() {
  const modules = path.join(HERE, 'node_modules/.package-lock.json');
  if (!fs.existsSync(modules) || fs.statSync(modules).mtimeMs < fs.statSync(path.join(HERE, 'package-lock.json')).mtimeMs) {
    console.error('installing the peers');
    const headers = fs.existsSync('/usr/include/node/node.h') ? { npm_config_nodedir: '/usr' } : {};
    execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: HERE, env: { ...process.env, ...headers }, stdio: ['ignore', 2, 2] });
  }
}

// A child whose output is collected by line.
function launch(program, args, env = {}) {
  const child = spawn(program, args, { cwd: RUN_DIR, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {}); // it may have ended
  children.add(child);
  child.lines = [];
  let rest = '';
  child.stdout.on('data', (part) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop();
    child.lines.push(...lines);
  });
  child.gone = new Promise((done) => child.on('close', (code) => (children.delete(child), done(code))));
  child.line = async (test, what) => {
    for (const end = Date.now() + 60000; Date.now() < end; await sleep(10)) {
      const found = child.lines.find((l) => test.test(l));
      if (found) return found;
      if (child.exitCode !== null) break;
    }
    throw new Error(`${path.basename(program)}: no ${what}`);
  };
  return child;
}

export const tool = (name, args, env) => launch(path.join(TOOLS, name), args.map(String), env);
export const node = (file, args, env) => launch(process.execPath, [path.join(HERE, file), ...args.map(String)], env);

export async function end(child) {
  child.kill('SIGKILL');
  await child.gone;
}

export function endAll() {
  for (const child of children) child.kill('SIGKILL');
}

// CPU time of all threads so far, in us.
export function cpu(pid) {
  let total = 0;
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) total += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return total / 1000;
}

export const rssKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
