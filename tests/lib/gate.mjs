// A gateway played: what one asks of the state-managers over RabbitMQ (state-manager/rpc/responder.h).
import assert from 'node:assert/strict';
import amqp from 'amqplib';
import { within } from './env.mjs';

export const QUEUE = 'state-manager.rpc';
const DIRECT = 'amq.rabbitmq.reply-to';

// Asks, and gets the answers by their correlation ids.
export class Gate {
  waiting = new Map();
  turn = 0;

  async open(url) {
    this.connection = await amqp.connect(url);
    this.channel = await this.connection.createChannel();
    await this.channel.consume(DIRECT, (m) => this.hear(m), { noAck: true });
    return this;
  }

  hear(message) {
    const asked = this.waiting.get(message.properties.correlationId);
    asked?.answers.push(JSON.parse(message.content));
    asked?.done(asked.answers[0]);
  }

  // Sends bytes or a value; what comes back gathers in .answers, the first resolves .first
  send(body, options = {}) {
    const correlationId = `c${++this.turn}`;
    const asked = { answers: [] };
    asked.first = new Promise((done) => (asked.done = done));
    this.waiting.set(correlationId, asked);
    this.channel.sendToQueue(QUEUE, Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)), { replyTo: DIRECT, correlationId, ...options });
    return asked;
  }

  async ask(body, options) {
    const answer = await within(this.send(body, options).first, 20000);
    assert.ok(answer, `an answer to ${JSON.stringify(body)}`);
    return answer;
  }

  command(tenantId, command, more = {}, options) {
    return this.ask({ v: 1, op: 'command', tenantId, author: 'ann', command, ...more }, options);
  }

  close() {
    return this.connection?.close();
  }
}
