/** The supervisor process: started by `up`, ended by SIGTERM, or by the end of the command it is attached to. */
import { mkdirSync } from "node:fs";
import { createLogger, type Logger } from "@packetwatch/runtime";
import { detach } from "./detach.ts";
import { detachUnwatched } from "./detach-unwatched.ts";
import { acquireInstanceLock } from "./instance-lock.ts";
import { rotateLog } from "./log-file.ts";
import { NativeError } from "./native-error.ts";
import { type NativeSettings } from "./native-settings.ts";
import { prepareNats, provisionOwnNats } from "./own-nats.ts";
import { ProcessTable } from "./process-table.ts";
import { CONSOLE_TABLE, SUPERVISOR, natsPrograms, servicePrograms } from "./programs.ts";
import { type RunLayout, runLayout } from "./run-layout.ts";
import {
  readRuntimeRecord,
  recordedEnvironment,
  removeRuntimeRecord,
  writeRuntimeRecord,
} from "./runtime-record.ts";
import { stopProcess } from "./stop.ts";
import { Supervisor } from "./supervisor.ts";
import { type SupervisorMessage, type Tell, tellParent } from "./supervisor-messages.ts";

export type SuperviseOptions = {
  readonly settings: NativeSettings;
  /** The command's own file, which `detach` is run with. */
  readonly entry: string;
  /** Stop when the starting command goes away, however it does. */
  readonly attached: boolean;
};

/** Resolves to the exit code when everything has stopped. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  const { settings } = options;
  const logger = createLogger({ service: SUPERVISOR, level: "info" });
  const tell = loggedTell(logger, tellParent());
  const lock = await acquireInstanceLock(settings.runDir);
  if (lock === undefined) {
    tell({ kind: "already-running" });
    return 0;
  }
  const layout = runLayout(settings.runDir);
  const table = new ProcessTable(layout);
  table.record(SUPERVISOR, process.pid);
  try {
    return await runUntilStopped(options, { layout, table, tell, logger });
  } finally {
    table.forget(SUPERVISOR);
    lock.close();
    if (process.connected) process.disconnect();
  }
}

type Parts = {
  readonly layout: RunLayout;
  readonly table: ProcessTable;
  readonly tell: Tell;
};
type RunParts = Parts & { readonly logger: Logger };

async function runUntilStopped(
  options: SuperviseOptions,
  { layout, table, tell, logger }: RunParts,
): Promise<number> {
  const { entry, settings } = options;
  const stop = catchStop(options.attached);
  const context = {
    layout,
    table,
    environment: settings.serviceEnvironment,
    cwd: settings.repository,
  };
  const supervisor = new Supervisor({
    context,
    tell,
    stopTimeoutMs: settings.stopTimeoutMs,
    signal: stop.signal,
    fail: stop.fail,
  });
  let exitCode = 0;
  try {
    await startAll(supervisor, { entry, settings, layout, logger, signal: stop.signal });
    if (!stop.signal.aborted) tell({ kind: "ready", modes: [...supervisor.modes()] });
    await stop.requested;
  } catch (error) {
    exitCode = 1;
    tell({ kind: "failed", text: describe(error) });
  }
  await supervisor.stop();
  // A command that was killed leaves its console table behind.
  await stopProcess(table, { name: CONSOLE_TABLE, timeoutMs: settings.stopTimeoutMs });
  return (await cleanUp(options, { layout, table, tell })) ? exitCode : 1;
}

type StartParts = Pick<SuperviseOptions, "entry" | "settings"> & {
  readonly layout: RunLayout;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

async function startAll(
  supervisor: Supervisor,
  { entry, settings, layout, logger, signal }: StartParts,
): Promise<void> {
  const nats = natsPrograms(settings);
  const services = servicePrograms(settings);
  mkdirSync(layout.natsStore, { recursive: true });
  for (const program of [...nats, ...services]) rotateLog(layout.logFile(program.name));
  if (nats.length > 0) prepareNats(settings);
  await supervisor.start(nats);
  if (nats.length > 0) await provisionOwnNats(settings, { logger, signal });
  await detachUnwatched({ entry, settings, layout });
  // From here on there is something to detach, whoever stops what.
  writeRuntimeRecord(layout, settings.serviceEnvironment);
  await supervisor.start(services);
}

/** Without a record capture was never started, and what is attached belongs to another runtime. */
async function cleanUp(
  { entry, settings }: SuperviseOptions,
  { layout, tell }: Parts,
): Promise<boolean> {
  const record = readRuntimeRecord(layout);
  if (record === undefined) return true;
  const environment = recordedEnvironment(settings.environment, record);
  const detached = await detach({ entry, environment });
  if (detached.ok) removeRuntimeRecord(layout);
  else tell({ kind: "notice", text: detached.message });
  return detached.ok;
}

type Stop = {
  readonly signal: AbortSignal;
  /** Resolves when the stop was asked for, rejects when something failed. */
  readonly requested: Promise<void>;
  readonly fail: (error: unknown) => void;
};

/** Handlers stay in place until the end: a second signal must not cut the orderly stop short. */
function catchStop(attached: boolean): Stop {
  const controller = new AbortController();
  let fail: (error: unknown) => void = () => undefined;
  const requested = new Promise<void>((resolve, reject) => {
    fail = reject;
    controller.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  // The start may fail first, and then nobody waits for it.
  requested.catch(() => undefined);
  const stop = () => controller.abort();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stop);
  if (attached) process.on("disconnect", stop);
  return { signal: controller.signal, requested, fail };
}

/** What the operator can mend is its message; anything else comes with its stack. */
function describe(error: unknown): string {
  if (error instanceof NativeError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function loggedTell(logger: Logger, tell: Tell): Tell {
  return (message) => {
    log(logger, message);
    tell(message);
  };
}

function log(logger: Logger, message: SupervisorMessage): void {
  if (message.kind === "ready") logger.info({ modes: message.modes }, "ready");
  else if (message.kind === "already-running") logger.info("another supervisor runs here");
  else if (message.kind === "failed") logger.error(message.text);
  else logger.warn(message.text);
}
