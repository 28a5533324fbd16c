// A foreign producer, which writes to the intake queue itself: persistent, confirmed, and again under the same message-id
// when it does not know.
import amqp from 'amqplib';

const INTAKE_QUEUE = 'waba.agent-portal.events';
const CONFIRM_MS = 3000;

export class ForeignProducer {
  constructor(amqpUrl) {
    this.amqpUrl = amqpUrl;
  }

  async open() {
    if (this.channel) return this.channel;
    const connection = await amqp.connect(this.amqpUrl(), { timeout: CONFIRM_MS });
    const channel = await connection.createConfirmChannel();
    const forget = () => this.connection === connection && (this.connection = this.channel = undefined);
    for (const end of [connection, channel]) end.on('error', () => {}).on('close', forget);
    channel.on('return', ({ properties }) => this.returned.add(properties.messageId));
    this.returned = new Set();
    Object.assign(this, { connection, channel });
    return channel;
  }

  async publish(body, id) {
    let timer;
    const late = new Promise((_, fail) => (timer = setTimeout(() => fail(Object.assign(new Error('no confirm'), { code: 'TIMEOUT' })), CONFIRM_MS)));
    try {
      await Promise.race([this.say(body, id), late]);
    } catch (error) {
      this.connection?.close().catch(() => {});
      this.connection = this.channel = undefined;
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return { status: 202 };
  }

  async say(body, id) {
    const channel = await this.open();
    await new Promise((done, fail) => channel.publish('', INTAKE_QUEUE, Buffer.from(JSON.stringify(body)), { persistent: true, mandatory: true, messageId: id }, (error) => (error ? fail(error) : done())));
    if (this.returned.delete(id)) throw Object.assign(new Error('there is no such queue'), { code: 'RETURNED' });
  }

  async close() {
    await this.connection?.close().catch(() => {});
  }
}
