// Somebody who is served while others misbehave: says something over and over, in a thread of its own, and measures how long
// the echo takes. new Bystander(url of a raw Engine.IO WebSocket); median() is of the round trips since the last call.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import WebSocket from 'ws';
import { until } from './env.mjs';

const PAUSE_MS = 2;

function talk(url) {
  const socket = new WebSocket(url);
  let sent;
  const say = () => {
    sent = performance.now();
    socket.send('4hello');
  };
  socket.on('message', (bytes) => {
    const text = bytes.toString();
    if (text === '2') return socket.send('3');
    if (text[0] !== '0') parentPort.postMessage(performance.now() - sent);
    setTimeout(say, PAUSE_MS);
  });
  socket.on('error', (error) => parentPort.postMessage(error.message));
  socket.on('close', () => parentPort.postMessage('closed'));
}
if (!isMainThread) talk(workerData);

export class Bystander {
  trips = [];
  constructor(url) {
    this.worker = new Worker(new URL(import.meta.url), { workerData: url });
    this.worker.on('message', (m) => (typeof m === 'number' ? this.trips.push(m) : (this.fault ??= m)));
  }
  // Of at least `count` round trips from now on: fails when they do not come.
  async median(count = 50) {
    this.trips = [];
    await until(`${count} round trips of a bystander`, () => this.fault || this.trips.length >= count, 20000);
    if (this.fault) throw new Error(`the bystander was cut: ${this.fault}`);
    return this.trips.sort((a, b) => a - b)[this.trips.length >> 1];
  }
  end() {
    return this.worker.terminate();
  }
}
