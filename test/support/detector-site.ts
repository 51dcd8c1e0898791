import { fileURLToPath } from "node:url";
import { type Bus, connectBus } from "@packetwatch/bus";
import { decodeTelemetry, subjects, type Telemetry } from "@packetwatch/contracts";
import type { Cleanup } from "./cleanup.ts";
import { startNats } from "./nats.ts";
import { RecordingLogger } from "./recording-logger.ts";
import { ServiceProcess } from "./service-process.ts";

const DETECTOR = fileURLToPath(new URL("../../build/detector.js", import.meta.url));

type Series = Telemetry["metrics"][number]["values"][number];

/** A NATS, detectors of the build folder as processes on it, and the latest that each of them tells of itself. */
export class DetectorSite {
  readonly bus: Bus;
  readonly #natsUrl: string;
  readonly #cleanup: Cleanup;
  readonly #telemetry = new Map<string, Telemetry>();

  private constructor(natsUrl: string, bus: Bus, cleanup: Cleanup) {
    this.#natsUrl = natsUrl;
    this.bus = bus;
    this.#cleanup = cleanup;
    bus.connection.subscribe(subjects.everyTelemetry, {
      callback: (_error, { data }) => {
        const message = decodeTelemetry(data);
        this.#telemetry.set(message.instance, message);
      },
    });
  }

  static async start(cleanup: Cleanup): Promise<DetectorSite> {
    const nats = await startNats();
    cleanup.defer(() => nats.stop());
    const logger = new RecordingLogger();
    const bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
    return new DetectorSite(nats.url, bus, cleanup);
  }

  async startDetector(variables: Readonly<Record<string, string>>): Promise<ServiceProcess> {
    const environment = { PW_NATS_URL: this.#natsUrl, ...variables };
    const detector = this.#cleanup.own(new ServiceProcess({ bundle: DETECTOR, environment }));
    await detector.logged("ready");
    return detector;
  }

  /** A metric's series, those of all detectors together. */
  seriesOf(metric: string): readonly Series[] {
    return [...this.#telemetry.values()].flatMap(
      ({ metrics }) => metrics.find(({ name }) => name === metric)?.values ?? [],
    );
  }

  valueOf(metric: string): number {
    return this.seriesOf(metric).reduce((sum, { value }) => sum + value, 0);
  }

  /** What counts is only what they tell from now on. */
  forgetTelemetry(): void {
    this.#telemetry.clear();
  }
}
