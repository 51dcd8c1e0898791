import type { Bus } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import type { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";

export type BusWork<T> = {
  readonly config: Config<"cli">;
  readonly command: string;
  readonly timeoutMs: number;
  readonly work: (bus: Bus) => Promise<T>;
};

/**
 * Connects for one piece of work, and closes whatever comes of it. What NATS forbids ends it at once: a command
 * whose credentials are another role's would wait for what never comes.
 */
export async function withBus<T>({ config, command, timeoutMs, work }: BusWork<T>): Promise<T> {
  let onForbidden: (error: CliError) => void = () => undefined;
  const forbidden = new Promise<never>((_resolve, reject) => (onForbidden = reject));
  // It may come when the work is over.
  forbidden.catch(() => undefined);
  const bus = await connectCli({
    config,
    name: `packetwatch ${command} on ${config.host}`,
    timeoutMs,
    signal: new AbortController().signal,
    onForbidden,
  });
  const working = work(bus);
  try {
    return await Promise.race([working, forbidden]);
  } finally {
    // What is given up fails with the connection.
    working.catch(() => undefined);
    await bus.close();
  }
}
