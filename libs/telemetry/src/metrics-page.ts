import { catalogue } from "./catalogue.ts";
import type { LabelValues, MetricDefinition } from "./metric-definition.ts";

/** docs/metrics.md, from the catalogue itself. */
export function renderMetricsPage(): string {
  const rows = Object.entries<MetricDefinition>(catalogue).map(renderMetric);
  return `# Metrics

\`metrics\` serves all of them on \`/metrics\`, as Prometheus text or, where the \`Accept\` header asks for it, as
OpenMetrics. Each instance of a service publishes its own once a second on NATS; a counter is the sum over all instances
that have ever been heard, so it goes on when one of them ends, and starts anew only with \`metrics\` itself. A gauge of an
instance that is silent for 10 seconds vanishes; "merged by" says what becomes of a gauge that several instances have
with the same labels. No address is a label.

This page is generated from \`libs/telemetry/src/catalogue.ts\` by \`make docs\`; a test fails where it differs.

${rows.join("\n")}`;
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
