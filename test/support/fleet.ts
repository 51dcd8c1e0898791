import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bpffsName } from "@packetwatch/bpf";
import { pinPaths } from "@packetwatch/contracts";
import type { Cleanup } from "./cleanup.ts";
import { Guardian } from "./guardian.ts";
import { joinNamespace } from "./join-namespace.ts";
import { prepareLockedNats, requireNothingForbidden } from "./locked-nats.ts";
import type { KeyFolder } from "../../cli/src/keys/key-folder.ts";
import { OBJECT_PATH } from "./loaded-packetwatch.ts";
import { type NatsServer, startNats } from "./nats.ts";
import {
  connectNamespaces,
  createNetworkNamespace,
  type NetworkNamespace,
} from "./network-namespace.ts";
import { PinnedPacketwatch } from "./pinned-packetwatch.ts";
import { FleetService, type ServiceName, type Settings } from "./fleet-service.ts";

/** Of every name that a run gives; the dash keeps it apart from a run whose process id begins alike. */
const PREFIX = `pwe${process.pid}-`;
const PIN_ROOT = `/sys/fs/bpf/${PREFIX}pins`;
const TEMPORARY_ROOT = join(tmpdir(), `${PREFIX}files`);

/** Undoes a run that was killed: its processes by id, its namespaces by name, its pins and files. */
const undoCommands = [
  `for name in $(ip netns list | cut -d' ' -f1 | grep '^${PREFIX}'); do`,
  `  for pid in $(ip netns pids "$name"); do kill -9 "$pid"; done`,
  `  ip netns del "$name"`,
  `done`,
  `rm -rf ${PIN_ROOT} ${TEMPORARY_ROOT}`,
];

/** The network over which services reach NATS. */
export const MANAGEMENT_ADDRESS = "10.255.0.1";
const MAX_HOSTS = 250;

type Bridge = "management" | "wan";

export type HostOptions = {
  /** Where it is reached from outside, with prefix lengths; none: it has no `eth0`. */
  readonly addresses?: readonly string[];
  readonly settings?: Settings;
};

type FleetParts = {
  readonly nats: NatsServer;
  readonly core: NetworkNamespace;
  readonly keys: KeyFolder;
  readonly cleanup: Cleanup;
};

/**
 * A network of hosts and visitors, each in a network namespace of its own, and
 * a NATS server. This process joins the namespace in the middle, where NATS
 * listens; the machine's own network stays as it is.
 *
 *     NATS, this process ── management ── host ── wan ── visitor
 */
export class Fleet {
  readonly nats: NatsServer;
  readonly #core: NetworkNamespace;
  readonly #keys: KeyFolder;
  readonly #cleanup: Cleanup;
  #plugged = 0;
  #hosts = 0;

  constructor({ nats, core, keys, cleanup }: FleetParts) {
    this.nats = nats;
    this.#core = core;
    this.#keys = keys;
    this.#cleanup = cleanup;
  }

  /** How hosts reach NATS. */
  get natsUrl(): string {
    const { port } = new URL(this.nats.url);
    return `nats://${MANAGEMENT_ADDRESS}:${port}`;
  }

  /** For the command, as an operator: NATS allows it what the role may do, and no more. */
  get operator(): Settings {
    return { PW_NATS_URL: this.nats.url, PW_NATS_NKEY_FILE: this.#keys.seedFile("operator") };
  }

  /** The namespace of NATS and of this process. */
  get core(): NetworkNamespace {
    return this.#core;
  }

  /** A host that services can be started on: with `eth0` where it has addresses, and `lo` in any case. */
  addHost(name: string, { addresses, settings = {} }: HostOptions = {}): FleetHost {
    this.#hosts++;
    if (this.#hosts > MAX_HOSTS) throw new Error(`a fleet has at most ${MAX_HOSTS} hosts`);
    const namespace = this.addNamespace(name);
    const managementAddress = `10.255.0.${this.#hosts + 1}`;
    this.#plug("management", namespace, "mgmt0", [`${managementAddress}/24`]);
    if (addresses) this.#plugIntoWan(namespace, addresses);
    const common = {
      PW_NATS_URL: this.natsUrl,
      PW_HOST: name,
      PW_IFDEV: addresses ? "eth0" : "lo",
      PW_PIN_DIR: join(PIN_ROOT, bpffsName(name)),
      PW_BPF_OBJECT: OBJECT_PATH,
    };
    const options = {
      keys: this.#keys,
      namespace,
      managementAddress,
      settings: { ...common, ...settings },
    };
    return new FleetHost(name, options, this.#cleanup);
  }

  /** A machine out there, with any addresses: the whole wide network is one link. */
  addVisitor(name: string, addresses: readonly string[]): NetworkNamespace {
    const namespace = this.addNamespace(name);
    this.#plugIntoWan(namespace, addresses);
    return namespace;
  }

  /** A namespace with nothing but `lo`. */
  addNamespace(name: string): NetworkNamespace {
    return this.#cleanup.own(createNetworkNamespace(PREFIX + name));
  }

  /** A service beside NATS, such as `metrics`; its ports are on this process's localhost. */
  async start(service: ServiceName, settings: Settings): Promise<FleetService> {
    const started = this.launch(service, settings);
    await started.ready();
    return started;
  }

  /** The same without waiting for anything. */
  launch(service: ServiceName, settings: Settings): FleetService {
    const own = {
      PW_NATS_URL: this.nats.url,
      PW_HOST: "core",
      PW_NATS_NKEY_FILE: this.#keys.seedFile(service),
      ...settings,
    };
    const started = new FleetService({ service, namespace: this.#core, settings: own });
    return this.#cleanup.own(started);
  }

  #plugIntoWan(namespace: NetworkNamespace, addresses: readonly string[]): void {
    this.#plug("wan", namespace, "eth0", addresses);
    namespace.ip("route", "add", "default", "dev", "eth0");
    namespace.ip("-6", "route", "add", "default", "dev", "eth0");
  }

  #plug(
    bridge: Bridge,
    namespace: NetworkNamespace,
    interfaceName: string,
    addresses: readonly string[],
  ): void {
    const port = `port${this.#plugged++}`;
    connectNamespaces(
      { namespace, interfaceName, addresses },
      { namespace: this.#core, interfaceName: port, addresses: [] },
    );
    this.#core.ip("link", "set", port, "master", bridge);
  }
}

/** Makes the network and starts NATS; everything is undone by `cleanup`, and when this process dies. */
export async function startFleet(cleanup: Cleanup): Promise<Fleet> {
  cleanup.own(new Guardian(undoCommands));
  cleanup.defer(() => rmSync(PIN_ROOT, { recursive: true, force: true }));
  useTemporaryRoot(cleanup);
  const core = cleanup.own(createNetworkNamespace(`${PREFIX}core`));
  for (const bridge of ["management", "wan"]) {
    core.ip("link", "add", bridge, "type", "bridge", "mcast_snooping", "0");
    core.ip("link", "set", bridge, "up");
  }
  core.ip("addr", "add", `${MANAGEMENT_ADDRESS}/24`, "dev", "management");
  cleanup.own(joinNamespace(core));
  const { keys, configFile } = prepareLockedNats(join(TEMPORARY_ROOT, "keys"));
  const nats = await startNats({ as: "process", arguments: ["-a", "0.0.0.0", "-c", configFile] });
  cleanup.defer(async () => {
    await nats.stop();
    requireNothingForbidden(nats);
  });
  return new Fleet({ nats, core, keys, cleanup });
}

/** What this process puts into the temporary folder, the store of NATS too, goes into one that the guardian knows. */
function useTemporaryRoot(cleanup: Cleanup): void {
  const before = tmpdir();
  mkdirSync(TEMPORARY_ROOT, { recursive: true });
  process.env["TMPDIR"] = TEMPORARY_ROOT;
  cleanup.defer(() => {
    process.env["TMPDIR"] = before;
    rmSync(TEMPORARY_ROOT, { recursive: true, force: true });
  });
}

type HostParts = {
  readonly keys: KeyFolder;
  readonly namespace: NetworkNamespace;
  readonly managementAddress: string;
  readonly settings: Settings;
};

/** One host of a fleet, and the services on it. */
export class FleetHost {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  /** Where this process reaches what listens on the host. */
  readonly managementAddress: string;
  readonly settings: Settings;
  readonly #keys: KeyFolder;
  readonly #cleanup: Cleanup;
  readonly #services = new Map<ServiceName, FleetService>();

  constructor(name: string, parts: HostParts, cleanup: Cleanup) {
    this.name = name;
    this.namespace = parts.namespace;
    this.managementAddress = parts.managementAddress;
    this.settings = parts.settings;
    this.#keys = parts.keys;
    this.#cleanup = cleanup;
    cleanup.own(this);
  }

  get pinDir(): string {
    return this.settings["PW_PIN_DIR"] ?? "";
  }

  /** Starts services and waits until all are ready. */
  async start(...services: readonly ServiceName[]): Promise<void> {
    const started = services.map((service) => this.launch(service));
    await Promise.all(started.map((service) => service.ready()));
  }

  /** Starts a service without waiting for anything. */
  launch(service: ServiceName, settings: Settings = {}): FleetService {
    const key = { PW_NATS_NKEY_FILE: this.#keys.seedFile(service) };
    const own = { ...key, ...this.settings, ...settings };
    const started = new FleetService({ service, namespace: this.namespace, settings: own });
    this.#services.set(service, started);
    return this.#cleanup.own(started);
  }

  /** The latest process of a service. */
  service(service: ServiceName): FleetService {
    const started = this.#services.get(service);
    if (!started) throw new Error(`${service} was not started on ${this.name}`);
    return started;
  }

  /** SIGKILL to all of them at once. */
  async kill(...services: readonly ServiceName[]): Promise<void> {
    await Promise.all(services.map((service) => this.service(service).kill()));
  }

  /** What is pinned of an interface; the caller closes it. */
  pinned(interfaceName: string): PinnedPacketwatch {
    return new PinnedPacketwatch(this.pinFolder(interfaceName));
  }

  /** The key by which NATS knows a service of this host. */
  seedFile(service: ServiceName): string {
    return this.#keys.seedFile(service);
  }

  pinFolder(interfaceName: string): string {
    return pinPaths(this.pinDir, bpffsName(interfaceName)).folder;
  }

  /** The ends of all logs, for the message of a failure. */
  get tails(): string {
    return [...this.#services.values()].map(({ tail }) => tail).join("\n");
  }

  close(): void {
    rmSync(this.pinDir, { recursive: true, force: true });
  }
}
