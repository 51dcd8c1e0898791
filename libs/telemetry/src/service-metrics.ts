import { Counter, Gauge, Histogram, type Metric, Registry } from "prom-client";
import { catalogueOf } from "./catalogue-of.ts";
import type { Catalogue, MetricName } from "./catalogue.ts";
import type { LabelDefinitions, MetricDefinition, MetricService } from "./metric-definition.ts";
import { ProcessMonitor } from "./process-metrics.ts";
import { PACKETWATCH_VERSION } from "./version.ts";

type MetricType = MetricDefinition["type"];

/** The metrics of one type that a service has. */
export type NameOf<S extends MetricService, T extends MetricType> = {
  [N in MetricName]: S extends Catalogue[N]["services"][number]
    ? Catalogue[N]["type"] extends T
      ? N
      : never
    : never;
}[MetricName];

/** The labels of a metric: all of them, each with a value that the catalogue knows. */
export type LabelsOf<N extends MetricName> = {
  readonly [
    L in keyof Catalogue[N]["labels"]
  ]: Catalogue[N]["labels"][L] extends readonly (infer V)[] ? V : string;
};

/** A metric without labels takes no labels argument. */
type Labelled<N extends MetricName> = keyof LabelsOf<N> extends never ? [] : [labels: LabelsOf<N>];

/** prom-client's counter, with its labels checked. labels() gives a child for a hot path. */
export type CounterOf<N extends MetricName> = {
  inc(...args: [...Labelled<N>, by?: number]): void;
  labels(labels: LabelsOf<N>): { inc(by?: number): void };
};

export type GaugeOf<N extends MetricName> = {
  set(...args: [...Labelled<N>, value: number]): void;
  remove(labels: LabelsOf<N>): void;
  /** Forgets every series. */
  reset(): void;
};

export type HistogramOf<N extends MetricName> = {
  observe(...args: [...Labelled<N>, value: number]): void;
};

export type ServiceMetricsOptions<S extends MetricService> = {
  readonly service: S;
  readonly host: string;
};

/** The metrics of one instance, and the registry that holds them. */
export class ServiceMetrics<S extends MetricService> {
  readonly registry = new ReadingRegistry();
  readonly #monitor: ProcessMonitor | undefined;
  /** The totals that `raise` was given, by metric and labels. */
  readonly #raised = new Map<string, number>();

  constructor({ service, host }: ServiceMetricsOptions<S>) {
    for (const [name, definition] of Object.entries(catalogueOf(service))) {
      const metric = createMetric(name, definition, this.registry);
      startAtZero(metric, definition, { service, host });
    }
    this.#monitor = service === "kernel" ? undefined : this.#watchProcess({ service, host });
  }

  counter<N extends NameOf<S, "counter">>(name: N): CounterOf<N> {
    return this.#metric(name) as unknown as CounterOf<N>;
  }

  gauge<N extends NameOf<S, "gauge">>(name: N): GaugeOf<N> {
    return this.#metric(name) as unknown as GaugeOf<N>;
  }

  histogram<N extends NameOf<S, "histogram">>(name: N): HistogramOf<N> {
    return this.#metric(name) as unknown as HistogramOf<N>;
  }

  /** Brings a counter to a total that is kept elsewhere. A smaller total changes nothing. */
  raise<N extends NameOf<S, "counter">>(name: N, labels: LabelsOf<N>, total: number): void {
    this.#raise(name, { ...labels } as Record<string, string>, total);
  }

  /** Calls back before each reading of the registry: the place for raise() and set(). */
  beforeRead(hook: () => void): void {
    this.registry.hooks.push(hook);
  }

  /** Stops watching the process. Closing twice is harmless. */
  close(): void {
    this.#monitor?.close();
  }

  #metric(name: string): Metric {
    const metric = this.registry.getSingleMetric(name);
    if (!metric) throw new Error(`the catalogue gives no ${name} to this service`);
    return metric;
  }

  #raise(name: string, labels: Record<string, string>, total: number): void {
    const key = name + JSON.stringify(labels);
    const growth = total - (this.#raised.get(key) ?? 0);
    if (growth < 0) return;
    this.#raised.set(key, total);
    (this.#metric(name) as Counter).inc(labels, growth);
  }

  #watchProcess(own: Own): ProcessMonitor {
    const monitor = new ProcessMonitor();
    const set = (name: string, labels: Record<string, string>, value: number) =>
      (this.#metric(name) as Gauge).set(labels, value);
    set("packetwatch_build_info", { service: own.service, version: PACKETWATCH_VERSION }, 1);
    this.beforeRead(() => {
      const { cpuSeconds, gauges } = monitor.sample();
      this.#raise("process_cpu_seconds_total", own, cpuSeconds);
      for (const [name, value] of Object.entries(gauges)) set(name, own, value);
    });
    return monitor;
  }
}

/** All metrics that the catalogue gives to `service`; counters whose labels are known are there at zero. */
export function createServiceMetrics<S extends MetricService>(
  options: ServiceMetricsOptions<S>,
): ServiceMetrics<S> {
  return new ServiceMetrics(options);
}

/** A registry that asks for fresh values before it is read. */
class ReadingRegistry extends Registry {
  readonly hooks: (() => void)[] = [];

  override async getMetricsAsJSON() {
    this.#callHooks();
    return super.getMetricsAsJSON();
  }

  override async metrics(): Promise<string> {
    this.#callHooks();
    return super.metrics();
  }

  #callHooks(): void {
    for (const hook of this.hooks) hook();
  }
}

function createMetric(name: string, definition: MetricDefinition, registry: Registry): Metric {
  const { help, aggregator } = definition;
  const labelNames = Object.keys(definition.labels);
  const options = { name, help, aggregator, labelNames, registers: [registry] };
  if (definition.type === "counter") return new Counter(options);
  if (definition.type === "gauge") return new Gauge(options);
  return new Histogram({ ...options, buckets: [...definition.buckets] });
}

type Own = { service: string; host: string };

/** A series that appears with its first event hides that event from rate(). */
function startAtZero(metric: Metric, { labels }: MetricDefinition, own: Own): void {
  for (const known of knownLabels(labels, own)) {
    if (metric instanceof Counter) metric.inc(known, 0);
    if (metric instanceof Histogram) metric.zero(known);
  }
}

/** Every combination of the labels' values; none where one label takes any value. */
function knownLabels(labels: LabelDefinitions, own: Own): Record<string, string>[] {
  let combinations: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    const known = label === "service" || label === "host" ? [own[label]] : values;
    if (known === "any") return [];
    combinations = combinations.flatMap((others) => extend(others, label, known));
  }
  return combinations;
}

function extend(labels: Record<string, string>, label: string, values: readonly string[]) {
  return values.map((value) => Object.assign({ [label]: value }, labels));
}
