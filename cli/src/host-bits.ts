import {
  formatAddress,
  formatPrefix,
  maskAddress,
  parsePrefix,
  type Prefix,
  sameAddress,
} from "@packetwatch/net";
import { CliError } from "./cli-error.ts";

/** `10.1.2.3/16` is a slip more often than 65,536 addresses. Throws CliError: BAD_SOURCE. */
export function requireNoHostBits(text: string, prefix: Prefix): void {
  if (!text.includes("/")) return;
  const given = parsePrefix(text.split("/")[0] ?? "").words;
  if (sameAddress(given, maskAddress(given, prefix.bits))) return;
  const detail = `${text} is an address within ${formatPrefix(prefix)}: name that, or ${formatAddress(given)} alone`;
  throw new CliError("BAD_SOURCE", detail);
}
