// Bundles the services and the command into build/; with --tests the end-to-end suites, with --bench the benches, with --docs what writes docs/.
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { build } from "rolldown";

const shebang = "#!/usr/bin/env node\n";

const services = {
  capture: "services/capture/src/main.ts",
  detector: "services/detector/src/main.ts",
  enforcer: "services/enforcer/src/main.ts",
  metrics: "services/metrics/src/main.ts",
};
const command = { packetwatch: "cli/src/main.ts" };
const suites = {
  "test/e2e-black": "test/e2e/black.ts",
  "test/e2e-white": "test/e2e/white.ts",
  "test/scanners": "test/e2e/scanners.ts",
  "test/chaos": "test/chaos/chaos.ts",
  "test/chaos-clients": "test/chaos/clients.ts",
};

const benchPrograms = [
  "all",
  "write-page",
  ...JSON.parse(readFileSync("bench/benches.json", "utf8")),
];
const benches = {
  ...Object.fromEntries(benchPrograms.map((name) => [`bench/${name}`, `bench/${name}.ts`])),
  "bench/ring-load": "bench/load/ring-load.ts",
  "bench/detection-play": "bench/load/detection-play.ts",
  "bench/relay": "bench/load/relay.ts",
  "bench/shard-taker": "bench/load/shard-taker.ts",
};

const docs = { "generate-docs": "scripts/generate-docs.ts" };

const options = (input, banner) => ({
  input,
  platform: "node",
  // What is native, and what has native parts: found in node_modules.
  external: ["koffi", "testcontainers"],
  transform: { target: "node20" },
  // Top-level constants stay `const`, and those of other modules are put in where they are used:
  // V8 folds both into its code, where it reads a `var` from memory each time.
  optimization: { inlineConst: { mode: "all", pass: 3 } },
  logLevel: "warn",
  // Of a package that isn't there it would only warn.
  onLog: (_level, log, handle) => handle("error", log),
  write: false,
  output: {
    dir: "build",
    entryFileNames: "[name].js",
    format: "esm",
    // A program is one file, whatever it imports late.
    codeSplitting: false,
    sourcemap: true,
    // Node keeps the map of what it runs in memory; a stack trace needs the positions, not the text.
    sourcemapExcludeSources: true,
    // Of comments, licences alone.
    comments: { legal: true, annotation: false, jsdoc: false },
    banner,
  },
});

function assertPresent(entryPoints) {
  const missing = Object.values(entryPoints).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new Error(`missing: ${missing.join(", ")}`);
}

// A program that starts while another make builds must find a whole file.
async function writeWhole({ fileName, code, source }) {
  const file = path.join("build", fileName);
  const partial = `${file}.${process.pid}`;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(partial, code ?? source);
  await rename(partial, file).catch(async (error) => {
    await rm(partial, { force: true });
    throw error;
  });
}

async function bundle(entryPoint, banner) {
  const { output } = await build(options(entryPoint, banner));
  await Promise.all(output.map(writeWhole));
}

async function bundleAll(entryPoints, banner) {
  assertPresent(entryPoints);
  // Each for itself: together, they would share files.
  for (const [name, file] of Object.entries(entryPoints)) await bundle({ [name]: file }, banner);
}

async function bundlePrograms() {
  await bundleAll(services);
  await bundleAll(command, shebang);
  await chmod("build/packetwatch.js", 0o755);
}

async function main() {
  if (process.argv.includes("--tests")) return bundleAll(suites);
  if (process.argv.includes("--bench")) return bundleAll(benches);
  if (process.argv.includes("--docs")) return bundleAll(docs);
  return bundlePrograms();
}

try {
  await main();
} catch (error) {
  // rolldown's own errors are in the message, each with its file and line, and coloured for any reader.
  console.error(`build: ${stripVTControlCharacters(error.message)}`);
  process.exitCode = 1;
}
