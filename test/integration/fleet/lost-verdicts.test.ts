import { jetstreamManager } from "@nats-io/jetstream";
import { provisionStreams, publishAcknowledged } from "@packetwatch/bus";
import { streamNames, synSubject } from "@packetwatch/contracts";
import { parseAddress, shardOf } from "@packetwatch/net";
import { afterAll, it } from "vitest";
import { synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorSite } from "../../support/detector-site.ts";
import { waitUntil } from "../../support/eventually.ts";
import { testStreams } from "../../support/streams.ts";

const cleanup = new Cleanup();
afterAll(() => cleanup.run());

it("a breaker that is open when the verdict stream is made anew closes after its quiet time", async () => {
  const site = await DetectorSite.start(cleanup);
  const settings = { PW_MAX_BLOCKS_PER_MINUTE: "1", PW_BREAKER_QUIET: "5" };
  const detector = await site.startDetector(settings);
  for (const source of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
    const timeUs = Date.now() * 1000;
    const batch = synBatch([1, 2, 3].map((port) => ({ source, port, timeUs })));
    await publishAcknowledged(site.bus, synSubject(shardOf(...parseAddress(source))), batch);
  }
  const isOpen = () => detector.messages.some((said) => said.startsWith("the breaker is open"));
  await waitUntil(isOpen, { timeoutMs: 20_000, what: "the breaker to open" });
  const manager = await jetstreamManager(site.bus.connection);
  await manager.streams.delete(streamNames.verdict);
  await provisionStreams(site.bus, testStreams());
  await detector.logged("the stream was made anew");
  await detector.logged("the breaker is closed; detectors block again");
});
