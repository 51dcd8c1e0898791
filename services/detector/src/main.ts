import { connectBus, keepStreams, ServiceRegistration } from "@packetwatch/bus";
import { natsAccess } from "@packetwatch/config";
import { streamSpecs } from "@packetwatch/contracts";
import { rulesFromConfig, streamSizes } from "@packetwatch/detection";
import { runService } from "@packetwatch/runtime";
import { PACKETWATCH_VERSION, processInstance } from "@packetwatch/telemetry";
import { Detecting } from "./detecting.ts";
import { createDetectorTelemetry } from "./telemetry.ts";
import { warmUp } from "./warm-up.ts";

await runService("detector", async ({ config, logger, scope, health, fail }) => {
  const { host } = config;
  const instance = processInstance(host);
  const access = natsAccess(config);
  const options = { servers: config.natsServers, access, name: `detector ${host}`, logger };
  const bus = scope.own(await connectBus({ ...options, signal: scope.signal, onLost: fail }));
  health.require(() => bus.whyNotConnected());
  const specs = streamSpecs(streamSizes(config));
  scope.own(await keepStreams({ bus, specs, logger, signal: scope.signal }));
  const telemetry = createDetectorTelemetry({ host, instance, logger });
  telemetry.publish(bus, scope);
  const detecting = scope.own(new Detecting({ bus, config, instance, telemetry, logger }));
  scope.own(
    new ServiceRegistration({
      bus,
      name: "detector",
      version: PACKETWATCH_VERSION,
      description: "Finds the sources that scan, and publishes verdicts",
      metadata: { host, instance, shards: () => detecting.shards.join(",") },
      logger,
    }),
  );
  warmUp(rulesFromConfig(config));
  await detecting.start();
});
