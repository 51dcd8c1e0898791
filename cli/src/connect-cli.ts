import { existsSync } from "node:fs";
import path from "node:path";
import { type Bus, type BusError, connectBus, type ConnectFailure } from "@packetwatch/bus";
import { type Config, natsAccess } from "@packetwatch/config";
import { CliError } from "./cli-error.ts";
import { runLayout } from "./native/run-layout.ts";
import { repositoryFolder } from "./repository-folder.ts";
import { complain } from "./terminal.ts";

/** How long an unreachable server stays unmentioned by a command that waits for it. */
const QUIET_MS = 2000;

export type ConnectCliOptions = {
  readonly config: Config<"cli">;
  /** The connection's name, as NATS lists it. */
  readonly name: string;
  /** "unbounded" waits for as long as it takes, and says so once. */
  readonly timeoutMs: number | "unbounded";
  readonly signal: AbortSignal;
  /** Called where the connection is lost for good, and nothing comes any more. */
  readonly onLost: (error: BusError) => void;
  /** Takes what NATS doesn't allow with these credentials; default: it is said. */
  readonly onForbidden?: (error: CliError) => void;
};

/**
 * Connects within the time limit, or throws NATS_UNREACHABLE, and NATS_REFUSES
 * at once where waiting doesn't help; throws the signal's reason when that aborts.
 */
export async function connectCli(options: ConnectCliOptions): Promise<Bus> {
  const { config, name, timeoutMs, signal, onLost } = options;
  const servers = config.natsServers;
  const late = timeoutMs === "unbounded" ? undefined : AbortSignal.timeout(timeoutMs);
  const mention = late ? undefined : setTimeout(() => complain(describeWait(servers)), QUIET_MS);
  const refusal = new AbortController();
  // Until it is connected, what there is to say is said here, and once.
  const speech = { isMuted: true };
  try {
    const bus = await connectBus({
      servers,
      access: accessOf(config),
      name,
      logger: stderrLogger(speech, options.onForbidden),
      signal: AbortSignal.any([signal, refusal.signal, ...(late ? [late] : [])]),
      onLost,
      onFailure: (failure) => {
        if (failure.kind !== "unreachable") refusal.abort(refused(servers, failure));
      },
    });
    speech.isMuted = false;
    return bus;
  } catch (cause) {
    signal.throwIfAborted();
    refusal.signal.throwIfAborted();
    if (!late?.aborted) throw cause;
    throw new CliError("NATS_UNREACHABLE", describeUnreachable(servers), { cause });
  } finally {
    clearTimeout(mention);
  }
}

/** The operator's key of `packetwatch up`, where nothing else is said and NATS is on this host. */
function accessOf(config: Config<"cli">) {
  const access = natsAccess(config);
  const isSaid = access.nkeyFile !== undefined || access.credsFile !== undefined;
  if (isSaid || !config.natsServers.every(isOwnNats)) return access;
  const runDir = path.resolve(repositoryFolder(), config.runDir);
  const nkeyFile = runLayout(runDir).seedFile("operator");
  return existsSync(nkeyFile) ? { ...access, nkeyFile } : access;
}

const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

function isOwnNats(server: string): boolean {
  const { hostname, username } = new URL(server);
  return loopback.has(hostname) && username === "";
}

function describeWait(servers: readonly string[]): string {
  return `NATS isn't reachable at ${withoutSecrets(servers)} (PW_NATS_URL); waiting for it`;
}

function describeUnreachable(servers: readonly string[]): string {
  const where = `NATS isn't reachable at ${withoutSecrets(servers)} (PW_NATS_URL)`;
  return `${where}; start it with 'packetwatch up', or set PW_NATS_URL to the fleet's servers`;
}

function refused(servers: readonly string[], failure: ConnectFailure): CliError {
  const { text, variable, cause } = failure;
  const detail = `connect to ${withoutSecrets(servers)}: ${text}: ${cause}; look at ${variable}`;
  return new CliError("NATS_REFUSES", detail);
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
function stderrLogger(
  speech: { readonly isMuted: boolean },
  onForbidden: (error: CliError) => void = once(({ message }) => complain(message)),
) {
  const say = (fields: object, message: string) => {
    const forbidden = forbiddenBy(fields);
    if (forbidden) onForbidden(forbidden);
    else if (!speech.isMuted) complain(message);
  };
  const ignore = () => undefined;
  return { debug: ignore, info: ignore, warn: say, error: say };
}

function forbiddenBy(fields: object): CliError | undefined {
  if (!("operation" in fields && "subject" in fields)) return undefined;
  const what = `${String(fields.operation)} ${String(fields.subject)}`;
  const detail = `NATS forbids '${what}' with these credentials (PW_NATS_NKEY_FILE, PW_NATS_CREDS_FILE); docs/permissions.md says which role may`;
  return new CliError("NATS_REFUSES", detail);
}

/** What is forbidden once is tried again as often as it is needed. */
function once<T>(say: (what: T) => void): (what: T) => void {
  let isSaid = false;
  return (what) => {
    if (!isSaid) say(what);
    isSaid = true;
  };
}
