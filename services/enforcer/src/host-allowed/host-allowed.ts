import { endianness } from "node:os";
import type { Config } from "@packetwatch/config";
import type { AllowReason } from "@packetwatch/contracts";
import { type AddressWords, hostPrefix, isIpv4 } from "@packetwatch/net";
import { ownAddresses } from "@packetwatch/runtime";
import type { HostEntry } from "../allow-list.ts";
import { hostFiles, readText } from "./host-files.ts";
import { readLoginPeers } from "./login-peers.ts";
import type { NatsAddresses } from "./nats-addresses.ts";
import { parseResolvers } from "./parse-resolvers.ts";
import { parseIpv4Gateways, parseIpv6Gateways } from "./parse-routes.ts";

/** How often the host's files are read. */
const READ_INTERVAL_MS = 2000;

/** What is allowed on this host besides what operators allow everywhere, with the reason of each. */
export class HostAllowedReader {
  readonly #config: Config<"enforcer">;
  readonly #nats: Pick<NatsAddresses, "addresses">;
  #fromFiles: readonly HostEntry[] = [];
  #readMs = -Infinity;

  constructor(config: Config<"enforcer">, nats: Pick<NatsAddresses, "addresses">) {
    this.#config = config;
    this.#nats = nats;
  }

  read(): readonly HostEntry[] {
    const { whitelistSelf, interfaces, allow, allowNatsServers } = this.#config;
    const own = whitelistSelf ? ownAddresses(interfaces) : [];
    return [
      ...own.map((prefix) => ({ prefix, reason: "own_address" }) as const),
      ...allow.map((prefix) => ({ prefix, reason: "variable" }) as const),
      ...this.#readFiles(),
      ...(allowNatsServers ? entriesOf(this.#nats.addresses, "nats_server") : []),
    ];
  }

  #readFiles(): readonly HostEntry[] {
    const nowMs = performance.now();
    if (nowMs - this.#readMs < READ_INTERVAL_MS) return this.#fromFiles;
    this.#readMs = nowMs;
    const { allowGateways, allowResolvers, allowSshPeers } = this.#config;
    this.#fromFiles = [
      ...(allowGateways ? entriesOf(readGateways(), "gateway") : []),
      ...(allowResolvers ? entriesOf(readResolvers(), "resolver") : []),
      ...(allowSshPeers ? entriesOf(readLoginPeers(), "ssh_peer") : []),
    ];
    return this.#fromFiles;
  }
}

/** A host's own loopback is PW_WHITELIST_SELF's matter, whatever runs behind it. */
function entriesOf(addresses: readonly AddressWords[], reason: AllowReason): readonly HostEntry[] {
  return addresses
    .filter((words) => !isLoopback(words) && !isUnspecified(words))
    .map((words) => ({ prefix: hostPrefix(words), reason }));
}

function readGateways(): readonly AddressWords[] {
  return [
    ...parseIpv4Gateways(readText(hostFiles.ipv4Routes), endianness()),
    ...parseIpv6Gateways(readText(hostFiles.ipv6Routes)),
  ];
}

function readResolvers(): readonly AddressWords[] {
  const files = [hostFiles.resolvers, hostFiles.upstreams];
  return files.flatMap((file) => parseResolvers(readText(file)));
}

function isLoopback(words: AddressWords): boolean {
  const [w0, w1, w2, w3] = words;
  if (isIpv4(words)) return w3 >>> 24 === 127;
  return w0 === 0 && w1 === 0 && w2 === 0 && w3 === 1;
}

function isUnspecified(words: AddressWords): boolean {
  return words[3] === 0 && words[0] === 0 && words[1] === 0;
}
