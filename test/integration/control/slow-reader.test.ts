import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { holdsFor } from "../../support/eventually.ts";
import { COMMAND_BUNDLE } from "../../support/packetwatch-command.ts";

/** Far more text than a pipe holds, which is 64 KiB. */
const KEYS = 5000;
/** Longer than a command that is told to stop waits for its reader. */
const PAUSE_MS = 2000;

it("a command waits for a slow reader, who gets everything that it prints", async () => {
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-slow-"));
  try {
    mkdirSync(join(folder, "nats"));
    const users = Array.from({ length: KEYS }, (_, index) => ({
      name: `key-${index}`,
      role: "capture",
      publicKey: `U${"A".repeat(55)}`,
    }));
    writeFileSync(join(folder, "nats/users.json"), JSON.stringify({ version: 1, users }));
    const child = spawn(process.execPath, [COMMAND_BUNDLE, "keys", "list", folder, "--json"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "close");
    await once(child.stdout, "readable");
    const isWaiting = () => child.exitCode === null;
    await holdsFor(isWaiting, { timeoutMs: PAUSE_MS, what: "the wait for the reader" });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    expect(await ended).toEqual([0, null]);
    const names = text
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { name: string }).name);
    expect(names).toEqual(users.map(({ name }) => name));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
