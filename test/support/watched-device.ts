import { rmSync } from "node:fs";
import { join } from "node:path";
import type { XdpMode } from "@packetwatch/bpf";
import { ChildProgram } from "./child-program.ts";
import type { Cleanup } from "./cleanup.ts";
import { OBJECT_PATH } from "./loaded-packetwatch.ts";
import { Guardian } from "./guardian.ts";
import {
  connectNamespaces,
  createNetworkNamespace,
  type NetworkNamespace,
} from "./network-namespace.ts";

/** Two ends of a connection, and the interface between them that the program watches. */
export type WatchedDevice = {
  readonly client: NetworkNamespace;
  readonly clientInterface: string;
  readonly server: NetworkNamespace;
  readonly serverInterface: string;
  /** Its maps and its link are pinned here. */
  readonly pinFolder: string;
};

export type DeviceKind = "veth" | "lo";

/** Of every name that the tests give: bounded by the 15 bytes of an interface's name. */
const PREFIX = `pwk${process.pid}`;
const PIN_ROOT = `/sys/fs/bpf/${PREFIX}`;

const CLIENT = `${PREFIX}c`;
const SERVER = `${PREFIX}s`;
const LOOPBACK = `${PREFIX}l`;
const undoCommands = [
  ...[CLIENT, SERVER, LOOPBACK].map((name) => `ip netns del ${name}`),
  `rm -rf ${PIN_ROOT}`,
];

const VETH_ADDRESSES = {
  client: ["198.18.0.1/24", "fd00:1::1/64"],
  server: ["198.18.0.2/24", "fd00:1::2/64"],
} as const;

/**
 * Makes the device in namespaces of its own and attaches the program in a
 * process that ends: from then on only pins hold it. Everything is undone by `cleanup`.
 */
export function watchDevice(kind: DeviceKind, mode: XdpMode, cleanup: Cleanup): WatchedDevice {
  cleanup.own(new Guardian(undoCommands));
  const device = kind === "veth" ? createVeth(cleanup) : createLoopback(cleanup);
  cleanup.defer(() => rmSync(PIN_ROOT, { recursive: true, force: true }));
  const args = [OBJECT_PATH, device.serverInterface, mode, device.pinFolder];
  new ChildProgram("attach").run(device.server, args);
  return device;
}

function createVeth(cleanup: Cleanup): WatchedDevice {
  const client = cleanup.own(createNetworkNamespace(CLIENT));
  const server = cleanup.own(createNetworkNamespace(SERVER));
  connectNamespaces(
    { namespace: client, interfaceName: CLIENT, addresses: VETH_ADDRESSES.client },
    { namespace: server, interfaceName: SERVER, addresses: VETH_ADDRESSES.server },
  );
  const ends = { client, clientInterface: CLIENT, server, serverInterface: SERVER };
  return { ...ends, pinFolder: join(PIN_ROOT, "veth") };
}

function createLoopback(cleanup: Cleanup): WatchedDevice {
  const both = cleanup.own(createNetworkNamespace(LOOPBACK));
  const ends = { client: both, clientInterface: "lo", server: both, serverInterface: "lo" };
  return { ...ends, pinFolder: join(PIN_ROOT, "lo") };
}
