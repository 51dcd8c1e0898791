import { SHARD_COUNT } from "@packetwatch/net";
import { waitUntil } from "../support/eventually.ts";
import { type MetricsPage, metricTotal, readMetrics } from "../support/metrics-page.ts";
import { scanningSources } from "./attempts.ts";
import { type ChaosSite, METRICS_PORT } from "./chaos-site.ts";
import { inFlightOf, readHostBooks } from "./host-books.ts";
import { WINDOW_SECONDS } from "./scanners.ts";

/** Long enough for members that died to be forgotten, and for a machine that is busy. */
const SETTLE_TIMEOUT_MS = 90_000;

/** The rule `vertical` as it is set here. */
export const definition = { threshold: 3, windowUs: WINDOW_SECONDS * 1e6 };

const metricsUrl = `http://127.0.0.1:${METRICS_PORT}/metrics`;

export function readPage(): Promise<MetricsPage> {
  return readMetrics(metricsUrl);
}

/** Everything runs again and nothing new comes: waits until there is nothing left to do. Returns what is still open. */
export async function settle(site: ChaosSite): Promise<readonly string[]> {
  let open: readonly string[] = [];
  const isSettled = async () => {
    open = [...unread(site), ...unblocked(site)];
    // The page is asked last: it is a second old.
    if (open.length === 0) open = await unfinished();
    return open.length === 0;
  };
  const what = "everything to settle";
  try {
    await waitUntil(isSettled, { timeoutMs: SETTLE_TIMEOUT_MS, what });
    return [];
  } catch (error) {
    return open.length > 0 ? open : [String((error as Error).cause ?? error)];
  }
}

/** Attempts that are on their way from a ring to the stream. */
function unread({ hosts, record }: ChaosSite): readonly string[] {
  const open: string[] = [];
  let published = 0;
  for (const { name, host } of hosts) {
    const books = readHostBooks(host);
    published += books.ledger.published;
    if (books.waiting > 0) open.push(`${name}: ${books.waiting} records wait in the ring`);
    const inFlight = inFlightOf(books);
    if (inFlight !== 0) open.push(`${name}: ${inFlight} records are read and not accounted for`);
  }
  if (record.total < published) {
    open.push(`${published} records are acknowledged, ${record.total} are in the stream`);
  }
  return open;
}

/** Sources that the stream shows to have scanned, and that a host lets through. */
function unblocked({ hosts, record }: ChaosSite): readonly string[] {
  const scanning = scanningSources(record.all, definition);
  return hosts.flatMap(({ name, host }) => {
    const { blocked } = readHostBooks(host);
    const missing = [...scanning].filter((source) => !blocked.has(source));
    return missing.map((source) => `${name}: ${source} has scanned and is not blocked`);
  });
}

/** What detectors and enforcers have not taken in yet. */
async function unfinished(): Promise<readonly string[]> {
  const page = await readPage();
  const expected = {
    packetwatch_detector_owned_shards: SHARD_COUNT,
    packetwatch_detector_lag_messages: 0,
    packetwatch_enforcer_behind_messages: 0,
  };
  return Object.entries(expected)
    .map(([name, value]) => ({ name, value, actual: metricTotal(page, name) }))
    .filter(({ value, actual }) => actual !== value)
    .map(({ name, value, actual }) => `${name} is ${actual}, not ${value}`);
}
