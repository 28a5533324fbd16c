// Baseline receivers a Node user would write. MODE: amqp (confirm publish), sqlite (one fsynced commit a request)
const express=require('express'),crypto=require('crypto');const secret='bar-app-secret-0123456789abcdef';const mode=process.argv[3];
const app=express();app.use(express.raw({type:'*/*',limit:'3mb'}));let ch,ins,dedup=0;
app.post('/webhooks/whatsapp',async(q,r)=>{const s='sha256='+crypto.createHmac('sha256',secret).update(q.body).digest('hex');const g=q.get('x-hub-signature-256')||'';
 if(g.length!==s.length||!crypto.timingSafeEqual(Buffer.from(g),Buffer.from(s)))return r.sendStatus(401);
 const b=JSON.parse(q.body);const out=[];for(const e of b.entry)for(const c of e.changes)for(const m of c.value.messages||[])out.push({type:'new_message',tenantId:c.value.metadata.phone_number_id,data:m});
 if(mode==='amqp')for(const o of out)await new Promise((ok,no)=>ch.publish('waba.agent-portal.events','t',Buffer.from(JSON.stringify(o)),{persistent:true},e=>e?no(e):ok()));
 else if(mode==='mongo')for(const o of out)await ins.insertOne({...o,k:++dedup});
 else for(const o of out)ins.run(o.data.id+(dedup++),JSON.stringify(o));
 r.sendStatus(200)});
(async()=>{if(mode==='amqp'){const c=await require('amqplib').connect(process.env.AMQP_URL);ch=await c.createConfirmChannel();await ch.assertExchange('waba.agent-portal.events','topic',{durable:true});const k=await ch.assertQueue('ingest',{durable:true,autoDelete:true});await ch.bindQueue('ingest','waba.agent-portal.events','#')}
else if(mode==='mongo'){const {MongoClient}=require('mongodb');const c=await new MongoClient(process.argv[4]).connect();ins=c.db('b').collection('m')}
else{const D=require('better-sqlite3');const d=new D('./i.db');d.pragma('journal_mode=WAL');d.pragma('synchronous=FULL');d.exec('create table if not exists m(id text primary key,b text)');ins=d.prepare('insert into m values(?,?)')}
app.listen(+process.argv[2],'127.0.0.1',()=>console.log('up'))})();
