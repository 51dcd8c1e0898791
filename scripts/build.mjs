// Bundles the services and the command into build/; with --tests the end-to-end suites, with --bench the benches, with --docs what writes docs/.
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const shebang = "#!/usr/bin/env node\n";

const programs = {
  capture: "services/capture/src/main.ts",
  detector: "services/detector/src/main.ts",
  enforcer: "services/enforcer/src/main.ts",
  metrics: "services/metrics/src/main.ts",
  packetwatch: "cli/src/main.ts",
};
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

// CommonJS packages inside an ES module bundle (pino, prom-client) still call require().
const requireBanner =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

const options = (entryPoints, banner) => ({
  entryPoints,
  outdir: "build",
  bundle: true,
  write: false,
  platform: "node",
  // Puts constants of other modules in where they are used: Node reads those of a bundle from memory each time.
  minifySyntax: true,
  target: "node20",
  format: "esm",
  sourcemap: "linked",
  // Node keeps the map of what it runs in memory; a stack trace needs the positions, not the text.
  sourcesContent: false,
  // What is native, and what has native parts: found in node_modules.
  external: ["koffi", "testcontainers"],
  banner: { js: banner },
  logLevel: "error",
});

function assertPresent(entryPoints) {
  const missing = Object.values(entryPoints).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new Error(`missing: ${missing.join(", ")}`);
}

// A program that starts while another make builds must find a whole file.
async function writeWhole(file) {
  const partial = `${file.path}.${process.pid}`;
  await mkdir(path.dirname(file.path), { recursive: true });
  await writeFile(partial, file.contents);
  await rename(partial, file.path).catch(async (error) => {
    await rm(partial, { force: true });
    throw error;
  });
}

async function bundle(entryPoints, banner) {
  const { outputFiles } = await build(options(entryPoints, banner));
  await Promise.all(outputFiles.map(writeWhole));
}

async function bundlePrograms() {
  const { packetwatch, ...services } = programs;
  assertPresent(programs);
  await bundle(services, requireBanner);
  await bundle({ packetwatch }, shebang + requireBanner);
  await chmod("build/packetwatch.js", 0o755);
}

async function bundleOthers(entryPoints) {
  assertPresent(entryPoints);
  await bundle(entryPoints, requireBanner);
}

async function main() {
  if (process.argv.includes("--tests")) return bundleOthers(suites);
  if (process.argv.includes("--bench")) return bundleOthers(benches);
  if (process.argv.includes("--docs")) return bundleOthers(docs);
  return bundlePrograms();
}

try {
  await main();
} catch (error) {
  // esbuild has printed its own errors, each with its file and line.
  if (error.errors === undefined) console.error(`build: ${error.message}`);
  process.exitCode = 1;
}
