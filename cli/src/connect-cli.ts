import { type Bus, connectBus } from "@packetwatch/bus";
import { CliError } from "./cli-error.ts";
import { complain } from "./terminal.ts";

/** How long an unreachable server stays unmentioned by a command that waits for it. */
const QUIET_MS = 2000;

export type ConnectCliOptions = {
  readonly servers: readonly string[];
  /** The connection's name, as NATS lists it. */
  readonly name: string;
  /** "unbounded" waits for as long as it takes, and says so once. */
  readonly timeoutMs: number | "unbounded";
  readonly signal: AbortSignal;
};

/** Connects within the time limit, or throws NATS_UNREACHABLE; throws the signal's reason when that aborts. */
export async function connectCli(options: ConnectCliOptions): Promise<Bus> {
  const { servers, name, timeoutMs, signal } = options;
  const late = timeoutMs === "unbounded" ? undefined : AbortSignal.timeout(timeoutMs);
  const mention = late ? undefined : setTimeout(() => complain(describeWait(servers)), QUIET_MS);
  // Until it is connected, what there is to say is said here, and once.
  const speech = { isMuted: true };
  try {
    const logger = stderrLogger(speech);
    const anySignal = AbortSignal.any(late ? [signal, late] : [signal]);
    const bus = await connectBus({ servers, name, logger, signal: anySignal });
    speech.isMuted = false;
    return bus;
  } catch (cause) {
    signal.throwIfAborted();
    throw new CliError("NATS_UNREACHABLE", describeFailure({ servers, cause, late }), { cause });
  } finally {
    clearTimeout(mention);
  }
}

function describeWait(servers: readonly string[]): string {
  return `NATS isn't reachable at ${withoutSecrets(servers)} (PW_NATS_URL); waiting for it`;
}

type Failure = {
  readonly servers: readonly string[];
  readonly cause: unknown;
  readonly late: AbortSignal | undefined;
};

function describeFailure({ servers, cause, late }: Failure): string {
  const where = `NATS isn't reachable at ${withoutSecrets(servers)} (PW_NATS_URL)`;
  const why = late?.aborted || !(cause instanceof Error) ? "" : `: ${cause.message}`;
  return `${where}${why}; start it with 'packetwatch up', or set PW_NATS_URL to the fleet's servers`;
}

/** URLs may hold a password. */
export function withoutSecrets(servers: readonly string[]): string {
  const shown = servers.map((server) => {
    const url = new URL(server);
    return `${url.protocol}//${url.host}`;
  });
  return shown.join(",");
}

/** What the bus reports, for people: warnings and errors only. */
function stderrLogger(speech: { readonly isMuted: boolean }) {
  const say = (_fields: object, message: string) => {
    if (!speech.isMuted) complain(message);
  };
  const ignore = () => undefined;
  return { debug: ignore, info: ignore, warn: say, error: say };
}
