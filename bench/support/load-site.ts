import { type Bus, connectBus } from "@packetwatch/bus";
import { decodeTelemetry, subjects } from "@packetwatch/contracts";
import { AppliedTap } from "../../test/support/applied-tap.ts";
import { waitUntil } from "../../test/support/eventually.ts";
import type { Settings } from "../../test/support/fleet-service.ts";
import { type Fleet, type FleetHost, startFleet } from "../../test/support/fleet.ts";
import { connectNamespaces, type NetworkNamespace } from "../../test/support/network-namespace.ts";
import { RecordingLogger } from "../../test/support/recording-logger.ts";
import type { BenchContext } from "../harness/run-bench.ts";
import { runForJson } from "./child-json.ts";
import { HostBooks } from "./host-books.ts";
import { built } from "./paths.ts";

const SETTLE_TIMEOUT_MS = 60_000;

/** What goes over the wire; each field drawn from so many values, but the ports of a single source, which go up. */
export type Wire = {
  readonly rate: number;
  readonly seconds: number;
  readonly firstSource: string;
  readonly sources: number;
  readonly firstDestination?: string;
  readonly destinations?: number;
  readonly firstPort?: number;
  readonly ports?: number;
};

export type Sent = {
  readonly sent: number;
  readonly refused: number;
  readonly seconds: number;
  readonly startedUs: number;
};

/** A watched host at the end of a cable, whose other end carries what a generator sends. */
export class LoadSite {
  readonly fleet: Fleet;
  readonly host: FleetHost;
  readonly bus: Bus;
  readonly books: HostBooks;
  readonly applied: AppliedTap;
  readonly #sender: NetworkNamespace;
  /** The last count that each detector has told. */
  readonly #detectorEvents = new Map<string, number>();

  constructor(parts: Pick<LoadSite, "fleet" | "host" | "bus" | "books"> & Sender) {
    this.fleet = parts.fleet;
    this.host = parts.host;
    this.bus = parts.bus;
    this.books = parts.books;
    this.#sender = parts.sender;
    this.applied = new AppliedTap(parts.bus);
    parts.bus.connection.subscribe(subjects.everyTelemetry, {
      callback: (_, { data }) => this.#takeTelemetry(data),
    });
  }

  send(wire: Wire): Promise<Sent> {
    const { rate, seconds, firstSource, sources } = wire;
    const { firstDestination = "198.18.0.1", destinations = 1 } = wire;
    const { firstPort = 80, ports = 1 } = wire;
    const args = [rate, seconds, firstSource, sources, firstDestination, destinations];
    const values = [...args, firstPort, ports].map(String);
    return runForJson([built("bench-syn-generator"), "veth0", ...values], this.#sender);
  }

  /** Attempts that the detectors have judged, as they told last. */
  get detectorEvents(): number {
    return [...this.#detectorEvents.values()].reduce((sum, events) => sum + events, 0);
  }

  /** What those told that have ended. */
  forgetDetectors(): void {
    this.#detectorEvents.clear();
  }

  /** Waits until all that was reported has been published or lost, and judged. */
  async settle(): Promise<void> {
    const isSettled = () => {
      const { reported, published, lost } = this.books.read();
      return reported === published + lost && this.detectorEvents >= published;
    };
    const told = () => `${JSON.stringify(this.books.read())}, ${this.detectorEvents} judged`;
    await waitUntil(isSettled, { timeoutMs: SETTLE_TIMEOUT_MS, what: "the load to settle" }).catch(
      (cause: unknown) => {
        throw new Error(`the load did not settle: ${told()}\n${this.host.tails}`, { cause });
      },
    );
  }

  /** Milliseconds from a scan's first attempt to its block; undefined where it isn't found in time. */
  async scan(source: string, seconds: number): Promise<number | undefined> {
    const scanning = this.send({
      rate: 1000,
      seconds,
      firstSource: source,
      sources: 1,
      firstPort: 1,
      ports: 60_000,
    });
    const find = () => this.applied.applied.find((applied) => applied.source === source);
    const what = `a verdict on ${source}`;
    const found = await waitUntil(find, { timeoutMs: seconds * 1000 + 5000, what }).catch(
      () => undefined,
    );
    const { startedUs } = await scanning;
    return found && (found.appliedUs - startedUs) / 1000;
  }

  #takeTelemetry(data: Uint8Array): void {
    const { service, instance, metrics } = decodeTelemetry(data);
    if (service !== "detector") return;
    const metric = metrics.find(({ name }) => name === "packetwatch_detector_events_total");
    const [value] = (metric?.values ?? []) as { value?: number }[];
    if (value?.value !== undefined) this.#detectorEvents.set(instance, value.value);
  }
}

type Sender = { readonly sender: NetworkNamespace };

/** Starts NATS, capture, a detector and an enforcer. */
export async function startLoadSite(
  { cleanup }: BenchContext,
  settings: Settings = {},
): Promise<LoadSite> {
  const fleet = await startFleet(cleanup);
  const host = fleet.addHost("host", { settings: { PW_IFDEV: "veth0", ...settings } });
  const sender = fleet.addNamespace("sender");
  connectNamespaces(
    { namespace: host.namespace, interfaceName: "veth0", addresses: [] },
    { namespace: sender, interfaceName: "veth0", addresses: [] },
  );
  await host.start("capture", "detector", "enforcer");
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "bench", logger }));
  const books = cleanup.own(new HostBooks(host.pinFolder("veth0")));
  return new LoadSite({ fleet, host, bus, books, sender });
}
