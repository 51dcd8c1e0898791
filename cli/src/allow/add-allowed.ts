import { type Bus, putKey } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import {
  ALLOW_ENTRY_VERSION,
  type AllowEntry,
  allowKey,
  buckets,
  encodeAllowEntry,
  MAX_COMMENT_CHARACTERS,
} from "@packetwatch/contracts";
import { formatPrefix, isIpv4, type Prefix } from "@packetwatch/net";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import type { Effect } from "../hosts/effect.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { operatorName } from "../operator-name.ts";
import { reportAllowEffect, settledAs } from "./allow-effect.ts";

export type AddFlags = {
  readonly timeout: number;
  readonly comment?: string;
  readonly ttl?: number;
  readonly force?: true;
  readonly json?: true;
};

/** Wider than these nobody means who has thought about it: a 256th of IPv4, a provider's share of IPv6. */
const WIDEST_IPV4_BITS = 96 + 8;
const WIDEST_IPV6_BITS = 16;

export async function addAllowed(
  prefix: Prefix,
  flags: AddFlags,
  from: Environment,
): Promise<void> {
  if (!flags.force) refuseTooWide(prefix);
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const entry = createEntry(prefix, flags, operatorName(config.host, from));
  const work = (bus: Bus) => add(bus, { entry, prefix, ttlSeconds: flags.ttl, timeoutMs });
  const effect = await withBus({ config, command: "allow add", timeoutMs, work });
  reportAllowEffect(effect, { verb: "allowed", prefix: entry.prefix, flags });
}

function refuseTooWide(prefix: Prefix): void {
  const { words, bits } = prefix;
  if (bits >= (isIpv4(words) ? WIDEST_IPV4_BITS : WIDEST_IPV6_BITS)) return;
  const detail = `allow ${formatPrefix(prefix)}: it is so wide that hardly anybody is left to block; --force does it all the same`;
  throw new CliError("TOO_WIDE", detail);
}

function createEntry(prefix: Prefix, { comment, ttl }: AddFlags, addedBy: string): AllowEntry {
  const addedUs = Date.now() * 1000;
  return {
    version: ALLOW_ENTRY_VERSION,
    prefix: formatPrefix(prefix),
    ...(comment === undefined ? {} : { comment: comment.slice(0, MAX_COMMENT_CHARACTERS) }),
    addedBy,
    addedUs,
    expiresUs: ttl === undefined ? null : addedUs + Math.round(ttl * 1e6),
  };
}

type Add = {
  readonly entry: AllowEntry;
  readonly prefix: Prefix;
  readonly ttlSeconds: number | undefined;
  readonly timeoutMs: number;
};

async function add(bus: Bus, { entry, prefix, ttlSeconds, timeoutMs }: Add): Promise<Effect> {
  const hosts = await HostWatch.open(bus, timeoutMs);
  try {
    const startMs = performance.now();
    const place = { bucket: buckets.allowlist, key: allowKey(prefix) };
    const options = ttlSeconds === undefined ? {} : { ttlSeconds };
    const { sequence } = await putKey(bus, place, encodeAllowEntry(entry), options);
    return await hosts.until((state) => settledAs(state, sequence), { startMs, timeoutMs });
  } finally {
    hosts.close();
  }
}
