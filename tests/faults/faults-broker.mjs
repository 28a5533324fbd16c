// What happens on the broker while it lives: alarms, closed connections and channels, things deleted.
import { EXCHANGE } from '../lib/broker.mjs';

const managers = (target, stage) => stage.managers;
const everybody = (target, stage) => [...stage.gateways, ...stage.managers];

// A third of the connections, whosever they are.
const closeSome = (broker, third) => broker.ctl('eval', `[rabbit_networking:close_connection(P, "the fault rig") || P <- rabbit_networking:connections(), erlang:phash2(P, 3) =:= ${third}], ok.`);

// Each channel of the node is told of an error, as when its owner had done something wrong; the connections stay.
const closeChannels = (broker) => broker.ctl('eval', '[exit(C, {amqp_error, precondition_failed, "the fault rig", none}) || C <- rabbit_channel:list_local()], ok.');

// Also exclusive ones, which AMQP lets only their owners delete.
const deleteQueues = (broker, vhost, prefix) =>
  broker.ctl('eval', `[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list(<<"${vhost}">>), binary:match(element(4, amqqueue:get_name(Q)), <<"${prefix}">>) =:= {0, ${prefix.length}}], ok.`);

const QUEUES = ['state-manager.rpc', EXCHANGE, 'inbound.enriched', 'waba.dead-letter'];
const onBroker = { targets: () => [['broker']], lasts: [0, 0], costs: () => 3, shaken: everybody, end: () => {} };
// An alarm blocks who publishes: the state-managers cannot do their work, and say so; gateways still consume.
const alarm = { ...onBroker, lasts: [2, 15], down: managers, shaken: managers, noticeMs: () => 4000 };

export const BROKER_FAULTS = [
  {
    ...alarm,
    name: 'memory alarm',
    begin: (rig) => rig.broker.memoryAlarm(true),
    end: (rig) => rig.broker.memoryAlarm(false),
  },
  {
    ...alarm,
    name: 'disk alarm of the broker',
    begin: (rig) => rig.broker.diskAlarm(true),
    end: (rig) => rig.broker.diskAlarm(false),
  },
  { ...onBroker, name: 'connections closed', begin: (rig) => rig.broker.closeConnections(rig.vhost) },
  { ...onBroker, name: 'some connections closed', args: (random) => ({ third: Math.floor(random() * 3) }), begin: (rig, { args }) => closeSome(rig.broker, args.third) },
  { ...onBroker, name: 'channels closed', begin: (rig) => closeChannels(rig.broker) },
  {
    ...onBroker,
    name: "gateways' queues deleted",
    shaken: (target, stage) => stage.gateways,
    begin: (rig) => deleteQueues(rig.broker, rig.vhost, `${EXCHANGE}.`),
  },
  {
    ...onBroker,
    name: 'queue deleted',
    targets: () => QUEUES.map((name) => [name]),
    touches: () => ['broker'],
    shaken: managers,
    mayLoseOf: (target) => (target === EXCHANGE ? ['intake'] : []), // what lies in the intake's queue goes with it
    begin: (rig, { target }) => rig.broker.withChannel(rig.vhost, (channel) => channel.deleteQueue(target)),
  },
  { ...onBroker, name: 'exchange deleted', begin: (rig) => rig.broker.deleteExchange(rig.vhost) },
];
