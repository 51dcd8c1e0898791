import type { HostState } from "@packetwatch/contracts";
import { describeEffect, type Effect } from "../hosts/effect.ts";
import type { Settled } from "../hosts/host-watch.ts";
import { reportEffect } from "../hosts/report-effect.ts";

/** What a host did with a change of the allow list, by the change's sequence. */
export function settledAs(
  { allowlistSequence, refused, interfaces }: HostState,
  sequence: number,
): Settled {
  if (allowlistSequence < sequence) return undefined;
  if (interfaces.length === 0) return "idle";
  return refused > 0 ? "full" : "done";
}

export type AllowReport = {
  readonly verb: "allowed" | "removed";
  readonly prefix: string;
  readonly flags: { readonly json?: true };
};

export function reportAllowEffect(effect: Effect, { verb, prefix, flags }: AllowReport): void {
  const words = { verb, map: "allow map (PW_ALLOWED_ENTRIES)" };
  const text = `${prefix}: ${describeEffect(words, effect)}`;
  reportEffect(effect, { text, json: flags.json && { prefix } });
}
