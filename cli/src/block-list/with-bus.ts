import type { Bus } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";

export type BusWork<T> = {
  readonly config: Config<"cli">;
  readonly command: string;
  readonly timeoutMs: number;
  readonly work: (bus: Bus) => Promise<T>;
};

/**
 * Connects for one piece of work, and closes whatever comes of it. What NATS forbids ends it at once, as does a
 * connection that is lost for good: a command whose credentials are another role's would wait for what never comes.
 */
export async function withBus<T>({ config, command, timeoutMs, work }: BusWork<T>): Promise<T> {
  let giveUp: (error: Error) => void = () => undefined;
  const hopeless = new Promise<never>((_resolve, reject) => (giveUp = reject));
  // It may come when the work is over.
  hopeless.catch(() => undefined);
  const bus = await connectCli({
    config,
    name: `packetwatch ${command} on ${config.host}`,
    timeoutMs,
    signal: new AbortController().signal,
    onForbidden: giveUp,
    onLost: giveUp,
  });
  const working = work(bus);
  try {
    return await Promise.race([working, hopeless]);
  } catch (error) {
    throw isRetryable(error) && !hasJetStream(bus) ? withoutJetStream(bus, error) : error;
  } finally {
    // What is given up fails with the connection.
    working.catch(() => undefined);
    await bus.close();
  }
}

function isRetryable(error: unknown): boolean {
  return (error as { readonly retryable?: boolean }).retryable === true;
}

/** By what the server said when it took the connection. */
function hasJetStream({ connection }: Bus): boolean {
  return connection.info?.jetstream === true;
}

function withoutJetStream({ connection }: Bus, cause: unknown): CliError {
  const detail = `NATS at ${connection.getServer()} runs without JetStream, and its log says why: a full disk switches it off until there is room and nats-server is started again`;
  return new CliError("NO_JETSTREAM", detail, { cause });
}
