import { counter, gauge, type MetricCatalogue } from "./metric-definition.ts";

const process = ["capture", "detector", "enforcer", "metrics"] as const;
const perProcess = { service: process, host: "any" } as const;

/** What every service says of its own process. */
export const processCatalogue = {
  packetwatch_build_info: gauge({
    services: process,
    unit: "1",
    labels: { service: process, version: "any" },
    aggregator: "sum",
    help: "Running instances of each version",
  }),
  packetwatch_nats_reconnects_total: counter({
    services: process,
    unit: "reconnects",
    labels: { service: process },
    help: "Connections to NATS that were lost and made again",
  }),

  process_cpu_seconds_total: counter({
    services: process,
    unit: "seconds",
    labels: perProcess,
    help: "CPU time, user and system",
  }),
  process_resident_memory_bytes: gauge({
    services: process,
    unit: "bytes",
    labels: perProcess,
    aggregator: "sum",
    help: "Resident memory",
  }),
  nodejs_heap_size_used_bytes: gauge({
    services: process,
    unit: "bytes",
    labels: perProcess,
    aggregator: "sum",
    help: "JavaScript heap in use",
  }),
  nodejs_external_memory_bytes: gauge({
    services: process,
    unit: "bytes",
    labels: perProcess,
    aggregator: "sum",
    help: "Memory outside the heap that JavaScript objects hold",
  }),
  nodejs_eventloop_lag_p50_seconds: gauge({
    services: process,
    unit: "seconds",
    labels: perProcess,
    aggregator: "max",
    help: "Half of the event loop's turns came no later than this, since the last reading",
  }),
  nodejs_eventloop_lag_p99_seconds: gauge({
    services: process,
    unit: "seconds",
    labels: perProcess,
    aggregator: "max",
    help: "99 of 100 turns of the event loop came no later than this, since the last reading",
  }),
} as const satisfies MetricCatalogue;
