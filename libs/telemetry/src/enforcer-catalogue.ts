import { allowReasons } from "@packetwatch/contracts";
import { contractReasons, perHost, reactionBucketsSeconds } from "./label-sets.ts";
import { counter, gauge, histogram, type MetricCatalogue } from "./metric-definition.ts";

const enforcer = ["enforcer"] as const;

/** What enforcers count. */
export const enforcerCatalogue = {
  packetwatch_enforcer_blocks: gauge({
    services: enforcer,
    unit: "blocks",
    labels: perHost,
    aggregator: "max",
    help: "Blocks in force",
  }),
  packetwatch_enforcer_block_capacity: gauge({
    services: enforcer,
    unit: "blocks",
    labels: perHost,
    aggregator: "min",
    help: "Blocks that the smallest block map can hold (PW_BLOCKED_ENTRIES)",
  }),
  packetwatch_enforcer_applied_total: counter({
    services: enforcer,
    unit: "verdicts",
    labels: { ...perHost, action: ["blocked", "lifted", "spared", "failed"] },
    help: "Verdicts carried out, by what was done",
  }),
  packetwatch_enforcer_rejected_verdicts_total: counter({
    services: enforcer,
    unit: "verdicts",
    labels: { ...perHost, reason: contractReasons },
    help: "Verdicts that break their contract; nothing of them was used",
  }),
  packetwatch_enforcer_rejected_settings_total: counter({
    services: enforcer,
    unit: "settings",
    labels: { ...perHost, reason: contractReasons },
    help: "Allow entries and enforcement settings that break their contract; nothing of them was used",
  }),
  packetwatch_enforcer_enforcing: gauge({
    services: enforcer,
    unit: "1",
    labels: perHost,
    aggregator: "max",
    help: "1 where blocked sources are dropped, 0 in a dry run (PW_ENFORCE, packetwatch enforce)",
  }),
  packetwatch_enforcer_allowed: gauge({
    services: enforcer,
    unit: "prefixes",
    labels: { ...perHost, reason: allowReasons },
    aggregator: "max",
    help: "Prefixes that a host allows for its own reasons, besides what operators allow everywhere",
  }),
  packetwatch_enforcer_leftover_blocks: gauge({
    services: enforcer,
    unit: "blocks",
    labels: perHost,
    aggregator: "max",
    help: "Blocks of a verdict list that was lost with the disk of NATS: no list names them, and they hold until they expire or are lifted one by one",
  }),
  packetwatch_enforcer_allowed_refused: gauge({
    services: enforcer,
    unit: "prefixes",
    labels: perHost,
    aggregator: "max",
    help: "Prefixes that are to be allowed and found no room in the allow map (PW_ALLOWED_ENTRIES)",
  }),
  packetwatch_enforcer_map_full_total: counter({
    services: enforcer,
    unit: "blocks",
    labels: perHost,
    help: "Blocks that the block map refused: it is full (PW_BLOCKED_ENTRIES), or the kernel's memory is short",
  }),
  packetwatch_enforcer_waiting_interfaces: gauge({
    services: enforcer,
    unit: "interfaces",
    labels: perHost,
    aggregator: "max",
    help: "Interfaces on which nothing is enforced: capture has not pinned their maps, or no program is attached",
  }),
  packetwatch_enforcer_requests_total: counter({
    services: enforcer,
    unit: "requests",
    labels: { ...perHost, outcome: ["answered", "rejected", "failed"] },
    help: "Questions for what the block maps hold of some sources; one that breaks its contract is rejected, without an answer",
  }),
  packetwatch_enforcer_sequence: gauge({
    services: enforcer,
    unit: "1",
    labels: perHost,
    aggregator: "max",
    help: "Stream sequence of the last verdict taken in",
  }),
  packetwatch_enforcer_reading: gauge({
    services: enforcer,
    unit: "1",
    labels: perHost,
    aggregator: "min",
    help: "1 while the verdict stream is being read, 0 while it can't be; then packetwatch_enforcer_behind_messages is old",
  }),
  packetwatch_enforcer_behind_messages: gauge({
    services: enforcer,
    unit: "messages",
    labels: perHost,
    aggregator: "max",
    help: "Verdicts stored and not yet taken in",
  }),
  packetwatch_enforcer_reaction_seconds: histogram({
    services: enforcer,
    unit: "seconds",
    labels: {},
    buckets: reactionBucketsSeconds,
    help: "From the deciding connection attempt, on its sensor's clock, to the write of the block map",
  }),
  packetwatch_enforcer_reconciles_total: counter({
    services: enforcer,
    unit: "reconciles",
    labels: { ...perHost, reason: ["start", "new_maps", "room"] },
    help: "Comparisons of a whole block map with all verdicts in force",
  }),
} as const satisfies MetricCatalogue;
