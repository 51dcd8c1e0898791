import { jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import { type Bus, connectBus } from "@packetwatch/bus";
import { DETECTOR_BUCKET, streamNames } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, MANAGEMENT_ADDRESS, startFleet } from "../../support/fleet.ts";
import type { FleetService } from "../../support/fleet-service.ts";
import { type NatsCluster, startNatsCluster } from "../../support/nats-cluster.ts";
import type { PinnedPacketwatch } from "../../support/pinned-packetwatch.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { SynInjector } from "../../support/syn-injector.ts";

/** An election takes NATS up to 9 s, and there may be one for JetStream and then one for each stream. */
const LOSS_TIMEOUT_MS = 60_000;
const STREAMS = [...Object.values(streamNames), `KV_${DETECTOR_BUCKET}`];
const WAITING = "the streams can't be provisioned yet; trying again";

const cleanup = new Cleanup();
let fleet: Fleet;
let cluster: NatsCluster;
let host: FleetHost;
let pinned: PinnedPacketwatch;
let injector: SynInjector;
let bus: Bus;
const detectors: FleetService[] = [];
let scanners = 0;

beforeAll(async () => {
  fleet = await startFleet(cleanup);
  cluster = cleanup.own(
    await startNatsCluster({ size: 3, listenAddress: "0.0.0.0", first: [0, 1] }),
  );
  const urls = cluster.urls(MANAGEMENT_ADDRESS);
  host = fleet.addHost("host", { settings: { PW_NATS_URL: urls.join(",") } });
  await host.start("capture", "enforcer");
  pinned = cleanup.own(host.pinned("lo"));
  injector = cleanup.own(new SynInjector(host.pinFolder("lo")));
  bus = cleanup.own(
    await connectBus({ servers: urls, name: "test", logger: new RecordingLogger() }),
  );
}, LOSS_TIMEOUT_MS);
afterAll(() => cleanup.run());

const services = () => [host.service("capture"), host.service("enforcer"), ...detectors];

function launchDetector(): FleetService {
  const urls = cluster.urls(MANAGEMENT_ADDRESS).join(",");
  const detector = fleet.launch("detector", {
    PW_NATS_URL: urls,
    PW_STREAM_REPLICAS: "3",
    // Longer than elections take on a busy machine: meanwhile nobody's heartbeat is stored.
    PW_DETECTOR_TTL: "30",
  });
  detectors.push(detector);
  return detector;
}

async function streamInfos(): Promise<readonly StreamInfo[]> {
  const manager = await jetstreamManager(bus.connection, { checkAPI: false });
  return Promise.all(STREAMS.map((name) => manager.streams.info(name)));
}

const isWhole = ({ cluster: { leader, replicas = [] } = {} }: StreamInfo) =>
  Boolean(leader) && replicas.length === 2 && replicas.every(({ current }) => current);

/** Waits until each stream has a leader and two replicas that have all that it has. */
async function untilWhole(): Promise<readonly StreamInfo[]> {
  const wholeInfos = async () => {
    const infos = await streamInfos();
    return infos.every(isWhole) ? infos : undefined;
  };
  return waitUntil(wholeInfos, { timeoutMs: LOSS_TIMEOUT_MS, what: "all replicas to be current" });
}

function leaderOf(infos: readonly StreamInfo[], stream: string): number {
  const info = infos.find(({ config }) => config.name === stream);
  return cluster.indexOf(info?.cluster?.leader ?? "");
}

/** Scans from a new address until it is blocked; gives the address and how long it took. */
async function blockScanner(): Promise<{ source: string; tookMs: number }> {
  scanners++;
  const source = `198.51.100.${scanners}`;
  const startMs = performance.now();
  injector.scan(source, [1, 2, 3]);
  const tails = () => [host.tails, ...detectors.map(({ tail }) => tail)].join("\n");
  try {
    await waitUntil(() => pinned.maps.blockOf(source), {
      timeoutMs: LOSS_TIMEOUT_MS,
      what: `${source} to be blocked`,
    });
  } catch (cause) {
    throw new Error(tails(), { cause });
  }
  expect(injector.send({ source, port: 9 })).toBe("XDP_DROP");
  return { source, tookMs: Math.round(performance.now() - startMs) };
}

it(
  "a detector waits for the servers that its replicas need, and says so once",
  async () => {
    const detector = launchDetector();
    const waiting = await detector.logged(WAITING, LOSS_TIMEOUT_MS);
    expect(waiting).toMatchObject({ level: "warn", stream: streamNames.syn });
    console.log(`with two of three servers: ${String(waiting["cause"])}`);
    await cluster.start(2);
    await detector.logged("ready", LOSS_TIMEOUT_MS);
    await launchDetector().logged("ready", LOSS_TIMEOUT_MS);
    const infos = await untilWhole();
    expect(infos.map(({ config }) => config.num_replicas)).toEqual([3, 3, 3, 3, 3]);
    expect(detector.records.filter(({ msg }) => msg === WAITING).length).toBe(1);
    await blockScanner();
  },
  2 * LOSS_TIMEOUT_MS,
);

it.each(["the leader of the SYN stream", "the leader of the verdict stream", "the third node"])(
  "the loss of %s costs seconds, no scan and no block",
  async (what) => {
    const node = nodeOf(what, await untilWhole());
    killed.add(node);
    const { source: blocked } = await blockScanner();
    const from = services().map(({ records }) => records.length);

    await cluster.kill(node);
    expect(injector.send({ source: blocked, port: 9 })).toBe("XDP_DROP");
    const { tookMs } = await blockScanner();
    const { tookMs: nextMs } = await blockScanner();
    const said = services().map(({ records }, index) => records.slice(from[index]));
    console.log(
      `${what}, ${cluster.nameOf(node)}, was killed: a scan was blocked after ${tookMs} ms, the next one after ${nextMs} ms`,
    );
    // What they say is little, and nobody takes the others for gone.
    for (const records of said) {
      expect(records.filter(({ level }) => level !== "info").length).toBeLessThanOrEqual(6);
      expect(records.filter(({ msg }) => msg === "shards assigned")).toEqual([]);
    }
    await cluster.start(node);
    expect(services().map(({ isRunning }) => isRunning)).toEqual([true, true, true, true]);
  },
  3 * LOSS_TIMEOUT_MS,
);

/** Nodes that were killed before. */
const killed = new Set<number>();

function nodeOf(what: string, infos: readonly StreamInfo[]): number {
  if (what.includes("SYN")) return leaderOf(infos, streamNames.syn);
  if (what.includes("verdict")) return leaderOf(infos, streamNames.verdict);
  return [0, 1, 2].find((index) => !killed.has(index)) ?? 0;
}
