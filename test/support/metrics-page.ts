/** A Prometheus page, by series as it is written: `name{label="value"}`. */
export type MetricsPage = ReadonlyMap<string, number>;

const TIMEOUT_MS = 5000;

export async function readMetrics(url: string): Promise<MetricsPage> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`GET ${url}: ${response.status}`);
  return parseMetrics(await response.text());
}

export function parseMetrics(text: string): MetricsPage {
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    samples.map((line) => {
      const end = line.lastIndexOf(" ");
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

/** The sum over all series of a metric; undefined where there is none. */
export function metricTotal(page: MetricsPage, name: string): number | undefined {
  const values = [...page].filter(([series]) => series.split("{")[0] === name);
  return values.length === 0 ? undefined : values.reduce((sum, [, value]) => sum + value, 0);
}
