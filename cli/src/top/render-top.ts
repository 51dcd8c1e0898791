import { formatDuration } from "../duration.ts";
import { counted } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { IsoTime, LocalTime } from "../tail/time-text.ts";
import { type HeavyHitters, MAX_DISTINCT, type SortKey } from "./heavy-hitters.ts";

export type Snapshot = {
  readonly hitters: HeavyHitters;
  readonly hosts: number;
  /** How long this interval was. */
  readonly seconds: number;
  readonly nowUs: number;
  readonly sort: SortKey;
  readonly limit: number;
};

export function renderTop(snapshot: Snapshot): string {
  const { hitters, hosts, seconds, nowUs, sort, limit } = snapshot;
  const time = new LocalTime();
  const rows = hitters
    .rows(sort, limit)
    .map(({ source, recent, total, ports, destinations, lastUs }) => [
      source,
      rateText(recent / seconds),
      String(total),
      distinctText(ports),
      distinctText(destinations),
      time.format(lastUs),
    ]);
  const rate = rateText(hitters.recent / seconds);
  const head = `${time.format(nowUs)}  ${rate} attempts/s within ${formatDuration(seconds)}, ${counted(hitters.sources, "source")}, ${counted(hosts, "host")}`;
  const error = hitters.maxError;
  return [
    head,
    ...(error > 0
      ? [`approximate: totals are at most ${error} too low, smaller sources left`]
      : []),
    "",
    rows.length === 0
      ? "no attempts yet; what kernels drop is not shown"
      : renderTable([["SOURCE", "RATE/S", "TOTAL", "PORTS", "DESTINATIONS", "LAST"], ...rows]),
  ].join("\n");
}

/** One object: the same, for scripts. */
export function jsonTop({ hitters, hosts, seconds, nowUs, sort, limit }: Snapshot): object {
  const time = new IsoTime();
  return {
    time: time.format(nowUs),
    seconds,
    attempts: hitters.recent,
    attemptsPerSecond: hitters.recent / seconds,
    sources: hitters.sources,
    hosts,
    maxError: hitters.maxError,
    top: hitters.rows(sort, limit).map((row) => ({
      source: row.source,
      perSecond: row.recent / seconds,
      total: row.total,
      ports: row.ports,
      destinations: row.destinations,
      last: time.format(row.lastUs),
    })),
  };
}

function rateText(rate: number): string {
  return rate < 10 ? String(Number(rate.toFixed(1))) : String(Math.round(rate));
}

function distinctText(count: number): string {
  return count === MAX_DISTINCT ? `${MAX_DISTINCT}+` : String(count);
}
