import { readFileSync } from "node:fs";
import { type Bus, BusError, TelemetryPublisher } from "@packetwatch/bus";
import {
  createKernelMetrics,
  createServiceMetrics,
  kernelInstance,
  type ServiceMetrics,
} from "@packetwatch/telemetry";
import { type Logger, LossReporter, type Scope } from "@packetwatch/runtime";
import type { CapturePipeline, PipelineEvents } from "./capture-pipeline.ts";
import { PublishTrouble } from "./publish-trouble.ts";
import type { Sensor } from "./open-sensor.ts";

export type CaptureTelemetry = {
  readonly events: Omit<PipelineEvents, "onError">;
  /** Fills in what is read off the parts rather than counted as it happens. */
  readonly observe: (pipeline: CapturePipeline) => void;
  /** Publishes what is counted from now on. */
  readonly publish: (bus: Bus, scope: Scope) => void;
};

export type CaptureTelemetryOptions = {
  readonly host: string;
  readonly instance: string;
  readonly sensors: readonly Sensor[];
  readonly bufferLimitBytes: number;
  readonly logger: Logger;
};

export function createCaptureTelemetry(options: CaptureTelemetryOptions): CaptureTelemetry {
  const { host, instance, sensors, logger } = options;
  const metrics = createServiceMetrics({ service: "capture", host });
  return {
    events: countEvents(metrics, host, logger),
    observe: (pipeline) => metrics.beforeRead(() => readGauges(metrics, options, pipeline)),
    publish: (bus, scope) => {
      metrics.beforeRead(() => {
        metrics.raise(
          "packetwatch_nats_reconnects_total",
          { service: "capture" },
          bus.reconnects(),
        );
      });
      scope.own(metrics);
      const common = { bus, host, logger };
      const { registry } = metrics;
      scope.own(new TelemetryPublisher({ ...common, service: "capture", instance, registry }));
      for (const sensor of sensors) publishKernelCounters(sensor, options, { bus, scope });
    },
  };
}

function countEvents(metrics: ServiceMetrics<"capture">, host: string, logger: Logger) {
  const read = metrics.counter("packetwatch_capture_records_total").labels({ host });
  const published = metrics.counter("packetwatch_capture_published_records_total").labels({ host });
  const batches = metrics.counter("packetwatch_capture_published_batches_total").labels({ host });
  const bytes = metrics.counter("packetwatch_capture_published_bytes_total").labels({ host });
  const dropped = metrics.counter("packetwatch_capture_dropped_records_total");
  const failures = metrics.counter("packetwatch_capture_publish_failures_total").labels({ host });
  const loss = new LossReporter({
    warn: (fields, message) => logger.warn(fields, message),
    message: "attempts were dropped because NATS takes them too slowly (PW_PUBLISH_BUFFER_BYTES)",
    now: Date.now,
  });
  const trouble = new PublishTrouble({
    warn: (fields, message) => logger.warn(fields, message),
    now: Date.now,
  });
  return {
    onRead: (records) => read.inc(records),
    onBadRecord: () => dropped.inc({ host, reason: "bad_record" }),
    onPublished: (batch) => {
      trouble.stored();
      published.inc(batch.records);
      batches.inc();
      bytes.inc(batch.payload.byteLength);
      loss.report();
    },
    onDropped: (reason, records) => {
      dropped.inc({ host, reason }, records);
      loss.add(records);
    },
    onPublishFailed: (error) => {
      failures.inc();
      // That there is no connection the bus has said.
      if (error instanceof BusError) trouble.failed(error);
      logger.debug({ cause: (error as Error).message }, "a batch was not stored; trying again");
    },
  } satisfies Omit<PipelineEvents, "onError">;
}

function readGauges(
  metrics: ServiceMetrics<"capture">,
  { host, sensors, bufferLimitBytes }: CaptureTelemetryOptions,
  pipeline: CapturePipeline,
): void {
  metrics.gauge("packetwatch_capture_buffered_bytes").set({ host }, pipeline.bufferedBytes);
  metrics.gauge("packetwatch_capture_buffer_limit_bytes").set({ host }, bufferLimitBytes);
  metrics.gauge("packetwatch_capture_buffered_records").set({ host }, pipeline.bufferedRecords);
  for (const { interfaceName, attachment, ring } of sensors) {
    const { mode } = attachment;
    const labels = { host, interface: interfaceName };
    metrics.gauge("packetwatch_capture_ring_bytes").set(labels, ring.sizeBytes);
    metrics.gauge("packetwatch_capture_ring_used_bytes").set(labels, ring.availableBytes());
    if (mode === "native" || mode === "skb") {
      metrics.gauge("packetwatch_capture_xdp_mode").set({ ...labels, mode }, 1);
    }
  }
}

/** The kernel's counters are an instance of their own: they go on while capture restarts. */
function publishKernelCounters(
  sensor: Sensor,
  { host, logger }: CaptureTelemetryOptions,
  { bus, scope }: { bus: Bus; scope: Scope },
): void {
  const { interfaceName, countersId, ledger } = sensor;
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
  const instance = kernelInstance({ host, interfaceName, countersMapId: countersId, bootId });
  const { registry } = createKernelMetrics({
    host,
    interfaceName,
    read: sensor.counters,
    readLedger: () => ledger.counts,
  });
  scope.own(new TelemetryPublisher({ bus, service: "kernel", instance, host, registry, logger }));
}
