/** What became of verdicts on the hosts of the fleet, in words and as JSON. */
import { formatDuration } from "../duration.ts";
import type { SilentHost } from "../fleet/host-roll.ts";
import { counted, printable } from "../printable.ts";

export type Effect = {
  readonly kind: "block" | "unblock";
  readonly sources: number;
  /** Hosts that have confirmed all of it. */
  readonly done: readonly string[];
  /** Hosts where a source is allow-listed. */
  readonly spared: readonly string[];
  /** Hosts whose block map is full. */
  readonly full: readonly string[];
  /** Hosts that watch no interface yet. */
  readonly idle: readonly string[];
  /** Hosts that are heard, and have not confirmed in time. */
  readonly late: readonly string[];
  readonly silent: readonly SilentHost[];
  /** From publishing to the last confirmation. */
  readonly durationMs: number;
  readonly waitedMs: number;
};

/** Names that are listed one by one. */
const MAX_NAMES = 10;

export function isWhole({ done, spared, full, idle, late, silent }: Effect): boolean {
  const missing = full.length + idle.length + late.length + silent.length;
  return missing === 0 && done.length + spared.length > 0;
}

/** `blocked on 3/3 hosts in 4 ms`; `lifted on 2/3 hosts in 4 ms; host-c not heard for 12s`. */
export function describeEffect(effect: Effect): string {
  const { kind, sources, done, durationMs } = effect;
  const verb = kind === "block" ? "blocked" : "lifted";
  const what = sources === 1 ? verb : `${counted(sources, "source")} ${verb}`;
  const known = hostsOf(effect);
  if (known === 0) {
    return `${what} on no host: none is heard; each does it when its enforcer is back`;
  }
  const noun = known === 1 ? "host" : "hosts";
  const head = `${what} on ${done.length}/${known} ${noun} in ${durationMs} ms`;
  return [head, ...describeRest(effect)].join("; ");
}

function describeRest({ spared, full, idle, late, silent, waitedMs }: Effect): readonly string[] {
  const rest: readonly (readonly [hosts: readonly string[], text: string])[] = [
    [spared, "spared: allow-listed there"],
    [full, "no room in the block map (PW_BLOCKED_ENTRIES)"],
    [idle, "watches no interface yet: is capture running there?"],
    [late, `not confirmed within ${formatDuration(waitedMs / 1000)}`],
  ];
  const named = rest.filter(([hosts]) => hosts.length > 0);
  return [
    ...named.map(([hosts, text]) => `${listNames(hosts)} ${text}`),
    ...silent.slice(0, MAX_NAMES).map(describeSilence),
    ...(silent.length > MAX_NAMES ? [`${silent.length - MAX_NAMES} more hosts not heard`] : []),
  ];
}

/** `host-c not heard for 12s`. */
export function describeSilence({ host, silentSeconds }: SilentHost): string {
  return `${printable(host)} not heard for ${formatDuration(silentSeconds)}`;
}

export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).map(printable);
  const more = names.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

function hostsOf({ done, spared, full, idle, late, silent }: Effect): number {
  return [done, spared, full, idle, late, silent].reduce((sum, list) => sum + list.length, 0);
}
