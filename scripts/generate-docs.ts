// Writes the pages that are generated from code: `make docs`. Run it in the repository's root.
import { writeFile } from "node:fs/promises";
import { renderVariablesPage } from "@packetwatch/config";
import { renderMetricsPage } from "@packetwatch/telemetry";

/** Each page with its renderer. A unit test beside the renderer fails when the page differs. */
const pages: readonly { readonly path: string; readonly render: () => string }[] = [
  { path: "docs/variables.md", render: renderVariablesPage },
  { path: "docs/metrics.md", render: renderMetricsPage },
];

for (const { path, render } of pages) {
  await writeFile(path, render());
  console.log(`docs: ${path}`);
}
