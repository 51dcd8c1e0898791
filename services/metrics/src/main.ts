import { connectBus, ServiceRegistration, TelemetryPublisher } from "@packetwatch/bus";
import { natsAccess } from "@packetwatch/config";
import { runService } from "@packetwatch/runtime";
import {
  catalogue,
  catalogueOf,
  PACKETWATCH_VERSION,
  processInstance,
} from "@packetwatch/telemetry";
import { TelemetryAggregator } from "./core/aggregator.ts";
import { startHttpServer } from "./http-server.ts";
import { createOwnMetrics } from "./own-metrics.ts";
import { Readiness } from "./readiness.ts";
import { RejectionLog } from "./rejection-log.ts";
import { recallTelemetry } from "./recall-telemetry.ts";
import { createRoutes } from "./routes.ts";
import { scrape } from "./scrape.ts";
import { TelemetryIntake, TelemetrySubscription } from "./telemetry-intake.ts";

const service = "metrics";

/** Milliseconds since the Unix epoch on the monotonic clock: a step of NTP makes nobody depart. */
const now = () => performance.timeOrigin + performance.now();

await runService(service, async ({ config, logger, scope, health, fail }) => {
  const { host, natsServers: servers, prometheusAddress: address, prometheusPort: port } = config;
  const instance = processInstance(host);

  const startMs = now();
  const aggregator = new TelemetryAggregator({ catalogue, startMs });
  // What is served until everybody has been heard.
  const alone = new TelemetryAggregator({ catalogue: catalogueOf(service), startMs });
  const own = scope.own(createOwnMetrics({ host, aggregator, now }));
  const rejections = new RejectionLog({
    counter: own.counter("packetwatch_metrics_rejected_messages_total"),
    warn: logger.warn.bind(logger),
    now,
  });
  const accepted = own.counter("packetwatch_metrics_messages_total");
  const intake = new TelemetryIntake({
    aggregator,
    now,
    onAccepted: () => accepted.inc(),
    onRejected: (rejection) => rejections.add(rejection),
  });
  const readiness = new Readiness({ heard: intake, now });

  health.require(() => readiness.whyNot());

  // It listens before NATS is there: /readyz then says what is missing.
  const routes = createRoutes({
    scrape: (format) => {
      const served = readiness.isComplete ? aggregator : alone;
      return scrape({ aggregator: served, own, instance, host, now }, format);
    },
    whyNotReady: () => readiness.whyNot(),
  });
  const onError = (err: unknown) => logger.error({ err }, "a request failed");
  scope.own(await startHttpServer({ address, port, routes, onError }));
  logger.info({ address, port }, "serving /metrics");

  const { signal } = scope;
  const access = natsAccess(config);
  const options = { servers, access, name: instance, logger, signal };
  const bus = scope.own(await connectBus({ ...options, onLost: fail }));
  readiness.connected(bus);
  own.beforeRead(() =>
    own.raise("packetwatch_nats_reconnects_total", { service }, bus.reconnects()),
  );

  const onRefused = (error: Error) =>
    logger.error({ cause: error.message }, "NATS refuses the telemetry subscription; trying again");
  const onMessage = (...message: Parameters<TelemetryIntake["recall"]>) =>
    intake.recall(...message);
  await recallTelemetry({ bus, onMessage, logger });
  scope.own(new TelemetrySubscription({ bus, intake, onRefused }));
  const { registry } = own;
  scope.own(new TelemetryPublisher({ bus, service, instance, host, registry, logger }));
  scope.own(
    new ServiceRegistration({
      bus,
      name: service,
      version: PACKETWATCH_VERSION,
      description: "Serves the metrics of the fleet to Prometheus",
      metadata: { host, instance, address: `${address}:${port}` },
      logger,
    }),
  );
});
