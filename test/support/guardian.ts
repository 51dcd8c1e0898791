import { type ChildProcess, spawn } from "node:child_process";

/**
 * Undoes what a process that is killed can no longer undo: runs shell commands
 * as soon as this process has gone, however it went. Call `close()` once all is undone.
 */
export class Guardian {
  readonly #process: ChildProcess;

  constructor(commands: readonly string[]) {
    // The pipe closes with this process; a session of its own keeps Ctrl-C away.
    const script = ["cat >/dev/null", ...commands].join("\n");
    this.#process = spawn("sh", ["-c", script], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#process.unref();
  }

  close(): void {
    this.#process.kill("SIGKILL");
  }
}
