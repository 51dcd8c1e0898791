import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { type Bus, connectBus, provisionStreams, type StartPosition } from "@packetwatch/bus";
import { holdsFor, waitUntil, within } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { plainStream } from "../../support/streams.ts";
import { RecordingReader } from "./recording-reader.ts";

const QUIET_MS = 200;
/** Someone listens there, or the server would not deliver to it. */
const thief = "thief";

let server: NatsServer;
let bus: Bus;

beforeAll(async () => {
  server = await startNats();
  bus = await connectBus({ servers: [server.url], name: "test", logger: new RecordingLogger() });
  bus.connection.subscribe(thief);
});

afterAll(async () => {
  await bus.close();
  await server.stop();
});

beforeEach(async () => {
  const manager = await jetstreamManager(bus.connection);
  for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
  await provisionStreams(bus, [plainStream("s")]);
});

async function publish(subject: string, ...payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await bus.jetstream.publish(subject, payload);
}

function read(start: StartPosition, filter = "s.>", prefetch = 100): RecordingReader {
  return new RecordingReader({ bus, stream: "s", filter, start, prefetch });
}

describe("where reading begins", () => {
  test("all: with the first message of the stream", async () => {
    await publish("s.a", "1", "2");
    const reader = read({ kind: "all" });
    await reader.delivered("2");
    await publish("s.a", "3");
    await reader.delivered("3");
    await reader.close();
    expect(reader.payloads).toEqual(["1", "2", "3"]);
  });

  test("new: with what comes after onCaughtUp was called", async () => {
    await publish("s.a", "1", "2");
    const reader = read({ kind: "new" });
    await reader.caughtUp();
    await publish("s.a", "3");
    await reader.delivered("3");
    await reader.close();
    expect(reader.payloads).toEqual(["3"]);
  });

  test("last_per_subject: with only the last message of each subject, in stream order", async () => {
    await publish("s.a", "a1");
    await publish("s.b", "b1", "b2");
    await publish("s.a", "a2", "a3");
    await publish("s.c", "c1");
    const reader = read({ kind: "last_per_subject" });
    await reader.caughtUp();
    await publish("s.b", "b3");
    await reader.delivered("b3");
    await reader.close();
    expect(reader.payloads).toEqual(["b2", "a3", "c1", "b3"]);
  });

  test("last_per_subject: what is stored anew while the list is read belongs to it", async () => {
    const count = 2000;
    await provisionStreams(bus, [plainStream("list", { maxMessagesPerSubject: 1 })]);
    const subjects = Array.from({ length: count }, (_, index) => `list.${index}`);
    await Promise.all(subjects.map((subject) => bus.jetstream.publish(subject, "old")));
    const reader = new RecordingReader({
      bus,
      stream: "list",
      filter: "list.>",
      start: { kind: "last_per_subject" },
      prefetch: 4,
      // Both are stored long before the last subject's turn.
      onFirst: () => void publish("list.other", "other").then(() => publish("list.1999", "anew")),
    });
    await reader.caughtUp();
    await reader.delivered("anew");
    await reader.close();
    expect(reader.count("old")).toBe(count - 1);
    expect(reader.events.slice(count - 1)).toEqual(["other", "anew", "caught up"]);
  });

  test("since: with the first message that was stored at or after the time", async () => {
    await publish("s.a", "old");
    // Times on the wire have milliseconds.
    const storedMs = Date.now();
    await waitUntil(() => Date.now() > storedMs, { timeoutMs: 1000, what: "the next millisecond" });
    const boundary = new Date();
    await publish("s.a", "young");
    const reader = read({ kind: "since", time: () => boundary });
    await reader.caughtUp();
    await reader.close();
    expect(reader.payloads).toEqual(["young"]);
  });

  test("since: a time after the last message delivers what comes", async () => {
    await publish("s.a", "old");
    const reader = read({ kind: "since", time: () => new Date(Date.now() + 60_000) });
    await reader.caughtUp();
    await publish("s.a", "new");
    await reader.delivered("new");
    await reader.close();
    expect(reader.payloads).toEqual(["new"]);
  });

  test("the filter keeps other subjects out", async () => {
    await publish("s.a", "a1");
    await publish("s.b", "b1");
    const reader = read({ kind: "all" }, "s.b");
    await publish("s.a", "a2");
    await publish("s.b", "b2");
    await reader.delivered("b2");
    await reader.close();
    expect(reader.payloads).toEqual(["b1", "b2"]);
  });

  test("a reader of a stream that isn't there yet reads it from the start", async () => {
    const reader = new RecordingReader({
      bus,
      stream: "late",
      filter: "late.>",
      start: { kind: "all" },
    });
    await holdsFor(() => reader.events.length === 0, { timeoutMs: QUIET_MS, what: "silence" });
    await provisionStreams(bus, [plainStream("late")]);
    await publish("late.a", "1");
    await reader.delivered("1");
    await reader.close();
    expect(reader.events.filter((event) => event !== "caught up")).toEqual(["1"]);
  });
});

describe("what is delivered", () => {
  test("thousands of messages arrive in order, without gap or duplicate, through a small prefetch", async () => {
    const count = 5000;
    const expected = Array.from({ length: count }, (_, index) => String(index));
    const reader = read({ kind: "all" }, "s.>", 7);
    await Promise.all(expected.map((payload) => bus.jetstream.publish("s.a", payload)));
    await reader.delivered(String(count - 1));
    await reader.close();
    expect(reader.messages.map(({ sequence }) => sequence)).toEqual(
      expected.map((_, index) => index + 1),
    );
    expect(reader.payloads).toEqual(expected);
  });

  test("more is asked for when three quarters have come: a request costs as much as a message", async () => {
    const payloads = Array.from({ length: 240 }, (_, index) => String(index));
    await publish("s.a", ...payloads);
    const { outMsgs: before } = bus.connection.stats();
    const reader = read({ kind: "all" }, "s.>", 32);
    await reader.delivered("239");
    const asked = bus.connection.stats().outMsgs - before;
    await reader.close();
    // The first, one with each 24, and what it takes to begin.
    expect(asked).toBeLessThanOrEqual(1 + 10 + 2);
  });

  test("a message carries its subject, sequence and time of storing", async () => {
    const beforeUs = Date.now() * 1000;
    await publish("s.a.b", "payload");
    const afterUs = (Date.now() + 1) * 1000;
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await reader.close();
    const [message] = reader.messages;
    expect(message).toMatchObject({
      subject: "s.a.b",
      sequence: 1,
      pending: 0,
      markerReason: undefined,
    });
    expect(message?.storedUs).toBeGreaterThanOrEqual(beforeUs);
    expect(message?.storedUs).toBeLessThanOrEqual(afterUs);
    expect(reader.reader.lastSequence).toBe(1);
  });

  test("a message carries its id, and only an empty one is the mark of what has left", async () => {
    const deleted = headers();
    deleted.set("KV-Operation", "DEL");
    await bus.jetstream.publish("s.a", "", { headers: deleted });
    await bus.jetstream.publish("s.a", "payload", { headers: deleted, msgID: "id" });
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await reader.close();
    expect(reader.messages).toMatchObject([
      { messageId: "", markerReason: "DEL" },
      { messageId: "id", markerReason: undefined },
    ]);
  });

  test("pending is what the stream still holds behind a message, and the reader's lag", async () => {
    await publish("s.a", "1", "2", "3");
    await publish("s.b", "other");
    const reader = read({ kind: "all" }, "s.a");
    await reader.caughtUp();
    expect(reader.messages.map(({ pending }) => pending)).toEqual([2, 1, 0]);
    expect(reader.reader.pending).toBe(0);
    await reader.close();
  });

  test("a reader that falls behind shows its lag", async () => {
    await publish("s.a", ...Array.from({ length: 50 }, (_, index) => String(index)));
    const reader = read({ kind: "all" }, "s.a", 1);
    await waitUntil(() => reader.reader.pending > 0, { timeoutMs: 5000, what: "a lag" });
    await waitUntil(() => reader.reader.pending === 0, { timeoutMs: 5000, what: "no lag" });
    await reader.close();
  });
});

describe("onCaughtUp", () => {
  test("is called at once where nothing is there, and not again by what comes", async () => {
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await publish("s.a", "1", "2");
    await reader.delivered("2");
    await reader.close();
    expect(reader.events).toEqual(["caught up", "1", "2"]);
  });

  test("is called once, right after the last message that was there", async () => {
    await publish("s.a", "1", "2");
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await publish("s.a", "3");
    await reader.delivered("3");
    await reader.close();
    expect(reader.events).toEqual(["1", "2", "caught up", "3"]);
  });

  test("is called under a constant stream, though something is always pending", async () => {
    await publish("s.a", ...Array.from({ length: 100 }, (_, index) => String(index)));
    let isPublishing = true;
    const publishing = (async () => {
      while (isPublishing)
        await Promise.all(Array.from({ length: 50 }, () => publish("s.a", "more")));
    })();
    const reader = read({ kind: "all" }, "s.>", 4);
    await reader.caughtUp();
    isPublishing = false;
    await publishing;
    await reader.close();
    expect(reader.events.slice(0, 100)).toEqual(
      Array.from({ length: 100 }, (_, index) => String(index)),
    );
  });
});

describe("the stream is replaced while the connection stays", () => {
  test.each<StartPosition>([
    { kind: "all" },
    { kind: "new" },
    { kind: "last_per_subject" },
    { kind: "since", time: () => new Date(Date.now() - 60_000) },
  ])(
    "a reader from $kind says that it is lost, and reads the new one from its start",
    async (start) => {
      const reader = read(start);
      await reader.caughtUp();
      await publish("s.a", "old 1", "old 2", "old 3");
      await reader.delivered("old 3");

      const manager = await jetstreamManager(bus.connection);
      await manager.streams.delete("s");
      await provisionStreams(bus, [plainStream("s")]);
      await publish("s.a", "new 1");
      await publish("s.b", "new 2");
      await reader.delivered("new 2");
      await publish("s.a", "new 3");
      await reader.delivered("new 3");
      await reader.close();

      const told = reader.events.filter((event) => event !== "caught up");
      expect(told).toEqual(["old 1", "old 2", "old 3", "lost", "new 1", "new 2", "new 3"]);
      expect(reader.logger.messages("warn")).toEqual(["the stream was made anew"]);
    },
  );

  test("a reader that had not read anything yet misses nothing of the new one", async () => {
    const reader = read({ kind: "new" });
    await reader.caughtUp();
    const manager = await jetstreamManager(bus.connection);
    await manager.streams.delete("s");
    await provisionStreams(bus, [plainStream("s")]);
    await publish("s.a", "1");
    await reader.delivered("1");
    await reader.close();
    expect(reader.payloads).toEqual(["1"]);
  });

  test("a purge is no loss: reading goes on behind it", async () => {
    await publish("s.a", "1", "2");
    const reader = read({ kind: "all" });
    await reader.delivered("2");
    const manager = await jetstreamManager(bus.connection);
    await manager.streams.purge("s");
    await publish("s.a", "3");
    await reader.delivered("3");
    await reader.close();
    expect(reader.payloads).toEqual(["1", "2", "3"]);
    expect(reader.count("lost")).toBe(0);
  });
});

describe("the consumer is lost while the stream stays", () => {
  test.each<StartPosition>([
    { kind: "all" },
    { kind: "new" },
    { kind: "last_per_subject" },
    { kind: "since", time: () => new Date(Date.now() - 60_000) },
  ])("a reader from $kind goes on behind its last message", async (start) => {
    const reader = read(start);
    await reader.caughtUp();
    await publish("s.a", "1", "2");
    await reader.delivered("2");
    await deleteConsumers();
    await publish("s.a", "3");
    await reader.delivered("3");
    await reader.close();
    expect(reader.payloads).toEqual(["1", "2", "3"]);
    expect(reader.count("lost")).toBe(0);
    expect(reader.logger.lines).toEqual([]);
  });

  const afterAllThatIsThere = () => new Date(Date.now() + 60_000);
  test.each<StartPosition>([{ kind: "new" }, { kind: "since", time: afterAllThatIsThere }])(
    "a reader from $kind that had read nothing misses nothing that came meanwhile",
    async (start) => {
      await publish("s.a", "before");
      const reader = read(start);
      await reader.caughtUp();
      await deleteConsumers();
      await publish("s.a", "1");
      await reader.delivered("1");
      await reader.close();
      expect(reader.payloads).toEqual(["1"]);
    },
  );

  async function deleteConsumers(): Promise<void> {
    const manager = await jetstreamManager(bus.connection);
    for await (const { name } of manager.consumers.list("s"))
      await manager.consumers.delete("s", name);
  }
});

describe("a message is lost on the way to the reader", () => {
  test("the next one tells, and both are delivered in order", async () => {
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await stealOne();
    await publish("s.a", "1", "2", "3", "4");
    await reader.delivered("4");
    await reader.close();
    expect(reader.payloads).toEqual(["1", "2", "3", "4"]);
  });

  test("where no other follows, a heartbeat tells", async () => {
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await stealOne();
    // The server serves its two askers in turn: one of these goes to the thief.
    await publish("s.a", "1", "2");
    await waitUntil(() => reader.messages.length === 2, {
      timeoutMs: 10_000,
      what: "both messages",
    });
    await reader.close();
    expect(reader.payloads).toEqual(["1", "2"]);
  });

  /** Asks the reader's own consumer for one message, as a connection that dies with it would. */
  async function stealOne(): Promise<void> {
    const manager = await jetstreamManager(bus.connection);
    for await (const { name } of manager.consumers.list("s")) {
      const request = JSON.stringify({ batch: 1, expires: 5e9 });
      bus.connection.publish(`$JS.API.CONSUMER.MSG.NEXT.s.${name}`, request, { reply: thief });
    }
    await bus.connection.flush();
  }
});

describe("close", () => {
  const PROMPT = { timeoutMs: 200, what: "close" };

  test("returns promptly while opening, and nothing is delivered afterwards", async () => {
    await publish("s.a", "1");
    const reader = read({ kind: "all" });
    await within(reader.close(), PROMPT);
    await holdsFor(() => reader.events.length === 0, { timeoutMs: QUIET_MS, what: "silence" });
  });

  test("returns promptly while idle, and twice", async () => {
    const reader = read({ kind: "all" });
    await reader.caughtUp();
    await within(reader.close(), PROMPT);
    await within(reader.close(), PROMPT);
  });

  test("returns promptly in the midst of messages, and delivers no more", async () => {
    await publish("s.a", ...Array.from({ length: 2000 }, (_, index) => String(index)));
    const reader = read({ kind: "all" }, "s.>", 10);
    await reader.delivered("3");
    const closing = reader.close();
    const delivered = reader.messages.length;
    await within(closing, PROMPT);
    expect(reader.messages.length).toBe(delivered);
  });

  test("returns promptly while the stream is missing", async () => {
    const reader = new RecordingReader({
      bus,
      stream: "none",
      filter: "none.>",
      start: { kind: "all" },
    });
    await holdsFor(() => reader.events.length === 0, { timeoutMs: QUIET_MS, what: "silence" });
    await within(reader.close(), PROMPT);
  });

  test("returns promptly while the server is frozen", async () => {
    const idle = read({ kind: "all" });
    await idle.caughtUp();
    await server.pause();
    const opening = read({ kind: "all" });
    try {
      await within(opening.close(), PROMPT);
      await within(idle.close(), PROMPT);
    } finally {
      await server.resume();
    }
  });
});

test("a stream that stays missing is mentioned once", async () => {
  const reader = new RecordingReader({
    bus,
    stream: "none",
    filter: "none.>",
    start: { kind: "all" },
  });
  await waitUntil(() => reader.logger.lines.length > 0, { timeoutMs: 5000, what: "a warning" });
  await holdsFor(() => reader.logger.lines.length === 1, { timeoutMs: 1500, what: "one warning" });
  await reader.close();
  expect(reader.logger.lines).toMatchObject([
    { level: "warn", fields: { stream: "none", filter: "none.>", cause: "stream not found" } },
  ]);
});
