import type { ExpositionFormat } from "./exposition.ts";

const OPENMETRICS_VERSIONS = new Set([undefined, "0.0.1", "1.0.0"]);

type MediaRange = {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
};

/** OpenMetrics where the Accept header names it, in a version that is served, and doesn't prefer text. */
export function negotiateFormat(accept: string | undefined): ExpositionFormat {
  const ranges = (accept ?? "").split(",").map(parseMediaRange);
  const openMetrics = ranges.filter(isServedOpenMetrics).map(({ quality }) => quality);
  const text = ranges.filter(({ type }) => type === "text/plain").map(({ quality }) => quality);
  const wanted = Math.max(0, ...openMetrics);
  return wanted > 0 && wanted >= Math.max(0, ...text) ? "openmetrics" : "prometheus";
}

function isServedOpenMetrics({ type, parameters }: MediaRange): boolean {
  const isVersionServed = OPENMETRICS_VERSIONS.has(parameters.get("version"));
  return type === "application/openmetrics-text" && isVersionServed;
}

function parseMediaRange(text: string): MediaRange {
  const [type = "", ...rest] = text.split(";").map((part) => part.trim().toLowerCase());
  const parameters = new Map(rest.map(parseParameter));
  const quality = Number(parameters.get("q") ?? "1");
  return { type, parameters, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

function parseParameter(text: string): [string, string] {
  const [name = "", value = ""] = text.split("=", 2);
  return [name.trim(), value.trim().replaceAll('"', "")];
}
