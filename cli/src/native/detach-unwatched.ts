import { loadConfig } from "@packetwatch/config";
import { detach } from "./detach.ts";
import { NativeError } from "./native-error.ts";
import { type NativeSettings } from "./native-settings.ts";
import { type RunLayout } from "./run-layout.ts";
import { readRuntimeRecord, recordedEnvironment } from "./runtime-record.ts";

export type UnwatchedOptions = {
  readonly entry: string;
  readonly settings: NativeSettings;
  readonly layout: RunLayout;
};

/**
 * Detaches what a run watched that did not end in good order, and this one
 * doesn't watch: its blocks would hold there with nobody to lift them. Throws
 * NativeError; the record is left as it was.
 */
export async function detachUnwatched({ entry, settings, layout }: UnwatchedOptions) {
  const record = readRuntimeRecord(layout);
  if (record === undefined) return;
  const environment = recordedEnvironment(settings.environment, record);
  const before = loadConfig("cli", environment);
  const now = loadConfig("cli", settings.environment);
  const kept = before.bpffsDir === now.bpffsDir ? now.interfaces : [];
  const unwatched = before.interfaces.filter((name) => !kept.includes(name)).join(",");
  if (unwatched === "") return;
  const detached = await detach({ entry, environment: { ...environment, PW_IFDEV: unwatched } });
  if (detached.ok) return;
  throw new NativeError(
    "START_FAILED",
    `an earlier run watched ${unwatched}: ${detached.message}; detach it with 'packetwatch detach', or start with it again`,
  );
}
