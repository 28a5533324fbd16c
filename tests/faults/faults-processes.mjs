// Processes that die, hang, are restarted, come and go.
import fs from 'node:fs';
import path from 'node:path';
import { sleep } from '../lib/env.mjs';

const services = ({ gateways, managers }) => [gateways, managers];
const stations = (stage) => [...services(stage), ['broker'], ...(stage.ownMongo ? [['mongo']] : [])];
const everybody = ({ gateways, managers }) => [...gateways, ...managers];

// Who cannot work while that is gone; a service can do nothing while it is gone itself.
function needing(target, stage) {
  if (target === 'broker') return everybody(stage);
  if (target === 'mongo') return stage.managers;
  return [target];
}

// Who begins needs the broker and the store: none of that is broken while somebody is waited for.
const beginning = (stage) => ['broker', 'mongo', 'disk', ...everybody(stage).flatMap((name) => [`broker:${name}`, `store:${name}`])];

export const PROCESS_FAULTS = [
  {
    name: 'kill -9',
    targets: stations,
    lasts: [0.2, 4],
    costs: (target) => (target === 'broker' ? 12 : 1),
    down: needing,
    shaken: needing,
    noticeMs: (target) => ({ broker: 2000, mongo: 8000 })[target] ?? 500,
    begin: (rig, { target }) => rig.process(target).kill(),
    end: (rig, { target }) => rig.process(target).launch(),
  },
  {
    name: 'SIGSTOP',
    targets: stations,
    lasts: [1, 20],
    down: needing,
    shaken: needing,
    noticeMs: (target) => ({ broker: 23000, mongo: 10000 })[target] ?? 1500,
    begin: (rig, { target }) => rig.process(target).signal('SIGSTOP'),
    end: (rig, { target }) => rig.process(target).signal('SIGCONT'),
  },
  {
    name: 'SIGTERM and start',
    targets: (stage) => [...services(stage), ['broker']],
    lasts: [0, 2],
    costs: (target) => (target === 'broker' ? 15 : 4),
    down: needing,
    shaken: needing,
    noticeMs: (target) => ({ broker: 2000, mongo: 8000 })[target] ?? 500,
    begin: (rig, { target }) => rig.process(target).stop(),
    end: (rig, { target }) => rig.process(target).launch(),
  },
  {
    name: 'rolling restart',
    targets: ({ gateways, managers }) => [[gateways.join(' ')], [managers.join(' ')]],
    touches: (target, stage) => [...everybody(stage), ...beginning(stage)],
    shaken: (target) => target.split(' '),
    lasts: [0, 0],
    costs: (target) => 5 * target.split(' ').length,
    // The new one first, on a port of its own behind the same address, where two may be there at once.
    begin: async (rig, { target }) => {
      for (const name of target.split(' ')) {
        await rig.station(name).replace();
        await sleep(500);
      }
    },
    end: () => {},
  },
  {
    name: 'late node',
    targets: ({ store }) => [['gateway'], ...(store === 'mongo' ? [['state-manager']] : [])],
    touches: (target, stage) => [`late ${target}`, ...stage.managers, ...beginning(stage)],
    lasts: [4, 12],
    costs: () => 4,
    begin: async (rig, fault) => (fault.station = await rig.join(fault.target)),
    end: (rig, { station }) => rig.leave(station),
  },
];

// The broker and MongoDB, to be treated as services are.
export class BrokerProcess {
  constructor(broker) {
    this.broker = broker;
  }

  kill() {
    return this.broker.kill();
  }

  stop() {
    return this.broker.stop();
  }

  launch() {
    return this.broker.launch();
  }

  signal(signal) {
    process.kill(Number(fs.readFileSync(path.join(this.broker.dir, 'node.pid'), 'utf8')), signal);
  }
}

export class MongoProcess {
  constructor(mongo) {
    this.mongo = mongo;
  }

  kill() {
    return this.mongo.stop();
  }

  launch() {
    return this.mongo.launch();
  }

  signal(signal) {
    this.mongo.process.kill(signal);
  }
}
