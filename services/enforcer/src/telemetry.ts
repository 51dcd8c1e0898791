import { type Bus, TelemetryPublisher } from "@packetwatch/bus";
import { type Applied, appliedSubject, encodeApplied } from "@packetwatch/contracts";
import { formatPrefix } from "@packetwatch/net";
import type { Logger, Scope } from "@packetwatch/runtime";
import { createServiceMetrics, type ServiceMetrics } from "@packetwatch/telemetry";
import type { Enforcer, EnforcerEvents } from "./enforcer.ts";

export type EnforcerTelemetry = {
  readonly events: EnforcerEvents;
  /** A question was answered, or why not. */
  readonly onRequest: (outcome: RequestOutcome, cause?: Error) => void;
  /** Fills in what is read off the enforcer; `behind`: verdicts that wait in the stream. */
  readonly observe: (enforcer: Enforcer, behind: () => number) => void;
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
    observe: (enforcer, behind) => {
      metrics.beforeRead(() => {
        metrics.gauge("packetwatch_enforcer_blocks").set({ host }, enforcer.blocks);
        metrics.gauge("packetwatch_enforcer_block_capacity").set({ host }, enforcer.capacity);
        metrics
          .gauge("packetwatch_enforcer_waiting_interfaces")
          .set({ host }, enforcer.waitingFor.length);
        metrics.gauge("packetwatch_enforcer_sequence").set({ host }, enforcer.sequence);
        metrics.gauge("packetwatch_enforcer_behind_messages").set({ host }, behind());
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
      logger.info({ source, action, verdictId, reactionUs }, "verdict applied");
      announce(applied);
    },
    onCaughtUp: announce,
    onRejected: (reason, error) => {
      metrics.counter("packetwatch_enforcer_rejected_verdicts_total").inc({ host, reason });
      logger.warn({ reason, cause: error.message }, "a verdict was rejected");
    },
    onMapFull: (interfaceName, refused) => {
      metrics.counter("packetwatch_enforcer_map_full_total").inc({ host }, refused);
      logger.error(
        { interface: interfaceName, refused },
        "the block map is full; blocks were refused (PW_BLOCKED_ENTRIES)",
      );
    },
    onReconciled: (interfaceName, reason, { added, refreshed, removed, refused }) => {
      metrics.counter("packetwatch_enforcer_reconciles_total").inc({ host, reason });
      const counts = {
        added: added.length,
        refreshed: refreshed.length,
        removed: removed.length,
        refused: refused.length,
      };
      logger.info({ interface: interfaceName, reason, ...counts }, "block map reconciled");
    },
    onWaiting: (interfaceName) => {
      logger.warn({ interface: interfaceName }, "waiting for capture to pin the interface's maps");
    },
    onAllowChanged: (interfaceName, added, removed) => {
      const texts = { added: added.map(formatPrefix), removed: removed.map(formatPrefix) };
      logger.info({ interface: interfaceName, ...texts }, "allow list changed");
    },
  };
}
