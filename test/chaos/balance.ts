import type { MetricsPage } from "../support/metrics-page.ts";
import { type Attempt, missingFrom, nameOf, scanningSources, sourceOf } from "./attempts.ts";
import type { Visits } from "./benign-clients.ts";
import type { ChaosSite } from "./chaos-site.ts";
import { type HostBooks, lostOf, readHostBooks } from "./host-books.ts";
import type { MadeScan } from "./run-schedule.ts";
import { definition, readPage } from "./settle.ts";

/** tcpdump's clock reads a little later than XDP's: what is this close to the window's edge may be either. */
const EDGE_US = 100_000;
const SHOWN = 5;

/** All that is known of a host when everything is over. */
export type HostEvidence = {
  readonly name: string;
  readonly books: HostBooks;
  /** What XDP let pass, and what of it reached the stream. */
  readonly witnessed: readonly Attempt[];
  readonly streamed: readonly Attempt[];
};

export type Evidence = {
  readonly hosts: readonly HostEvidence[];
  readonly scans: readonly MadeScan[];
  readonly visits: Visits;
  readonly benign: ReadonlySet<string>;
  /** Sources that have scanned, by what passed XDP and by what reached the stream. */
  readonly seen: ReadonlySet<string>;
  readonly judged: ReadonlySet<string>;
  readonly verdicts: ReadonlySet<string>;
  readonly page: MetricsPage;
};

/** Ends the witnesses and reads everybody's books; nothing may be under way any more. */
export async function gatherEvidence(
  site: ChaosSite,
  scans: readonly MadeScan[],
  visits: Visits,
): Promise<Evidence> {
  const hosts: HostEvidence[] = [];
  for (const { name, host, witness } of site.hosts) {
    const witnessed = await witness.conclude();
    const streamed = site.record.of(name);
    hosts.push({ name, books: readHostBooks(host), witnessed, streamed });
  }
  const witnessed = hosts.flatMap((host) => host.witnessed);
  const certain = { ...definition, windowUs: definition.windowUs - EDGE_US };
  const verdicts = site.verdicts.verdicts.map(({ verdict }) => verdict.source.split("/")[0] ?? "");
  return {
    hosts,
    scans,
    visits,
    benign: new Set(site.plans.map(({ source }) => sourceOf(source))),
    seen: scanningSources(witnessed, certain),
    judged: scanningSources(site.record.all, definition),
    verdicts: new Set(verdicts),
    page: await readPage(),
  };
}

/** Everything that is not as it must be. */
export function findImbalances(evidence: Evidence): readonly string[] {
  return [
    ...evidence.hosts.flatMap((host) => [
      ...kernelImbalances(host),
      ...streamImbalances(host),
      ...blockImbalances(host, evidence),
      ...pageImbalances(host, evidence.page),
    ]),
    ...scanImbalances(evidence),
    ...benignImbalances(evidence),
  ];
}

function equal(what: string, actual: number | undefined, expected: number): readonly string[] {
  return actual === expected ? [] : [`${what}: ${actual}, not ${expected}`];
}

/** Every SYN that was seen was dropped or passed; every one that passed was written to the ring, or counted. */
function kernelImbalances({ name, books, witnessed }: HostEvidence): readonly string[] {
  const { synIpv4, synIpv6, reported, ringFull, dropped, thinned } = books.counters;
  const droppedBySource = [...books.blocked.values()].reduce((sum, count) => sum + count, 0);
  return [
    ...equal(
      `${name}: reported + ring_full + dropped + thinned`,
      reported + ringFull + dropped + thinned,
      synIpv4 + synIpv6,
    ),
    ...equal(
      `${name}: SYNs that tcpdump saw pass`,
      witnessed.length,
      reported + ringFull + thinned,
    ),
    ...equal(`${name}: drops of all blocked sources`, droppedBySource, dropped),
    ...equal(`${name}: records read and waiting`, books.read + books.waiting, reported),
    ...equal(`${name}: published + lost`, books.ledger.published + lostOf(books), books.read),
  ];
}

/**
 * The stream holds what passed, less what is counted as lost: to the unit, but
 * for what was on its way when a capture was killed, which may be there.
 */
function streamImbalances({ name, books, witnessed, streamed }: HostEvidence): readonly string[] {
  const lost = books.counters.ringFull + lostOf(books);
  const surelyLost = lost - books.ledger.crash;
  const missing = missingFrom(streamed, witnessed).length;
  const invented = missingFrom(witnessed, streamed);
  return [
    ...(missing > lost ? [`${name}: ${missing} SYNs are missing, ${lost} counted as lost`] : []),
    ...(missing < surelyLost
      ? [`${name}: ${missing} SYNs are missing, ${surelyLost} counted as lost for certain`]
      : []),
    ...sample(`${name}: in the stream, and never passed or passed once less`, invented.map(nameOf)),
  ];
}

/** Each host blocks those who have scanned, by what is in the stream, and nobody else. */
function blockImbalances({ name, books }: HostEvidence, { judged }: Evidence): readonly string[] {
  const blocked = new Set(books.blocked.keys());
  return [
    ...sample(`${name}: scanned and not blocked`, without(judged, blocked)),
    ...sample(`${name}: blocked and has not scanned`, without(blocked, judged)),
  ];
}

/** What Prometheus is told is what the maps say, however often who told it was killed. */
function pageImbalances({ name, books }: HostEvidence, page: MetricsPage): readonly string[] {
  const { reported, ringFull, dropped } = books.counters;
  const expected = {
    packetwatch_syn_reported_total: reported,
    packetwatch_syn_ring_full_total: ringFull,
    packetwatch_syn_dropped_total: dropped,
    packetwatch_syn_published_total: books.ledger.published,
    packetwatch_syn_lost_total: lostOf(books),
  };
  const label = `host="${name}"`;
  return Object.entries(expected).flatMap(([metric, value]) => {
    const series = [...page].filter(([key]) => key.startsWith(`${metric}{`) && key.includes(label));
    const actual = series.reduce((sum, [, count]) => sum + count, 0);
    return equal(`${metric} of ${name}`, actual, value);
  });
}

function scanImbalances(evidence: Evidence): readonly string[] {
  const { seen, judged, verdicts, page } = evidence;
  const lostScans = lostScansOf(evidence);
  const lostSyns = evidence.hosts.reduce(
    (sum, { books }) => sum + books.counters.ringFull + lostOf(books),
    0,
  );
  const total = evidence.hosts.reduce(
    (sum, { books }) => sum + books.counters.synIpv4 + books.counters.synIpv6,
    0,
  );
  return [
    ...(lostScans.length > lostSyns ? sample("scanned, and no loss explains it", lostScans) : []),
    ...sample("judged a scanner, and did not scan", without(judged, seenAtAll(evidence))),
    ...sample("scanned and has no verdict", without(judged, verdicts)),
    ...sample("has a verdict and has not scanned", without(verdicts, judged)),
    ...(seen.size === 0 ? ["nobody has scanned: this run shows nothing"] : []),
    ...equal("conn_count_total", page.get("conn_count_total"), total),
  ];
}

/** Sources that scanned before a witness, and of which too little reached the stream. */
export function lostScansOf({ seen, judged }: Evidence): readonly string[] {
  return without(seen, judged);
}

/** With the window's edge in their disfavour. */
function seenAtAll({ hosts }: Evidence): ReadonlySet<string> {
  const generous = { ...definition, windowUs: definition.windowUs + EDGE_US };
  return scanningSources(
    hosts.flatMap(({ witnessed }) => witnessed),
    generous,
  );
}

function benignImbalances(evidence: Evidence): readonly string[] {
  const { benign, visits, verdicts, hosts } = evidence;
  const isBenign = (source: string) => benign.has(source);
  return [
    ...sample("a benign connection failed", visits.failures),
    ...sample("a benign client has a verdict", [...verdicts].filter(isBenign)),
    ...sample("a benign client is no benign client", [...seenAtAll(evidence)].filter(isBenign)),
    ...hosts.flatMap(({ name, books }) =>
      sample(`${name}: a benign client is blocked`, [...books.blocked.keys()].filter(isBenign)),
    ),
  ];
}

function without(sources: ReadonlySet<string>, others: ReadonlySet<string>): readonly string[] {
  return [...sources].filter((source) => !others.has(source));
}

function sample(what: string, items: readonly string[]): readonly string[] {
  if (items.length === 0) return [];
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : "";
  return [`${what}: ${items.slice(0, SHOWN).join(", ")}${more}`];
}
