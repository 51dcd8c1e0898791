import { catalogue } from "./catalogue.ts";
import type { LabelValues, MetricDefinition } from "./metric-definition.ts";
import { countSeries, fleetLimits, type FleetSize, seriesBound } from "./series-bound.ts";

/** docs/metrics.md, from the catalogue itself. */
export function renderMetricsPage(): string {
  const rows = Object.entries<MetricDefinition>(catalogue).map(renderMetric);
  return `# Metrics

\`metrics\` serves all of them on \`/metrics\`, as Prometheus text or, where the \`Accept\` header asks for it, as
OpenMetrics. Each instance of a service publishes its own once a second on NATS; a counter is the sum over all instances
that have ever been heard, so it goes on when one of them ends. A gauge of an
instance that is silent for 10 seconds vanishes; "merged by" says what becomes of a gauge that several instances have
with the same labels. No address is a label. What a restart of \`metrics\` does to the numbers is in
[alerts.md](alerts.md#what-restarts-do-to-the-numbers), with the alerts and the dashboard.

\`/healthz\` is 200 as long as the process answers. \`/readyz\` is 200 when the totals can be trusted, else 503 with the
reason: no connection to NATS, nothing heard for 5 seconds (\`metrics\` hears itself), or the first two seconds, in which
\`/metrics\` has its own series alone.

This page is generated from the catalogue in \`libs/telemetry/src/\` by \`make docs\`; a test fails where it differs.

${renderSeriesBound()}
${rows.join("\n")}`;
}

const counts = countSeries(catalogue);

const sizes: readonly FleetSize[] = [
  { hosts: 1, interfaces: 1, versions: 1 },
  { hosts: 100, interfaces: 200, versions: 2 },
  fleetLimits,
];

function renderSeriesBound(): string {
  const { fixed, perHost, perInterface, perVersion } = counts;
  const { hosts, interfacesPerHost, interfaces, versions } = fleetLimits;
  const number = (value: number) => value.toLocaleString("en");
  const rows = sizes.map((size) => {
    const bound = number(seriesBound(counts, size));
    return `| ${number(size.hosts)} | ${number(size.interfaces)} | ${size.versions} | ${bound} |`;
  });
  return `## How many series

At most this many, with all processes of a host counted as if they ran on every host:

    ${fixed} + ${perHost} x hosts + ${perInterface} x interfaces + ${perVersion} x versions

| hosts | interfaces, of all hosts | versions | series |
|---|---|---|---|
${rows.join("\n")}

The last row is the limit: ${number(hosts)} hosts, ${interfacesPerHost} interfaces of a host and ${number(interfaces)} of all, ${versions} versions. Every other label
takes only the values that are listed here, \`host\` only the sender's own. What goes beyond is turned away and counted:
\`packetwatch_metrics_rejected_series_total\`, reason \`no_room\` (too many) or \`bad_labels\` (not in the list; after an
update of Packetwatch, update \`metrics\` first). A host keeps its place until \`metrics\` restarts, because its
counters stay. Instances are told apart up to 4,096 at once; see \`packetwatch_metrics_merged_instances_total\`. OpenMetrics
has one \`_created\` more for each counter and each histogram.
`;
}

function renderMetric([name, definition]: [string, MetricDefinition]): string {
  const { help, unit, labels, services } = definition;
  const labelList = Object.entries(labels).map(renderLabel).join("; ") || "none";
  const from = services.join(", ") || "derived by metrics from `packetwatch_syn_seen_total`";
  return `## ${name}

${help}

- Type: ${renderType(definition)}
- Unit: ${unit}
- Labels: ${labelList}
- From: ${from}
`;
}

function renderLabel([label, values]: [string, LabelValues]): string {
  return values === "any" ? `\`${label}\`` : `\`${label}\` (${values.join(", ")})`;
}

function renderType(definition: MetricDefinition): string {
  if (definition.type === "gauge") return `gauge, merged by ${definition.aggregator}`;
  if (definition.type === "histogram") return `histogram, buckets ${definition.buckets.join(", ")}`;
  return "counter";
}
