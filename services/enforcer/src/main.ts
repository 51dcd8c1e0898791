import { connectBus, ServiceRegistration, StreamReader } from "@packetwatch/bus";
import { natsAccess } from "@packetwatch/config";
import { streamNames, subjects, VERDICT_MARKER_SECONDS } from "@packetwatch/contracts";
import { runService } from "@packetwatch/runtime";
import { PACKETWATCH_VERSION, processInstance } from "@packetwatch/telemetry";
import { Enforcer } from "./enforcer.ts";
import { HostAnswers } from "./host-answers.ts";
import { HostAllowedReader } from "./host-allowed/host-allowed.ts";
import { NatsAddresses } from "./host-allowed/nats-addresses.ts";
import { HostStatePublisher } from "./host-state-publisher.ts";
import { createOperatorSettings } from "./operator-settings.ts";
import { readSettings } from "./settings-readers.ts";
import { createEnforcerTelemetry } from "./telemetry.ts";
import { warmUp } from "./warm-up.ts";

/** How often what is allowed, pins and expiries are looked at. */
const TEND_INTERVAL_MS = 500;
const VERDICT_PREFETCH = 10_000;
/** Well before the marks of what has left a list are gone themselves. */
const REREAD_AFTER_MS = (VERDICT_MARKER_SECONDS * 1000) / 2;

await runService("enforcer", async ({ config, logger, scope, health, fail }) => {
  const { host, interfaces, bpffsDir: pinDir, ipv6SourceBits } = config;
  const instance = processInstance(host);
  const access = natsAccess(config);
  const options = { servers: config.natsServers, access, name: `enforcer ${host}`, logger };
  const bus = scope.own(await connectBus({ ...options, signal: scope.signal, onLost: fail }));
  const telemetry = createEnforcerTelemetry({ bus, host, instance, logger });
  const settings = createOperatorSettings(telemetry.onSettingRejected);
  const reader = new HostAllowedReader(config, scope.own(new NatsAddresses(bus)));
  const hostAllowed = () => reader.read();
  const { events } = telemetry;
  const enforcer = scope.own(
    new Enforcer({ host, interfaces, pinDir, ipv6SourceBits, hostAllowed, settings, events }),
  );
  enforcer.tend();
  warmUp();
  health.require(() => bus.whyNotConnected());
  health.require(() => enforcer.whyNotEnforcing());
  const read = () => enforcer.state();
  const hostState = scope.own(new HostStatePublisher({ bus, read, logger }));
  const onFollowed = () => hostState.publish();
  const rereadAfterMs = REREAD_AFTER_MS;
  readSettings(scope, { bus, settings, enforcer, rereadAfterMs, onFollowed, logger });
  const verdicts = scope.own(
    new StreamReader({
      bus,
      stream: streamNames.verdict,
      filter: subjects.everyVerdict,
      start: { kind: "last_per_subject" },
      prefetch: VERDICT_PREFETCH,
      onOpened: (createdUs) => enforcer.followList(createdUs),
      onMessage: (message) => enforcer.take(message),
      onCaughtUp: (streamSequence) => enforcer.completeList("verdicts", streamSequence),
      onStreamLost: () => enforcer.keepList(),
      rereadAfterMs,
      onReread: () => enforcer.restartList(),
      logger,
    }),
  );
  telemetry.observe(enforcer, verdicts);
  telemetry.publish(scope);
  scope.own(
    new ServiceRegistration({
      bus,
      name: "enforcer",
      version: PACKETWATCH_VERSION,
      description: "Keeps the block maps of a host equal to the verdicts in force",
      metadata: {
        host,
        instance,
        interfaces: interfaces.join(","),
        enforcing: () => enforcer.interfaces.join(","),
        blocks: () => String(enforcer.blocks),
      },
      logger,
    }),
  );
  scope.own(new HostAnswers({ bus, host, enforcer, onRequest: telemetry.onRequest }));
  const timer = setInterval(() => {
    try {
      enforcer.tend();
    } catch (error) {
      fail(error);
    }
  }, TEND_INTERVAL_MS);
  scope.own({ close: () => clearInterval(timer) });
  await hostState.announce();
});
