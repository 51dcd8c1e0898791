import { encodeTelemetry } from "@packetwatch/contracts";
import type { Bus } from "@packetwatch/bus";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { aggregatorLimits, TelemetryAggregator } from "./core/aggregator.ts";
import { DEPARTED_AFTER_MS } from "./core/instance-table.ts";
import { telemetry, testCatalogue as catalogue, totalOf, work } from "./testing/telemetry.ts";
import {
  GATHER_MS,
  MAX_GATHERED,
  TelemetryIntake,
  TelemetrySubscription,
} from "./telemetry-intake.ts";

const SUBJECT = "packetwatch.v1.telemetry.capture.one";

function create() {
  const limits = { ...aggregatorLimits, maxInstances: 1 };
  const aggregator = new TelemetryAggregator({ catalogue, startMs: 0, limits });
  const told: string[] = [];
  const intake = new TelemetryIntake({
    aggregator,
    now: () => 7,
    onAccepted: () => told.push("accepted"),
    onRejected: ({ reason }) => told.push(reason),
  });
  return { aggregator, intake, told };
}

const good = encodeTelemetry(telemetry("one", [work(5)]));
const bytes = (text: string) => new TextEncoder().encode(text);
const bad = (changes: object) =>
  bytes(JSON.stringify({ ...telemetry("one", [work(5)]), ...changes }));

it("takes a message in, and remembers when", () => {
  const { aggregator, intake, told } = create();
  expect(intake.heardMs).toBeUndefined();
  intake.take(SUBJECT, good);
  expect([told, intake.firstHeardMs, intake.heardMs]).toEqual([["accepted"], 7, 7]);
  expect(totalOf(aggregator, "work_total")).toBe(5);
});

it("what is recalled counts, and is of the time in which it was said", () => {
  const { aggregator, intake, told } = create();
  const saidAgoMs = DEPARTED_AFTER_MS + 1;
  intake.recall(SUBJECT, good, saidAgoMs);
  expect([told, intake.heardMs, intake.firstHeardMs]).toEqual([["accepted"], undefined, undefined]);
  expect(totalOf(aggregator, "work_total")).toBe(5);
  expect(aggregator.countInstances(7)).toMatchObject([{ live: 0, departed: 1 }]);
});

it.each([
  ["no JSON", SUBJECT, bytes("{"), "bad_json"],
  ["no UTF-8", SUBJECT, new Uint8Array([0xff]), "bad_json"],
  ["nothing", SUBJECT, new Uint8Array(), "bad_json"],
  ["too much", SUBJECT, new Uint8Array(16 * 1024 * 1024), "too_long"],
  ["another version", SUBJECT, bad({ version: 2 }), "bad_schema"],
  ["a value that is no number", SUBJECT, bad({ metrics: [{ name: "x" }] }), "bad_schema"],
  ["another instance's subject", "packetwatch.v1.telemetry.capture.two", good, "wrong_subject"],
  ["another service's subject", "packetwatch.v1.telemetry.kernel.one", good, "wrong_subject"],
] as const)("counts %s by its reason and uses nothing of it", (_, subject, payload, reason) => {
  const { aggregator, intake, told } = create();
  intake.take(subject, payload);
  expect(told).toEqual([reason]);
  expect(aggregator.samples).toBe(0);
});

it("counts an instance for which there is no room", () => {
  const { intake, told } = create();
  intake.take(SUBJECT, good);
  intake.take("packetwatch.v1.telemetry.capture.two", encodeTelemetry(telemetry("two", [work(1)])));
  expect(told).toEqual(["accepted", "no_room"]);
});

describe("a subscription", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function subscribe() {
    const { intake, told } = create();
    const subscribed: { callback?: (error: null, message: object) => void } = {};
    const connection = {
      subscribe: (_subject: string, options: typeof subscribed) => {
        Object.assign(subscribed, options);
        return { unsubscribe: () => undefined };
      },
    };
    const bus = { connection } as unknown as Bus;
    const subscription = new TelemetrySubscription({ bus, intake, onRefused: () => undefined });
    const receive = () => subscribed.callback?.(null, { subject: SUBJECT, data: good });
    return { subscription, told, receive };
  }

  it("takes what has gathered in together, a little later", () => {
    const { told, receive } = subscribe();
    for (let message = 0; message < 3; message++) receive();
    expect(told).toEqual([]);
    vi.advanceTimersByTime(GATHER_MS);
    expect(told.length).toBe(3);
    receive();
    vi.advanceTimersByTime(GATHER_MS);
    expect(told.length).toBe(4);
  });

  it("waits for no more than it may gather, and for nothing when it is closed", () => {
    const { subscription, told, receive } = subscribe();
    for (let message = 0; message < MAX_GATHERED + 1; message++) receive();
    expect(told.length).toBe(MAX_GATHERED);
    subscription.close();
    expect(told.length).toBe(MAX_GATHERED + 1);
  });
});
