import { Registry } from "prom-client";
import type { MetricJson, SampleJson } from "./core/metric-json.ts";

export type ExpositionFormat = "prometheus" | "openmetrics";

export const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: Registry.PROMETHEUS_CONTENT_TYPE,
  openmetrics: Registry.OPENMETRICS_CONTENT_TYPE,
};

/**
 * Writes metrics as text, in the order of their names. prom-client's own
 * writer is not used: of an aggregated registry it writes OpenMetrics counters
 * as `x_total_total`, it has no `_created`, and it spells NaN "Nan".
 */
export function renderExposition(metrics: readonly MetricJson[], format: ExpositionFormat): string {
  const sorted = [...metrics].sort((a, b) => (a.name < b.name ? -1 : 1));
  const families = sorted.map((metric) => renderMetric(metric, format));
  return families.join("") + (format === "openmetrics" ? "# EOF\n" : "");
}

function renderMetric(metric: MetricJson, format: ExpositionFormat): string {
  const family = format === "openmetrics" ? familyName(metric) : metric.name;
  const samples = metric.values.filter((sample) => format === "openmetrics" || !isCreated(sample));
  const lines = [
    `# HELP ${family} ${escapeHelp(metric.help, format)}`,
    `# TYPE ${family} ${metric.type}`,
    ...samples.map((sample) => renderSample(metric.name, sample, format)),
  ];
  return `${lines.join("\n")}\n`;
}

/** In OpenMetrics `_total` belongs to the sample, not to the family. */
function familyName({ name, type }: MetricJson): string {
  return type === "counter" ? name.replace(/_total$/, "") : name;
}

function isCreated({ metricName }: SampleJson): boolean {
  return metricName?.endsWith("_created") ?? false;
}

function renderSample(name: string, sample: SampleJson, format: ExpositionFormat): string {
  const { metricName = name, labels, value } = sample;
  const pairs = Object.entries(labels).map(([label, text]) => {
    const shown = label === "le" ? renderBound(text, format) : String(text);
    return `${label}="${escapeLabelValue(shown)}"`;
  });
  const labelSet = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${metricName}${labelSet} ${renderNumber(value)}`;
}

/** OpenMetrics has bounds in canonical form: `1.0`, not `1`. */
function renderBound(bound: string | number, format: ExpositionFormat): string {
  const text = String(bound);
  return format === "openmetrics" && /^\d+$/.test(text) ? `${text}.0` : text;
}

function renderNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(help: string, format: ExpositionFormat): string {
  const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return format === "openmetrics" ? escaped.replaceAll('"', '\\"') : escaped;
}

function escapeLabelValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
