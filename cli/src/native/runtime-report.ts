/** How `up` and `down` came out, for people and as JSON. */
import { type NativeSettings } from "./native-settings.ts";
import { NATS_SERVER, serviceNames } from "./programs.ts";
import { runLayout } from "./run-layout.ts";
import { type ReadyMessage } from "./supervisor-handle.ts";

export type RuntimeReport =
  | {
      readonly kind: "running";
      readonly runtime: "native";
      readonly programs: readonly string[];
      /** `mode` is null where only the log of capture says it. */
      readonly xdp: readonly { readonly interface: string; readonly mode: string | null }[];
      readonly nats: string;
      readonly metrics: string;
      readonly logs: string;
    }
  | {
      readonly kind: "already_running";
      readonly runDir: string;
      /** What it watches; none while it starts. */
      readonly interfaces: readonly string[];
    }
  | { readonly kind: "stopped"; readonly interfaces: readonly string[] }
  | { readonly kind: "nothing_running" };

/** What runs, and where its logs and metrics are. */
export function runningReport(settings: NativeSettings, ready: ReadyMessage): RuntimeReport {
  const modes = new Map(ready.modes);
  return {
    kind: "running",
    runtime: "native",
    programs: settings.ownNatsPort === undefined ? serviceNames : [NATS_SERVER, ...serviceNames],
    xdp: settings.interfaces.map((name) => ({ interface: name, mode: modes.get(name) ?? null })),
    nats: withoutCredentials(settings.natsUrl),
    metrics: settings.metricsUrl,
    logs: runLayout(settings.runDir).logFile("<name>"),
  };
}

export function describeReport(report: RuntimeReport): string {
  if (report.kind === "nothing_running") return "nothing is running";
  if (report.kind === "stopped") {
    const detached = report.interfaces.join(",");
    return detached === "" ? "stopped" : `stopped; XDP is detached from ${detached}`;
  }
  if (report.kind === "already_running") {
    const watched = report.interfaces.length === 0 ? "" : ` on ${report.interfaces.join(",")}`;
    return `already running${watched} (${report.runDir}); 'make stop' or 'packetwatch down' ends it, 'packetwatch tail' prints the table`;
  }
  const { programs, xdp, nats, metrics, logs } = report;
  const attached = xdp.map(
    ({ interface: name, mode }) => `${name} (${mode ?? "mode: see the log of capture"})`,
  );
  return [
    `running: ${programs.join(", ")}`,
    `xdp:     ${attached.join(", ")}`,
    `nats:    ${nats}`,
    `metrics: ${metrics}`,
    `logs:    ${logs}`,
  ].join("\n");
}

function withoutCredentials(urls: string): string {
  return urls.replaceAll(/\/\/[^@/,]*@/g, "//");
}
