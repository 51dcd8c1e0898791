import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the tool said, and whether it was content. */
export type Verdict = { readonly status: number | null; readonly said: string };

/** Of Debian's package prometheus; `make setup-test` installs it. */
export function promtool(args: readonly string[], input = ""): Verdict {
  const { status, stdout, stderr, error } = spawnSync("promtool", args, {
    input,
    encoding: "utf8",
  });
  if (error) throw new Error(`promtool: ${error.message}; run 'make setup-test'`, { cause: error });
  return { status, said: `${stdout}${stderr}` };
}

/** Prometheus's own parser of the text format, and its linter. */
export function checkMetrics(text: string): Verdict {
  return promtool(["check", "metrics"], text);
}

/**
 * Prometheus's own parser of OpenMetrics. `check metrics` knows the older
 * format alone, so the page is loaded as a backfill, for which every sample
 * gets a time.
 */
export function loadOpenMetrics(text: string): Verdict {
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-openmetrics-"));
  try {
    const page = join(folder, "page.txt");
    writeFileSync(page, text.replaceAll(/^[^#\n].*$/gm, "$& 1700000000"));
    return promtool(["tsdb", "create-blocks-from", "openmetrics", page, join(folder, "blocks")]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
