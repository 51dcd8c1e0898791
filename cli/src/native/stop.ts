/** `packetwatch down`: ends what is recorded in the run folder and is still ours, and detaches XDP. */
import { setTimeout as delay } from "node:timers/promises";
import { type Environment, loadConfig } from "@packetwatch/config";
import { detach } from "./detach.ts";
import { type NativeSettings } from "./native-settings.ts";
import { ProcessTable } from "./process-table.ts";
import { CONSOLE_TABLE, NATS_SERVER, SUPERVISOR, serviceNames } from "./programs.ts";
import { runLayout } from "./run-layout.ts";
import { readRuntimeRecord, recordedEnvironment, removeRuntimeRecord } from "./runtime-record.ts";
import type { RuntimeReport } from "./runtime-report.ts";

const POLL_MS = 20;
const stopOrder: readonly string[] = [NATS_SERVER, ...serviceNames, CONSOLE_TABLE].reverse();

export type StopOptions = {
  readonly settings: NativeSettings;
  readonly entry: string;
  readonly say: (text: string) => void;
  readonly report: (report: RuntimeReport) => void;
};

export type StopTarget = { readonly name: string; readonly timeoutMs: number };

/** Resolves to the exit code; nothing to stop is no failure. */
export async function stopNativeRuntime(options: StopOptions): Promise<number> {
  const { settings, say, report } = options;
  const layout = runLayout(settings.runDir);
  const table = new ProcessTable(layout);
  const record = readRuntimeRecord(layout);
  const stopped = await stopRecorded(table, settings.stopTimeoutMs);
  // Without a record capture was never started, and what is attached belongs to another runtime.
  if (record === undefined && !stopped.includes("capture")) {
    report(stopped.length > 0 ? { kind: "stopped", interfaces: [] } : { kind: "nothing_running" });
    return 0;
  }
  const environment = record
    ? recordedEnvironment(settings.environment, record)
    : settings.serviceEnvironment;
  const detached = await detach({ entry: options.entry, environment });
  if (!detached.ok) {
    say(detached.message);
    return 1;
  }
  removeRuntimeRecord(layout);
  report({ kind: "stopped", interfaces: interfacesOf(environment) });
  return 0;
}

/** The processes that a supervisor left behind when it was killed, or the supervisor with all of its own. */
export async function stopRecorded(
  table: ProcessTable,
  timeoutMs: number,
): Promise<readonly string[]> {
  const stopped: string[] = [];
  // A supervisor stops its programs one after the other, and then detaches.
  const supervisorTimeoutMs = (stopOrder.length + 2) * timeoutMs;
  if (await stopProcess(table, { name: SUPERVISOR, timeoutMs: supervisorTimeoutMs }))
    stopped.push(SUPERVISOR);
  for (const name of stopOrder) {
    if (await stopProcess(table, { name, timeoutMs })) stopped.push(name);
  }
  return stopped;
}

/** False when there was nothing to stop. */
export async function stopProcess(table: ProcessTable, target: StopTarget): Promise<boolean> {
  const pid = table.livePid(target.name);
  if (pid === undefined) {
    table.forget(target.name);
    return false;
  }
  signalIfAlive(pid, "SIGTERM");
  if (!(await isGone(table, target))) {
    signalIfAlive(pid, "SIGKILL");
    await isGone(table, target);
  }
  table.forget(target.name);
  return true;
}

async function isGone(table: ProcessTable, { name, timeoutMs }: StopTarget): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (table.livePid(name) !== undefined) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}

function signalIfAlive(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function interfacesOf(environment: Environment): readonly string[] {
  return loadConfig("cli", environment).interfaces;
}
