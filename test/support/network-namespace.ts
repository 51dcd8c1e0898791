import { execFileSync } from "node:child_process";

/** Where iproute2 keeps a file per named namespace. */
export const NETNS_FOLDER = "/run/netns";

export type VethEnd = {
  readonly namespace: NetworkNamespace;
  readonly interfaceName: string;
  /** With their prefix lengths: `10.0.0.1/24`. */
  readonly addresses: readonly string[];
};

/** A network that programs are run in. */
export type Place = {
  /** The command line that runs a program in it. */
  commandLine(command: string, args: readonly string[]): [string, string[]];
  /** Runs a program to its end and returns what it printed; throws if it fails. */
  run(command: string, args: readonly string[], input?: string): string;
};

/** The network that this process is in. */
export const here: Place = {
  commandLine: (command, args) => [command, [...args]],
  run: (command, args, input) =>
    execFileSync(command, args, { encoding: "utf8", input, stdio: "pipe" }),
};

/** A network namespace of our own, with its loopback up. `close()` removes it and its interfaces. */
export class NetworkNamespace implements Place {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * The command line that runs a program in here. `ip netns exec` would mount another /sys over
   * the one with the pins; nsenter leaves the mounts alone.
   */
  commandLine(command: string, args: readonly string[]): [string, string[]] {
    return ["nsenter", [`--net=${NETNS_FOLDER}/${this.name}`, command, ...args]];
  }

  /** Runs a program to its end and returns what it printed; throws if it fails. */
  run(command: string, args: readonly string[], input?: string): string {
    const [program, programArgs] = this.commandLine(command, args);
    return execFileSync(program, programArgs, { encoding: "utf8", input, stdio: "pipe" });
  }

  ip(...args: readonly string[]): string {
    return runIp("-n", this.name, ...args);
  }

  interfaceIndex(interfaceName: string): number {
    const [line = ""] = this.ip("-o", "link", "show", interfaceName).split(":");
    return Number(line);
  }

  macAddress(interfaceName: string): string {
    const shown = this.ip("-o", "link", "show", interfaceName);
    const address = / link\/ether ([0-9a-f:]{17}) /.exec(shown)?.[1];
    if (address === undefined) throw new Error(`${interfaceName} has no MAC address: ${shown}`);
    return address;
  }

  close(): void {
    runIp("netns", "del", this.name);
  }
}

export function createNetworkNamespace(name: string): NetworkNamespace {
  runIp("netns", "add", name);
  const namespace = new NetworkNamespace(name);
  try {
    namespace.ip("link", "set", "lo", "up");
  } catch (error) {
    namespace.close();
    throw error;
  }
  return namespace;
}

/** A cable between two namespaces. It goes when either of them does. */
export function connectNamespaces(a: VethEnd, b: VethEnd): void {
  const peer = ["peer", "name", b.interfaceName, "netns", b.namespace.name];
  const { interfaceName, namespace } = a;
  runIp("link", "add", interfaceName, "netns", namespace.name, "type", "veth", ...peer);
  for (const { namespace, interfaceName, addresses } of [a, b]) {
    namespace.ip("link", "set", interfaceName, "up");
    // Without duplicate address detection, IPv6 addresses can be used at once.
    for (const address of addresses)
      namespace.ip("addr", "add", address, "dev", interfaceName, "nodad");
  }
}

function runIp(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });
}
