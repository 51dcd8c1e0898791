import type { Bus } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
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
  } finally {
    // What is given up fails with the connection.
    working.catch(() => undefined);
    await bus.close();
  }
}
