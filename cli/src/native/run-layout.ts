import path from "node:path";

/** Where the native runtime keeps what it writes. */
export type RunLayout = {
  readonly runDir: string;
  readonly natsStore: string;
  /** What `down` must know of the runtime that `up` started. */
  readonly record: string;
  /** The keys of the NATS that `up` starts: see KeyFolder. */
  readonly keys: string;
  /** What that NATS is started with. */
  readonly natsConfig: string;
  pidFile(name: string): string;
  logFile(name: string): string;
  seedFile(name: string): string;
};

export function runLayout(runDir: string): RunLayout {
  return {
    runDir,
    natsStore: path.join(runDir, "nats"),
    record: path.join(runDir, "runtime.json"),
    keys: path.join(runDir, "keys"),
    natsConfig: path.join(runDir, "nats.conf"),
    pidFile: (name) => path.join(runDir, `${name}.pid`),
    logFile: (name) => path.join(runDir, "log", `${name}.log`),
    seedFile: (name) => path.join(runDir, "keys", name, "user.nk"),
  };
}
