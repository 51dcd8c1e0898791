import type { TelemetryMetric } from "@packetwatch/contracts";
import type { HistogramDefinition, LabelValues, MetricDefinition } from "@packetwatch/telemetry";

/** Why a series, or a whole metric, is turned away. */
export type SeriesRejection =
  | "undeclared"
  | "wrong_service"
  | "wrong_type"
  | "bad_labels"
  | "bad_value"
  | "no_room";

/**
 * One label set of a metric. A counter or a gauge has one sample; a histogram
 * has its buckets (cumulative, +Inf last), then sum and count.
 */
export type Series = {
  /** Unique over all metrics. */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly samples: readonly number[];
};

export type SeriesOfMetric = {
  readonly series: readonly Series[];
  readonly rejections: readonly SeriesRejection[];
};

/** Who publishes the series. */
export type SeriesOrigin = {
  readonly service: string;
  readonly host: string;
  /** The labels of a series that was good in an earlier message of theirs, by its key. */
  readonly knownLabels: (key: string) => Series["labels"] | undefined;
};

type Value = TelemetryMetric["values"][number];
type Read = { readonly series: Series } | { readonly rejection: SeriesRejection };

/** The series of a metric that can be used; its own type, help and aggregator say nothing, the definition's do. */
export function readSeries(
  metric: TelemetryMetric,
  definition: MetricDefinition,
  origin: SeriesOrigin,
): SeriesOfMetric {
  if (metric.type !== definition.type) return { series: [], rejections: ["wrong_type"] };
  const all =
    definition.type === "histogram"
      ? readHistogram(metric, definition, origin)
      : metric.values.map((value) => readValue({ name: metric.name, value, definition, origin }));
  const series: Series[] = [];
  const rejections: SeriesRejection[] = [];
  for (const read of all) {
    if ("series" in read) series.push(read.series);
    else rejections.push(read.rejection);
  }
  return { series, rejections };
}

type ValueOfMetric = {
  readonly name: string;
  readonly value: Value;
  readonly definition: MetricDefinition;
  readonly origin: SeriesOrigin;
};

function readValue({ name, value, definition, origin }: ValueOfMetric): Read {
  const key = seriesKey(name, value.labels, definition);
  const labels = readLabels({ key, labels: value.labels, definition, origin });
  if (!labels) return { rejection: "bad_labels" };
  if (definition.type === "counter" && !isCount(value.value)) return { rejection: "bad_value" };
  return { series: { key, labels, samples: [value.value] } };
}

type Group = { readonly labels: Series["labels"]; readonly samples: number[] };

function readHistogram(
  metric: TelemetryMetric,
  definition: HistogramDefinition,
  origin: SeriesOrigin,
): Read[] {
  const groups = new Map<string, Group>();
  let strays = 0;
  for (const value of metric.values) {
    const { le, ...others } = value.labels;
    const key = seriesKey(metric.name, others, definition);
    const labels = readLabels({ key, labels: others, definition, origin });
    const slot = slotOf({ name: metric.name, sample: value.metricName, le, definition });
    if (!labels || slot === undefined) {
      strays++;
      continue;
    }
    const group = groups.get(key) ?? { labels, samples: emptySlots(definition) };
    group.samples[slot] = value.value;
    groups.set(key, group);
  }
  const read = [...groups].map(([key, { labels, samples }]): Read =>
    isHistogram(samples) ? { series: { key, labels, samples } } : { rejection: "bad_value" },
  );
  return strays === 0 ? read : [...read, { rejection: "bad_labels" }];
}

type Sample = {
  readonly name: string;
  readonly sample: string | undefined;
  readonly le: string | number | undefined;
  readonly definition: HistogramDefinition;
};

/** Where a histogram's sample stands among its samples; undefined: nowhere. */
function slotOf({ name, sample, le, definition }: Sample): number | undefined {
  const { buckets } = definition;
  if (le === undefined) {
    if (sample === `${name}_sum`) return buckets.length + 1;
    return sample === `${name}_count` ? buckets.length + 2 : undefined;
  }
  if (sample !== `${name}_bucket`) return undefined;
  if (le === "+Inf") return buckets.length;
  const slot = buckets.indexOf(Number(le));
  return slot < 0 ? undefined : slot;
}

function emptySlots(definition: HistogramDefinition): number[] {
  return Array.from({ length: definition.buckets.length + 3 }, () => Number.NaN);
}

/** All samples are there and are counts, buckets don't fall, and the last one is the count. */
function isHistogram(samples: readonly number[]): boolean {
  const buckets = samples.slice(0, -2);
  const ascending = buckets.every((value, index) => value >= (buckets[index - 1] ?? 0));
  return samples.every(isCount) && ascending && buckets.at(-1) === samples.at(-1);
}

// Above this a double can't count by ones, and sums of such values could overflow.
function isCount(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

type LabelsOfSeries = {
  readonly key: string;
  readonly labels: Value["labels"];
  readonly definition: MetricDefinition;
  readonly origin: SeriesOrigin;
};

/**
 * The labels in the definition's order; undefined where one is missing, unknown, unusable or another's. Nearly all were
 * in the message of a second ago: no other labels have their key, because no usable value has a comma in it.
 */
function readLabels({ key, labels, definition, origin }: LabelsOfSeries) {
  const names = labelNames(definition);
  if (Object.keys(labels).length !== names.length) return undefined;
  return origin.knownLabels(key) ?? checkLabels(labels, definition, origin);
}

function checkLabels(
  labels: Value["labels"],
  definition: MetricDefinition,
  origin: SeriesOrigin,
): Series["labels"] | undefined {
  const pairs = labelNames(definition).map((name) => [name, String(labels[name] ?? "")] as const);
  const isUsable = pairs.every(
    ([name, value]) => isOwn(name, value, origin) && isKnown(value, definition.labels[name]),
  );
  return isUsable ? Object.fromEntries(pairs) : undefined;
}

/** A service speaks for itself and for its own host; metrics tells whom it hears. */
function isOwn(name: string, value: string, { service, host }: SeriesOrigin): boolean {
  if (service === "metrics") return true;
  if (name === "host") return value === host;
  return name !== "service" || value === service;
}

function isKnown(value: string, known: LabelValues | undefined): boolean {
  return known === "any" ? isLabelValue(value) : known?.includes(value) === true;
}

// prom-client's aggregators join labels with commas: with one inside, two label sets could look the same.
function isLabelValue(value: string): boolean {
  return value !== "" && !/[,\p{Cc}\p{Cs}]/u.test(value);
}

const namesByDefinition = new WeakMap<MetricDefinition, readonly string[]>();

function labelNames(definition: MetricDefinition): readonly string[] {
  const known = namesByDefinition.get(definition);
  if (known) return known;
  const names = Object.keys(definition.labels);
  namesByDefinition.set(definition, names);
  return names;
}

function seriesKey(name: string, labels: Value["labels"], definition: MetricDefinition): string {
  let key = name;
  for (const label of labelNames(definition)) key += `,${labels[label] ?? ""}`;
  return key;
}
