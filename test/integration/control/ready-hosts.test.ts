import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { bucketStream, buckets, decodeHostState, everyKey } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readLastMessages } from "../../../cli/src/fleet/read-snapshot.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import { OperatorDesk } from "../../support/operator-desk.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const TIMEOUT_MS = 20_000;
const names = ["a", "b", "c"] as const;

const cleanup = new Cleanup();
let fleet: Fleet;
let bus: Bus;
let hosts: readonly FleetHost[];

beforeAll(async () => {
  fleet = await startFleet(cleanup);
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  hosts = names.map((name) => fleet.addHost(name));
});
afterAll(() => cleanup.run());

async function listed(): Promise<readonly string[]> {
  const list = { stream: bucketStream(buckets.hosts), filter: everyKey(buckets.hosts) };
  const words = await readLastMessages({ bus, ...list, timeoutMs: TIMEOUT_MS });
  return words.map(({ payload }) => decodeHostState(payload).host).toSorted();
}

it("an enforcer is ready without a list of hosts, too, and says that it is not in it", async () => {
  const first = hosts[0] as FleetHost;
  await first.start("enforcer");
  const said = await first.service("enforcer").logged("the host is not in the fleet's list yet");
  expect(said["cause"]).toContain("no stream takes this subject");
  await first.service("enforcer").stop();
  await provisionStreams(bus, testStreams());
});

it("a host is in the list from the moment on in which its enforcer is ready", async () => {
  for (const [index, host] of hosts.entries()) {
    await host.start("enforcer");
    expect(await listed()).toEqual(names.slice(0, index + 1));
  }
});

it("a command that follows at once waits for all of them", async () => {
  const desk = new OperatorDesk(fleet.nats.url);
  const { out } = await desk.run("allow", "add", "192.0.2.9");
  expect(out).toMatch(
    /^192\.0\.2\.9: allowed on 0\/3 hosts in \d+ ms; a, b, c watches no interface/,
  );
});
