import type { Bus } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import { withBus } from "../block-list/with-bus.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { counted, jsonText, printable } from "../printable.ts";
import { complain, print } from "../terminal.ts";
import { type AllowedRow, createAllowedRows } from "./allowed-rows.ts";
import { renderAllowedRows, rowJson } from "./allow-text.ts";
import { readAllowEntries } from "./read-allow-entries.ts";

export type ListFlags = { readonly timeout: number; readonly json?: true };

export async function listAllowed(flags: ListFlags, from: Environment): Promise<void> {
  const { rows, hosts, nowUs } = await readAllowed(flags.timeout, from);
  if (!flags.json) return print(renderAllowedRows(rows, { hosts, nowUs }));
  for (const row of rows) print(jsonText(rowJson(row)));
}

export type Allowed = {
  readonly rows: readonly AllowedRow[];
  /** Hosts that are heard. */
  readonly hosts: number;
  readonly nowUs: number;
};

/** What is allowed now; says on standard error what it can't know. */
export async function readAllowed(timeoutSeconds: number, from: Environment): Promise<Allowed> {
  const config = loadConfig("cli", from);
  const timeoutMs = timeoutSeconds * 1000;
  const work = (bus: Bus) => read(bus, timeoutMs);
  return withBus({ config, command: "allow", timeoutMs, work });
}

async function read(bus: Bus, timeoutMs: number): Promise<Allowed> {
  const watch = await HostWatch.open(bus, timeoutMs);
  try {
    const entries = await readAllowEntries(bus, timeoutMs);
    const nowUs = Date.now() * 1000;
    const hosts = watch.live;
    for (const { host, silentSeconds } of watch.silent) {
      complain(
        `${printable(host)} is not heard for ${silentSeconds} s; what it allows is left out`,
      );
    }
    for (const { host, refused, omitted } of hosts) {
      if (refused > 0) {
        const count = counted(refused, "entry");
        complain(`${printable(host)} had no room for ${count} (PW_ALLOWED_ENTRIES)`);
      }
      if (omitted > 0) complain(`${printable(host)} has ${omitted} more of its own`);
    }
    return { rows: createAllowedRows({ entries, hosts, nowUs }), hosts: hosts.length, nowUs };
  } finally {
    watch.close();
  }
}
