import type { Verdict } from "@packetwatch/contracts";
import { jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { print } from "../terminal.ts";
import { describeEffect, type Effect, isWhole } from "./effect-report.ts";

export type PrintEffectOptions = {
  readonly effect: Effect;
  readonly verdicts: readonly Verdict[];
  readonly flags: { readonly wait: number | false; readonly json?: true };
};

/** Prints what became of verdicts, and sets the exit code: some host has not confirmed. */
export function printEffect({ effect, verdicts, flags }: PrintEffectOptions): void {
  const isAwaited = flags.wait !== false;
  if (flags.json) print(jsonText(toJson(effect, verdicts)));
  else print(isAwaited ? describeEffect(effect) : describePublished(effect));
  if (isAwaited && !isWhole(effect)) process.exitCode = exitCodes.failed;
}

function describePublished({ kind, sources }: Effect): string {
  const what = sources === 1 ? "1 verdict" : `${sources} verdicts`;
  return `published ${what}: ${kind}; not waiting for the hosts`;
}

function toJson(effect: Effect, verdicts: readonly Verdict[]): object {
  const { kind, sources: _count, waitedMs: _waited, ...hosts } = effect;
  return { kind, sources: verdicts.map(({ source }) => source), ...hosts };
}
