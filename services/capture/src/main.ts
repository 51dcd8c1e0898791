import { interfaceIndex } from "@packetwatch/bpf";
import { type Bus, connectBus, publishAcknowledged, ServiceRegistration } from "@packetwatch/bus";
import { type Config, natsAccess } from "@packetwatch/config";
import { synSubject } from "@packetwatch/contracts";
import { type Logger, ownAddresses, runService, type Scope } from "@packetwatch/runtime";
import { PACKETWATCH_VERSION, processInstance } from "@packetwatch/telemetry";
import { AttachmentKeeper } from "./attachment-keeper.ts";
import { CapturePipeline } from "./capture-pipeline.ts";
import { openSensor, type Sensor } from "./open-sensor.ts";
import { lockSensor } from "./sensor-lock.ts";
import { createCaptureTelemetry } from "./telemetry.ts";

await runService("capture", async ({ config, logger, scope, health, fail }) => {
  const { host } = config;
  const instance = processInstance(host);
  const sensors = await openSensors(config, logger, scope);
  const { publishBufferBytes: bufferLimitBytes } = config;
  const keeper = scope.own(new AttachmentKeeper({ sensors, logger, onError: fail }));
  health.require(() => keeper.whyNotWatching());
  const telemetry = createCaptureTelemetry({ host, instance, sensors, bufferLimitBytes, logger });
  // Reading begins before there is a bus: what comes meanwhile is buffered.
  const connected: { bus?: Bus } = {};
  const pipeline = new CapturePipeline({
    sensors,
    host,
    instance,
    ipv6SourceBits: config.ipv6SourceBits,
    maxBufferedBytes: bufferLimitBytes,
    drainTimeoutMs: config.drainTimeoutSeconds * 500,
    publish: async (shard, { payload }, messageId) => {
      const { bus } = connected;
      if (!bus?.isConnected()) throw new Error("NATS isn't connected");
      await publishAcknowledged(bus, synSubject(shard), payload, { messageId });
    },
    events: { ...telemetry.events, onError: fail },
  });
  telemetry.observe(pipeline);
  const access = natsAccess(config);
  const options = { servers: config.natsServers, access, name: `capture ${host}`, logger };
  const bus = scope.own(await connectBus({ ...options, signal: scope.signal, onLost: fail }));
  connected.bus = bus;
  health.require(() => bus.whyNotConnected());
  telemetry.publish(bus, scope);
  scope.own(
    new ServiceRegistration({
      bus,
      name: "capture",
      version: PACKETWATCH_VERSION,
      description: "Publishes the connection attempts that XDP sees on a host",
      metadata: { host, instance, ...interfacesOf(sensors) },
      logger,
    }),
  );
  bus.onReconnect(() => pipeline.retry());
  scope.own(pipeline);
  pipeline.retry();
});

async function openSensors(
  config: Config<"capture">,
  logger: Logger,
  scope: Scope,
): Promise<readonly Sensor[]> {
  const sensors: Sensor[] = [];
  // Before any of them is touched, so that a mistyped name leaves nothing behind on the others.
  for (const interfaceName of config.interfaces) interfaceIndex(interfaceName);
  for (const interfaceName of config.interfaces) {
    scope.own(await lockSensor(config.bpffsDir, interfaceName));
    const sensor = scope.own(openSensor({ interfaceName, ...sensorOptions(config) }));
    const { mode, origin: attachment } = sensor.attachment;
    logger.info({ interface: interfaceName, mode, attachment }, "watching");
    const lost = sensor.ledger.settleCrash();
    if (lost > 0) {
      const fields = { interface: interfaceName, records: lost };
      logger.warn(fields, "an earlier capture ended before NATS had all that it read; lost");
    }
    sensors.push(sensor);
  }
  return sensors;
}

/** As metadata: which interfaces are watched, and in which mode of XDP each. */
function interfacesOf(sensors: readonly Sensor[]) {
  return {
    interfaces: sensors.map(({ interfaceName }) => interfaceName).join(","),
    modes: () =>
      sensors.map(({ interfaceName, attachment }) => `${interfaceName}=${attachment.mode}`).join(),
  };
}

function sensorOptions(config: Config<"capture">) {
  return {
    objectPath: config.bpfObject,
    pinDir: config.bpffsDir,
    mode: config.xdpMode,
    ringBytes: config.ringBytes,
    blockedEntries: config.blockedEntries,
    allowedEntries: config.allowedEntries,
    ipv6SourceBits: config.ipv6SourceBits,
    listenerLookup: config.listenerLookup || config.count === "closed",
    enforce: config.enforce,
    allowed: config.whitelistSelf
      ? [...ownAddresses(config.interfaces), ...config.allow]
      : config.allow,
  };
}
