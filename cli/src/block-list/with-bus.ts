import type { Bus } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import { connectCli } from "../connect-cli.ts";

export type BusWork<T> = {
  readonly config: Config<"cli">;
  readonly command: string;
  readonly timeoutMs: number;
  readonly work: (bus: Bus) => Promise<T>;
};

/** Connects for one piece of work, and closes whatever comes of it. */
export async function withBus<T>({ config, command, timeoutMs, work }: BusWork<T>): Promise<T> {
  const bus = await connectCli({
    config,
    name: `packetwatch ${command} on ${config.host}`,
    timeoutMs,
    signal: new AbortController().signal,
  });
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
}
