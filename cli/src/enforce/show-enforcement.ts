import type { Bus } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import type { HostState } from "@packetwatch/contracts";
import { withBus } from "../block-list/with-bus.ts";
import { formatDuration } from "../duration.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { jsonText, printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { IsoTime } from "../tail/time-text.ts";
import { complain, print } from "../terminal.ts";

export type ShowFlags = { readonly timeout: number; readonly json?: true };

export async function showEnforcement(flags: ShowFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const work = (bus: Bus) => readHosts(bus, timeoutMs);
  const hosts = await withBus({ config, command: "enforce show", timeoutMs, work });
  if (!flags.json) return print(renderEnforcement(hosts, Date.now() * 1000));
  const time = new IsoTime();
  for (const { host, enforcing, enforcedBy, trialUntilUs } of hosts) {
    const trialUntil = trialUntilUs === null ? null : time.format(trialUntilUs);
    print(jsonText({ host, enforcing, enforcedBy, trialUntil, trialUntilUs }));
  }
}

async function readHosts(bus: Bus, timeoutMs: number): Promise<readonly HostState[]> {
  const watch = await HostWatch.open(bus, timeoutMs);
  try {
    for (const { host, silentSeconds } of watch.silent) {
      complain(`${printable(host)} is not heard for ${silentSeconds} s`);
    }
    return watch.live;
  } finally {
    watch.close();
  }
}

export function renderEnforcement(hosts: readonly HostState[], nowUs: number): string {
  if (hosts.length === 0) return "no enforcer is heard";
  const rows = hosts.map(({ host, enforcing, enforcedBy, trialUntilUs }) => [
    printable(host),
    modeTexts[enforcing ?? "none"],
    enforcedBy === "variable" ? "PW_ENFORCE" : `set for the ${enforcedBy}`,
    trialUntilUs === null ? "" : formatDuration(Math.max(0, (trialUntilUs - nowUs) / 1e6)),
  ]);
  return renderTable([["HOST", "MODE", "DECIDED BY", "GOES BACK IN"], ...rows]);
}

const modeTexts = {
  on: "dropping",
  off: "dry run",
  none: "no XDP program yet",
} as const;
