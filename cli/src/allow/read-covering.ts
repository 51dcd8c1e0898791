import type { Bus } from "@packetwatch/bus";
import type { HostState } from "@packetwatch/contracts";
import type { AddressWords } from "@packetwatch/net";
import { type AllowedRow, createAllowedRows, rowsCovering } from "./allowed-rows.ts";
import { readAllowEntries } from "./read-allow-entries.ts";

export type ReadCovering = {
  readonly bus: Bus;
  readonly address: AddressWords;
  /** Those that are heard. */
  readonly hosts: readonly HostState[];
  readonly timeoutMs: number;
};

/** What allows one address now. */
export async function readCovering(options: ReadCovering): Promise<readonly AllowedRow[]> {
  const { bus, address, hosts, timeoutMs } = options;
  const entries = await readAllowEntries(bus, timeoutMs);
  return rowsCovering(createAllowedRows({ entries, hosts, nowUs: Date.now() * 1000 }), address);
}
