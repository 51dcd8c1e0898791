/** `packetwatch up`: starts a supervisor and follows it, to readiness or to the end. */
import { type ChildProcess, spawn } from "node:child_process";
import { loadConfig } from "@packetwatch/config";
import { mountBpffs } from "./bpffs.ts";
import { type NativeSettings } from "./native-settings.ts";
import { ProcessTable } from "./process-table.ts";
import { CONSOLE_TABLE, keyEnvironment, SUPERVISOR } from "./programs.ts";
import { makeRunFolder } from "./run-folder.ts";
import { runLayout } from "./run-layout.ts";
import { readRuntimeRecord, recordedEnvironment } from "./runtime-record.ts";
import { runningReport, type RuntimeReport } from "./runtime-report.ts";
import { stopNativeRuntime, stopRecorded } from "./stop.ts";
import { SupervisorHandle } from "./supervisor-handle.ts";

export type StartOptions = {
  readonly settings: NativeSettings;
  /** The command's own file: the supervisor and the console table are commands of it. */
  readonly entry: string;
  /** Takes what is said on the way, for people. */
  readonly say: (text: string) => void;
  /** Takes how it came out. */
  readonly report: (report: RuntimeReport) => void;
  /** As what the console table is printed. */
  readonly format: "table" | "json";
};

/** Starts everything in the background; resolves to the exit code once all is ready, or one has failed. */
export async function startNativeRuntime(options: StartOptions): Promise<number> {
  if (await isRunning(options)) return 0;
  const supervisor = new SupervisorHandle({ ...options, attached: false });
  const signals = catchStopSignals();
  void signals.caught.then(() => supervisor.stop());

  const outcome = await supervisor.started;
  signals.release();
  if (outcome.kind === "ready") {
    options.report(runningReport(options.settings, outcome));
    supervisor.release();
    return 0;
  }
  return endOfStart(options, { supervisor, kind: outcome.kind });
}

/** Starts everything, prints the console table until a signal, and stops everything. */
export async function runForeground(options: StartOptions): Promise<number> {
  if (await isRunning(options)) return 0;
  const supervisor = new SupervisorHandle({ ...options, attached: true });
  const signals = catchStopSignals();
  void signals.caught.then(() => supervisor.stop());

  const outcome = await supervisor.started;
  if (outcome.kind !== "ready") return endOfStart(options, { supervisor, kind: outcome.kind });
  options.report(runningReport(options.settings, outcome));

  const table = spawnTable(options);
  const tableEnded = new Promise<number>((resolve) =>
    table.once("exit", (code) => resolve(code ?? 0)),
  );
  const first = await Promise.race([
    signals.caught,
    supervisor.ended.then(() => "ended" as const),
    tableEnded,
  ]);
  table.kill("SIGTERM");
  supervisor.stop();
  if (first !== "ended") options.say("stopping");
  const code = await endOfRun(options, supervisor);
  return typeof first === "number" && first !== 0 ? first : code;
}

type EndedStart = {
  readonly supervisor: SupervisorHandle;
  readonly kind: "failed" | "already-running" | "ended";
};

/** A supervisor that failed has stopped the others before it ends. */
async function endOfStart(
  options: StartOptions,
  { supervisor, kind }: EndedStart,
): Promise<number> {
  if (kind === "already-running") {
    reportRunning(options);
    return 0;
  }
  if (kind === "ended") return endOfRun(options, supervisor);
  await supervisor.ended;
  return 1;
}

/** After a supervisor that was killed, its processes are stopped here. */
async function endOfRun(options: StartOptions, supervisor: SupervisorHandle): Promise<number> {
  const code = await supervisor.ended;
  if (code === 0) {
    options.report({ kind: "stopped", interfaces: options.settings.interfaces });
    return 0;
  }
  if (code === null) options.say("the supervisor was killed; stopping what it left");
  const layout = runLayout(options.settings.runDir);
  options.say(`the supervisor's log is ${layout.logFile(SUPERVISOR)}`);
  await stopNativeRuntime(options);
  return 1;
}

async function isRunning(options: StartOptions): Promise<boolean> {
  const { settings } = options;
  const layout = runLayout(settings.runDir);
  const table = new ProcessTable(layout);
  if (table.livePid(SUPERVISOR) !== undefined) {
    reportRunning(options);
    return true;
  }
  makeRunFolder(layout);
  const left = await stopRecorded(table, settings.stopTimeoutMs);
  if (left.length > 0) options.say(`stopped what an earlier run had left: ${left.join(", ")}`);
  mountBpffs();
  return false;
}

/** With what it watches: that may not be what this command was to watch. */
function reportRunning({ settings, report }: StartOptions): void {
  const { runDir, environment } = settings;
  const record = readRuntimeRecord(runLayout(runDir));
  const interfaces = record
    ? loadConfig("cli", recordedEnvironment(environment, record)).interfaces
    : [];
  report({ kind: "already_running", runDir, interfaces });
}

/** In this process's group: it writes to the terminal, and a Ctrl-C ends it at once. */
function spawnTable({ entry, settings, format }: StartOptions): ChildProcess {
  const processes = new ProcessTable(runLayout(settings.runDir));
  const table = spawn(
    process.execPath,
    ["--enable-source-maps", entry, "tail", "--format", format],
    {
      env: {
        ...settings.serviceEnvironment,
        ...keyEnvironment(settings, "operator"),
        // Named, also where it is the default: the table then says what is watched here.
        PW_IFDEV: settings.interfaces.join(","),
        ...processes.mark(CONSOLE_TABLE),
      },
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  if (table.pid !== undefined) processes.record(CONSOLE_TABLE, table.pid);
  table.once("exit", () => processes.forget(CONSOLE_TABLE));
  return table;
}

type StopSignals = { readonly caught: Promise<"signal">; release(): void };

/** Until `release`, no signal ends this process: only the orderly stop does. */
function catchStopSignals(): StopSignals {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let listener = () => {};
  const caught = new Promise<"signal">((resolve) => {
    listener = () => resolve("signal");
  });
  for (const name of names) process.on(name, listener);
  return {
    caught,
    release: () => {
      for (const name of names) process.off(name, listener);
    },
  };
}
