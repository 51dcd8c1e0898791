import type { Verdict } from "@packetwatch/contracts";
import { describeEffect, type Effect, effectJson } from "../hosts/effect.ts";
import { reportEffect } from "../hosts/report-effect.ts";
import { counted, jsonText } from "../printable.ts";
import { print } from "../terminal.ts";

export type PrintEffectOptions = {
  readonly effect: Effect;
  /** All of one kind. */
  readonly verdicts: readonly Verdict[];
  readonly flags: { readonly wait: number | false; readonly json?: true };
};

/** Prints what became of verdicts, and sets the exit code: some host has not confirmed. */
export function printEffect({ effect, verdicts, flags }: PrintEffectOptions): void {
  const kind = verdicts[0]?.kind ?? "block";
  const json = flags.json && { kind, sources: verdicts.map(({ source }) => source) };
  if (flags.wait !== false) {
    const words = { verb: verbOf(kind, verdicts.length), map: "block map (PW_BLOCKED_ENTRIES)" };
    return reportEffect(effect, { text: describeEffect(words, effect), json });
  }
  const text = `published ${counted(verdicts.length, "verdict")}: ${kind}; not waiting for the hosts`;
  print(json ? jsonText({ ...json, ...effectJson(effect) }) : text);
}

/** `blocked`, `16 sources lifted`. */
function verbOf(kind: Verdict["kind"], sources: number): string {
  const verb = kind === "block" ? "blocked" : "lifted";
  return sources === 1 ? verb : `${counted(sources, "source")} ${verb}`;
}
