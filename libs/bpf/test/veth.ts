import { execFileSync } from "node:child_process";

let made = 0;

/** A pair of interfaces of a unique name, joined to each other. */
export interface Veth {
  readonly name: string;
  readonly peer: string;
  setMtu(mtu: number): void;
  /** Twice is harmless. */
  remove(): void;
}

export function createVeth(): Veth {
  const name = `pwb${process.pid}${"abcdefghij"[made++ % 10]}`;
  const peer = `${name}p`;
  ip("link", "add", name, "type", "veth", "peer", "name", peer);
  let exists = true;
  return {
    name,
    peer,
    setMtu: (mtu) => [name, peer].forEach((each) => ip("link", "set", each, "mtu", `${mtu}`)),
    remove: () => {
      if (exists) ip("link", "del", name);
      exists = false;
    },
  };
}

function ip(...parameters: string[]): void {
  execFileSync("ip", parameters);
}
