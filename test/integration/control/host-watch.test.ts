import { type Bus, connectBus, provisionStreams, publishAcknowledged } from "@packetwatch/bus";
import {
  bucketStream,
  bucketSubject,
  buckets,
  encodeHostState,
  hostKey,
  type HostState,
} from "@packetwatch/contracts";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { HostWatch } from "../../../cli/src/hosts/host-watch.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { holdsFor, waitUntil } from "../../support/eventually.ts";
import { startNats } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const TIMEOUT_MS = 20_000;
const HOUR_MS = 3_600_000;
const SILENT_MS = 4000;

const cleanup = new Cleanup();
let bus: Bus;

beforeEach(async () => {
  const nats = await startNats();
  cleanup.defer(() => nats.stop());
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await cleanup.run();
});

const stateOf = (host: string, allowlistSequence = 0): HostState => ({
  version: 1,
  host,
  sentUs: 1,
  interfaces: ["eth0"],
  enforcing: "on",
  enforcedBy: "variable",
  trialUntilUs: null,
  allowlistSequence,
  enforcementSequence: 0,
  allowed: [],
  omitted: 0,
  refused: 0,
});

const wordsOf = (host: string) => bucketSubject(buckets.hosts, hostKey(host));

async function speak(host: string, { on = host, allowlistSequence = 0 } = {}): Promise<void> {
  await publishAcknowledged(bus, wordsOf(on), encodeHostState(stateOf(host, allowlistSequence)));
}

const open = async () => cleanup.own(await HostWatch.open(bus, TIMEOUT_MS));

it("a host that has just spoken is heard, whatever the clock of the command's machine shows", async () => {
  // The first look waits until everybody has had time to speak.
  await open();
  const serverMs = Date.now();
  vi.useFakeTimers({ toFake: ["Date"] });
  for (const offMs of [HOUR_MS, -HOUR_MS]) {
    await speak("a");
    vi.setSystemTime(serverMs + offMs);
    const watch = await open();
    expect(watch.liveNames).toEqual(["a"]);
    expect(watch.silent).toEqual([]);
  }
});

it("of a list that NATS has made anew nobody is missing who speaks within his turn", async () => {
  let asked = 0;
  const info = `$JS.API.STREAM.INFO.${bucketStream(buckets.hosts)}`;
  bus.connection.subscribe(info, { callback: () => void asked++ });
  const known = open().then(({ liveNames }) => liveNames);
  // The reader asks once, and the command once more when it has read.
  await waitUntil(() => asked >= 2, { timeoutMs: TIMEOUT_MS, what: "the list to be read" });
  await speak("a");
  expect(await known).toEqual(["a"]);
});

it("who was heard once is waited for, also where the next word is late", async () => {
  await speak("a");
  await speak("b");
  const watch = await open();
  const now = performance.now.bind(performance);
  const startMs = now();
  const judge = (state: HostState) => (state.allowlistSequence > 0 ? "done" : undefined);
  let hasEnded = false;
  const waiting = watch
    .until(judge, { startMs, timeoutMs: HOUR_MS })
    .finally(() => (hasEnded = true));
  vi.spyOn(performance, "now").mockImplementation(() => now() + SILENT_MS);
  expect(watch.silent.map(({ host }) => host)).toEqual(["a", "b"]);
  await speak("a", { allowlistSequence: 1 });
  await waitUntil(() => watch.liveNames.join() === "a", { timeoutMs: TIMEOUT_MS, what: "a" });
  await holdsFor(() => !hasEnded, { timeoutMs: 100, what: "waiting for b" });
  await speak("b", { allowlistSequence: 1 });
  expect(await waiting).toMatchObject({ done: ["a", "b"], late: [], silent: [] });
});

it("a host can speak for itself alone", async () => {
  await speak("a");
  await speak("b", { on: "a", allowlistSequence: 7 });
  await speak("c", { on: "impostor" });
  const watch = await open();
  expect(watch.liveNames).toEqual([]);
  await speak("b");
  await waitUntil(() => watch.liveNames.join() === "b", { timeoutMs: TIMEOUT_MS, what: "b" });
});
