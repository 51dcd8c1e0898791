import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import path from "node:path";

/** Of a connection table so much is read; a host with more of them is busy enough. */
const MAX_TABLE_BYTES = 8 * 1024 ** 2;
const CHUNK_BYTES = 64 * 1024;
/** Sessions that are looked at. */
const MAX_SESSIONS = 1024;

/** The files that tell a host's gateways, resolvers and logins. */
export const hostFiles = {
  ipv4Routes: "/proc/net/route",
  ipv6Routes: "/proc/net/ipv6_route",
  resolvers: "/etc/resolv.conf",
  /** Behind the stub 127.0.0.53 of systemd-resolved: the servers that it asks. */
  upstreams: "/run/systemd/resolve/resolv.conf",
  utmp: "/run/utmp",
  sessions: "/run/systemd/sessions",
  tcp: "/proc/net/tcp",
  tcp6: "/proc/net/tcp6",
} as const;

/** Empty where the file isn't there: a host without IPv6, without systemd, a container without utmp. */
export function readText(file: string): string {
  return readBytes(file).toString("utf8");
}

export function readBytes(file: string): Buffer {
  return orIfMissing(() => readFileSync(file), Buffer.alloc(0));
}

/** The texts of all session files. */
export function readSessions(folder: string): readonly string[] {
  const names = orIfMissing(() => readdirSync(folder, { withFileTypes: true }), []);
  return names
    .filter((entry) => entry.isFile())
    .slice(0, MAX_SESSIONS)
    .map(({ name }) => readText(path.join(folder, name)));
}

/** A table of /proc; undefined where it is too long to be read every few seconds. */
export function readTable(file: string): string | undefined {
  const fd = orIfMissing(() => openSync(file, "r"), undefined);
  if (fd === undefined) return "";
  try {
    return readWhole(fd);
  } finally {
    closeSync(fd);
  }
}

function readWhole(fd: number): string | undefined {
  const chunks: Buffer[] = [];
  for (let total = 0; total <= MAX_TABLE_BYTES;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const bytes = readSync(fd, chunk);
    if (bytes === 0) return Buffer.concat(chunks).toString("latin1");
    chunks.push(chunk.subarray(0, bytes));
    total += bytes;
  }
  return undefined;
}

/** Also what may not be read is not there for us: utmp is world-readable, a policy may say otherwise. */
function orIfMissing<T, U>(read: () => T, missing: U): T | U {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(code ?? "")) return missing;
    throw error;
  }
}
