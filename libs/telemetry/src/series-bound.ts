import type { MetricCatalogue, MetricDefinition } from "./metric-definition.ts";

/** What bounds the labels whose values the catalogue doesn't list. Beyond these a new value is turned away. */
export type FleetLimits = {
  readonly hosts: number;
  /** Of one host. */
  readonly interfacesPerHost: number;
  /** Of all hosts together. */
  readonly interfaces: number;
  readonly versions: number;
};

/** A host's interfaces are at most as many as PW_IFDEV takes. */
export const fleetLimits: FleetLimits = {
  hosts: 1024,
  interfacesPerHost: 64,
  interfaces: 4096,
  versions: 16,
};

/** Lines on /metrics, by what multiplies them. */
export type SeriesCounts = {
  readonly fixed: number;
  readonly perHost: number;
  readonly perInterface: number;
  readonly perVersion: number;
};

export type FleetSize = Pick<FleetLimits, "hosts" | "interfaces" | "versions">;

/** How many lines a catalogue gives at most; a histogram has its buckets, +Inf, sum and count. */
export function countSeries(catalogue: MetricCatalogue): SeriesCounts {
  const counts = { fixed: 0, perHost: 0, perInterface: 0, perVersion: 0 };
  for (const definition of Object.values(catalogue)) {
    counts[multiplierOf(definition)] += linesOf(definition);
  }
  return counts;
}

export function seriesBound(counts: SeriesCounts, size: FleetSize): number {
  const { fixed, perHost, perInterface, perVersion } = counts;
  return (
    fixed +
    size.hosts * perHost +
    size.interfaces * perInterface +
    Math.min(size.versions, size.hosts) * perVersion
  );
}

/** An interface belongs to one host, so the host multiplies nothing more. */
function multiplierOf({ labels }: MetricDefinition): keyof SeriesCounts {
  if ("interface" in labels) return "perInterface";
  if ("host" in labels) return "perHost";
  return "version" in labels ? "perVersion" : "fixed";
}

function linesOf(definition: MetricDefinition): number {
  const lists = Object.values(definition.labels).filter((values) => values !== "any");
  const labelSets = lists.reduce((product, { length }) => product * length, 1);
  return labelSets * (definition.type === "histogram" ? definition.buckets.length + 3 : 1);
}
