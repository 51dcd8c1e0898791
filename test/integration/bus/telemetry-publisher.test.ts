import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Counter, Registry } from "prom-client";
import { type Bus, connectBus, TelemetryPublisher } from "@packetwatch/bus";
import { decodeTelemetry, type Telemetry } from "@packetwatch/contracts";
import { holdsFor, waitUntil, within } from "../../support/eventually.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";

let server: NatsServer;
let bus: Bus;
let logger: RecordingLogger;
let registry: Registry;
let counter: Counter;
let received: { readonly subject: string; readonly telemetry: Telemetry }[];

beforeEach(async () => {
  server = await startNats();
  logger = new RecordingLogger();
  bus = await connectBus({ servers: [server.url], name: "test", logger });
  registry = new Registry();
  counter = new Counter({ name: "things_total", help: "Things", registers: [registry] });
  received = [];
  bus.connection.subscribe("packetwatch.v1.telemetry.>", {
    callback: (_, { subject, data }) => {
      received.push({ subject, telemetry: decodeTelemetry(data) });
    },
  });
  await bus.connection.flush();
});

afterEach(async () => {
  await bus.close();
  await server.stop();
});

function startPublisher(): TelemetryPublisher {
  return new TelemetryPublisher({
    bus,
    service: "detector",
    instance: "a.b",
    host: "web-1",
    registry,
    logger,
  });
}

function messages(count: number): Promise<unknown> {
  return waitUntil(() => received.length >= count, {
    timeoutMs: 10_000,
    what: `${count} messages`,
  });
}

test("publishes at once and then once a second", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const publisher = startPublisher();
    for (let count = 1; count <= 3; count++) {
      await messages(count);
      vi.advanceTimersByTime(999);
      const quiet = { timeoutMs: 100, what: "the quiet until the second is over" };
      await holdsFor(() => received.length <= count, quiet);
      expect(received).toHaveLength(count);
      vi.advanceTimersByTime(1);
    }
    await messages(4);
    await publisher.close();
  } finally {
    vi.useRealTimers();
  }
});

test("a message says whose it is, and carries the registry as it is now", async () => {
  const publisher = startPublisher();
  await messages(1);
  counter.inc(5);
  await messages(2);
  await publisher.close();
  expect(received[1]).toMatchObject({
    subject: "packetwatch.v1.telemetry.detector.a_b",
    telemetry: {
      version: 1,
      service: "detector",
      instance: "a.b",
      host: "web-1",
      metrics: [{ name: "things_total", type: "counter", values: [{ value: 5, labels: {} }] }],
    },
  });
});

test("publishes a last time when it is closed, and then no more", async () => {
  const publisher = startPublisher();
  await messages(1);
  counter.inc(7);
  await publisher.close();
  await publisher.close();
  await messages(2);
  await holdsFor(() => received.length === 2, { timeoutMs: 1200, what: "silence after the last" });
  expect(received[1]?.telemetry.metrics[0]?.values[0]?.value).toBe(7);
});

test("publishes nothing old when NATS comes back", async () => {
  const publisher = startPublisher();
  await messages(1);
  await server.kill();
  await waitUntil(() => !bus.isConnected(), { timeoutMs: 5000, what: "the outage" });
  await holdsFor(() => !bus.isConnected(), { timeoutMs: 2500, what: "the outage" });
  await server.start();
  await waitUntil(() => bus.isConnected(), {
    timeoutMs: 10_000,
    what: "the connection to be back",
  });
  const backUs = Date.now() * 1000;
  await messages(3);
  await publisher.close();
  for (const { telemetry } of received.slice(1))
    expect(telemetry.sentUs).toBeGreaterThan(backUs - 50_000);
});

test("closes promptly while NATS is away", async () => {
  const publisher = startPublisher();
  await server.kill();
  await waitUntil(() => !bus.isConnected(), { timeoutMs: 5000, what: "the outage" });
  await within(publisher.close(), { timeoutMs: 200, what: "close" });
});

test("a registry that fails is said, and published again when it has recovered", async () => {
  let isBroken = true;
  new Counter({
    name: "fragile_total",
    help: "Fails at first",
    registers: [registry],
    collect: () => {
      if (isBroken) throw new Error("broken");
    },
  });
  const publisher = startPublisher();
  await waitUntil(() => logger.messages("error").length > 0, { timeoutMs: 5000, what: "an error" });
  isBroken = false;
  await messages(1);
  await publisher.close();
  expect(logger.messages("error")[0]).toBe("telemetry was not published");
});
