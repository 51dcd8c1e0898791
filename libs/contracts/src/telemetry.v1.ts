/**
 * Telemetry, version 1, JSON on `packetwatch.v1.telemetry.<service>.<instance>`
 * once a second: a prom-client registry as getMetricsAsJSON() gives it.
 *
 * An instance is what its counters belong to: a process, or the counters of
 * one kernel program, which live on while capture restarts. Counters of one
 * instance never go back.
 */
import { z } from "zod";
import { name, timestampUs } from "./fields.ts";
import { encodeJson, parseJson } from "./json.ts";

export const TELEMETRY_VERSION = 1;

/** Series of one metric, and metrics of one message. */
export const MAX_SERIES_PER_METRIC = 4096;
export const MAX_METRICS_PER_MESSAGE = 512;

const MAX_LABEL_NAME_CHARACTERS = 128;
const MAX_LABEL_CHARACTERS = 255;

/** As a z.record, in a third of its time: metrics reads tens of thousands a second. */
const labels = z.custom<Readonly<Record<string, string | number>>>(isLabels, "bad labels").meta({
  type: "object",
  propertyNames: { type: "string", maxLength: MAX_LABEL_NAME_CHARACTERS },
  additionalProperties: {
    anyOf: [{ type: "string", maxLength: MAX_LABEL_CHARACTERS }, { type: "number" }],
  },
});

function isLabels(input: unknown): boolean {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return false;
  return Object.entries(input).every(
    ([label, text]) => label.length <= MAX_LABEL_NAME_CHARACTERS && isLabelValue(text),
  );
}

function isLabelValue(text: unknown): boolean {
  return typeof text === "string" ? text.length <= MAX_LABEL_CHARACTERS : Number.isFinite(text);
}

const value = z.object({
  value: z.number(),
  labels,
  metricName: z.string().max(255).optional(),
});

const metric = z.object({
  name: z.string().regex(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,254}$/),
  help: z.string().max(1024),
  type: z.enum(["counter", "gauge", "histogram", "summary"]),
  aggregator: z.enum(["sum", "first", "min", "max", "average", "omit"]),
  values: z.array(value).max(MAX_SERIES_PER_METRIC),
});

export const telemetrySchema = z.object({
  version: z.literal(TELEMETRY_VERSION),
  service: name,
  instance: name,
  host: name,
  sentUs: timestampUs,
  metrics: z.array(metric).max(MAX_METRICS_PER_MESSAGE),
});
export type Telemetry = z.infer<typeof telemetrySchema>;
export type TelemetryMetric = z.infer<typeof metric>;

/**
 * Leaves out values that are not finite: JSON has none, and no sum can take them in. prom-client
 * gives NaN for the mean of an event loop lag that has no sample yet.
 */
export function encodeTelemetry(telemetry: Telemetry): Uint8Array {
  return encodeJson({ ...telemetry, metrics: telemetry.metrics.map(withFiniteValues) });
}

function withFiniteValues(each: TelemetryMetric): TelemetryMetric {
  return { ...each, values: each.values.filter((series) => Number.isFinite(series.value)) };
}

/** Throws ContractError. */
export function decodeTelemetry(payload: Uint8Array): Telemetry {
  return parseJson("telemetry v1", telemetrySchema, payload);
}
