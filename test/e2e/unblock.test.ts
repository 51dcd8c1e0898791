import { connectBus } from "@packetwatch/bus";
import { afterEach, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { holdsFor, waitUntil } from "../support/eventually.ts";
import { publishVerdict, unblockVerdict } from "../support/published-verdicts.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { pipeline, startSite } from "./site.ts";

const TIMEOUT_MS = 20_000;
const REPLAY_MS = 3000;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

it("an unblocked source stays so while all services die and replay its scan, until it scans anew", async () => {
  const site = await startSite(cleanup);
  const source = await site.addBlockedSource();
  const options = { servers: [site.fleet.nats.url], name: "test", logger: new RecordingLogger() };
  const bus = cleanup.own(await connectBus(options));
  await publishVerdict(bus, unblockVerdict(source));
  const isAnswered = async () => (await site.visit(source)) === "pong";
  await waitUntil(isAnswered, { timeoutMs: TIMEOUT_MS, what: "the source to be lifted" });

  await site.host.kill(...pipeline);
  await site.host.start(...pipeline);
  const pinned = cleanup.own(site.openPins());
  const isFree = () => pinned.maps.blockOf(source) === undefined;
  // The stream still holds the scan: the detector reads it again.
  await holdsFor(isFree, { timeoutMs: REPLAY_MS, what: "the unblock" });
  expect(await site.visit(source)).toBe("pong");

  await site.scan(source, [4, 5]);
  await site.blocked(source);
});
