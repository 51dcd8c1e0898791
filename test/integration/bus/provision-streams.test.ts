import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { type Bus, BusError, connectBus, provisionStreams } from "@packetwatch/bus";
import { streamNames } from "@packetwatch/contracts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { plainStream, testStreams } from "../../support/streams.ts";

let server: NatsServer;
let bus: Bus;

beforeEach(async () => {
  server = await startNats();
  bus = await connectBus({ servers: [server.url], name: "test", logger: new RecordingLogger() });
});

afterEach(async () => {
  await bus.close();
  await server.stop();
});

async function configOf(name: string): Promise<StreamConfig> {
  const manager = await jetstreamManager(bus.connection);
  return (await manager.streams.info(name)).config;
}

async function provisionError(...specs: Parameters<typeof plainStream>): Promise<unknown> {
  return provisionStreams(bus, [plainStream(...specs)]).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("provisionStreams", () => {
  test("creates every stream of the contract, with its limits", async () => {
    await provisionStreams(bus, testStreams({ verdictMessages: 500 }));

    expect(await configOf(streamNames.syn)).toMatchObject({
      subjects: ["packetwatch.v1.syn.*"],
      storage: "memory",
      discard: "old",
      max_bytes: 16 * 1024 ** 2,
      max_age: 120e9,
    });
    expect(await configOf(streamNames.verdict)).toMatchObject({
      subjects: ["packetwatch.v1.verdict.>", "packetwatch.v1.breaker"],
      storage: "file",
      discard: "new",
      max_msgs: 500,
      max_msgs_per_subject: 1,
      allow_msg_ttl: true,
      allow_direct: true,
      subject_delete_marker_ttl: 600e9,
    });
    expect(await configOf(streamNames.history)).toMatchObject({
      storage: "file",
      max_age: 3600e9,
      sources: [{ name: streamNames.verdict }],
    });
  });

  test("changes nothing when it is called again, and keeps the messages", async () => {
    await provisionStreams(bus, testStreams());
    const before = await configOf(streamNames.verdict);
    await bus.jetstream.publish("packetwatch.v1.syn.7", "kept");

    await provisionStreams(bus, testStreams());

    expect(await configOf(streamNames.verdict)).toEqual(before);
    const manager = await jetstreamManager(bus.connection);
    expect((await manager.streams.info(streamNames.syn)).state.messages).toBe(1);
  });

  test("updates the limits of streams that are there", async () => {
    await provisionStreams(bus, testStreams());
    await provisionStreams(
      bus,
      testStreams({ verdictMessages: 2000, synBytes: 32 * 1024 ** 2, longestWindowSeconds: 300 }),
    );

    expect(await configOf(streamNames.verdict)).toMatchObject({ max_msgs: 2000 });
    expect(await configOf(streamNames.syn)).toMatchObject({
      max_bytes: 32 * 1024 ** 2,
      max_age: 360e9,
    });
  });

  test("is harmless when several replicas do it at once", async () => {
    await Promise.all(Array.from({ length: 8 }, () => provisionStreams(bus, testStreams())));
    expect(await configOf(streamNames.history)).toMatchObject({ storage: "file" });
  });

  test("refuses what can't be changed, names the stream and the way out, and is not retryable", async () => {
    await provisionStreams(bus, [plainStream("fixed", { storage: "memory" })]);
    const error = await provisionError("fixed", { storage: "file" });

    expect(error).toBeInstanceOf(BusError);
    expect(error).toMatchObject({ code: "STREAM", subject: "fixed", retryable: false });
    expect((error as Error).message).toMatch(
      /^provision stream fixed: .*storage type.*nats stream rm fixed/,
    );
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  test("refuses replicas at once where there is no cluster", async () => {
    const error = await provisionError("replicated", { replicas: 3 });
    expect(error).toMatchObject({ code: "STREAM", retryable: false });
    expect((error as Error).message).toMatch(/replicas > 1 not supported/);
  });

  test("is given up when its signal aborts", async () => {
    await server.pause();
    const abort = new AbortController();
    const provisioning = provisionStreams(bus, [plainStream("late")], { signal: abort.signal });
    abort.abort();
    await expect(provisioning).rejects.toThrow(/abort/i);
    await server.resume();
  });
});
