import { connectBus, provisionStreams, publishAcknowledged } from "@packetwatch/bus";
import { subjects } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";
import { runPacketwatch } from "../../support/packetwatch-command.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";

const cleanup = new Cleanup();
let nats: NatsServer;
beforeAll(async () => {
  nats = await startNats();
  cleanup.defer(() => nats.stop());
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  await publishAcknowledged(bus, subjects.breaker, new TextEncoder().encode("{}"));
});
afterAll(() => cleanup.run());

it.each([
  [["status"], 1, /^breaker +closed; it was never open$/m],
  [["breaker", "show"], 0, /^closed; it was never open$/m],
  [["explain", "192.0.2.1"], 0, /^192\.0\.2\.1 is not blocked/],
])(
  "%j says that the breaker's state can't be read, and what else it knows",
  async (args, code, out) => {
    const ran = await runPacketwatch({ settings: { PW_NATS_URL: nats.url }, args });
    expect(ran).toMatchObject({ code, out: expect.stringMatching(out) });
    expect(ran.errors).toContain(
      "what was last said of the breaker: 1 payload rejected: bad_schema",
    );
  },
);
