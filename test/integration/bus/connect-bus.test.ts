import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bus, type BusError, connectBus } from "@packetwatch/bus";
import { holdsFor, waitUntil, within } from "../../support/eventually.ts";
import { freePort, type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";

const CONNECT = { timeoutMs: 10_000, what: "a connection" };
const PROMPT = { timeoutMs: 1000, what: "close" };

const open: { close(): Promise<void> }[] = [];
let logger: RecordingLogger;

beforeEach(() => {
  logger = new RecordingLogger();
});

afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource.close();
});

function own(server: NatsServer): NatsServer {
  open.push({ close: () => server.stop() });
  return server;
}

async function connectTo(...servers: readonly string[]): Promise<Bus> {
  const bus = await connectBus({ servers, name: "test", logger });
  open.push(bus);
  return bus;
}

function isAway(bus: Bus): Promise<unknown> {
  return waitUntil(() => !bus.isConnected(), {
    timeoutMs: 30_000,
    what: "the loss of the connection",
  });
}

function isBack(bus: Bus): Promise<unknown> {
  return waitUntil(() => bus.isConnected(), {
    timeoutMs: 30_000,
    what: "the connection to be back",
  });
}

describe("the first connection", () => {
  test("waits for a server that comes later, and says so once, with the cause", async () => {
    const port = await freePort();
    const connecting = connectTo(`nats://someone:secret@127.0.0.1:${port}`);
    await waitUntil(() => logger.lines.length > 0, { timeoutMs: 10_000, what: "a warning" });
    await holdsFor(() => logger.lines.length === 1, { timeoutMs: 1500, what: "one warning" });
    own(await startNats({ port }));
    const bus = await within(connecting, CONNECT);

    expect(bus.isConnected()).toBe(true);
    const servers = [`127.0.0.1:${port}`];
    expect(logger.lines).toMatchObject([
      {
        level: "warn",
        message: "NATS isn't reachable yet; waiting for it (PW_NATS_URL)",
        fields: { servers, cause: "connection refused" },
      },
      { level: "info", message: "connected to NATS" },
    ]);
  });

  test("says nothing of a wait where the server is there", async () => {
    const server = own(await startNats());
    await connectTo(server.url);
    expect(logger.messages("warn")).toEqual([]);
    expect(logger.messages("info")).toEqual(["connected to NATS"]);
  });

  test("waits for a server that refuses the credentials, and names the refusal", async () => {
    const server = own(await startNats({ arguments: ["--user", "capture", "--pass", "secret"] }));
    const abort = new AbortController();
    const connecting = connectBus({
      servers: [server.url],
      name: "test",
      logger,
      signal: abort.signal,
    });
    await waitUntil(() => logger.lines.length > 0, { timeoutMs: 10_000, what: "a warning" });
    abort.abort();
    await expect(connecting).rejects.toThrow(/abort/i);
    expect(logger.lines).toMatchObject([
      { level: "warn", fields: { cause: "Authorization Violation" } },
    ]);
  });

  test("ends promptly with the signal's reason, before, while and between it tries", async () => {
    const port = await freePort();
    const frozen = own(await startNats());
    await frozen.pause();
    const reason = new Error("stopped");
    for (const servers of [[`nats://127.0.0.1:${port}`], [frozen.url]]) {
      for (const afterMs of [undefined, 0, 100]) {
        const abort = new AbortController();
        if (afterMs === undefined) abort.abort(reason);
        else setTimeout(() => abort.abort(reason), afterMs);
        const connecting = connectBus({ servers, name: "test", logger, signal: abort.signal });
        await expect(within(connecting, { timeoutMs: 1500, what: "the end" })).rejects.toBe(reason);
      }
    }
    await frozen.resume();
  });

  test("remembers the servers that did not answer, for the time when the others die", async () => {
    const laterPort = await freePort();
    const first = own(await startNats());
    const bus = await connectTo(`nats://127.0.0.1:${laterPort}`, first.url);
    own(await startNats({ port: laterPort }));
    await first.kill();
    // With another server at hand it is away for a millisecond, which no poll sees.
    await waitUntil(() => bus.reconnects() === 1, {
      timeoutMs: 30_000,
      what: "the other server",
    });
    expect(bus.connection.getServer()).toBe(`127.0.0.1:${laterPort}`);
  });
});

describe("a server that goes away", () => {
  test("is reconnected to, and each is said once", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    let calls = 0;
    const unsubscribe = bus.onReconnect(() => calls++);
    for (const _ of [1, 2]) {
      await server.kill();
      await isAway(bus);
      await holdsFor(() => !bus.isConnected(), { timeoutMs: 1500, what: "the outage" });
      await server.start();
      await isBack(bus);
    }
    expect(calls).toBe(2);
    expect(bus.reconnects()).toBe(2);
    const outage = ["NATS is away; reconnecting", "NATS is away; reconnecting"];
    expect(logger.messages("warn")).toEqual(outage);
    expect(logger.messages("info")).toEqual(["connected to NATS", "NATS is back", "NATS is back"]);

    unsubscribe();
    await server.restart({ store: "kept" });
    await waitUntil(() => bus.reconnects() === 3, {
      timeoutMs: 10_000,
      what: "the third reconnect",
    });
    expect(calls).toBe(2);
  });

  test("is reconnected to even when it refused the credentials for a while", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    await server.kill();
    const port = Number(new URL(server.url).port);
    const strict = own(
      await startNats({ port, arguments: ["--user", "other", "--pass", "secret"] }),
    );
    await waitUntil(() => countRefusals() >= 4, { timeoutMs: 20_000, what: "four refusals" });
    await strict.stop();
    await server.start();
    await isBack(bus);

    function countRefusals(): number {
      return strict.output.split("authentication error").length - 1;
    }
  });

  test("is not reconnected to by everybody in the same instant", async () => {
    const server = own(await startNats());
    const count = 40;
    let back = 0;
    for (let index = 0; index < count; index++) {
      const bus = await connectTo(server.url);
      bus.onReconnect(() => back++);
    }
    // What is asked for, and not when it came: one event loop has all of them, and may be kept waiting.
    const timers = vi.spyOn(globalThis, "setTimeout");
    try {
      await server.kill();
      // Long enough that every client has been refused at least once.
      await holdsFor(() => back === 0, { timeoutMs: 1500, what: "the outage" });
      await server.start();
      const what = "everybody to be back";
      await waitUntil(() => back === count, { timeoutMs: 10_000, what });
      const asked = timers.mock.calls.map(([, waitMs]) => waitMs ?? 0);
      const waits = asked.filter((ms) => ms >= 100 && ms <= 1000).toSorted((x, y) => x - y);
      expect(waits.length).toBeGreaterThanOrEqual(count);
      const quarter = Math.floor(waits.length / 4);
      const middleHalfMs = (waits[3 * quarter] ?? 0) - (waits[quarter] ?? 0);
      expect(middleHalfMs).toBeGreaterThan(100);
    } finally {
      timers.mockRestore();
    }
  });
});

describe("an inbox that NATS refuses", () => {
  test("is said once, loses the bus, and leaves the connection its ears", async () => {
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-inbox-"));
    open.push({ close: async () => rmSync(folder, { recursive: true }) });
    const file = join(folder, "nats.conf");
    const permissions = '{ subscribe: { deny: "_INBOX.>" } }';
    const user = `{ user: deaf, password: deaf, permissions: ${permissions} }`;
    writeFileSync(file, `authorization { users: [${user}] }\nno_auth_user: deaf\n`);
    const server = own(await startNats({ arguments: ["-c", file] }));
    const lost: BusError[] = [];
    const onLost = (error: BusError) => void lost.push(error);
    const bus = await connectBus({ servers: [server.url], name: "test", logger, onLost });
    open.push(bus);
    await waitUntil(() => lost.length > 0, { timeoutMs: 10_000, what: "the loss" });

    const heard: string[] = [];
    bus.connection.subscribe("greeting", {
      callback: (_, message) => void heard.push(message.string()),
    });
    bus.connection.publish("greeting", "hello");
    await waitUntil(() => heard.length > 0, { timeoutMs: 10_000, what: "the greeting" });
    expect(heard).toEqual(["hello"]);
    expect(lost).toMatchObject([
      { code: "ACCESS", message: expect.stringMatching(/^read the inbox/) as string },
    ]);
    expect(logger.messages("error")).toEqual([
      "NATS forbids this with these credentials (docs/permissions.md)",
    ]);
    expect(bus.reconnects()).toBe(0);
  });
});

describe("close", () => {
  test("delivers what was published before it", async () => {
    const server = own(await startNats());
    const receiver = await connectTo(server.url);
    const received: string[] = [];
    receiver.connection.subscribe("farewell", {
      callback: (_, message) => void received.push(message.string()),
    });
    await receiver.connection.flush();
    const bus = await connectTo(server.url);
    bus.connection.publish("farewell", "good-bye");
    await bus.close();
    await waitUntil(() => received.length === 1, { timeoutMs: 10_000, what: "the last message" });
    expect(received).toEqual(["good-bye"]);
  });

  test("is harmless a second time", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    await bus.close();
    await bus.close();
    expect(bus.isConnected()).toBe(false);
  });

  test("returns promptly while the server is away", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    await server.kill();
    await isAway(bus);
    await within(bus.close(), PROMPT);
  });

  test("returns promptly when the server is killed at the same time", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    const killing = server.kill();
    await within(bus.close(), { timeoutMs: 1500, what: "close" });
    await killing;
  });

  test("waits a second for a server that is frozen, and no longer", async () => {
    const server = own(await startNats());
    const bus = await connectTo(server.url);
    bus.connection.subscribe("something");
    await server.pause();
    await within(bus.close(), { timeoutMs: 1500, what: "close" });
    await server.resume();
  });
});
