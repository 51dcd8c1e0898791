import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type NatsServer, startNats } from "../../support/nats.ts";
import { runPacketwatch } from "../../support/packetwatch-command.ts";

let nats: NatsServer;
let bare: NatsServer;
beforeAll(async () => {
  nats = await startNats();
  bare = await startNats({ arguments: ["-js=false"] });
});
afterAll(async () => {
  await nats.stop();
  await bare.stop();
});

const run = (...args: readonly string[]) =>
  runPacketwatch({ settings: { PW_NATS_URL: nats.url }, args });

const oneLine = (errors: string) => expect(errors.trimEnd()).not.toContain("\n");

describe("a command that can't do its work says so in one line", () => {
  it.each([
    [["blocked"]],
    [["block", "192.0.2.1"]],
    [["unblock", "192.0.2.1"]],
    [["unblock", "--all"]],
  ])("%j, where no detector has made the streams", async (args) => {
    const { code, out, errors } = await run(...args, "--timeout", "0.5");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(errors).toMatch(/^packetwatch: read stream \w+: .*; is a detector running\?\n$/);
  });

  it.each([[["blocked"]], [["block", "192.0.2.1"]], [["status"]], [["breaker", "show"]]])(
    "%j, where NATS runs without JetStream, as after a full disk",
    async (args) => {
      const run = { settings: { PW_NATS_URL: bare.url }, args: [...args, "--timeout", "0.5"] };
      const { code, out, errors } = await runPacketwatch(run);
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(errors).toMatch(/^packetwatch: NATS at \S+ runs without JetStream, .*again\n$/);
    },
  );

  it.each([[["blocked"]], [["block", "192.0.2.1"]], [["unblock", "192.0.2.1"]]])(
    "%j, where no NATS answers",
    async (args) => {
      const settings = { PW_NATS_URL: `nats://127.0.0.1:${await freePort()}` };
      const { code, out, errors } = await runPacketwatch({
        settings,
        args: [...args, "--timeout", "0.5"],
      });
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(errors).toMatch(/^packetwatch: NATS isn't reachable at .*; start it with/);
      oneLine(errors);
    },
  );

  it.each([
    [["block", "example.com"], '"example.com" is not an IP address'],
    [["unblock", "10.0.0.300"], '"10.0.0.300" is not an'],
    [["blocked", "x"], '"x" is not an IP address'],
    [["block", "10.0.0.0/8"], "10.0.0.0/8 has more than 1024 sources"],
  ])("%j, before anything is published", async (args, message) => {
    const { code, out, errors } = await run(...args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toContain(message);
    oneLine(errors);
  });

  it.each([
    [["unblock"], "name an address or CIDR, or --all"],
    [["unblock", "--all", "192.0.2.1"], "name an address or CIDR, or --all"],
    [["block"], "missing required argument 'source'"],
    [["block", "192.0.2.1", "--ttl", "soon"], "It is a time from 1s to"],
    [["blocked", "--rule", "magic"], "Allowed choices are"],
  ])("%j is misuse: exit code 2", async (args, message) => {
    const { code, out, errors } = await run(...args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(errors).toContain(message);
  });
});
