import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jetstreamManager } from "@nats-io/jetstream";
import {
  type Bus,
  BusError,
  connectBus,
  provisionStreams,
  publishAcknowledged,
} from "@packetwatch/bus";
import { streamNames, subjects } from "@packetwatch/contracts";
import { waitUntil, within } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { plainStream, testStreams } from "../../support/streams.ts";
import { RecordingReader } from "./recording-reader.ts";

const VERDICT_LIMIT = 16;
const address = (host: number) => `packetwatch.v1.verdict.ip4.192.0.2.${host}`;
const bytes = (text: string) => Buffer.from(text);

let server: NatsServer;
let bus: Bus;

// A server for each test: on a loaded machine, a stream made anew under the name of a deleted one has been seen to
// refuse its third message as being full at sixteen.
beforeEach(async () => {
  server = await startNats();
  bus = await connectBus({ servers: [server.url], name: "test", logger: new RecordingLogger() });
  await provisionStreams(bus, testStreams({ verdictMessages: VERDICT_LIMIT }));
});

afterEach(async () => {
  await bus.close();
  await server.stop();
});

function refusal(subject: string, payload: Uint8Array): Promise<unknown> {
  return publishAcknowledged(bus, subject, payload).then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function messagesIn(stream: string): Promise<number> {
  const manager = await jetstreamManager(bus.connection);
  return (await manager.streams.info(stream)).state.messages;
}

/** What a late reader of the verdict list sees. */
async function listed(): Promise<ReadonlyMap<string, string>> {
  const reader = readAll(streamNames.verdict, subjects.everyVerdict);
  await reader.caughtUp();
  await reader.close();
  return new Map(
    reader.messages.map(({ subject, payload }) => [subject, Buffer.from(payload).toString()]),
  );
}

function readAll(stream: string, filter: string): RecordingReader {
  return new RecordingReader({ bus, stream, filter, start: { kind: "last_per_subject" } });
}

describe("publishAcknowledged", () => {
  test("returns the sequence at which the message is stored", async () => {
    const first = await publishAcknowledged(bus, "packetwatch.v1.syn.1", bytes("one"));
    const second = await publishAcknowledged(bus, "packetwatch.v1.syn.2", bytes("two"));
    expect([first, second]).toEqual([
      { sequence: 1, duplicate: false },
      { sequence: 2, duplicate: false },
    ]);
  });

  test("stores a message once, however often its id is published", async () => {
    const publish = () =>
      publishAcknowledged(bus, address(9), bytes("block"), { messageId: "verdict-1" });
    const first = await publish();
    const second = await publish();

    expect(first.duplicate).toBe(false);
    expect(second).toEqual({ sequence: first.sequence, duplicate: true });
    expect(await messagesIn(streamNames.verdict)).toBe(1);
  });

  test("a duplicate of an older verdict doesn't come back over a newer one", async () => {
    await publishAcknowledged(bus, address(9), bytes("block"), { messageId: "verdict-1" });
    await publishAcknowledged(bus, address(9), bytes("unblock"), { messageId: "verdict-2" });
    await publishAcknowledged(bus, address(9), bytes("block"), { messageId: "verdict-1" });
    expect(await listed()).toEqual(new Map([[address(9), "unblock"]]));
  });

  test("fails with a retryable error where no stream takes the subject", async () => {
    const error = await refusal("nobody.listens", bytes("lost"));
    expect(error).toBeInstanceOf(BusError);
    expect(error).toMatchObject({ code: "PUBLISH", subject: "nobody.listens", retryable: true });
  });

  test("fails with an error that isn't retryable where the message is too large", async () => {
    const maxPayload = bus.connection.info?.max_payload ?? 0;
    expect(maxPayload).toBeGreaterThan(0);
    const error = await refusal("packetwatch.v1.syn.1", new Uint8Array(maxPayload + 1));
    expect(error).toMatchObject({ code: "PUBLISH", retryable: false });
  });

  test("fails in time where the server doesn't answer, and its repetition stores the message once", async () => {
    const publish = () =>
      publishAcknowledged(bus, "packetwatch.v1.syn.3", bytes("batch"), { messageId: "batch-1" });
    await server.pause();
    const refused = within(publish(), { timeoutMs: 3000, what: "an error" });
    await expect(refused).rejects.toMatchObject({ code: "PUBLISH", retryable: true });
    await server.resume();
    await waitUntil(publish, { timeoutMs: 10_000, what: "the repetition to be acknowledged" });
    expect(await messagesIn(streamNames.syn)).toBe(1);
  });
});

describe("a verdict that expires", () => {
  test("is gone after its TTL, and readers see a mark with the reason MaxAge", async () => {
    const reader = readAll(streamNames.verdict, subjects.everyVerdict);
    await publishAcknowledged(bus, address(1), bytes("for ever"));
    await publishAcknowledged(bus, address(9), bytes("for a second"), { ttlSeconds: 1 });
    const markers = () => reader.messages.filter(({ markerReason }) => markerReason !== undefined);

    await waitUntil(() => markers().length > 0, { timeoutMs: 10_000, what: "the mark" });
    expect(markers()).toMatchObject([{ subject: address(9), markerReason: "MaxAge" }]);
    await reader.close();

    expect(await listed()).toEqual(
      new Map([
        [address(1), "for ever"],
        [address(9), ""],
      ]),
    );
  });

  test("is kept in the history, mark included", async () => {
    const reader = new RecordingReader({
      bus,
      stream: streamNames.history,
      filter: subjects.everyVerdict,
      start: { kind: "all" },
    });
    await publishAcknowledged(bus, address(9), bytes("for a second"), { ttlSeconds: 1 });
    await waitUntil(() => reader.messages.length === 2, {
      timeoutMs: 10_000,
      what: "verdict and mark",
    });
    await reader.close();

    expect(reader.messages).toMatchObject([
      { subject: address(9), markerReason: undefined },
      { subject: address(9), markerReason: "MaxAge" },
    ]);
    expect(await messagesIn(streamNames.history)).toBe(2);
  });

  test("a fraction of a second of TTL is rounded up, and 0 is no TTL", async () => {
    await publishAcknowledged(bus, address(1), bytes("short"), { ttlSeconds: 0.2 });
    await publishAcknowledged(bus, address(2), bytes("for ever"), { ttlSeconds: 0 });
    const manager = await jetstreamManager(bus.connection);
    const ttlOf = async (seq: number) =>
      (await manager.streams.getMessage(streamNames.verdict, { seq }))?.header.get("Nats-TTL");
    expect(await ttlOf(1)).toBe("1s");
    expect(await ttlOf(2)).toBe("");
  });
});

describe("a full verdict stream", () => {
  beforeEach(async () => {
    for (let host = 1; host <= VERDICT_LIMIT; host++) {
      await publishAcknowledged(bus, address(host), bytes("block"));
    }
  });

  test("refuses a new source with a clear error, which trying again doesn't help, and keeps every verdict in force", async () => {
    const error = await refusal(address(200), bytes("block"));
    expect(error).toMatchObject({ code: "STREAM_FULL", retryable: false });
    expect((error as Error).message).toBe(`publish on ${address(200)}: maximum messages exceeded`);
    const verdicts = await listed();
    expect(verdicts.size).toBe(VERDICT_LIMIT);
    expect(verdicts.has(address(200))).toBe(false);
  });

  test("still takes the update of a source that it holds", async () => {
    await publishAcknowledged(bus, address(3), bytes("unblock"));
    const verdicts = await listed();
    expect(verdicts.size).toBe(VERDICT_LIMIT);
    expect(verdicts.get(address(3))).toBe("unblock");
  });

  test("takes the update of a source that it holds where bytes are the limit", async () => {
    const payload = new Uint8Array(1000);
    const maxBytes = 8 * 1024;
    await provisionStreams(bus, [
      plainStream("bytes", { maxBytes, maxMessagesPerSubject: 1, discard: "new", storage: "file" }),
    ]);
    let host = 0;
    while ((await refusal(`bytes.${host}`, payload)) === undefined) host++;
    expect(host).toBeGreaterThan(3);
    expect(await refusal("bytes.0", payload)).toBeUndefined();
    expect(await refusal("bytes.new", payload)).toMatchObject({ code: "STREAM_FULL" });
  });

  test("takes a new source again when one has been removed", async () => {
    const manager = await jetstreamManager(bus.connection);
    await manager.streams.purge(streamNames.verdict, { filter: address(3) });
    await waitUntil(async () => (await refusal(address(200), bytes("block"))) === undefined, {
      timeoutMs: 5000,
      what: "room for a new source",
    });
  });

  test("has room for the mark of a verdict that expires", async () => {
    const reader = readAll(streamNames.verdict, subjects.everyVerdict);
    await publishAcknowledged(bus, address(3), bytes("block"), { ttlSeconds: 1 });
    await waitUntil(() => reader.messages.find(({ markerReason }) => markerReason === "MaxAge"), {
      timeoutMs: 10_000,
      what: "the mark",
    });
    await reader.close();
    expect(await messagesIn(streamNames.verdict)).toBe(VERDICT_LIMIT);
  });
});
