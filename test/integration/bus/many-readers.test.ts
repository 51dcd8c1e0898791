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
/** Measured: 0.5 % of a core. The rest is for what the load before left to clean up. */
const MAX_IDLE_CPU_SHARE = 0.05;

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

test("a reader for each shard gets exactly its shard, in order; together they idle cheaply", async () => {
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

  const before = process.cpuUsage();
  await delay(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / 1000 / IDLE_MS;
  expect(share).toBeLessThan(MAX_IDLE_CPU_SHARE);

  await Promise.all(readers.map((reader) => reader.close()));
});
