import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Where the command is built. */
export const COMMAND_BUNDLE: string = fileURLToPath(
  new URL("../../build/packetwatch.js", import.meta.url),
);

export type Ran = {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
};

export type RunOptions = {
  readonly settings: Readonly<Record<string, string>>;
  readonly args: readonly string[];
};

/** Runs the command of the build folder to its end; it sees these settings and nothing of the caller's. */
export function runPacketwatch({ settings, args }: RunOptions): Promise<Ran> {
  const child = spawn(process.execPath, [COMMAND_BUNDLE, ...args], {
    env: { PATH: process.env["PATH"], TZ: "UTC", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", errors: "" };
  child.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said.errors += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...said }));
  });
}

/** The objects that a command printed with --json, one a line. */
export function jsonLines({ out }: Ran): readonly Record<string, unknown>[] {
  const lines = out.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
