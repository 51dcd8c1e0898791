import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "../../test/support/network-namespace.ts";

/** Runs a program of the bench to its end, and gives the JSON that it printed. */
export async function runForJson<Result>(
  command: readonly [string, ...string[]],
  namespace?: NetworkNamespace,
): Promise<Result> {
  const [program, ...args] = command;
  const [file, fileArgs] = namespace?.commandLine(program, args) ?? [program, args];
  const child = spawn(file, fileArgs, { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}`);
  return JSON.parse(printed) as Result;
}

/** A bundle beside this one. */
export function benchProgram(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}
