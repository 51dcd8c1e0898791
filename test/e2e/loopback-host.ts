import { connectBus, type NatsAccess } from "@packetwatch/bus";
import { AppliedTap } from "../support/applied-tap.ts";
import type { Cleanup } from "../support/cleanup.ts";
import type { Settings } from "../support/fleet-service.ts";
import { startFleet } from "../support/fleet.ts";
import { here, type Place } from "../support/network-namespace.ts";
import { RecordingLogger } from "../support/recording-logger.ts";

/** A host whose loopback is watched, by whatever runs the services. */
export type LoopbackHost = {
  readonly place: Place;
  readonly natsUrl: string;
  /** How a test's own connection proves who it is. */
  readonly access: NatsAccess;
  readonly metricsUrl: string;
  /** The ends of all logs, for the message of a failure. */
  readonly tails: string;
  readonly hasBlocked: (source: string) => boolean;
};

const METRICS_PORT = 9090;

/** Starts the services as processes, in a network namespace. */
export async function startLoopbackHost(
  cleanup: Cleanup,
  settings: Settings,
): Promise<LoopbackHost> {
  const fleet = await startFleet(cleanup);
  const host = fleet.addHost("host", { settings });
  await host.start("capture", "detector", "enforcer");
  // Beside NATS, so that a scrape of its page is no connection on the watched loopback.
  await fleet.start("metrics", { PW_PROMETHEUS_PORT: String(METRICS_PORT) });
  const pinned = cleanup.own(host.pinned("lo"));
  return {
    place: host.namespace,
    natsUrl: fleet.nats.url,
    access: {},
    metricsUrl: `http://localhost:${METRICS_PORT}/metrics`,
    hasBlocked: (source) => pinned.maps.blockOf(source) !== undefined,
    get tails() {
      return host.tails;
    },
  };
}

/** Joins the stack of docker-compose.test.yml, in which this process is the tester. */
export async function joinStack(cleanup: Cleanup): Promise<LoopbackHost> {
  const natsUrl = process.env["PW_NATS_URL"] ?? "";
  const access = { nkeyFile: process.env["PW_NATS_NKEY_FILE"] };
  const options = { servers: [natsUrl], access, name: "tester", logger: new RecordingLogger() };
  const applied = cleanup.own(new AppliedTap(cleanup.own(await connectBus(options))));
  return {
    place: here,
    natsUrl,
    access,
    metricsUrl: process.env["STACK_METRICS_URL"] ?? "",
    hasBlocked: (source) =>
      applied.applied.some(({ action, source: of }) => action === "blocked" && of === source),
    tails: "the logs of the stack tell more: docker compose logs",
  };
}
