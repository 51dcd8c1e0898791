/** Runs the benches of benches.json one after the other, each in a process of its own, then writes docs/benchmarks.md. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import benches from "./benches.json" with { type: "json" };
import { writePage } from "./harness/benchmarks-page.ts";

const isSmoke = process.argv.includes("--smoke");

async function runOne(name: string): Promise<boolean> {
  const program = fileURLToPath(new URL(`${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [program, ...(isSmoke ? ["--smoke"] : [])], {
    stdio: "inherit",
  });
  const [code] = await once(child, "exit");
  return code === 0;
}

const failed: string[] = [];
for (const name of benches) {
  if (!(await runOne(name))) failed.push(name);
}
if (!isSmoke) writePage(benches);
if (failed.length > 0) console.error(`benches that failed: ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
