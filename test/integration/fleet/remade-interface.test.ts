import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type FleetHost, startFleet } from "../../support/fleet.ts";
import type { ServiceName } from "../../support/fleet-service.ts";
import { connectNamespaces, type NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 20_000;
const INTERFACE = "pwv0";
const ADDRESS = "198.18.1.1";
const BLOCKED = "198.18.1.2";
const CLIENT = "198.18.1.3";
const PORT = 8086;
const services = ["capture", "enforcer"] as const;

const cleanup = new Cleanup();
let host: FleetHost;
let visitor: NetworkNamespace;
let bus: Bus;

beforeEach(async () => {
  const fleet = await startFleet(cleanup);
  host = fleet.addHost("host", { settings: { PW_IFDEV: INTERFACE } });
  visitor = fleet.addNamespace("visitor");
  plug();
  cleanup.own(await startNginx({ namespace: host.namespace, ports: [PORT], answer: "pong" }));
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  const applied = cleanup.own(new AppliedTap(bus));
  for (const service of services) {
    await host.launch(service, { PW_HEALTH_FILE: healthFile(service) }).ready();
  }
  const verdict = blockVerdict(BLOCKED);
  await publishVerdict(bus, verdict);
  await applied.of("host", verdict.id);
});
afterEach(() => cleanup.run());

const healthFile = (service: ServiceName) => join(tmpdir(), `${service}-health`);

function plug(): void {
  connectNamespaces(
    { namespace: host.namespace, interfaceName: INTERFACE, addresses: [`${ADDRESS}/24`] },
    {
      namespace: visitor,
      interfaceName: INTERFACE,
      addresses: [BLOCKED, CLIENT].map((address) => `${address}/24`),
    },
  );
}

const unplug = () => host.namespace.ip("link", "del", INTERFACE);

async function untilHealthIs(service: ServiceName, health: string): Promise<void> {
  const isSo = () => readFileSync(healthFile(service), "utf8") === `${health}\n`;
  const what = `${service} to say "${health}"\n${host.tails}`;
  await waitUntil(isSo, { timeoutMs: TIMEOUT_MS, what });
}

async function untilAttachedAgain(): Promise<void> {
  const message = "the interface was made anew; the program is attached again";
  const record = await host.service("capture").logged(message);
  expect(record).toMatchObject({ interface: INTERFACE, mode: "native" });
  for (const service of services) await untilHealthIs(service, "ok");
}

const answerTo = (source: string) => visit({ from: visitor, source, address: ADDRESS, port: PORT });

async function expectProtected(): Promise<void> {
  const { maps } = cleanup.own(host.pinned(INTERFACE));
  const before = maps.counters();
  expect(await answerTo(BLOCKED)).toBe("timed out");
  expect(await answerTo(CLIENT)).toBe("pong");
  const { dropped, reported } = maps.counters();
  // One or, where the visitor gives up late, its repetition too.
  expect(dropped - before.dropped).toBeGreaterThanOrEqual(1);
  expect(reported - before.reported).toBe(1);
}

it("while an interface is gone both services say so, and under its name it is watched again", async () => {
  await expectProtected();
  unplug();
  await untilHealthIs("capture", `no interface ${INTERFACE}`);
  await untilHealthIs("enforcer", `waiting for capture on ${INTERFACE}`);
  plug();
  await untilAttachedAgain();
  await expectProtected();
});

it("an interface that is made anew at once is watched again, with the same capture", async () => {
  unplug();
  plug();
  await untilAttachedAgain();
  await expectProtected();
  expect(services.map((service) => host.service(service).isRunning)).toEqual([true, true]);
});
