import {
  type KernelCounters,
  type RingLedgerCounts,
  ringLossReasons,
  unparsedReasons,
} from "@packetwatch/contracts";
import { createServiceMetrics, type ServiceMetrics } from "./service-metrics.ts";

export type KernelMetricsOptions = {
  readonly host: string;
  readonly interfaceName: string;
  /** The counters of the interface's program, since its counters map was created. */
  readonly read: () => KernelCounters;
  /** What became of what was read from its ring, since the ring was made. */
  readonly readLedger: () => RingLedgerCounts;
};

/**
 * The counters of one kernel program, read whenever the registry is. Publish
 * them as service `kernel` under the program's own instance id
 * (kernelInstance): they go on while capture restarts.
 */
export function createKernelMetrics(options: KernelMetricsOptions): ServiceMetrics<"kernel"> {
  const { host, interfaceName, read, readLedger } = options;
  const labels = { host, interface: interfaceName };
  const metrics = createServiceMetrics({ service: "kernel", host });
  metrics.beforeRead(() => {
    raiseAll(metrics, labels, read());
    raiseLedger(metrics, labels, readLedger());
  });
  return metrics;
}

type InterfaceLabels = { readonly host: string; readonly interface: string };

function raiseAll(
  metrics: ServiceMetrics<"kernel">,
  labels: InterfaceLabels,
  counters: KernelCounters,
): void {
  metrics.raise("packetwatch_syn_seen_total", { ...labels, family: "ipv4" }, counters.synIpv4);
  metrics.raise("packetwatch_syn_seen_total", { ...labels, family: "ipv6" }, counters.synIpv6);
  metrics.raise("packetwatch_syn_reported_total", labels, counters.reported);
  // Not seen less dropped: the program counts what it has seen first, so that could be too many for a moment.
  const passed = counters.reported + counters.ringFull + counters.thinned;
  metrics.raise("packetwatch_syn_passed_total", labels, passed);
  metrics.raise("packetwatch_syn_ring_full_total", labels, counters.ringFull);
  metrics.raise("packetwatch_syn_dropped_total", labels, counters.dropped);
  metrics.raise("packetwatch_syn_thinned_total", labels, counters.thinned);
  metrics.raise("packetwatch_syn_would_drop_total", labels, counters.wouldDrop);
  metrics.raise("packetwatch_syn_allowed_total", labels, counters.allowed);
  metrics.raise("packetwatch_syn_spared_total", labels, counters.spared);
  metrics.raise("packetwatch_syn_flags_hidden_total", labels, counters.flagsHidden);
  for (const reason of unparsedReasons) {
    const total = counters.unparsed[reason];
    metrics.raise("packetwatch_unparsed_packets_total", { ...labels, reason }, total);
  }
}

function raiseLedger(
  metrics: ServiceMetrics<"kernel">,
  labels: InterfaceLabels,
  counts: RingLedgerCounts,
): void {
  metrics.raise("packetwatch_syn_published_total", labels, counts.published);
  for (const reason of ringLossReasons) {
    metrics.raise("packetwatch_syn_lost_total", { ...labels, reason }, counts[reason]);
  }
}
