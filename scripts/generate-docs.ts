// Writes the pages that are generated from code: `make docs`. Run it in the repository's root.
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { renderVariablesPage } from "@packetwatch/config";
import {
  jsonMessageNames,
  leadingComment,
  renderAsyncApi,
  renderJsonSchema,
} from "@packetwatch/contracts/published";
import { renderPermissionsPage } from "@packetwatch/contracts";
import { renderMetricsPage } from "@packetwatch/telemetry";
import { renderCommandsPage } from "../cli/src/commands-page.ts";
import { embedExamples } from "./embed-examples.ts";

const readText = (path: string) => readFileSync(path, "utf8");
const synBatchGrammar = leadingComment(readText("libs/contracts/src/syn-batch.v1.ts"));

/** Each page with its renderer. A unit test beside the renderer fails when the page differs. */
const pages: readonly { readonly path: string; readonly render: () => string }[] = [
  { path: "docs/variables.md", render: renderVariablesPage },
  { path: "docs/metrics.md", render: renderMetricsPage },
  { path: "docs/commands.md", render: renderCommandsPage },
  { path: "docs/asyncapi.yaml", render: () => renderAsyncApi({ synBatchGrammar }) },
  ...jsonMessageNames.map((name) => ({
    path: `docs/schemas/${name}.json`,
    render: () => renderJsonSchema(name),
  })),
  // Its text is written by hand; the programs in it are the files of examples/.
  {
    path: "docs/integrations.md",
    render: () => embedExamples(readText("docs/integrations.md"), readText),
  },
  { path: "docs/permissions.md", render: renderPermissionsPage },
];

for (const { path, render } of pages) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, render());
  console.log(`docs: ${path}`);
}
