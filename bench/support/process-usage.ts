import { readFileSync } from "node:fs";

/** USER_HZ, which /proc counts in, is 100 on all architectures that Node runs on. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** CPU seconds, user and system, of a process with all its threads. In hundredths. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field, the command, may hold spaces; it ends with the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Memory of a process that is resident, shared pages included. */
export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * PAGE_BYTES;
}

/** CPU seconds of several processes from now on; what it returns reads them, by name. */
export function watchCpu<Name extends string>(
  pids: Readonly<Record<Name, number>>,
): () => Record<Name, number> {
  const entries = Object.entries(pids) as [Name, number][];
  const before = new Map(entries.map(([name, pid]) => [name, cpuSeconds(pid)]));
  return () =>
    Object.fromEntries(
      entries.map(([name, pid]) => [name, cpuSeconds(pid) - (before.get(name) ?? 0)]),
    ) as Record<Name, number>;
}
