// The seed's agent-portal-service: socket.io + amqplib, JWT in handshake auth, tenant rooms.
const http = require('http'); const { Server } = require('socket.io'); const amqp = require('amqplib'); const jwt = require('jsonwebtoken');
const port = +process.argv[2], secret = 'dev-secret-change-me-0123456789abcdef';
const server = http.createServer(); const io = new Server(server, { perMessageDeflate: false });
io.use((s, next) => { try { s.user = jwt.verify(s.handshake.auth.token, secret); next(); } catch (e) { next(new Error('unauthorized')); } });
io.on('connection', s => s.join('tenant:' + s.user.tenantId));
server.listen(port, '127.0.0.1', async () => {
  const c = await amqp.connect(process.env.AMQP_URL); const ch = await c.createChannel();
  await ch.assertExchange('waba.agent-portal.events', 'topic', { durable: true });
  const q = await ch.assertQueue('', { exclusive: true }); await ch.bindQueue(q.queue, 'waba.agent-portal.events', '#'); ch.prefetch(200);
  ch.consume(q.queue, m => { const e = JSON.parse(m.content.toString()); io.to('tenant:' + e.tenantId).emit(e.type, e.data); ch.ack(m); });
  console.log('up');
});
