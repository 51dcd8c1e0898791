/** What became of a change on the hosts of the fleet, in words and as JSON. */
import { formatDuration } from "../duration.ts";
import { printable } from "../printable.ts";

export type SilentHost = { readonly host: string; readonly silentSeconds: number };

export type Effect = {
  /** Hosts that have confirmed all of it. */
  readonly done: readonly string[];
  /** Hosts where a source is allow-listed. */
  readonly spared: readonly string[];
  /** Hosts that had no room for it. */
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

export type EffectWords = {
  /** `blocked`, `16 sources lifted`. */
  readonly verb: string;
  /** Which map may be full: `block map (PW_BLOCKED_ENTRIES)`; undefined: none can be. */
  readonly map?: string;
};

/** Names that are listed one by one. */
const MAX_NAMES = 10;

export function isWhole({ done, spared, full, idle, late, silent }: Effect): boolean {
  const missing = full.length + idle.length + late.length + silent.length;
  return missing === 0 && done.length + spared.length > 0;
}

/** `blocked on 3/3 hosts in 4 ms`; `lifted on 2/3 hosts in 4 ms; host-c not heard for 12s`. */
export function describeEffect({ verb, map = "map" }: EffectWords, effect: Effect): string {
  const { done, durationMs } = effect;
  const known = hostsOf(effect);
  if (known === 0) {
    return `${verb} on no host: none is heard; each does it when its enforcer is back`;
  }
  const noun = known === 1 ? "host" : "hosts";
  const head = `${verb} on ${done.length}/${known} ${noun} in ${durationMs} ms`;
  return [head, ...describeRest(effect, map)].join("; ");
}

export function effectJson({ waitedMs: _waited, ...rest }: Effect): object {
  return rest;
}

function describeRest(
  { spared, full, idle, late, silent, waitedMs }: Effect,
  map: string,
): readonly string[] {
  const rest: readonly (readonly [hosts: readonly string[], text: string])[] = [
    [spared, "spared: allow-listed there"],
    [full, `no room in the ${map}`],
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
