import { monitorEventLoopDelay } from "node:perf_hooks";
import type { MetricName } from "./catalogue.ts";

/** How often the event loop is looked at. At 10 ms this was nearly all that woke an idle service. */
const RESOLUTION_MS = 100;

export type ProcessSample = {
  readonly cpuSeconds: number;
  readonly gauges: Readonly<Partial<Record<MetricName, number>>>;
};

/** Watches the event loop of this process until it is closed. */
export class ProcessMonitor {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delays.enable();
  }

  /** The lag is of the time since the last sample. */
  sample(): ProcessSample {
    const cpu = process.cpuUsage();
    const memory = process.memoryUsage();
    const sample = {
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      gauges: {
        process_resident_memory_bytes: memory.rss,
        nodejs_heap_size_used_bytes: memory.heapUsed,
        nodejs_external_memory_bytes: memory.external,
        nodejs_eventloop_lag_p50_seconds: this.#lagSeconds(50),
        nodejs_eventloop_lag_p99_seconds: this.#lagSeconds(99),
      },
    };
    this.#delays.reset();
    return sample;
  }

  close(): void {
    this.#delays.disable();
  }

  // Node records the whole time between two looks (100 ms when idle); the lag is what exceeds the plan.
  #lagSeconds(percentile: number): number {
    return Math.max(0, this.#delays.percentile(percentile) / 1e9 - RESOLUTION_MS / 1000);
  }
}
