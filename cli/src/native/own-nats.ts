/** The NATS of the native runtime: its keys, its configuration, its streams. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { connectBus, provisionStreams } from "@packetwatch/bus";
import { loadConfig } from "@packetwatch/config";
import { streamSpecs } from "@packetwatch/contracts";
import { streamSizes } from "@packetwatch/detection";
import type { Logger } from "@packetwatch/runtime";
import { KeyFolder } from "../keys/key-folder.ts";
import { NativeError } from "./native-error.ts";
import { type NativeSettings } from "./native-settings.ts";
import { runLayout } from "./run-layout.ts";

const PROVISION_TIMEOUT_MS = 30_000;

/** Makes the keys that are missing, and the configuration that knows them. */
export function prepareNats({ repository, runDir }: NativeSettings): void {
  const layout = runLayout(runDir);
  const keys = new KeyFolder(layout.keys);
  keys.init();
  const included = [path.join(repository, "deploy/nats/native.conf"), keys.accountsFile];
  writeFileSync(layout.natsConfig, included.map(includeFrom(runDir)).join("\n"));
}

/** nats-server looks for included files from the folder of the file that includes them. */
function includeFrom(folder: string) {
  return (file: string) => `include ${JSON.stringify(path.relative(folder, file))}\n`;
}

export type ProvisionParts = { readonly logger: Logger; readonly signal: AbortSignal };

/** With the key that may: no service has it. */
export async function provisionOwnNats(
  { runDir, natsUrl, environment }: NativeSettings,
  { logger, signal: stop }: ProvisionParts,
): Promise<void> {
  const late = AbortSignal.timeout(PROVISION_TIMEOUT_MS);
  const signal = AbortSignal.any([stop, late]);
  const access = { nkeyFile: runLayout(runDir).seedFile("provisioner") };
  const specs = streamSpecs(streamSizes(loadConfig("cli", environment)));
  try {
    const servers = [natsUrl];
    const bus = await connectBus({ servers, access, name: "packetwatch up", logger, signal });
    try {
      await provisionStreams(bus, specs, { logger, signal, whenForbidden: "fail" });
    } finally {
      await bus.close();
    }
  } catch (cause) {
    if (stop.aborted) return;
    const why = late.aborted
      ? `nothing came of it within ${PROVISION_TIMEOUT_MS / 1000} s`
      : (cause as Error).message;
    const wayOut = `the log of nats-server is ${runLayout(runDir).logFile("nats-server")}`;
    throw new NativeError("START_FAILED", `provision the streams: ${why}; ${wayOut}`, { cause });
  }
}
