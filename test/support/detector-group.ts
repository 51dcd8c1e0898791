import { type Bus, connectBus, provisionStreams, StreamReader } from "@packetwatch/bus";
import { loadConfig } from "@packetwatch/config";
import {
  type Alert,
  decodeAlert,
  decodeVerdict,
  streamNames,
  subjects,
  type Verdict,
} from "@packetwatch/contracts";
import { longestWindowSeconds, ShardAssignment } from "@packetwatch/detection";
import { SHARD_COUNT } from "@packetwatch/net";
import { createLogger } from "@packetwatch/runtime";
import { Detecting } from "../../services/detector/src/detecting.ts";
import type { DetectorReadings } from "../../services/detector/src/telemetry.ts";
import { waitUntil } from "./eventually.ts";
import { testStreams } from "./streams.ts";

const logger = createLogger({ service: "detector", level: "fatal" });

/** The detector of a test, in this process, with a connection of its own. */
export class TestDetector {
  readonly instance: string;
  readonly #bus: Bus;
  readonly #detecting: Detecting;
  readonly #readings: () => DetectorReadings;

  private constructor(
    instance: string,
    bus: Bus,
    detecting: Detecting,
    readings: () => DetectorReadings,
  ) {
    this.instance = instance;
    this.#bus = bus;
    this.#detecting = detecting;
    this.#readings = readings;
  }

  static async start(url: string, instance: string, variables: Record<string, string> = {}) {
    const config = loadConfig("detector", { PW_NATS_URL: url, PW_DETECTOR_TTL: "1", ...variables });
    const bus = await connectBus({ servers: [url], name: instance, logger });
    const held: { readings?: DetectorReadings } = {};
    const telemetry = {
      rejected: () => undefined,
      announced: () => undefined,
      failed: () => undefined,
      held: () => undefined,
      dropped: () => undefined,
      discarded: () => undefined,
      observe: (readings: DetectorReadings) => (held.readings = readings),
      publish: () => undefined,
    };
    const detecting = new Detecting({ bus, config, instance, telemetry, logger });
    await detecting.start();
    return new TestDetector(instance, bus, detecting, () => held.readings as DetectorReadings);
  }

  get shards(): readonly number[] {
    return [...this.#readings().lags().keys()].toSorted((a, b) => a - b);
  }

  get lag(): number {
    return [...this.#readings().lags().values()].reduce((sum, lag) => sum + lag, 0);
  }

  /** Leaves in good order. */
  async leave(): Promise<void> {
    await this.#detecting.close();
    await this.#bus.close();
  }

  /** Ends without a word, as a process that is killed: its connection is cut first. */
  async crash(): Promise<void> {
    await this.#bus.connection.close();
    await this.#detecting.close();
  }
}

/** Detectors against one NATS, and the verdicts that they have published. */
export class DetectorGroup {
  readonly members: TestDetector[] = [];
  readonly #assignment = new ShardAssignment(SHARD_COUNT);
  readonly verdicts: Verdict[] = [];
  readonly alerts: Alert[] = [];
  readonly #url: string;
  readonly #bus: Bus;
  readonly #readers: readonly StreamReader[];
  readonly #variables: Record<string, string>;
  #named = 0;

  private constructor(url: string, bus: Bus, variables: Record<string, string>) {
    this.#url = url;
    this.#bus = bus;
    this.#variables = variables;
    const common = { bus, start: { kind: "all" }, prefetch: 1000, logger } as const;
    this.#readers = [
      new StreamReader({
        ...common,
        stream: streamNames.verdict,
        filter: subjects.everyVerdict,
        onMessage: ({ payload }) => this.verdicts.push(decodeVerdict(payload)),
      }),
      new StreamReader({
        ...common,
        stream: streamNames.history,
        filter: subjects.everyAlert,
        onMessage: ({ payload }) => this.alerts.push(decodeAlert(payload)),
      }),
    ];
  }

  static async connect(url: string, variables: Record<string, string> = {}) {
    const bus = await connectBus({ servers: [url], name: "test", logger });
    const config = loadConfig("detector", variables);
    const sizes = { longestWindowSeconds: longestWindowSeconds(config) };
    await provisionStreams(bus, testStreams(sizes));
    return new DetectorGroup(url, bus, variables);
  }

  get bus(): Bus {
    return this.#bus;
  }

  async join(): Promise<TestDetector> {
    const instance = `detector-${++this.#named}`;
    const detector = await TestDetector.start(this.#url, instance, this.#variables);
    this.members.push(detector);
    return detector;
  }

  async leave(detector: TestDetector): Promise<void> {
    this.#forget(detector);
    await detector.leave();
  }

  async crash(detector: TestDetector): Promise<void> {
    this.#forget(detector);
    await detector.crash();
  }

  /** Whether every detector reads exactly the shards that fall to it among those that are there. */
  get isSettled(): boolean {
    const members = this.members.map(({ instance }) => instance);
    const assigned = this.#assignment.assign(members);
    return this.members.every(
      ({ instance, shards }) => String(shards) === String(assigned.get(instance)),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.members].map((member) => this.leave(member)));
    for (const reader of this.#readers) await reader.close();
    await this.#bus.close();
  }

  /** Prints how long it took. */
  async settle(timeoutMs: number): Promise<void> {
    const startMs = performance.now();
    await waitUntil(() => this.isSettled, {
      timeoutMs,
      what: `${this.members.length} detectors to share the shards`,
    });
    const tookMs = Math.round(performance.now() - startMs);
    console.log(`${this.members.length} detectors shared the shards in ${tookMs} ms`);
  }

  #forget(detector: TestDetector): void {
    this.members.splice(this.members.indexOf(detector), 1);
  }
}
