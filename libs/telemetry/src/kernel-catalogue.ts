import { ringLossReasons, unparsedReasons } from "@packetwatch/contracts";
import { counter, type MetricCatalogue } from "./metric-definition.ts";

const kernel = ["kernel"] as const;

export const perInterface = { host: "any", interface: "any" } as const;

/** What one XDP program on one interface counts. */
export const kernelCatalogue = {
  packetwatch_syn_seen_total: counter({
    services: kernel,
    unit: "packets",
    labels: { ...perInterface, family: ["ipv4", "ipv6"] },
    help: "Connection attempts (SYN without ACK) that the XDP program saw; each is reported, dropped, thinned, or lost to a full ring",
  }),
  packetwatch_syn_reported_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts written to the ring buffer",
  }),
  packetwatch_syn_passed_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts let through to the network stack: those reported, those thinned, and those that found the ring full",
  }),
  packetwatch_syn_ring_full_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts passed, and lost to detection because the ring buffer was full (PW_RING_BYTES)",
  }),
  packetwatch_syn_dropped_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts of blocked sources, dropped",
  }),
  packetwatch_syn_thinned_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts passed, and left out of a ring buffer that was three quarters full because the same source had tried the same port of the same destination within a second: detection misses nothing (PW_RING_BYTES)",
  }),
  packetwatch_syn_published_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Reported connection attempts that NATS has acknowledged; kept beside the ring, through all restarts of capture",
  }),
  packetwatch_syn_lost_total: counter({
    services: kernel,
    unit: "packets",
    labels: { ...perInterface, reason: ringLossReasons },
    help: "Reported connection attempts that were never published (PW_PUBLISH_BUFFER_BYTES, PW_DRAIN_TIMEOUT); `crash`: on their way when capture was killed, and perhaps stored",
  }),
  packetwatch_syn_would_drop_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts of blocked sources, passed because enforcement is off (PW_ENFORCE)",
  }),
  packetwatch_syn_allowed_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts of allow-listed sources: they pass, and never count as a scan",
  }),
  packetwatch_syn_spared_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "Connection attempts of blocked sources, passed because the source is allow-listed",
  }),
  packetwatch_syn_flags_hidden_total: counter({
    services: kernel,
    unit: "packets",
    labels: perInterface,
    help: "First fragments that end before the TCP flags, taken for connection attempts",
  }),
  packetwatch_unparsed_packets_total: counter({
    services: kernel,
    unit: "packets",
    labels: { ...perInterface, reason: unparsedReasons },
    help: "Packets that could not be parsed and were passed, by the header that stopped it",
  }),
} as const satisfies MetricCatalogue;
