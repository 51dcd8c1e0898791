/** A service that reads a stream, and does not survive the message "bad". */
import { connectBus, StreamReader } from "@packetwatch/bus";
import { runService } from "@packetwatch/runtime";

await runService("detector", async ({ config, logger, scope }) => {
  const { natsServers: servers } = config;
  const bus = scope.own(
    await connectBus({ servers, name: "reading", logger, signal: scope.signal }),
  );
  scope.own(
    new StreamReader({
      bus,
      stream: "s",
      filter: "s.>",
      start: { kind: "all" },
      prefetch: 10,
      onMessage: ({ payload }) => {
        const text = Buffer.from(payload).toString();
        if (text === "bad") throw new TypeError("a message that the programmer didn't think of");
        logger.info({}, `read ${text}`);
      },
      logger,
    }),
  );
});
