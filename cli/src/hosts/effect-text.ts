import { CliError } from "../cli-error.ts";
import { describeSilence, listNames } from "../block-list/effect-report.ts";
import { counted } from "../printable.ts";
import type { Effect } from "./host-watch.ts";

/** Silent hosts that are named; of the others there is the number. */
const MAX_NAMED = 10;

/** `allowed on 2/3 hosts in 4 ms; host-c not heard for 12s`. */
export function describeEffect(verb: string, effect: Effect): string {
  const { hosts, missing, silent, durationMs } = effect;
  const known = hosts.length + missing.length + silent.length;
  const noun = known === 1 ? "host" : "hosts";
  const done = `${verb} on ${hosts.length}/${known} ${noun} in ${durationMs} ms`;
  const more = silent.length - MAX_NAMED;
  return [
    done,
    ...silent.slice(0, MAX_NAMED).map(describeSilence),
    ...(more > 0 ? [`${more} more hosts not heard`] : []),
  ].join("; ");
}

/** Throws where a host has not done it. */
export function requireEffect(
  { hosts, missing, silent }: Effect,
  { timeoutSeconds }: { readonly timeoutSeconds: number },
): void {
  if (hosts.length === 0 && missing.length + silent.length === 0) {
    const detail = "no enforcer is heard; a host follows when its enforcer is there";
    throw new CliError("NOT_APPLIED", detail);
  }
  if (missing.length > 0) {
    const who = listNames(missing);
    const detail = `${counted(missing.length, "host")} did not confirm within ${timeoutSeconds} s: ${who}`;
    throw new CliError("NOT_APPLIED", detail);
  }
  if (silent.length > 0) {
    const detail = `${counted(silent.length, "host")} did not confirm, and will follow when heard again`;
    throw new CliError("NOT_APPLIED", detail);
  }
}
