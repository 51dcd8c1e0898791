import type { MetricDefinition } from "@packetwatch/telemetry";
import type { MetricJson, SampleJson } from "./metric-json.ts";
import type { Series } from "./read-series.ts";

export type Total = {
  readonly labels: Series["labels"];
  readonly samples: number[];
  readonly createdMs: number;
};

/** A series of one instance: its samples when last heard, never less than before, and the total they are part of. */
export type CountedSeries = {
  readonly last: number[];
  readonly total: Total;
};

/** Adds to the total what the samples have grown by since they were last heard; false: one of them fell. */
export function grow({ last, total }: CountedSeries, samples: readonly number[]): boolean {
  let isForward = true;
  for (let slot = 0; slot < samples.length; slot++) {
    const sample = samples[slot] ?? 0;
    const growth = sample - (last[slot] ?? 0);
    if (growth < 0) isForward = false;
    if (growth <= 0) continue;
    last[slot] = sample;
    total.samples[slot] = (total.samples[slot] ?? 0) + growth;
  }
  return isForward;
}

/** The sums of counters and histograms over all instances that were ever heard. They only grow. */
export class Totals {
  readonly #byMetric = new Map<string, Map<string, Total>>();

  has(name: string, key: string): boolean {
    return this.#byMetric.get(name)?.has(key) ?? false;
  }

  /** The total of this series; a new one is zero. */
  open(name: string, { key, labels, samples }: Series, nowMs: number): Total {
    const totals = this.#byMetric.get(name) ?? new Map<string, Total>();
    this.#byMetric.set(name, totals);
    const total = totals.get(key) ?? { labels, samples: samples.map(() => 0), createdMs: nowMs };
    totals.set(key, total);
    return total;
  }

  /** The sum of a counter over all its series. */
  sum(name: string): number {
    let sum = 0;
    for (const { samples } of this.#byMetric.get(name)?.values() ?? []) sum += samples[0] ?? 0;
    return sum;
  }

  toJson(name: string, definition: MetricDefinition): MetricJson | undefined {
    const totals = this.#byMetric.get(name);
    if (!totals) return undefined;
    const { help, type, aggregator } = definition;
    const values = [...totals.values()].flatMap((total) => samplesJson(name, definition, total));
    return { name, help, type, aggregator, values };
  }
}

function samplesJson(name: string, definition: MetricDefinition, total: Total): SampleJson[] {
  const { labels, samples } = total;
  const created = createdJson(name, labels, total.createdMs);
  if (definition.type !== "histogram") return [{ value: samples[0] ?? 0, labels }, created];
  const bounds = [...definition.buckets, "+Inf"];
  const sample = (slot: number, suffix: string, le?: number | string): SampleJson => ({
    value: samples[slot] ?? 0,
    labels: le === undefined ? labels : { ...labels, le },
    metricName: name + suffix,
  });
  return [
    ...bounds.map((bound, slot) => sample(slot, "_bucket", bound)),
    sample(bounds.length, "_sum"),
    sample(bounds.length + 1, "_count"),
    created,
  ];
}

/** OpenMetrics tells since when a series counts; the Prometheus text format leaves it out. */
export function createdJson(name: string, labels: Series["labels"], createdMs: number): SampleJson {
  const metricName = `${name.replace(/_total$/, "")}_created`;
  return { value: createdMs / 1000, labels, metricName };
}
