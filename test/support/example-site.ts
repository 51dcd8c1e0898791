import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import type { Cleanup } from "./cleanup.ts";
import { ExamplesCopy } from "./example-process.ts";
import { type NatsServer, startNats } from "./nats.ts";
import { RecordingLogger } from "./recording-logger.ts";
import { testStreams } from "./streams.ts";

/** What the programs of examples/ need: a NATS with the streams, a bus to publish on it, and a copy of them. */
export type ExampleSite = {
  readonly nats: NatsServer;
  readonly bus: Bus;
  readonly examples: ExamplesCopy;
};

export async function startExampleSite(cleanup: Cleanup): Promise<ExampleSite> {
  const nats = await startNats();
  cleanup.defer(() => nats.stop());
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  return { nats, bus, examples: cleanup.own(new ExamplesCopy()) };
}
