import { type Bus, removeKey } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import { allowKey, buckets } from "@packetwatch/contracts";
import { formatPrefix, type Prefix } from "@packetwatch/net";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import type { Effect } from "../hosts/effect.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { reportAllowEffect, settledAs } from "./allow-effect.ts";
import { readAllowEntries } from "./read-allow-entries.ts";

export type RemoveFlags = { readonly timeout: number; readonly json?: true };

export async function removeAllowed(
  prefix: Prefix,
  flags: RemoveFlags,
  from: Environment,
): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const work = (bus: Bus) => remove(bus, prefix, timeoutMs);
  const effect = await withBus({ config, command: "allow remove", timeoutMs, work });
  reportAllowEffect(effect, { verb: "removed", prefix: formatPrefix(prefix), flags });
}

async function remove(bus: Bus, prefix: Prefix, timeoutMs: number): Promise<Effect> {
  await requireEntry(bus, prefix, timeoutMs);
  const hosts = await HostWatch.open(bus, timeoutMs);
  try {
    const startMs = performance.now();
    const place = { bucket: buckets.allowlist, key: allowKey(prefix) };
    const { sequence } = await removeKey(bus, place);
    return await hosts.until((state) => settledAs(state, sequence), { startMs, timeoutMs });
  } finally {
    hosts.close();
  }
}

async function requireEntry(bus: Bus, prefix: Prefix, timeoutMs: number): Promise<void> {
  const text = formatPrefix(prefix);
  const entries = await readAllowEntries(bus, timeoutMs);
  if (entries.some(({ entry }) => entry.prefix === text)) return;
  const detail = `no operator allows ${text}; 'packetwatch allow list' shows what is allowed, and why`;
  throw new CliError("NOT_ALLOWED", detail);
}
