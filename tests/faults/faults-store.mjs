// The store in trouble: the disk of the embedded one (tests/faults/layer), somebody who keeps it locked. What befalls a
// MongoDB server stands with the processes and links. And the clock.
import { lockStore } from '../lib/lock.mjs';

const onDisk = {
  stores: ['sqlite'],
  targets: () => [['disk']],
  noticeMs: () => 8000,
  shaken: (target, { managers }) => managers,
  end: (rig) => rig.disk.heal(),
};
const managers = (target, stage) => stage.managers;
const pick = (random, list) => list[Math.floor(random() * list.length)];

export const STORE_FAULTS = [
  // Nothing can be written, so nobody may call himself ready.
  { ...onDisk, name: 'disk full', lasts: [2, 14], down: managers, args: (random) => ({ left: pick(random, [0, 0, 20000, 400000]) }), begin: (rig, { args }) => rig.disk.set(`full ${args.left}`) },
  { ...onDisk, name: 'disk error', lasts: [2, 14], down: managers, args: (random) => ({ at: pick(random, ['write', 'sync']) }), begin: (rig, { args }) => rig.disk.set(`eio-${args.at} 0`) },
  { ...onDisk, name: 'disk error on reading', lasts: [1, 12], down: managers, begin: (rig) => rig.disk.set('eio-read 0') },
  { ...onDisk, name: 'disk slow', lasts: [3, 8], args: (random) => ({ ms: Math.round(100 + random() ** 2 * 4000) }), begin: (rig, { args }) => rig.disk.set(`slow-sync ${args.ms}`) },
  {
    ...onDisk,
    name: 'store locked',
    lasts: [1, 12],
    begin: async (rig, fault) => (fault.unlock = await lockStore({ dir: rig.storeDir })),
    end: (rig, { unlock }) => unlock(),
  },
  {
    name: 'clock jumps',
    targets: ({ gateways, managers: all }) => [gateways, all, ['everybody']],
    touches: () => ['clock'],
    lasts: [3, 10],
    args: (random) => ({ hours: pick(random, [-1, 1]) }),
    begin: (rig, { target, args }) => rig.setClock(target, args.hours * 3600e3),
    end: (rig, { target }) => rig.setClock(target, 0),
  },
];
