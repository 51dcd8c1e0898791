import { endianness } from "node:os";
import { type AddressWords, formatAddress } from "@packetwatch/net";
import { hostFiles, readBytes, readSessions, readTable } from "./host-files.ts";
import { parseLogindSession, parseUtmp } from "./parse-logins.ts";
import { parseTcpPeers } from "./parse-tcp-peers.ts";

/**
 * Where people are logged in from now. utmp and logind say who has logged in,
 * the connection tables whether the connection still is there. A connection to
 * sshd alone proves nothing: a scanner that holds one open, without ever logging
 * in, would never be blocked.
 */
export function readLoginPeers(): readonly AddressWords[] {
  const logins = readLogins();
  // The tables may be long, and most hosts have nobody logged in.
  if (logins.length === 0) return [];
  const tables = [hostFiles.tcp, hostFiles.tcp6].map(readTable);
  return connectedLogins(logins, tables);
}

/** Of the logins those with a connection; all of them where a table is too long to be read. */
export function connectedLogins(
  logins: readonly AddressWords[],
  tables: readonly (string | undefined)[],
): readonly AddressWords[] {
  if (tables.includes(undefined)) return logins;
  const peers = new Set(
    tables.flatMap((table) => parseTcpPeers(table ?? "", endianness()).map(formatAddress)),
  );
  return logins.filter((login) => peers.has(formatAddress(login)));
}

function readLogins(): readonly AddressWords[] {
  const system = { arch: process.arch, endianness: endianness() };
  const sessions = readSessions(hostFiles.sessions).map(parseLogindSession);
  return [
    ...parseUtmp(readBytes(hostFiles.utmp), system),
    ...sessions.filter((address) => address !== undefined),
  ];
}
