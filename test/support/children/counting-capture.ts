/**
 * Usage: counting-capture NATS_URL HOST RATE EPOCH_MS. Counts and publishes as a capture does: records of its own, from zero at
 * each start, and those of a kernel program that goes on without it, RATE a second since EPOCH_MS.
 */
import { connectBus, TelemetryPublisher } from "@packetwatch/bus";
import { type KernelCounters, readRingLedger } from "@packetwatch/contracts";
import { createKernelMetrics, createServiceMetrics, processInstance } from "@packetwatch/telemetry";

const COUNT_INTERVAL_MS = 10;

const [natsUrl = "", host = "", rate = "", epochMs = ""] = process.argv.slice(2);
const log = (_fields: object, message: string) => console.log(JSON.stringify({ msg: message }));
const logger = { debug: log, info: log, warn: log, error: log };

function kernelCounters(): KernelCounters {
  const seen = Math.floor(((Date.now() - Number(epochMs)) / 1000) * Number(rate));
  const unparsed = { ethernet: 0, vlan: 0, ipv4: 0, ipv6: 0, ipv6_extension: 0, tcp: 0 };
  const none = { synIpv6: 0, ringFull: 0, dropped: 0, wouldDrop: 0, allowed: 0, spared: 0 };
  return { ...none, synIpv4: seen, reported: seen, flagsHidden: 0, thinned: 0, unparsed };
}

const bus = await connectBus({ servers: [natsUrl], name: `capture ${host}`, logger });
const own = createServiceMetrics({ service: "capture", host });
const kernel = createKernelMetrics({
  host,
  interfaceName: "eth0",
  read: kernelCounters,
  readLedger: () => readRingLedger(new BigUint64Array()),
});
const records = own.counter("packetwatch_capture_records_total");
setInterval(() => records.inc({ host }, 1), COUNT_INTERVAL_MS);
own.beforeRead(() => own.gauge("packetwatch_capture_buffered_records").set({ host }, 1));
const common = { bus, host, logger };
const publishers = [
  { service: "capture", instance: processInstance(host), registry: own.registry },
  { service: "kernel", instance: `${host}-eth0`, registry: kernel.registry },
].map((one) => new TelemetryPublisher({ ...common, ...one }));
logger.info({}, "counting");

process.once("SIGTERM", () => {
  void Promise.all(publishers.map((publisher) => publisher.close()))
    .then(() => bus.close())
    .finally(() => process.exit(0));
});
