/** What `up` leaves for `down`: the settings it ran with, so that the same interfaces are detached. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Environment } from "@packetwatch/config";
import { NativeError } from "./native-error.ts";
import { type RunLayout } from "./run-layout.ts";

const OWN_VARIABLE = /^PW_/;

/** Readable by root alone: variables may hold credentials. */
export function writeRuntimeRecord(layout: RunLayout, environment: Environment): void {
  const own = Object.entries(environment).filter(([name]) => OWN_VARIABLE.test(name));
  writeFileSync(
    layout.record,
    `${JSON.stringify({ environment: Object.fromEntries(own) }, undefined, 2)}\n`,
    { mode: 0o600 },
  );
}

/** The PW_ variables of the runtime that was started last; undefined when it was stopped in good order. */
export function readRuntimeRecord(layout: RunLayout): Environment | undefined {
  try {
    const record = JSON.parse(readFileSync(layout.record, "utf8")) as {
      readonly environment: Environment;
    };
    return record.environment;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new NativeError(
      "RECORD_DAMAGED",
      `read ${layout.record}: it is damaged; remove it and run 'packetwatch detach'`,
      { cause: error },
    );
  }
}

/** What its commands run with: of PW_ variables only those that it ran with itself. */
export function recordedEnvironment(environment: Environment, record: Environment): Environment {
  const others = Object.entries(environment).filter(([name]) => !OWN_VARIABLE.test(name));
  return { ...Object.fromEntries(others), ...record };
}

export function removeRuntimeRecord(layout: RunLayout): void {
  rmSync(layout.record, { force: true });
}
