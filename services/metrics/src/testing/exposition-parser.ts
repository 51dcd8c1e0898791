import type { ExpositionFormat } from "../exposition.ts";

export type ParsedSample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

export type ParsedFamily = {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: ParsedSample[];
};

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const NUMBER = /^([+-]?\d+(\.\d+)?(e[+-]?\d+)?|NaN|[+-]Inf)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

const suffixes: Readonly<Record<ExpositionFormat, Readonly<Record<string, readonly string[]>>>> = {
  prometheus: { counter: [""], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
  openmetrics: {
    counter: ["_total", "_created"],
    gauge: [""],
    histogram: ["_bucket", "_sum", "_count", "_created"],
  },
};

/**
 * Reads an exposition and throws at the first thing that its format forbids:
 * every family with HELP and TYPE, once, its samples together; names, label
 * escapes and numbers well formed; no sample twice; histograms complete; in
 * OpenMetrics `# EOF` at the end and canonical bounds.
 */
export function parseExposition(text: string, format: ExpositionFormat): ParsedFamily[] {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const lines = text.slice(0, -1).split("\n");
  if (format === "openmetrics" && lines.pop() !== "# EOF") throw new Error("no # EOF at the end");
  const families: ParsedFamily[] = [];
  const claimed = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    if (line.startsWith("# HELP ")) families.push(readHelp(line, lines[index + 1] ?? ""));
    else if (line.startsWith("#")) readType(line, lines[index - 1] ?? "");
    else addSample({ line, family: families.at(-1), format, claimed });
  }
  assertDistinct(families.map(({ name }) => name));
  for (const family of families) checkFamily(family, format);
  return families;
}

/** The value of the one sample with this name and these labels. */
export function valueOf(
  families: readonly ParsedFamily[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = identity({ name, labels });
  const all = families.flatMap(({ samples }) => samples);
  return all.find((sample) => identity(sample) === wanted)?.value;
}

function readHelp(line: string, typeLine: string): ParsedFamily {
  const [, name = "", help = ""] = /^# HELP (\S+) (.+)$/.exec(line) ?? [];
  const [, typed = "", type = ""] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(typeLine) ?? [];
  if (!NAME.test(name) || typed !== name) throw new Error(`no HELP and TYPE of one name: ${line}`);
  if (/(^|[^\\])(\\\\)*\\[^\\n"]/.test(help)) throw new Error(`bad escape in ${line}`);
  return { name, type, help, samples: [] };
}

function readType(line: string, before: string): void {
  const name = /^# TYPE (\S+) /.exec(line)?.[1];
  if (name === undefined || !before.startsWith(`# HELP ${name} `)) throw new Error(`stray ${line}`);
}

type SampleLine = {
  readonly line: string;
  readonly family: ParsedFamily | undefined;
  readonly format: ExpositionFormat;
  /** Each sample name with the family that has it. */
  readonly claimed: Map<string, string>;
};

function addSample({ line, family, format, claimed }: SampleLine): void {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  const [, name = "", labelText = "", number = ""] = match ?? [];
  if (!family || !match) throw new Error(`not a sample: ${line}`);
  if (!NUMBER.test(number)) throw new Error(`not a number: ${line}`);
  const allowed = suffixes[format][family.type] ?? [];
  if (!allowed.some((suffix) => family.name + suffix === name)) {
    throw new Error(`${name} is no sample of ${family.type} ${family.name}`);
  }
  if ((claimed.get(name) ?? family.name) !== family.name)
    throw new Error(`${name} is of two families`);
  claimed.set(name, family.name);
  family.samples.push({ name, labels: readLabels(labelText), value: readNumber(number) });
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const [, name = "", value = ""] = LABEL.exec(text) ?? [];
    if (name === "" || name in labels) throw new Error(`bad labels: ${text}`);
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) =>
      escaped === "n" ? "\n" : escaped,
    );
  }
  return labels;
}

function readNumber(text: string): number {
  return text.endsWith("Inf") ? Number(text.replace("Inf", "Infinity")) : Number(text);
}

function checkFamily(family: ParsedFamily, format: ExpositionFormat): void {
  assertDistinct(family.samples.map(identity));
  if (family.type === "counter") checkCounter(family, format);
  if (family.type === "histogram") checkHistograms(family, format);
}

function checkCounter(family: ParsedFamily, format: ExpositionFormat): void {
  const negative = family.samples.find(({ value }) => !(value >= 0));
  if (negative) throw new Error(`negative counter ${identity(negative)}`);
  if (format === "prometheus") return;
  for (const [index, { name, labels }] of family.samples.entries()) {
    if (name.endsWith("_created")) continue;
    const next = family.samples[index + 1];
    const isPair = next?.name === `${family.name}_created` && groupOf(next) === groupOf({ labels });
    if (!isPair) throw new Error(`no _created after ${name}`);
  }
}

function checkHistograms(family: ParsedFamily, format: ExpositionFormat): void {
  const groups = groupSamples(family.samples);
  const runs = family.samples.map(groupOf).filter((group, index, all) => group !== all[index - 1]);
  if (runs.length !== groups.size) throw new Error(`the samples of ${family.name} are mixed`);
  for (const samples of groups.values()) checkHistogram(family.name, samples, format);
}

function checkHistogram(name: string, samples: ParsedSample[], format: ExpositionFormat): void {
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`);
  const count = samples.find((sample) => sample.name === `${name}_count`);
  if (!samples.some((sample) => sample.name === `${name}_sum`))
    throw new Error(`${name} has no sum`);
  const bounds = buckets.map(({ labels }) => labels["le"] ?? "");
  const ascending = bounds.every(
    (bound, index) => index === 0 || readNumber(bound) > readNumber(bounds[index - 1] ?? ""),
  );
  if (!ascending || bounds.at(-1) !== "+Inf")
    throw new Error(`${name} has bad bounds ${bounds.join()}`);
  if (format === "openmetrics" && bounds.some((bound) => /^\d+$/.test(bound))) {
    throw new Error(`${name} has a bound that isn't canonical: ${bounds.join()}`);
  }
  const cumulative = buckets.every(({ value }, index) => value >= (buckets[index - 1]?.value ?? 0));
  if (!cumulative || buckets.at(-1)?.value !== count?.value)
    throw new Error(`${name} doesn't add up`);
}

function groupOf({ labels }: Pick<ParsedSample, "labels">): string {
  const { le: _, ...others } = labels;
  return JSON.stringify(others);
}

// Map.groupBy is of Node 21.
function groupSamples(samples: readonly ParsedSample[]): Map<string, ParsedSample[]> {
  const groups = new Map<string, ParsedSample[]>();
  for (const sample of samples) {
    const group = groupOf(sample);
    groups.set(group, [...(groups.get(group) ?? []), sample]);
  }
  return groups;
}

function identity({ name, labels }: Omit<ParsedSample, "value">): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return name + JSON.stringify(pairs);
}

function assertDistinct(names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`twice: ${twice}`);
}
