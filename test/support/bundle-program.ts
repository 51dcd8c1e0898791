import { execFileSync } from "node:child_process";
import { renameSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROLLDOWN = fileURLToPath(new URL("../../node_modules/.bin/rolldown", import.meta.url));

/** Bundles a TypeScript file, which Node 20 can't run, into one file that it can. */
export function bundleProgram(file: string, outfile: string): void {
  // A program that starts while another suite bundles the same must find a whole file.
  const partial = `${outfile}.${process.pid}`;
  const input = [file, "--platform", "node", "--external", "koffi"];
  const output = ["--file", partial, "--format", "esm", "--no-codeSplitting"];
  const options = ["--transform.target", "node20", "--logLevel", "warn"];
  // Piped: an error says what was printed, which names the file and the line.
  execFileSync(ROLLDOWN, [...input, ...output, ...options], { stdio: "pipe" });
  renameSync(partial, outfile);
}
