import type { Telemetry, TelemetryMetric } from "@packetwatch/contracts";
import {
  fleetLimits,
  type FleetLimits,
  isMetricService,
  type MetricCatalogue,
  type MetricDefinition,
  type MetricService,
} from "@packetwatch/telemetry";
import { type GaugeSeries, type Instance, InstanceTable, isLive } from "./instance-table.ts";
import { LabelRoom } from "./label-room.ts";
import type { MetricJson } from "./metric-json.ts";
import { readSeries, type Series, type SeriesOrigin, type SeriesRejection } from "./read-series.ts";
import { createdJson, grow, Totals } from "./totals.ts";

export type AggregatorLimits = {
  /** Instances that are told apart, live and departed. */
  readonly maxInstances: number;
  /** Merged instances that are recognised when they return. */
  readonly maxMergedNames: number;
  /** Numbers kept, over all series of all instances and the totals; also a bound on what is served. */
  readonly maxSamples: number;
  /** What the labels take that the catalogue doesn't list. */
  readonly fleet: FleetLimits;
};

export const aggregatorLimits: AggregatorLimits = {
  maxInstances: 4096,
  maxMergedNames: 65_536,
  maxSamples: 524_288,
  fleet: fleetLimits,
};

export type AggregatorOptions = {
  readonly catalogue: MetricCatalogue;
  readonly limits?: AggregatorLimits;
  readonly startMs: number;
};

export type InstanceCount = {
  readonly service: MetricService;
  readonly host: string;
  readonly live: number;
  readonly departed: number;
};

const CONNECTIONS = "conn_count_total";
const CONNECTIONS_FROM = "packetwatch_syn_seen_total";

/**
 * Adds up the telemetry of all instances. A total is a number to which the
 * growth of each instance is added, so nothing that an instance does makes it
 * go back: not its end, nor its return, nor a value that falls. Times are
 * milliseconds since the Unix epoch on a clock that never steps.
 */
export class TelemetryAggregator {
  readonly #catalogue: ReadonlyMap<string, MetricDefinition>;
  readonly #limits: AggregatorLimits;
  readonly #startMs: number;
  readonly #instances: InstanceTable;
  readonly #labels: LabelRoom;
  readonly #totals = new Totals();
  readonly #rejected = new Map<SeriesRejection, number>();
  #samples = 0;
  #backward = 0;

  constructor({ catalogue, limits = aggregatorLimits, startMs }: AggregatorOptions) {
    this.#catalogue = new Map(Object.entries(catalogue));
    this.#limits = limits;
    this.#startMs = startMs;
    this.#instances = new InstanceTable(limits);
    this.#labels = new LabelRoom(limits.fleet);
  }

  /** Numbers kept now; at most `maxSamples`. */
  get samples(): number {
    return this.#samples;
  }

  /** Values of the labels that the catalogue doesn't list. */
  get labelValues(): Readonly<Pick<LabelRoom, "hosts" | "interfaces" | "versions">> {
    return this.#labels;
  }

  /** Series of accepted messages that were turned away. */
  get rejectedSeries(): ReadonlyMap<SeriesRejection, number> {
    return this.#rejected;
  }

  /** Counters that came with less than before. */
  get backwardSeries(): number {
    return this.#backward;
  }

  get mergedInstances(): number {
    return this.#instances.merged;
  }

  get forgottenInstances(): number {
    return this.#instances.forgotten;
  }

  /** Takes a message in; `no_room`: it is of a new instance, and the table is full of live ones. */
  ingest(telemetry: Telemetry, nowMs: number): "accepted" | "unknown_service" | "no_room" {
    const { service } = telemetry;
    if (!isMetricService(service)) return "unknown_service";
    const instance = this.#hear({ ...telemetry, service }, nowMs);
    if (!instance) return "no_room";
    this.#samples -= instance.gauges.size;
    const { host, counters, gauges: gaugesBefore } = instance;
    const knownLabels = (key: string) =>
      counters.get(key)?.total.labels ?? gaugesBefore.get(key)?.labels;
    const origin = { service, host, knownLabels };
    const gauges = new Map<string, GaugeSeries>();
    instance.gauges = gauges;
    for (const metric of telemetry.metrics) {
      this.#ingestMetric({ metric, instance, origin, gauges, nowMs });
    }
    instance.isReturning = false;
    return "accepted";
  }

  /** The totals, and the gauges of each live instance: registries for prom-client to aggregate. */
  registries(nowMs: number): MetricJson[][] {
    this.#dropDepartedGauges(nowMs);
    const withGauges = [...this.#instances.values()].filter(({ gauges }) => gauges.size > 0);
    return [this.#totalsJson(), ...withGauges.map((instance) => this.#gaugesJson(instance))];
  }

  /** How many instances are known of each service on each host. */
  countInstances(nowMs: number): InstanceCount[] {
    const counts = new Map<string, InstanceCount>();
    for (const instance of this.#instances.values()) {
      const { service, host } = instance;
      const key = JSON.stringify([service, host]);
      const { live = 0, departed = 0 } = counts.get(key) ?? {};
      const isAlive = isLive(instance, nowMs);
      const count = isAlive ? { live: live + 1, departed } : { live, departed: departed + 1 };
      counts.set(key, { service, host, ...count });
    }
    return [...counts.values()];
  }

  #hear({ service, instance: name, host }: Sender, nowMs: number): Instance | undefined {
    const id = JSON.stringify([service, name]);
    const known = this.#instances.get(id);
    if (known) {
      this.#instances.touch(id, known, nowMs);
      return known;
    }
    if (this.#instances.isFull && !this.#mergeOldest(nowMs)) return undefined;
    return this.#instances.add(id, { service, host }, nowMs);
  }

  #ingestMetric({ metric, instance, origin, gauges, nowMs }: Ingest): void {
    const definition = this.#definitionOf(metric, instance);
    if (typeof definition === "string") return this.#reject(definition);
    const { series, rejections } = readSeries(metric, definition, origin);
    for (const rejection of rejections) this.#reject(rejection);
    for (const one of series) {
      const isNew = origin.knownLabels(one.key) === undefined;
      if (isNew && !this.#labels.admit(one.labels, instance.host)) {
        this.#reject("no_room");
        continue;
      }
      const isKept =
        definition.type === "gauge"
          ? this.#keepGauge(gauges, { ...one, name: metric.name }, nowMs)
          : this.#count({ name: metric.name, series: one, instance, nowMs });
      if (!isKept) this.#reject("no_room");
    }
  }

  #definitionOf(metric: TelemetryMetric, instance: Instance): MetricDefinition | SeriesRejection {
    const definition = this.#catalogue.get(metric.name);
    if (!definition) return "undeclared";
    const isOwn = definition.services.includes(instance.service);
    return isOwn ? definition : "wrong_service";
  }

  #reject(reason: SeriesRejection): void {
    this.#rejected.set(reason, (this.#rejected.get(reason) ?? 0) + 1);
  }

  #keepGauge(gauges: Map<string, GaugeSeries>, gauge: GaugeSeries, nowMs: number): boolean {
    if (!gauges.has(gauge.key) && !this.#takeRoom(1, nowMs)) return false;
    gauges.set(gauge.key, gauge);
    return true;
  }

  #count({ name, series, instance, nowMs }: Count): boolean {
    const counted = instance.counters.get(series.key);
    if (!counted) return this.#countFirst({ name, series, instance, nowMs });
    if (!grow(counted, series.samples)) this.#backward++;
    return true;
  }

  /** A series counts whole when it is first heard, but for one that was counted before its instance was merged. */
  #countFirst({ name, series, instance, nowMs }: Count): boolean {
    const { key, samples } = series;
    const copies = this.#totals.has(name, key) ? 1 : 2;
    if (!this.#takeRoom(copies * samples.length, nowMs)) return false;
    const last = instance.isReturning ? [...samples] : samples.map(() => 0);
    const counted = { last, total: this.#totals.open(name, series, nowMs) };
    instance.counters.set(key, counted);
    grow(counted, samples);
    return true;
  }

  #takeRoom(samples: number, nowMs: number): boolean {
    while (this.#samples + samples > this.#limits.maxSamples) {
      if (!this.#mergeOldest(nowMs)) return false;
    }
    this.#samples += samples;
    return true;
  }

  #mergeOldest(nowMs: number): boolean {
    const merged = this.#instances.mergeOldest(nowMs);
    if (!merged) return false;
    this.#samples -= merged.gauges.size;
    for (const { last } of merged.counters.values()) this.#samples -= last.length;
    return true;
  }

  #dropDepartedGauges(nowMs: number): void {
    for (const instance of this.#instances.values()) {
      if (isLive(instance, nowMs)) return;
      this.#samples -= instance.gauges.size;
      instance.gauges = new Map();
    }
  }

  #totalsJson(): MetricJson[] {
    const totals = [...this.#catalogue].flatMap(([name, definition]) => {
      const json = this.#totals.toJson(name, definition);
      return json ? [json] : [];
    });
    return [...this.#connectionsJson(), ...totals];
  }

  /** One number for all: each connection attempt once, as the kernel counted it. There from the start. */
  #connectionsJson(): MetricJson[] {
    const definition = this.#catalogue.get(CONNECTIONS);
    if (!definition) return [];
    const { help, type, aggregator } = definition;
    const value = { value: this.#totals.sum(CONNECTIONS_FROM), labels: {} };
    const values = [value, createdJson(CONNECTIONS, {}, this.#startMs)];
    return [{ name: CONNECTIONS, help, type, aggregator, values }];
  }

  #gaugesJson(instance: Instance): MetricJson[] {
    const byName = new Map<string, MetricJson["values"][number][]>();
    for (const { name, labels, samples } of instance.gauges.values()) {
      const values = byName.get(name) ?? [];
      values.push({ value: samples[0] ?? 0, labels });
      byName.set(name, values);
    }
    return [...byName].flatMap(([name, values]) => {
      const definition = this.#catalogue.get(name);
      if (!definition) return [];
      const { help, type, aggregator } = definition;
      return [{ name, help, type, aggregator, values }];
    });
  }
}

type Sender = Pick<Telemetry, "instance" | "host"> & { readonly service: MetricService };

type Ingest = {
  readonly metric: TelemetryMetric;
  readonly instance: Instance;
  readonly origin: SeriesOrigin;
  readonly gauges: Map<string, GaugeSeries>;
  readonly nowMs: number;
};

type Count = {
  readonly name: string;
  readonly series: Series;
  readonly instance: Instance;
  readonly nowMs: number;
};
