import { execFileSync } from "node:child_process";
import type { Cleanup } from "../support/cleanup.ts";
import { Guardian } from "../support/guardian.ts";
import { createNetworkNamespace, type NetworkNamespace } from "../support/network-namespace.ts";

/** An interface of the engine's host, and a visitor at its other end. */
export type WatchedLink = {
  readonly interfaceName: string;
  readonly address: string;
  readonly visitor: NetworkNamespace;
  /** The visitor's addresses. */
  readonly sources: readonly string[];
};

/** Of every name that the tests give: bounded by the 15 bytes of an interface's name. */
export const PREFIX = `pwd${process.pid}`;

const SOURCES = 60;

/** This process is where the engine's host network is: services on it can watch the link. */
export function createWatchedLink(name: string, subnet: string, cleanup: Cleanup): WatchedLink {
  const interfaceName = `${PREFIX}${name}`;
  const visitor = `${PREFIX}${name}v`;
  cleanup.own(new Guardian([`ip netns del ${visitor}`, `ip link del ${interfaceName}`]));
  const namespace = cleanup.own(createNetworkNamespace(visitor));
  const peer = ["peer", "name", "eth0", "netns", visitor];
  ip("link", "add", interfaceName, "type", "veth", ...peer);
  const address = `${subnet}.1`;
  ip("addr", "add", `${address}/24`, "dev", interfaceName);
  ip("link", "set", interfaceName, "up");
  const sources = Array.from({ length: SOURCES }, (_, index) => `${subnet}.${index + 10}`);
  namespace.ip("link", "set", "eth0", "up");
  for (const source of sources) namespace.ip("addr", "add", `${source}/24`, "dev", "eth0");
  return { interfaceName, address, visitor: namespace, sources };
}

export function ip(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });
}
