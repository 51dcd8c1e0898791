// Runs every stage of `make test`, stops at the first that fails, and ends with the counts.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";

const resultsDir = "test-results";

/** Long enough for a machine that is slow, short enough for a suite that hangs. */
const STAGE_TIMEOUT_MS = 30 * 60_000;

const countOf = (counts) => ({ passed: 0, failed: 0, skipped: 0, ...counts });

/** A check holds no tests: it counts only when it fails. */
const check = (name, command, ...args) => ({
  name,
  command,
  args,
  count: (exitCode) => countOf({ failed: exitCode === 0 ? 0 : 1 }),
});

const suite = (project) => ({
  name: project,
  command: "node_modules/.bin/vitest",
  args: [
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportPath(project)}`,
  ],
  count: (exitCode) => countReport(project, exitCode),
});

/** A suite that passes or fails as a whole. */
const endToEnd = (name, file, ...args) => ({
  name,
  command: "node",
  args: [`build/test/${file}`, ...args],
  count: (exitCode) => countOf(exitCode === 0 ? { passed: 1 } : { failed: 1 }),
});

/** Why there is no Docker Engine: scripts/with-engine.sh says so, and in CI fails instead. */
const noEngine = process.env.PW_NO_ENGINE;

const inContainers = (stage) => ({ ...stage, leftOut: noEngine });

/** A suite of the ported tool, against a stack of its own. */
const inStack = (name) =>
  inContainers({
    ...endToEnd(`${name} in containers`),
    command: "scripts/docker/stack.sh",
    args: [name],
  });

const cSources = [
  "bpf/packetwatch.bpf.c",
  "bpf/packetwatch.h",
  "bpf/parsing.h",
  "bench/bpf/perf-buffer.bpf.c",
  "bench/bpf/varied.bpf.c",
  "bench/load/syn-generator.c",
];

const stages = [
  check("format", "node_modules/.bin/oxfmt", "--check"),
  check("format of bpf/", "clang-format", "--dry-run", "-Werror", ...cSources),
  check("lint", "node_modules/.bin/oxlint", "--type-aware"),
  check("types", "node_modules/.bin/tsc", "--noEmit", "-p", "."),
  suite("unit"),
  suite("kernel"),
  inContainers(check("images", "scripts/docker/images.sh")),
  suite("integration"),
  suite("e2e"),
  endToEnd("e2e-black", "e2e-black.js"),
  endToEnd("e2e-white", "e2e-white.js"),
  endToEnd("e2e-netns", "scanners.js"),
  inContainers(suite("docker")),
  inStack("e2e-black"),
  inStack("e2e-white"),
  // Each bench once at its smoke size: what it counts is checked, what it measures is not.
  endToEnd("bench", "../bench/all.js", "--smoke"),
  // A fixed seed, so that a change is what makes the difference; `make chaos` tries others, for longer.
  endToEnd("chaos", "chaos.js", "--seed", "1", "--duration", "15"),
];

function reportPath(project) {
  return `${resultsDir}/${project}.json`;
}

function countReport(project, exitCode) {
  const report = readReport(project);
  if (report === undefined) return countOf({ failed: 1 });
  const {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: pending,
    numTodoTests: todo,
  } = report;
  // A file that can't be loaded, or an error outside of any test, fails the stage without a failed test.
  const unseen = exitCode !== 0 && failed === 0 ? 1 : 0;
  return { passed, failed: failed + unseen, skipped: pending + todo };
}

/** Undefined when vitest ended before it could write one. */
function readReport(project) {
  try {
    return JSON.parse(readFileSync(reportPath(project), "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

function run({ command, args }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "inherit", "inherit"],
      timeout: STAGE_TIMEOUT_MS,
    });
    child.once("error", (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(127);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

const secondsSince = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

async function runStage(stage) {
  console.log(`\n=== ${stage.name}`);
  if (stage.leftOut !== undefined) {
    console.log(`=== ${stage.name}: left out, no Docker Engine: ${stage.leftOut}`);
    return { name: stage.name, exitCode: 0, counts: countOf({ skipped: 1 }) };
  }
  const start = performance.now();
  const exitCode = await run(stage);
  const counts = stage.count(exitCode);
  console.log(
    `=== ${stage.name}: ${exitCode === 0 ? "passed" : "FAILED"} in ${secondsSince(start)}`,
  );
  return { name: stage.name, exitCode, counts };
}

const add = (a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

function format({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

async function main() {
  rmSync(resultsDir, { recursive: true, force: true });
  mkdirSync(resultsDir, { recursive: true });
  const start = performance.now();
  let total = countOf({});
  for (const stage of stages) {
    const { name, exitCode, counts } = await runStage(stage);
    total = add(total, counts);
    process.exitCode = exitCode === 0 ? 0 : 1;
    if (exitCode === 0) continue;
    const rest = stages.slice(stages.indexOf(stage) + 1).map((later) => later.name);
    console.log(`\nstopped at ${name}${rest.length > 0 ? `; not run: ${rest.join(", ")}` : ""}`);
    break;
  }
  console.log(`\n${secondsSince(start)} in all`);
  console.log(format(total));
}

await main();
