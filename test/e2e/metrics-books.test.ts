import { SYN_RING_BYTES } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { type MetricsPage, metricTotal, readMetrics } from "../support/metrics-page.ts";
import { freePort } from "../support/nats.ts";
import { type Site, startSite } from "./site.ts";

const SETTLE_TIMEOUT_MS = 60_000;
/** As fast as hping3 sends, from addresses at random: none of them scans. */
const FLOOD = ["-q", "-S", "-i", "u10", "--rand-source", "-p", "++1"];
const FLOOD_PACKETS = 20_000;
/** One source that goes on after it is blocked. */
const SCANNER = "198.19.0.200";
const SCAN_PACKETS = 3000;
const HAMMERER = "198.19.0.201";
const HAMMER_PACKETS = 3000;

const cleanup = new Cleanup();
let site: Site;
let url: string;

/** A ring and a buffer so small that a flood is more than they hold. */
beforeAll(async () => {
  const settings = { PW_RING_BYTES: "64KiB", PW_PUBLISH_BUFFER_BYTES: "1MiB" };
  site = await startSite(cleanup, { settings });
  const port = String(await freePort());
  url = `http://127.0.0.1:${port}/metrics`;
  await site.fleet.start("metrics", { PW_PROMETHEUS_PORT: port });
});
afterAll(() => cleanup.run());

function flood(): void {
  send([...FLOOD, "-c", String(FLOOD_PACKETS)]);
}

function scan(): void {
  send(["-q", "-S", "-i", "u500", "-a", SCANNER, "-p", "++1", "-c", String(SCAN_PACKETS)]);
}

/** The same port again and again, which a crowded ring has no room for. */
function hammer(): void {
  send(["-q", "-S", "-i", "u10", "-a", HAMMERER, "-p", "80", "-c", String(HAMMER_PACKETS)]);
}

/** hping3 ends with 1 where no answer came, as for addresses that aren't its own. */
function send(args: readonly string[]): void {
  site.visitor.run("sh", ["-c", `hping3 ${args.join(" ")} ${site.address} || test $? = 1`]);
}

type Entry = { readonly stage: string; readonly came: number; readonly went: number };

/** What came to each stage and what became of it, by the names on the page alone. */
function booksOf(page: MetricsPage): readonly Entry[] {
  const of = (name: string) => metricTotal(page, `packetwatch_${name}`) ?? Number.NaN;
  const by = (name: string, label: string) =>
    page.get(`packetwatch_${name}{host="host",${label}}`) ?? 0;
  const waiting = of("capture_ring_used_bytes") / SYN_RING_BYTES;
  const buffered = of("capture_buffered_records");
  const applied = ["blocked", "spared", "failed"].map((action) =>
    by("enforcer_applied_total", `action="${action}"`),
  );
  return [
    {
      stage: "program: seen is passed or dropped",
      came: of("syn_seen_total"),
      went: of("syn_passed_total") + of("syn_dropped_total"),
    },
    {
      stage: "ring: passed is reported, thinned or found it full",
      came: of("syn_passed_total"),
      went: of("syn_reported_total") + of("syn_thinned_total") + of("syn_ring_full_total"),
    },
    {
      stage: "host: reported is published, lost by reason, or waits",
      came: of("syn_reported_total"),
      went: of("syn_published_total") + of("syn_lost_total") + waiting + buffered,
    },
    {
      stage: "capture: read is published, dropped by reason, or waits",
      came: of("capture_records_total"),
      went: of("capture_published_records_total") + of("capture_dropped_records_total") + buffered,
    },
    {
      stage: "detector: published is judged, and nothing waits",
      came: of("syn_published_total") + of("detector_lag_messages"),
      went: of("detector_events_total"),
    },
    {
      stage: "enforcer: a block is applied, spared or failed, and nothing waits",
      came: of("detector_verdicts_total") + of("enforcer_behind_messages"),
      went: applied.reduce((sum, count) => sum + count, 0),
    },
    {
      stage: "conn_count_total is what was seen",
      came: of("syn_seen_total"),
      went: metricTotal(page, "conn_count_total") ?? Number.NaN,
    },
  ];
}

/** The first page on which every stage balances, with at least so many attempts seen; else what doesn't. */
async function balanced(seenAtLeast: number): Promise<MetricsPage> {
  let open: readonly Entry[] = [];
  const read = async () => {
    const page = await readMetrics(url);
    open = booksOf(page).filter(({ came, went }) => came !== went);
    const seen = metricTotal(page, "packetwatch_syn_seen_total") ?? 0;
    return open.length === 0 && seen >= seenAtLeast ? page : undefined;
  };
  try {
    return await waitUntil(read, { timeoutMs: SETTLE_TIMEOUT_MS, what: "the books to balance" });
  } catch (cause) {
    throw new Error(`${JSON.stringify(open, undefined, 2)}\n${site.host.tails}`, { cause });
  }
}

function lostBecause(page: MetricsPage, reason: string): number {
  const label = `reason="${reason}"`;
  const series = [...page].filter(
    ([key]) => key.startsWith("packetwatch_syn_lost_total") && key.includes(label),
  );
  return series.reduce((sum, [, value]) => sum + value, 0);
}

it("/metrics alone balances to the unit at every stage, through floods and blocks, while NATS and capture are stuck", async () => {
  flood();
  scan();
  await site.blocked(SCANNER);
  scan();
  const calm = await balanced(1);
  const dropped = metricTotal(calm, "packetwatch_syn_dropped_total") ?? 0;
  expect(dropped).toBeGreaterThanOrEqual(SCAN_PACKETS);

  await site.fleet.nats.pause();
  try {
    for (let round = 0; round < 6; round++) flood();
    site.host.service("capture").pause();
    hammer();
    flood();
  } finally {
    site.host.service("capture").resume();
    await site.fleet.nats.resume();
  }
  scan();
  const seenBefore = metricTotal(calm, "packetwatch_syn_seen_total") ?? 0;
  const page = await balanced(seenBefore + FLOOD_PACKETS);
  // Each way out was taken by somebody, so nothing balances for being zero.
  for (const name of ["ring_full", "thinned", "dropped", "published", "lost"]) {
    expect(metricTotal(page, `packetwatch_syn_${name}_total`), name).toBeGreaterThan(0);
  }
  expect(lostBecause(page, "buffer_full")).toBeGreaterThan(0);
  const told = booksOf(page).map(({ stage, came }) => `${stage}: ${came}`);
  console.log(
    [`ring full: ${metricTotal(page, "packetwatch_syn_ring_full_total")}`, ...told].join("\n"),
  );
});
