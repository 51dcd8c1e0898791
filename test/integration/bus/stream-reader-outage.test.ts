import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import {
  type Bus,
  connectBus,
  keepStreams,
  provisionStreams,
  publishAcknowledged,
} from "@packetwatch/bus";
import type { StreamSpec } from "@packetwatch/contracts";
import { holdsFor, waitUntil, within } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { plainStream } from "../../support/streams.ts";
import { RecordingReader } from "./recording-reader.ts";

const RETURN_TIMEOUT_MS = 20_000;
const fileStream = plainStream("s", { storage: "file" });
const memoryStream = plainStream("s", { storage: "memory" });

let server: NatsServer;
let bus: Bus;
let logger: RecordingLogger;

beforeEach(async () => {
  server = await startNats();
  logger = new RecordingLogger();
  bus = await connectBus({ servers: [server.url], name: "test", logger });
});

afterEach(async () => {
  await bus.close();
  await server.stop();
});

function read(kind: "all" | "new" | "last_per_subject"): RecordingReader {
  return new RecordingReader({ bus, stream: "s", filter: "s.>", start: { kind } });
}

/** Publishes as services do: with an id, and again until it is stored. */
async function publish(...payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) {
    await waitUntil(
      () => publishAcknowledged(bus, "s.a", Buffer.from(payload), { messageId: payload }),
      {
        timeoutMs: RETURN_TIMEOUT_MS,
        what: `"${payload}" to be stored`,
      },
    );
  }
}

async function provisionWhenBack(spec: StreamSpec): Promise<void> {
  await waitUntil(() => bus.isConnected(), {
    timeoutMs: RETURN_TIMEOUT_MS,
    what: "NATS to be back",
  });
  await provisionStreams(bus, [spec]);
}

/** Publishes 0, 1, 2, ... until it is told to stop; then resolves to how many. */
function keepPublishing(): { stop: () => Promise<number> } {
  let isStopped = false;
  const publishing = (async () => {
    let count = 0;
    while (!isStopped) await publish(String(count++));
    return count;
  })();
  return {
    stop: () => {
      isStopped = true;
      return publishing;
    },
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

describe("the stream outlives the outage", () => {
  const outages: readonly [string, () => Promise<void>][] = [
    ["a restart", () => server.restart({ store: "kept" })],
    [
      "a crash",
      async () => {
        await server.kill();
        await server.start();
      },
    ],
    ["the loss of the connection alone", () => bus.connection.reconnect()],
  ];

  test.each(outages)(
    "%s leaves no gap and no duplicate under constant publishing",
    async (_, outage) => {
      await provisionStreams(bus, [fileStream]);
      const reader = read("all");
      const publishing = keepPublishing();
      await reader.delivered("20");
      await outage();
      const soFar = reader.messages.length;
      await waitUntil(() => reader.messages.length > soFar + 20, {
        timeoutMs: RETURN_TIMEOUT_MS,
        what: "the stream to go on",
      });
      const count = await publishing.stop();
      await reader.delivered(String(count - 1));
      await reader.close();

      expect(reader.payloads).toEqual(numbers(count));
      expect(reader.count("lost")).toBe(0);
      expect(reader.logger.lines).toEqual([]);
    },
  );

  test.each(["new", "last_per_subject"] as const)(
    "a reader from %s that had read nothing misses nothing that others publish meanwhile",
    async (kind) => {
      await provisionStreams(bus, [fileStream]);
      const reader = read(kind);
      await reader.caughtUp();
      await server.restart({ store: "kept" });
      await publishFromElsewhere("1");
      await reader.delivered("1");
      await reader.close();
      expect(reader.payloads).toEqual(["1"]);
    },
  );

  test("onCaughtUp is called again after the outage", async () => {
    await provisionStreams(bus, [fileStream]);
    const reader = read("all");
    await reader.caughtUp();
    await server.restart({ store: "kept" });
    await reader.caughtUp(2);
    await reader.close();
    expect(reader.events).toEqual(["caught up", "caught up"]);
  });
});

describe("an outage in which messages left the stream", () => {
  test.each([
    { title: "shorter than it may be", rereadAfterMs: 60_000, events: ["a1", "b1", "caught up"] },
    {
      title: "longer than it may be",
      rereadAfterMs: 0,
      events: ["a1", "b1", "caught up", "reread", "a1", "b1"],
    },
  ])("$title: a reader of the last of each subject", async ({ rereadAfterMs, events }) => {
    await provisionStreams(bus, [fileStream]);
    await publishAcknowledged(bus, "s.a", Buffer.from("a1"));
    await publishAcknowledged(bus, "s.b", Buffer.from("b1"));
    const options = { bus, stream: "s", filter: "s.>", rereadAfterMs } as const;
    const reader = new RecordingReader({ ...options, start: { kind: "last_per_subject" } });
    await reader.caughtUp();
    await server.shutDown();
    await server.start();
    await reader.caughtUp(2);
    await publish("a2");
    await reader.delivered("a2");
    await reader.close();
    expect(reader.events.slice(0, events.length)).toEqual(events);
    expect(reader.payloads.at(-1)).toBe("a2");
  });
});

describe("the stream is lost in the outage", () => {
  test.each(["all", "new", "last_per_subject"] as const)(
    "a reader from %s is told, and reads the new one from its start though sequences begin again",
    async (kind) => {
      await provisionStreams(bus, [memoryStream]);
      const reader = read(kind);
      await reader.caughtUp();
      await publish("old 1", "old 2", "old 3");
      await reader.delivered("old 3");

      await server.restart({ store: "kept" });
      await provisionWhenBack(memoryStream);
      await publish("new 1", "new 2", "new 3", "new 4", "new 5");
      await reader.delivered("new 5");
      await reader.close();

      const told = reader.events.filter((event) => event !== "caught up");
      // The last of each subject is all that was asked for.
      const kept =
        kind === "last_per_subject" ? told.filter((event) => !/new [1-4]/.test(event)) : told;
      const news =
        kind === "last_per_subject" ? ["new 5"] : ["new 1", "new 2", "new 3", "new 4", "new 5"];
      expect(kept).toEqual(["old 1", "old 2", "old 3", "lost", ...news]);
    },
  );

  test("a reader that comes back long after is not fooled by higher sequences", async () => {
    await provisionStreams(bus, [memoryStream]);
    const reader = read("all");
    await publish("old 1");
    await reader.delivered("old 1");
    await server.restart({ store: "lost" });
    // Faster than the reader, so that the new stream is longer than the old one when it looks.
    const elsewhere = await connectBus({ servers: [server.url], name: "elsewhere", logger });
    await provisionStreams(elsewhere, [memoryStream]);
    for (const payload of ["new 1", "new 2", "new 3"])
      await elsewhere.jetstream.publish("s.a", payload);
    await reader.delivered("new 3");
    await reader.close();
    await elsewhere.close();
    const told = reader.events.filter((event) => event !== "caught up");
    expect(told).toEqual(["old 1", "lost", "new 1", "new 2", "new 3"]);
  });

  test("a server that lost its last writes is read again from the start", async () => {
    await provisionStreams(bus, [fileStream]);
    const reader = read("all");
    await publish("1", "2");
    await reader.delivered("2");
    await server.shutDown();
    const restoreStore = server.copyStore();
    await server.start();
    await publish("3", "4");
    await reader.delivered("4");
    await server.kill();
    restoreStore();
    await server.start();
    await waitUntil(() => reader.count("lost") === 1, {
      timeoutMs: RETURN_TIMEOUT_MS,
      what: "the loss",
    });
    await publish("5");
    await reader.delivered("5");
    await reader.close();
    const told = reader.events.filter((event) => event !== "caught up");
    expect(told).toEqual(["1", "2", "3", "4", "lost", "1", "2", "5"]);
  });
});

describe("the server freezes", () => {
  test("for less than a heartbeat: what others published arrives when it goes on", async () => {
    await provisionStreams(bus, [memoryStream]);
    const reader = read("all");
    const publishing = keepPublishing();
    await reader.delivered("20");
    await server.pause();
    await holdsFor(() => bus.isConnected(), { timeoutMs: 1000, what: "the connection" });
    await server.resume();
    const soFar = reader.messages.length;
    await waitUntil(() => reader.messages.length > soFar + 20, {
      timeoutMs: RETURN_TIMEOUT_MS,
      what: "the stream to go on",
    });
    const count = await publishing.stop();
    await reader.delivered(String(count - 1));
    await reader.close();
    expect(reader.payloads).toEqual(numbers(count));
  });

  test("until the connection is given up: no gap, no duplicate, and it is said once", async () => {
    await provisionStreams(bus, [memoryStream]);
    const reader = read("all");
    const publishing = keepPublishing();
    await reader.delivered("20");
    await server.pause();
    await waitUntil(() => !bus.isConnected(), {
      timeoutMs: 20_000,
      what: "the connection to be given up",
    });
    await server.resume();
    const soFar = reader.messages.length;
    await waitUntil(() => reader.messages.length > soFar + 20, {
      timeoutMs: RETURN_TIMEOUT_MS,
      what: "the stream to go on",
    });
    const count = await publishing.stop();
    await reader.delivered(String(count - 1));
    await within(reader.close(), { timeoutMs: 200, what: "close" });

    expect(reader.payloads).toEqual(numbers(count));
    expect(logger.messages("warn")).toEqual(["NATS is away; reconnecting"]);
    expect(reader.logger.lines.length).toBeLessThanOrEqual(1);
  });
});

test("a reader is closed promptly while the server is away", async () => {
  await provisionStreams(bus, [fileStream]);
  const idle = read("all");
  await idle.caughtUp();
  await server.kill();
  await waitUntil(() => !bus.isConnected(), {
    timeoutMs: 5000,
    what: "the loss of the connection",
  });
  const opening = read("all");
  await within(idle.close(), { timeoutMs: 200, what: "close" });
  await within(opening.close(), { timeoutMs: 200, what: "close" });
});

test("a reader that is made while the server is away reads when it is back", async () => {
  await provisionStreams(bus, [fileStream]);
  await publish("1");
  await server.kill();
  await waitUntil(() => !bus.isConnected(), {
    timeoutMs: 5000,
    what: "the loss of the connection",
  });
  const reader = read("all");
  await server.start();
  await waitUntil(() => bus.isConnected(), {
    timeoutMs: RETURN_TIMEOUT_MS,
    what: "NATS to be back",
  });
  await within(reader.delivered("1"), { timeoutMs: 2000, what: "the message" });
  await reader.close();
  expect(reader.logger.lines).toEqual([]);
});

test("a reader says that it can't read while its stream is gone, though NATS is there", async () => {
  await provisionStreams(bus, [fileStream]);
  const recording = read("all");
  const { reader } = recording;
  const isReading = (value: boolean) =>
    waitUntil(() => reader.isReading === value, {
      timeoutMs: RETURN_TIMEOUT_MS,
      what: `isReading to be ${value}`,
    });
  await isReading(true);
  const manager = await jetstreamManager(bus.connection);
  await manager.streams.delete("s");
  await isReading(false);
  expect(bus.isConnected()).toBe(true);
  await provisionStreams(bus, [fileStream]);
  await isReading(true);
  await reader.close();
  expect(reader.isReading).toBe(false);
  expect(recording.events).toContain("lost");
});

test("a reader ends with its bus", async () => {
  await provisionStreams(bus, [memoryStream]);
  const reader = read("all");
  await reader.caughtUp();
  await bus.close();
  await within(reader.close(), { timeoutMs: 200, what: "close" });
  expect(reader.logger.lines).toEqual([]);
});

test("keepStreams makes a memory stream again that was gone with the server, until it is closed", async () => {
  const manager = await jetstreamManager(bus.connection);
  const isThere = () => manager.streams.info("s").then(() => true);
  const streams = await keepStreams({ bus, specs: [memoryStream], logger });
  expect(await isThere()).toBe(true);
  await server.restart({ store: "kept" });
  await waitUntil(isThere, { timeoutMs: RETURN_TIMEOUT_MS, what: "the stream to be made again" });

  streams.close();
  await server.restart({ store: "kept" });
  await waitUntil(() => bus.reconnects() === 2, {
    timeoutMs: RETURN_TIMEOUT_MS,
    what: "NATS to be back",
  });
  await expect(isThere()).rejects.toThrow("stream not found");
});

/** Through another connection, which is back before the reader's own may be. */
async function publishFromElsewhere(payload: string): Promise<void> {
  const connection = await connect({ servers: [server.url] });
  await jetstream(connection).publish("s.a", payload);
  await connection.close();
}
