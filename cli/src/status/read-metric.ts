import type { Telemetry } from "@packetwatch/contracts";
import type { MetricName } from "@packetwatch/telemetry";

type Labels = Readonly<Record<string, string>>;
export type Sample = { readonly value: number; readonly labels: Labels };

/** The series of a metric in one instance's telemetry; none where it doesn't have it. */
export function samplesOf({ metrics }: Telemetry, name: MetricName): readonly Sample[] {
  const values = metrics.find((metric) => metric.name === name)?.values ?? [];
  return values.map(({ value, labels }) => ({
    value,
    labels: Object.fromEntries(Object.entries(labels).map(([key, text]) => [key, String(text)])),
  }));
}

/** The sum of the series that have these labels; 0 without any. */
export function sumOf(telemetry: Telemetry, name: MetricName, wanted: Labels = {}): number {
  const samples = samplesOf(telemetry, name).filter(({ labels }) =>
    Object.entries(wanted).every(([key, text]) => labels[key] === text),
  );
  return samples.reduce((sum, { value }) => sum + value, 0);
}
