// Links between the parts that are cut, slow, late, silent or refused. A link is named after what it leads to and whose it
// is: broker:gw0, store:sm0, door:gw0 (clients), hooks:sm0 (senders), peers:gw0 (other gateways). "broker:*" is all of those.
const HEARTBEATS_MS = 23000; // two of the broker's, and what it takes to notice

function groups(stage) {
  const { gateways, managers, store } = stage;
  const of = (kind, names) => names.map((name) => `${kind}:${name}`);
  return {
    broker: [of('broker', gateways), of('broker', managers), ['broker:*']],
    store: store === 'mongo' ? [of('store', managers), ['store:*']] : [],
    door: [of('door', gateways), ['door:*']],
    hooks: [of('hooks', managers)],
    peers: [of('peers', gateways)],
  };
}

const targets = (...kinds) => (stage) => kinds.flatMap((kind) => groups(stage)[kind]);
const everyLink = targets('broker', 'store', 'door', 'hooks', 'peers');

// Who needs that link; a service does not know of those that others need.
const needing = (target, { gateways, managers }) => {
  const [kind, whose] = target.split(':');
  const all = { broker: [...gateways, ...managers], store: managers }[kind] ?? [];
  return all.filter((service) => whose === '*' || service === whose);
};
const noticed = (brokerMs, storeMs) => ({ down: needing, noticeMs: (target) => (target.startsWith('broker:') ? brokerMs : storeMs) });

const set = (mode) => ({
  begin: (rig, { target, args }) => rig.link(target, mode, args),
  end: (rig, { target }) => rig.link(target, 'pass'),
});
const touches = (target, stage) => {
  const [kind, whose] = target.split(':');
  return whose === '*' ? [...stage.gateways, ...stage.managers].map((name) => `${kind}:${name}`) : [target];
};

const between = (from, to) => (random) => Math.round(from + random() * (to - from));

export const LINK_FAULTS = [
  { name: 'link cut', targets: everyLink, lasts: [0, 0], ...set('cut') },
  { name: 'link refused', targets: everyLink, lasts: [1, 10], ...noticed(3000, 8000), ...set('refuse') },
  { name: 'link stalled', targets: everyLink, lasts: [1, 15], ...noticed(HEARTBEATS_MS, 10000), ...set('stall') },
  // As long as it may take whoever is at either end to notice.
  { name: 'link half-open', targets: targets('broker'), lasts: [26, 26], ...set('half-open') },
  { name: 'link half-open', targets: targets('door', 'hooks', 'peers'), lasts: [12, 12], ...set('half-open') },
  { name: 'link half-open', targets: targets('store'), lasts: [8, 8], ...set('half-open') },
  { name: 'link slow', targets: everyLink, lasts: [3, 8], args: (random) => ({ rate: between(8000, 40000)(random) }), ...set('slow') },
  { name: 'link late', targets: everyLink, lasts: [3, 8], args: (random) => ({ ms: between(50, 400)(random) }), ...set('delay') },
].map((row) => ({ touches, shaken: needing, ...row }));
