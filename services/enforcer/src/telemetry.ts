import type { BpfError } from "@packetwatch/bpf";
import { type Bus, TelemetryPublisher } from "@packetwatch/bus";
import {
  allowReasons,
  type Applied,
  appliedSubject,
  encodeApplied,
  type HostState,
} from "@packetwatch/contracts";
import { formatPrefix, type Prefix } from "@packetwatch/net";
import type { Logger, Scope } from "@packetwatch/runtime";
import { createServiceMetrics, type ServiceMetrics } from "@packetwatch/telemetry";
import type { DesiredBlock } from "./desired-blocks.ts";
import type { Enforcer, EnforcerEvents } from "./enforcer.ts";
import type { SettingRejected } from "./operator-settings.ts";

export type VerdictReader = {
  /** Verdicts that wait in the stream. */
  readonly pending: number;
  readonly isReading: boolean;
};

export type EnforcerTelemetry = {
  readonly events: EnforcerEvents;
  /** A question was answered, or why not. */
  readonly onRequest: (outcome: RequestOutcome, cause?: Error) => void;
  /** A setting of an operator breaks its contract. */
  readonly onSettingRejected: SettingRejected;
  /** Fills in what is read off the enforcer, and off who reads verdicts for it. */
  readonly observe: (enforcer: Enforcer, verdicts: VerdictReader) => void;
  readonly publish: (scope: Scope) => void;
};

export type RequestOutcome = "answered" | "rejected" | "failed";

export type EnforcerTelemetryOptions = {
  readonly bus: Bus;
  readonly host: string;
  readonly instance: string;
  readonly logger: Logger;
};

export function createEnforcerTelemetry(options: EnforcerTelemetryOptions): EnforcerTelemetry {
  const { bus, host, instance, logger } = options;
  const metrics = createServiceMetrics({ service: "enforcer", host });
  return {
    events: createEvents(metrics, options),
    onRequest: (outcome, cause) => {
      metrics.counter("packetwatch_enforcer_requests_total").inc({ host, outcome });
      if (cause) logger.warn({ outcome, cause: cause.message }, "a question was not answered");
    },
    onSettingRejected: (reason, error) => {
      metrics.counter("packetwatch_enforcer_rejected_settings_total").inc({ host, reason });
      logger.warn({ reason, cause: error.message }, "a setting was rejected");
    },
    observe: (enforcer, verdicts) => {
      metrics.beforeRead(() => {
        metrics.gauge("packetwatch_enforcer_blocks").set({ host }, enforcer.blocks);
        metrics.gauge("packetwatch_enforcer_block_capacity").set({ host }, enforcer.capacity);
        metrics.gauge("packetwatch_enforcer_leftover_blocks").set({ host }, enforcer.leftovers);
        metrics
          .gauge("packetwatch_enforcer_waiting_interfaces")
          .set({ host }, enforcer.waitingFor.length);
        metrics.gauge("packetwatch_enforcer_sequence").set({ host }, enforcer.sequence);
        readState(metrics, host, enforcer.state());
        metrics.gauge("packetwatch_enforcer_behind_messages").set({ host }, verdicts.pending);
        metrics.gauge("packetwatch_enforcer_reading").set({ host }, Number(verdicts.isReading));
        metrics.raise(
          "packetwatch_nats_reconnects_total",
          { service: "enforcer" },
          bus.reconnects(),
        );
      });
    },
    publish: (scope) => {
      scope.own(metrics);
      const { registry } = metrics;
      scope.own(
        new TelemetryPublisher({ bus, host, logger, service: "enforcer", instance, registry }),
      );
    },
  };
}

function readState(metrics: ServiceMetrics<"enforcer">, host: string, state: HostState): void {
  const enforcing = metrics.gauge("packetwatch_enforcer_enforcing");
  if (state.enforcing === null) enforcing.remove({ host });
  else enforcing.set({ host }, state.enforcing === "on" ? 1 : 0);
  metrics.gauge("packetwatch_enforcer_allowed_refused").set({ host }, state.refused);
  const byReason = metrics.gauge("packetwatch_enforcer_allowed");
  for (const reason of allowReasons) {
    const count = state.allowed.filter(({ reasons }) => reasons.includes(reason)).length;
    byReason.set({ host, reason }, count);
  }
}

function createEvents(
  metrics: ServiceMetrics<"enforcer">,
  { bus, host, logger }: EnforcerTelemetryOptions,
): EnforcerEvents {
  const announce = (applied: Applied) => {
    metrics.counter("packetwatch_enforcer_applied_total").inc({ host, action: applied.action });
    // History is for people: one that is lost while NATS is away changes nothing. The client would
    // keep them all until it is back.
    if (bus.isConnected()) bus.connection.publish(appliedSubject(host), encodeApplied(applied));
  };
  return {
    onApplied: (applied) => {
      const { source, action, verdictId, reactionUs } = applied;
      if (reactionUs !== null) {
        metrics
          .histogram("packetwatch_enforcer_reaction_seconds")
          .observe(Math.max(0, reactionUs / 1e6));
      }
      const fields = { source, action, verdictId, reactionUs };
      if (action === "spared") {
        logger.warn(fields, "a verdict was spared: its source is allowed");
      } else {
        logger.info(fields, "verdict applied");
      }
      announce(applied);
    },
    onCaughtUp: announce,
    onRejected: (reason, error) => {
      metrics.counter("packetwatch_enforcer_rejected_verdicts_total").inc({ host, reason });
      logger.warn({ reason, cause: error.message }, "a verdict was rejected");
    },
    onRefused: (interfaceName, refused, refusal) => {
      metrics.counter("packetwatch_enforcer_map_full_total").inc({ host }, refused);
      logRefusal(logger, { interface: interfaceName, refused }, refusal);
    },
    onReconciled: (interfaceName, reason, { added, refreshed, removed, refused }) => {
      metrics.counter("packetwatch_enforcer_reconciles_total").inc({ host, reason });
      const counts = {
        added: added.length,
        refreshed: refreshed.length,
        removed: removed.length,
        refused: refused.length,
      };
      const hasChanged = counts.added + counts.refreshed + counts.removed > 0;
      // Tried again and again while memory is short.
      const level = reason === "room" && !hasChanged ? "debug" : "info";
      logger[level]({ interface: interfaceName, reason, ...counts }, "block map reconciled");
    },
    onLeftovers: (blocks) => logLeftovers(logger, blocks),
    onWaiting: (interfaceName) => {
      logger.warn({ interface: interfaceName }, "waiting for capture to pin the interface's maps");
    },
    onAllowChanged: (interfaceName, { added, removed, refused }) => {
      const texts = { added: textsOf(added), removed: textsOf(removed) };
      logger.info({ interface: interfaceName, ...texts }, "allow list changed");
      if (refused.length === 0) return;
      logger.error(
        { interface: interfaceName, refused: textsOf(refused) },
        "the allow map refused prefixes: it is full (PW_ALLOWED_ENTRIES), or memory is short",
      );
    },
    onEnforcementSet: (interfaceName, { set, setBy, untilUs, setAfter }) => {
      const fields = { interface: interfaceName, enforce: set ?? "default", setBy };
      const trial = untilUs === undefined ? {} : { untilUs, after: setAfter ?? "default" };
      logger.warn({ ...fields, ...trial }, "enforcement was set at run time");
    },
  };
}

function logRefusal(logger: Logger, fields: object, { code, message }: BpfError): void {
  if (code === "MAP_FULL") {
    logger.error(fields, "the block map is full; blocks were refused (PW_BLOCKED_ENTRIES)");
  } else {
    logger.error({ ...fields, cause: message }, "the kernel refused blocks; trying again");
  }
}

function logLeftovers(logger: Logger, blocks: readonly DesiredBlock[]): void {
  const sources = blocks.slice(0, MAX_LOGGED).map(({ source }) => source);
  logger.warn(
    { blocks: blocks.length, sources },
    "the list of these blocks was lost; they hold until they expire or are unblocked one by one",
  );
}

/** Of a long list the first are named. */
const MAX_LOGGED = 64;

function textsOf(prefixes: readonly Prefix[]): readonly string[] {
  return prefixes.slice(0, MAX_LOGGED).map(formatPrefix);
}
