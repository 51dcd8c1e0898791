/** What the native runtime takes from the environment, and what it hands to the services. */
import path from "node:path";
import {
  ConfigError,
  type ConfigProblem,
  type Environment,
  type ServiceName,
  loadConfig,
} from "@packetwatch/config";

export type NativeSettings = {
  /** Holds build/, deploy/ and .tools/. */
  readonly repository: string;
  /** Pid files, logs and NATS state; one runtime per folder. */
  readonly runDir: string;
  readonly interfaces: readonly string[];
  readonly natsUrl: string;
  /** Undefined when PW_NATS_URL names a server that runs already. */
  readonly ownNatsPort: number | undefined;
  readonly metricsUrl: string;
  /** False when the log level hides the line with which a service says that it is ready. */
  readonly readinessIsLogged: boolean;
  /** How long a process may take to end after SIGTERM: more than its own drain may take. */
  readonly stopTimeoutMs: number;
  /** What it was all read from; the supervisor reads it again. */
  readonly environment: Environment;
  /** The environment of the services and of the commands that meet them. */
  readonly serviceEnvironment: Environment;
};

/** A process that is past its own drain time-out ends itself; this much later it is ended. */
const STOP_MARGIN_MS = 5000;
const readers: readonly ServiceName[] = ["capture", "detector", "enforcer", "metrics", "cli"];
const levelsThatShowInfo: ReadonlySet<string> = new Set(["trace", "debug", "info"]);

/** Checks what any of the services would refuse: one ConfigError lists every bad variable. */
export function nativeSettings(repository: string, environment: Environment): NativeSettings {
  throwProblems(readers.flatMap((service) => problemsOf(service, environment)));
  const config = loadConfig("cli", environment);
  const natsIsGiven = isGiven(environment, "PW_NATS_URL");
  const natsUrl = natsIsGiven
    ? config.natsServers.join(",")
    : `nats://127.0.0.1:${config.natsPort}`;
  const runDir = path.resolve(repository, config.runDir);
  const bpfObject = path.resolve(repository, loadConfig("capture", environment).bpfObject);
  return {
    repository,
    runDir,
    interfaces: config.interfaces,
    natsUrl,
    ownNatsPort: natsIsGiven ? undefined : config.natsPort,
    metricsUrl: `http://localhost:${config.prometheusPort}/metrics`,
    readinessIsLogged: levelsThatShowInfo.has(config.logLevel),
    stopTimeoutMs: config.drainTimeoutSeconds * 1000 + STOP_MARGIN_MS,
    environment,
    serviceEnvironment: {
      ...environment,
      PW_NATS_URL: natsUrl,
      PW_RUN_DIR: runDir,
      PW_BPF_OBJECT: bpfObject,
    },
  };
}

function throwProblems(problems: readonly ConfigProblem[]): void {
  const byVariable = new Map(problems.map((problem) => [problem.variable, problem]));
  if (byVariable.size > 0) throw new ConfigError([...byVariable.values()]);
}

function problemsOf(service: ServiceName, environment: Environment): readonly ConfigProblem[] {
  try {
    loadConfig(service, environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** Empty counts as unset. */
function isGiven(environment: Environment, name: string): boolean {
  return (environment[name] ?? "").trim() !== "";
}
