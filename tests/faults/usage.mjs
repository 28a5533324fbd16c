// What a process has: memory, descriptors, threads. Connections that others hold to it, and those between gateways, are
// counted apart: clients go from one gateway to another, and that is no leak.
import fs from 'node:fs';

const LISTENING = '0A';

// inode -> {local, remote, state} of all TCP sockets here
function sockets() {
  const all = new Map();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(1) : []) {
      const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
      if (inode) all.set(inode, { local: portOf(local), remote: portOf(remote), state });
    }
  return all;
}
const portOf = (address) => parseInt(address.slice(address.lastIndexOf(':') + 1), 16);

function descriptors(pid) {
  const found = [];
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    try {
      found.push(fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      // closed meanwhile
    }
  }
  return found;
}

const kbOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

// services: [{name, pid, port}]; peers: ports that lead to other gateways. Who is dead is left out.
export function usages(services, peers) {
  const tcp = sockets();
  const found = [];
  for (const { name, pid, port } of services) {
    try {
      const all = descriptors(pid);
      const theirs = all.map((what) => tcp.get(/^socket:\[(\d+)\]$/.exec(what)?.[1])).filter(Boolean);
      const conns = theirs.filter((s) => s.local === port && s.state !== LISTENING).length;
      const relays = theirs.filter((s) => peers.has(s.remote)).length;
      found.push({ service: name, pid, rssKb: kbOf(pid), fds: all.length - conns - relays, threads: fs.readdirSync(`/proc/${pid}/task`).length, conns, relays });
    } catch (error) {
      if (!['ENOENT', 'ESRCH', 'EACCES'].includes(error.code)) throw error;
    }
  }
  return found;
}
