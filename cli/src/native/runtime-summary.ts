import { type NativeSettings } from "./native-settings.ts";
import { NATS_SERVER, serviceNames } from "./programs.ts";
import { runLayout } from "./run-layout.ts";
import { type ReadyMessage } from "./supervisor-handle.ts";

/** What runs, and where its logs and metrics are. */
export function describeRuntime(settings: NativeSettings, ready: ReadyMessage): string {
  const modes = new Map(ready.modes);
  const attached = settings.interfaces.map(
    (name) => `${name} (${modes.get(name) ?? "mode: see the log of capture"})`,
  );
  const names = settings.ownNatsPort === undefined ? serviceNames : [NATS_SERVER, ...serviceNames];
  return [
    `running: ${names.join(", ")}`,
    `xdp:     ${attached.join(", ")}`,
    `nats:    ${withoutCredentials(settings.natsUrl)}`,
    `metrics: ${settings.metricsUrl}`,
    `logs:    ${runLayout(settings.runDir).logFile("<name>")}`,
  ].join("\n");
}

function withoutCredentials(urls: string): string {
  return urls.replaceAll(/\/\/[^@/,]*@/g, "//");
}
