// The table of faults. A row:
//   name, stores?     where it can be had; without `stores` everywhere
//   targets(stage)    groups of like targets; each group gets its turn
//   touches(target, stage)  what it lays its hands on (default: the target): faults that overlap share none of it
//   lasts             [shortest, longest] s between begin and end
//   costs(target)     s that begin and end themselves may take
//   args(random)      what else it needs
//   down(target, stage), noticeMs(target)  whose /readyz must say 503 from so long after it has begun until it is mended
//   shaken(target, stage)  whose /readyz may say either meanwhile; everybody else stays ready
//   begin(rig, fault), end(rig, fault)
import { BROKER_FAULTS } from './faults-broker.mjs';
import { LINK_FAULTS } from './faults-links.mjs';
import { PROCESS_FAULTS } from './faults-processes.mjs';
import { STORE_FAULTS } from './faults-store.mjs';

export const FAULTS = [...PROCESS_FAULTS, ...BROKER_FAULTS, ...LINK_FAULTS, ...STORE_FAULTS];
export const rowOf = ({ name, target }, stage) => FAULTS.find((row) => row.name === name && row.targets(stage).some((group) => group.includes(target)));
