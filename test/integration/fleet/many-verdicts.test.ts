import { rmSync } from "node:fs";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { formatAddress } from "@packetwatch/net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type FleetHost, startFleet } from "../../support/fleet.ts";
import { blockVerdict, publishVerdicts, unblockVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const VERDICTS = 100_000;
/** The promise is 5 s on a machine that does nothing else; here other tests run beside it, and what it took is printed. */
const LIMIT_MS = 60_000;
const PUBLISH_LIMIT_MS = 300_000;

const cleanup = new Cleanup();
let host: FleetHost;
let bus: Bus;

beforeAll(async () => {
  const fleet = await startFleet(cleanup);
  host = fleet.addHost("host");
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams({ verdictMessages: 2 * VERDICTS }));
  await host.start("capture");
  const verdicts = Array.from({ length: VERDICTS }, (_, index) => blockVerdict(sourceOf(index)));
  await publishVerdicts(bus, verdicts);
}, PUBLISH_LIMIT_MS);
afterAll(() => cleanup.run());

function sourceOf(index: number): string {
  return formatAddress([0, 0, 0xffff, 0x0b000000 + index]);
}

/** Starts an enforcer; gives how long it took from the start of its process to a map that is right. */
async function timeStart(): Promise<{ tookMs: number; reconciled: Record<string, unknown> }> {
  const startMs = performance.now();
  const enforcer = host.launch("enforcer");
  const reconciled = await enforcer.logged("block map reconciled", LIMIT_MS);
  return { tookMs: Math.round(performance.now() - startMs), reconciled };
}

it("an enforcer that starts puts 100,000 verdicts into an empty map within seconds", async () => {
  const { tookMs, reconciled } = await timeStart();
  console.log(`${VERDICTS} verdicts from the stream to an empty map: ${tookMs} ms`);
  expect(reconciled).toMatchObject({ added: VERDICTS, refused: 0, removed: 0 });
  const pinned = cleanup.own(host.pinned("lo"));
  for (const index of [0, 1, VERDICTS / 2, VERDICTS - 1]) {
    expect(pinned.maps.blockOf(sourceOf(index))).toMatchObject({ expiresNs: 0n });
  }
});

it("a restart compares them all with the map and changes what was lifted meanwhile, no more", async () => {
  await host.kill("enforcer");
  await publishVerdicts(bus, [unblockVerdict(sourceOf(7)), blockVerdict("192.0.2.1")]);
  const { tookMs, reconciled } = await timeStart();
  console.log(`${VERDICTS} verdicts compared with a full map: ${tookMs} ms`);
  expect(reconciled).toMatchObject({ added: 1, refreshed: 0, removed: 1, refused: 0 });
});

it("an enforcer that has lost its maps fills the new ones with all of them", async () => {
  await host.service("capture").kill();
  rmSync(host.pinDir, { recursive: true, force: true });
  await host.start("capture");
  const startMs = performance.now();
  const isFilled = () => {
    const records = host.service("enforcer").records;
    return records.find(({ reason }) => reason === "new_maps");
  };
  const filled = await waitUntil(isFilled, { timeoutMs: LIMIT_MS, what: "the maps to be filled" });
  const tookMs = Math.round(performance.now() - startMs);
  console.log(`${VERDICTS} verdicts into new maps, once capture was ready: ${tookMs} ms`);
  expect(filled).toMatchObject({ added: VERDICTS });
});
