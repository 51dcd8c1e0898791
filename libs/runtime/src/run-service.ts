import {
  type Config,
  ConfigError,
  environment,
  loadConfig,
  type ServiceName,
  unknownVariables,
} from "@packetwatch/config";
import { Health, startHealthFile } from "./health.ts";
import { createLogger, type Logger } from "./logger.ts";
import { Scope } from "./scope.ts";

/** Exit codes of every service. */
export const exitCodes = { clean: 0, failed: 1, misconfigured: 2 } as const;

type Service = Exclude<ServiceName, "cli">;

export type ServiceContext<S extends ServiceName> = {
  readonly config: Config<S>;
  readonly logger: Logger;
  readonly scope: Scope;
  /** Takes what has to hold for the service to be well; PW_HEALTH_FILE says whether it is. */
  readonly health: Health;
  /** Ends the service with an error: for what goes wrong after the start. */
  readonly fail: (error: unknown) => void;
};

/**
 * Runs a service: configuration, start, the line `ready`, then until SIGINT
 * or SIGTERM; then closes what its scope owns, newest first, within the drain
 * timeout. A second signal ends it at once. Ends the process.
 */
export async function runService<S extends Service>(
  service: S,
  start: (context: ServiceContext<S>) => Promise<void>,
): Promise<never> {
  const startLogger = createLogger({ service, level: "info" });
  const config = readConfig(service, startLogger);
  const logger = createLogger({ service, level: config.logLevel });
  warnOfUnknownVariables(logger);
  const scope = new Scope();
  const stop = awaitStop(logger);
  let exitCode: number = exitCodes.clean;
  try {
    const health = new Health();
    const becomeReady = async () => {
      await start({ config, logger, scope, health, fail: stop.fail });
      keepHealthFile(healthFileOf(config), { health, logger, scope });
      logger.info("ready");
    };
    await Promise.race([becomeReady(), stop.promise]);
    await stop.promise;
  } catch (error) {
    exitCode = exitCodes.failed;
    logFailure(logger, error);
  }
  const timeoutMs = config.drainTimeoutSeconds * 1000;
  const drained = await drain({ scope, logger, exitCode, timeoutMs });
  process.exit(stop.hasFailed() ? exitCodes.failed : drained);
}

function readConfig<S extends ServiceName>(service: S, logger: Logger): Config<S> {
  try {
    return loadConfig(service);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    logger.fatal({ code: error.code, problems: error.problems }, error.message);
    process.exit(exitCodes.misconfigured);
  }
}

/** Every service reads it, which can't be seen through the type parameter. */
function healthFileOf(config: object): string | undefined {
  return (config as Config<Service>).healthFile;
}

type Parts = { readonly health: Health; readonly logger: Logger; readonly scope: Scope };

function keepHealthFile(file: string | undefined, { health, logger, scope }: Parts): void {
  if (file !== undefined) scope.own(startHealthFile({ file, health, logger }));
}

function warnOfUnknownVariables(logger: Logger): void {
  for (const variable of unknownVariables(environment))
    logger.warn({ variable }, "unknown variable");
}

type Stop = {
  /** Resolves at the first signal, rejects at the first failure. */
  readonly promise: Promise<void>;
  readonly fail: (error: unknown) => void;
  readonly hasFailed: () => boolean;
};

function awaitStop(logger: Logger): Stop {
  const { promise, resolve, reject } = withResolvers();
  let isStopping = false;
  let hasFailed = false;
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals++;
    if (signals > 1) process.exit(exitCodes.failed);
    logger.info({ signal }, "stopping");
    isStopping = true;
    resolve();
  };
  const fail = (error: unknown) => {
    // The first failure is logged when it ends the service; of the others nobody else would tell.
    if (isStopping) logFailure(logger, error);
    isStopping = true;
    hasFailed = true;
    reject(error);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // A programmer's error, where nobody waits for what failed: the service ends.
  process.on("unhandledRejection", fail);
  process.on("uncaughtException", fail);
  // The race in runService may be over when a failure comes.
  promise.catch(() => undefined);
  return { promise, fail, hasFailed: () => hasFailed };
}

// Promise.withResolvers is of Node 22.
function withResolvers() {
  let resolve: () => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** An operating error is its message; a programmer's error comes with its stack. */
function logFailure(logger: Logger, error: unknown): void {
  const code = (error as { code?: unknown } | null)?.code;
  if (error instanceof Error && typeof code === "string" && "retryable" in error) {
    logger.fatal({ code }, error.message);
  } else {
    logger.fatal({ err: error }, "ended by an error that nobody expected");
  }
}

type Drain = {
  readonly scope: Scope;
  readonly logger: Logger;
  readonly exitCode: number;
  readonly timeoutMs: number;
};

async function drain({ scope, logger, exitCode, timeoutMs }: Drain): Promise<number> {
  const timer = setTimeout(() => {
    logger.error({ timeoutMs }, "not drained in time; ended all the same (PW_DRAIN_TIMEOUT)");
    process.exit(exitCodes.failed);
  }, timeoutMs);
  try {
    await scope.close();
    if (exitCode === exitCodes.clean) logger.info("stopped");
    return exitCode;
  } catch (error) {
    logFailure(logger, error);
    return exitCodes.failed;
  } finally {
    clearTimeout(timer);
  }
}
