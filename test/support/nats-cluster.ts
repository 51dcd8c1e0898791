import { freePort, type NatsServer, startNats } from "./nats.ts";

export type NatsClusterOptions = {
  readonly size: number;
  /** Where clients reach it; default 127.0.0.1. */
  readonly listenAddress?: string;
  /** The nodes that are started at once, by index; default all. start() starts the others. */
  readonly first?: readonly number[];
};

type Node = { readonly port: number; readonly arguments: readonly string[] };

/** NATS servers of one JetStream cluster, each a process of its own with routes on 127.0.0.1, where containers would not find each other. */
export class NatsCluster {
  readonly #nodes: readonly Node[];
  readonly #servers = new Map<number, NatsServer>();

  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
  }

  /** The client ports of all nodes, whether they run or not. */
  get ports(): readonly number[] {
    return this.#nodes.map(({ port }) => port);
  }

  /** For PW_NATS_URL. */
  urls(address = "127.0.0.1"): readonly string[] {
    return this.ports.map((port) => `nats://${address}:${port}`);
  }

  /** As streams know a node. */
  nameOf(index: number): string {
    return nodeName(index);
  }

  indexOf(name: string): number {
    return this.#nodes.findIndex((_, index) => nodeName(index) === name);
  }

  /** Starts a node for the first time, or again with the store that it left. */
  async start(index: number): Promise<void> {
    const server = this.#servers.get(index);
    if (server) return server.start();
    const node = this.#nodes[index];
    if (!node) throw new RangeError(`there is no node ${index}`);
    this.#servers.set(index, await startNats({ ...node, as: "process" }));
  }

  /** SIGKILL; start() brings it back. */
  async kill(index: number): Promise<void> {
    await this.#servers.get(index)?.kill();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.stop()));
  }
}

/** Returns as soon as the nodes answer, which is before they have elected a leader. */
export async function startNatsCluster(options: NatsClusterOptions): Promise<NatsCluster> {
  const { size, listenAddress = "127.0.0.1" } = options;
  const indexes = Array.from({ length: size }, (_, index) => index);
  const clientPorts = await freePorts(size);
  const routes = (await freePorts(size)).map((port) => `nats://127.0.0.1:${port}`);
  const cluster = new NatsCluster(
    clientPorts.map((port, index) => ({
      port,
      arguments: [
        ...["-a", listenAddress, "--server_name", nodeName(index)],
        ...["--cluster_name", "packetwatch", "--cluster", routes[index] ?? ""],
        ...["--routes", routes.join(",")],
      ],
    })),
  );
  try {
    await Promise.all((options.first ?? indexes).map((index) => cluster.start(index)));
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

function nodeName(index: number): string {
  return `node-${index}`;
}

/** All different: each is chosen by the system, and one that was given lately isn't given again soon. */
async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
