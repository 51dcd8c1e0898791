import { type Bus, connectBus } from "@packetwatch/bus";
import { PACKETWATCH_VERSION } from "@packetwatch/telemetry";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import { freePort } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { askServices, type RegisteredService } from "../../support/registered-services.ts";

const TIMEOUT_MS = 30_000;
const NAMES = ["capture", "detector", "enforcer", "metrics"];

const cleanup = new Cleanup();
let fleet: Fleet;
let host: FleetHost;
let bus: Bus;
let prometheusPort: string;

/** NATS isn't there when the services start, and comes later. */
beforeAll(async () => {
  fleet = await startFleet(cleanup);
  await fleet.nats.shutDown();
  prometheusPort = String(await freePort());
  host = fleet.addHost("web-1");
  const services = [
    fleet.launch("metrics", { PW_PROMETHEUS_PORT: prometheusPort }),
    fleet.launch("detector", {}),
    host.launch("capture"),
    host.launch("enforcer"),
  ];
  await host.service("capture").logged("watching");
  await fleet.nats.start();
  await Promise.all(services.map((service) => service.ready()));
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
});
afterAll(() => cleanup.run());

async function info(name: string): Promise<readonly RegisteredService[]> {
  return askServices(bus, "INFO", name);
}

function shardsOf({ metadata }: RegisteredService): string[] {
  return (metadata["shards"] ?? "").split(",").filter((shard) => shard !== "");
}

/** All shards that live detectors own, in order, once they are so many. */
function shardsOwnedBy(count: number): Promise<readonly string[][]> {
  return waitUntil(
    async () => {
      const owned = (await info("detector")).map(shardsOf);
      const isShared = owned.every((shards) => shards.length > 0);
      return owned.length === count && isShared && owned.flat().length === 64 && owned;
    },
    { timeoutMs: TIMEOUT_MS, what: `${count} detectors to own 64 shards` },
  );
}

it.each(["PING", "INFO", "STATS"] as const)(
  "$SRV.%s lists the four services with their version",
  async (verb) => {
    const answers = await askServices(bus, verb);
    expect(answers.map(({ name }) => name)).toEqual(NAMES);
    for (const { version } of answers) expect(version).toBe(PACKETWATCH_VERSION);
  },
);

it("capture and enforcer say their host, its interfaces and the mode of each", async () => {
  expect((await info("capture"))[0]?.metadata).toMatchObject({
    host: "web-1",
    interfaces: "lo",
    modes: "lo=skb",
    instance: expect.stringMatching(/^web-1-\d+-[0-9a-f]{12}$/),
  });
  expect((await info("enforcer"))[0]?.metadata).toMatchObject({
    host: "web-1",
    interfaces: "lo",
  });
  expect((await info("metrics"))[0]?.metadata["address"]).toMatch(`:${prometheusPort}`);
});

it("the enforcer says how many blocks are in force now", async () => {
  await publishVerdict(bus, blockVerdict("203.0.113.77"));
  await waitUntil(
    async () => {
      const [enforcer] = await info("enforcer");
      return enforcer?.metadata["blocks"] === "1" && enforcer.metadata["enforcing"] === "lo";
    },
    { timeoutMs: TIMEOUT_MS, what: "the enforcer to say that it blocks one source" },
  );
});

it("detectors say which shards they own, and say it anew when one joins and leaves", async () => {
  expect((await shardsOwnedBy(1))[0]).toEqual(Array.from({ length: 64 }, (_, shard) => `${shard}`));
  const second = await fleet.start("detector", { PW_HOST: "second" });
  const [a, b] = await shardsOwnedBy(2);
  expect(new Set([...(a ?? []), ...(b ?? [])]).size).toBe(64);
  expect(a?.length).toBeGreaterThan(0);
  expect(b?.length).toBeGreaterThan(0);
  expect(await second.stop()).toBe(0);
  await shardsOwnedBy(1);
});

it("a service that stops is not listed any more", async () => {
  expect(await host.service("enforcer").stop()).toBe(0);
  expect((await askServices(bus, "PING")).map(({ name }) => name)).not.toContain("enforcer");
});
