import type { Environment } from "@packetwatch/config";
import { type AddressWords, formatAddress } from "@packetwatch/net";
import { CliError } from "../cli-error.ts";
import { counted, jsonText } from "../printable.ts";
import { print } from "../terminal.ts";
import { type AllowedRow, rowsCovering } from "./allowed-rows.ts";
import { describeCover, rowJson } from "./allow-text.ts";
import { readAllowed } from "./list-allowed.ts";

export type CheckFlags = { readonly timeout: number; readonly json?: true };

export async function checkAllowed(
  address: AddressWords,
  flags: CheckFlags,
  from: Environment,
): Promise<void> {
  const { rows, hosts, nowUs } = await readAllowed(flags.timeout, from);
  const covering = rowsCovering(rows, address);
  const text = formatAddress(address);
  const allowing = countHosts(covering);
  if (flags.json) {
    print(jsonText({ address: text, hosts, allowing, entries: covering.map(rowJson) }));
  } else if (covering.length > 0) {
    print(`${text} is allowed on ${allowing}/${counted(hosts, "host")} by`);
    for (const row of covering) print(`  ${describeCover(row, { hosts, nowUs })}`);
  }
  if (allowing === hosts && hosts > 0) return;
  const where = allowing === 0 ? "on no host" : `only on ${allowing} of ${counted(hosts, "host")}`;
  throw new CliError("NOT_ALLOWED", `${text} is allowed ${where} that is heard`);
}

function countHosts(rows: readonly AllowedRow[]): number {
  return new Set(rows.flatMap(({ hosts }) => hosts)).size;
}
