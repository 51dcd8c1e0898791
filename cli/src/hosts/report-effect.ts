import { jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { print } from "../terminal.ts";
import { type Effect, effectJson, isWhole } from "./effect.ts";

export type EffectReport = {
  readonly text: string;
  /** What JSON says besides the hosts; undefined: no JSON was asked for. */
  readonly json: object | undefined;
};

/** Prints what became of a change, and sets the exit code: some host has not confirmed. */
export function reportEffect(effect: Effect, { text, json }: EffectReport): void {
  print(json ? jsonText({ ...json, ...effectJson(effect) }) : text);
  if (!isWhole(effect)) process.exitCode = exitCodes.failed;
}
