// The wires of the fault rig do to a connection what they say.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { claimPorts, sleep, until } from '../lib/env.mjs';
import { Wires } from './proxy.mjs';

let wires, echo, port;
const opened = new Set();

class Line {
  heard = '';
  constructor() {
    this.socket = net.connect(port, '127.0.0.1');
    opened.add(this.socket);
    this.socket.setNoDelay(true);
    this.socket.on('data', (part) => (this.heard += part));
    this.socket.on('error', (error) => (this.fault = error.code));
    this.socket.on('close', () => (this.isOver = true));
  }

  // What comes back of it.
  async says(text) {
    this.socket.write(text);
    const wanted = this.heard + text;
    await until(`${text.slice(0, 20)} back`, () => this.heard === wanted);
    return this;
  }
}

before(async () => {
  const target = { port: await claimPorts() };
  port = await claimPorts();
  echo = net.createServer({ allowHalfOpen: true }, (socket) => (opened.add(socket), socket.on('error', () => {}).pipe(socket)));
  await new Promise((done) => echo.listen(target.port, '127.0.0.1', done));
  wires = new Wires();
  await wires.open('wire', port, target);
});
after(async () => {
  for (const socket of opened) socket.destroy();
  echo.close();
  await wires.end();
});

test('pass: what goes in comes out, also a lot of it, and the end', async () => {
  const line = await new Line().says('hello');
  await line.says('x'.repeat(3 << 20));
  line.socket.end();
  await until('the end', () => line.isOver && !line.fault);
  assert.equal(await wires.count('wire'), 0);
});

test('cut: what is open is reset, who comes again is let in', async () => {
  const line = await new Line().says('one');
  await wires.mode('wire', 'cut');
  await until('a reset', () => line.fault === 'ECONNRESET');
  await new Line().says('two');
});

test('refuse: the same, but nobody is let in until it passes again', async () => {
  const line = await new Line().says('one');
  await wires.mode('wire', 'refuse');
  await until('a reset', () => line.fault === 'ECONNRESET');
  const late = new Line();
  await until('a refusal', () => late.fault === 'ECONNREFUSED');
  await wires.mode('wire', 'pass');
  await new Line().says('two');
});

test('stall: nothing goes through, new connections open and hear nothing; then all goes on', async () => {
  const line = await new Line().says('one');
  await wires.mode('wire', 'stall');
  const late = new Line();
  line.socket.write('two');
  late.socket.write('three');
  await until('an open connection', () => late.socket.readyState === 'open');
  await sleep(300);
  assert.deepEqual([line.heard, late.heard, line.isOver, late.isOver], ['one', '', undefined, undefined]);
  await wires.mode('wire', 'pass');
  await until('what waited', () => line.heard === 'onetwo' && late.heard === 'three');
});

test('half-open: what is open is dead for good and does not know, new ones pass', async () => {
  const line = await new Line().says('one');
  await wires.mode('wire', 'half-open');
  line.socket.write('two');
  await new Line().says('three');
  await wires.mode('wire', 'pass');
  await sleep(300);
  assert.deepEqual([line.heard, line.isOver], ['one', undefined]);
});

test('delay: so much later, each way, and in order', async () => {
  const line = await new Line().says('one');
  await wires.mode('wire', 'delay', { ms: 150 });
  const from = performance.now();
  await line.says('two');
  assert.ok(performance.now() - from >= 290, `${performance.now() - from} ms`);
  for (const word of ['a', 'b', 'c', 'd']) line.socket.write(word);
  await until('all', () => line.heard === 'onetwoabcd');
  await wires.mode('wire', 'pass');
});

test('slow: so many bytes a second, of all connections together', async () => {
  const lines = [await new Line().says('one'), await new Line().says('one')];
  await wires.mode('wire', 'slow', { rate: 10000 });
  const from = performance.now();
  for (const line of lines) line.socket.write('x'.repeat(20000));
  await until('some of it', () => lines.every(({ heard }) => heard.length > 2000));
  const [heard, seconds] = [lines[0].heard.length + lines[1].heard.length, (performance.now() - from) / 1000];
  assert.ok(heard < 10000 * seconds + 1000, `${heard} bytes in ${seconds} s`);
  await wires.mode('wire', 'pass');
  await until('the rest', () => lines.every((line) => line.heard.length === 20003));
});

test('lead: new connections go elsewhere, those that are there stay', async () => {
  const line = await new Line().says('one');
  const other = net.createServer((socket) => (opened.add(socket), socket.end('other')));
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  await wires.lead('wire', { port: other.address().port });
  const late = new Line();
  await until('the other', () => late.heard === 'other');
  await line.says('two');
  other.close();
});

test('the end: at once, whatever is open or waits, and even if the wires hang', async () => {
  const [own, end] = [new Wires(), await claimPorts()];
  await own.open('other', end, { port: echo.address().port });
  const sockets = Array.from({ length: 300 }, () => net.connect(end, '127.0.0.1').on('error', () => {}).on('data', () => {}));
  await until('all of them', async () => (await own.count('other')) === sockets.length);
  await own.mode('other', 'stall');
  for (const socket of sockets) socket.write('x'.repeat(100000));
  process.kill(own.child.pid, 'SIGSTOP');
  const unanswered = own.count('other').catch((error) => error.message);
  await own.end();
  assert.equal(await unanswered, 'count other: the wires are gone');
  await until('ends', () => sockets.every((socket) => socket.destroyed));
});
