import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { SHARD_COUNT } from "@packetwatch/net";
import { streamNames, synSubject } from "@packetwatch/contracts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";
import { RecordingReader } from "./recording-reader.ts";

const MESSAGES_PER_SHARD = 50;
const IDLE_MS = 5000;
/** How long a request of a reader stands; then it is renewed. */
const REQUEST_MS = 30_000;

let server: NatsServer;
let bus: Bus;

beforeAll(async () => {
  server = await startNats();
  bus = await connectBus({ servers: [server.url], name: "test", logger: new RecordingLogger() });
  await provisionStreams(bus, testStreams());
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

test("a reader for each shard gets exactly its shard, in order; when idle, they wait for the server and ask for nothing", async () => {
  const shards = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);
  const readers = shards.map(
    (shard) =>
      new RecordingReader({
        bus,
        stream: streamNames.syn,
        filter: synSubject(shard),
        start: { kind: "since", time: () => new Date(Date.now() - 60_000) },
        prefetch: 32,
      }),
  );
  const numbers = Array.from({ length: MESSAGES_PER_SHARD }, (_, index) => index);
  for (const number of numbers) {
    await Promise.all(
      shards.map((shard) => bus.jetstream.publish(synSubject(shard), `${shard}/${number}`)),
    );
  }
  await Promise.all(
    readers.map((reader, shard) => reader.delivered(`${shard}/${MESSAGES_PER_SHARD - 1}`)),
  );
  for (const [shard, { payloads }] of readers.entries()) {
    expect(payloads).toEqual(numbers.map((number) => `${shard}/${number}`));
  }

  // What idling costs a detector with all shards is measured by `make bench-footprint`.
  const { outMsgs: before } = bus.connection.stats();
  const startMs = performance.now();
  await delay(IDLE_MS);
  const sent = bus.connection.stats().outMsgs - before;
  const renewals = 1 + Math.floor((performance.now() - startMs) / REQUEST_MS);
  expect(sent).toBeLessThanOrEqual(renewals * SHARD_COUNT);

  await Promise.all(readers.map((reader) => reader.close()));
});
