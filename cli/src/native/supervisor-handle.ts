/** The supervisor, as the command that started it sees it. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { openLog, rotateLog } from "./log-file.ts";
import { type NativeSettings } from "./native-settings.ts";
import { ProcessTable } from "./process-table.ts";
import { SUPERVISOR } from "./programs.ts";
import { runLayout } from "./run-layout.ts";
import { type SupervisorMessage } from "./supervisor-messages.ts";

export type ReadyMessage = Extract<SupervisorMessage, { kind: "ready" }>;

/** How its start came out; "ended" is an end without a word. */
export type StartOutcome = ReadyMessage | { readonly kind: "failed" | "already-running" | "ended" };

export type HandleOptions = {
  readonly settings: NativeSettings;
  readonly entry: string;
  /** Attached, it stops when this process ends, however it ends. */
  readonly attached: boolean;
  readonly say: (text: string) => void;
};

export class SupervisorHandle {
  readonly started: Promise<StartOutcome>;
  /** The exit code; null after a signal. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(options: HandleOptions) {
    this.#child = spawnSupervisor(options);
    this.ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.started = new Promise((resolve) => {
      this.#child.on("message", (message) => {
        const outcome = hear(message as SupervisorMessage, options.say);
        if (outcome !== undefined) resolve(outcome);
      });
      void this.ended.then(() => resolve({ kind: "ended" }));
    });
  }

  stop(): void {
    this.#child.kill("SIGTERM");
  }

  /** Lets it run on when this process ends. */
  release(): void {
    this.#child.disconnect();
    this.#child.unref();
  }
}

/** Says what the user has to know, and returns what ends the start. */
function hear(message: SupervisorMessage, say: (text: string) => void): StartOutcome | undefined {
  if (message.kind === "ready" || message.kind === "already-running") return message;
  say(message.text);
  return message.kind === "failed" ? { kind: "failed" } : undefined;
}

function spawnSupervisor({ settings, entry, attached }: HandleOptions): ChildProcess {
  const layout = runLayout(settings.runDir);
  const table = new ProcessTable(layout);
  rotateLog(layout.logFile(SUPERVISOR));
  const log = openLog(layout.logFile(SUPERVISOR));
  try {
    return spawn(
      process.execPath,
      ["--enable-source-maps", entry, "up", attached ? "--supervise-attached" : "--supervise"],
      {
        cwd: settings.repository,
        env: { ...settings.environment, ...table.mark(SUPERVISOR) },
        detached: true,
        stdio: ["ignore", log, log, "ipc"],
      },
    );
  } finally {
    closeSync(log);
  }
}
