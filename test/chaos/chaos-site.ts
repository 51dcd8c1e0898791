import { connectBus } from "@packetwatch/bus";
import type { Cleanup } from "../support/cleanup.ts";
import { FleetService, type Settings } from "../support/fleet-service.ts";
import { type Fleet, type FleetHost, startFleet } from "../support/fleet.ts";
import type { NatsServer } from "../support/nats.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import { startNginx } from "../support/nginx.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { VerdictTap } from "../support/taps.ts";
import { BenignClients, type ClientPlan, planClients } from "./benign-clients.ts";
import { type Disturbable, Member } from "./member.ts";
import { WINDOW_SECONDS } from "./scanners.ts";
import { StreamRecord } from "./stream-record.ts";
import { Witness } from "./witness.ts";

export const NATS = "nats";
export const METRICS_PORT = 9090;
const DETECTORS = 3;
const LISTENERS = [8086, 8087, 8088] as const;

/** A small ring on one host, so that a capture that is away costs attempts: 255 fit. */
const hostPlans = [
  { name: "host0", ipv4: "198.18.0.1", ipv6: "fd00:18::1", settings: {} },
  { name: "host1", ipv4: "198.18.0.2", ipv6: "fd00:18::2", settings: {} },
  { name: "host2", ipv4: "198.18.0.3", ipv6: "fd00:18::3", settings: { PW_RING_BYTES: "16KiB" } },
] as const;

/** Of all services. */
const settings: Settings = {
  PW_PORTSCAN_TIME_THRESHOLD: String(WINDOW_SECONDS),
  PW_DETECTOR_TTL: "2",
  // In memory the stream would go with NATS, and attempts that no detector has read with it.
  PW_SYN_STORAGE: "file",
};

export type ChaosHost = {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly host: FleetHost;
  readonly witness: Witness;
};

export type ChaosSite = {
  readonly hosts: readonly ChaosHost[];
  readonly members: ReadonlyMap<string, Member>;
  readonly nats: NatsServer;
  /** Everything that can be disturbed, NATS too, by name. */
  readonly targets: ReadonlyMap<string, Disturbable>;
  /** Where scanners are. */
  readonly outside: NetworkNamespace;
  readonly plans: readonly ClientPlan[];
  readonly clients: BenignClients;
  readonly record: StreamRecord;
  readonly verdicts: VerdictTap;
};

/** Names of what the schedule disturbs; NATS as often as the services of a host. */
export function targetNames(): readonly string[] {
  return [...memberNames(), NATS, NATS];
}

export function hostCount(): number {
  return hostPlans.length;
}

function memberNames(): readonly string[] {
  return [
    ...hostPlans.flatMap(({ name }) => [`capture ${name}`, `enforcer ${name}`]),
    ...Array.from({ length: DETECTORS }, (_, index) => `detector ${index}`),
    "metrics",
  ];
}

/** Makes everything and starts it; returns when all services are ready and everybody is at it. */
export async function startChaosSite(cleanup: Cleanup): Promise<ChaosSite> {
  const fleet = await startFleet(cleanup);
  const hosts: ChaosHost[] = [];
  for (const plan of hostPlans) hosts.push(await addHost(fleet, plan, cleanup));
  const members = createMembers(fleet, hosts, cleanup);
  for (const member of members.values()) member.start();
  for (const member of members.values()) await member.ready();
  const plans = planClients({
    ipv4: hosts.map(({ ipv4 }) => ipv4),
    ipv6: hosts.map(({ ipv6 }) => ipv6),
    ports: LISTENERS,
  });
  return {
    hosts,
    members,
    nats: fleet.nats,
    targets: new Map<string, Disturbable>([...members, [NATS, disturbableNats(fleet.nats)]]),
    outside: fleet.addVisitor("outside", []),
    plans,
    clients: await startClients(fleet, plans, cleanup),
    ...(await startTaps(fleet, cleanup)),
  };
}

async function addHost(
  fleet: Fleet,
  plan: (typeof hostPlans)[number],
  cleanup: Cleanup,
): Promise<ChaosHost> {
  const { name, ipv4, ipv6 } = plan;
  const host = fleet.addHost(name, {
    addresses: [`${ipv4}/32`, `${ipv6}/128`],
    settings: { ...settings, ...plan.settings },
  });
  const { namespace } = host;
  cleanup.own(await startNginx({ namespace, ports: LISTENERS, answer: "pong" }));
  const witness = cleanup.own(new Witness(namespace, "eth0"));
  await witness.ready();
  return { name, ipv4, ipv6, host, witness };
}

function createMembers(
  fleet: Fleet,
  hosts: readonly ChaosHost[],
  cleanup: Cleanup,
): ReadonlyMap<string, Member> {
  const launchers = new Map<string, () => FleetService>();
  for (const { name, host } of hosts) {
    for (const service of ["capture", "enforcer"] as const) {
      launchers.set(`${service} ${name}`, () => host.launch(service));
    }
  }
  for (let index = 0; index < DETECTORS; index++) {
    launchers.set(`detector ${index}`, () => launchBeside(fleet, cleanup, "detector"));
  }
  launchers.set("metrics", () => launchBeside(fleet, cleanup, "metrics"));
  return new Map([...launchers].map(([name, launch]) => [name, new Member(name, launch)]));
}

/** Beside NATS. */
function launchBeside(fleet: Fleet, cleanup: Cleanup, service: "detector" | "metrics") {
  const own = {
    PW_NATS_URL: fleet.nats.url,
    PW_HOST: "core",
    PW_PROMETHEUS_PORT: String(METRICS_PORT),
  };
  return cleanup.own(
    new FleetService({ service, namespace: fleet.core, settings: { ...settings, ...own } }),
  );
}

function disturbableNats(nats: NatsServer): Disturbable {
  return {
    kill: () => nats.kill(),
    stop: () => nats.shutDown(),
    start: () => nats.start(),
    pause: () => nats.pause(),
    resume: () => nats.resume(),
  };
}

async function startClients(
  fleet: Fleet,
  plans: readonly ClientPlan[],
  cleanup: Cleanup,
): Promise<BenignClients> {
  const addresses = plans.map(({ source }) => `${source}/${source.includes(":") ? 128 : 32}`);
  const clients = cleanup.own(new BenignClients(fleet.addVisitor("clients", addresses), plans));
  await clients.ready();
  return clients;
}

/** On a connection of their own, which outlives a NATS that comes back. */
async function startTaps(fleet: Fleet, cleanup: Cleanup) {
  const options = { servers: [fleet.nats.url], name: "test", logger: new RecordingLogger() };
  const bus = cleanup.own(await connectBus(options));
  return {
    record: cleanup.own(new StreamRecord(bus)),
    verdicts: cleanup.own(new VerdictTap(bus)),
  };
}
