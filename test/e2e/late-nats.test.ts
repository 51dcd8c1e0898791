import { afterEach, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { balanceBooks, createSite, pipeline, startSite } from "./site.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

it("services that start before NATS wait for it, and judge what came meanwhile", async () => {
  const site = await createSite(cleanup);
  const { nats } = site.fleet;
  await nats.shutDown();
  for (const name of pipeline) site.host.launch(name);
  await site.host.service("capture").logged("watching");
  const pinned = cleanup.own(site.openPins());

  const [scanner, client] = [site.newSource(), site.newSource()];
  await site.scan(scanner);
  expect(await site.visit(client)).toBe("pong");
  // Each says once what it waits for.
  for (const name of pipeline) {
    const waiting = await site.host
      .service(name)
      .logged("NATS isn't reachable yet; waiting for it (PW_NATS_URL)");
    expect(waiting).toMatchObject({ level: "warn", servers: [new URL(site.fleet.natsUrl).host] });
  }
  expect(pipeline.map((name) => site.host.service(name).isRunning)).toEqual([true, true, true]);

  await nats.start();
  for (const name of pipeline) await site.host.service(name).ready();
  await site.blocked(scanner);
  expect(await site.visit(scanner)).toBe("timed out");
  expect(await site.visit(client)).toBe("pong");

  const { syns, verdicts } = await site.tap();
  await balanceBooks(pinned, syns);
  expect(syns.of(scanner).ports).toEqual(new Set([1, 2, 3]));
  expect(syns.of(client).syns).toBe(2);
  expect(verdicts.blockOf(client)).toBeUndefined();
});

it("a scan while NATS is away is judged when it is back", async () => {
  const site = await startSite(cleanup);
  await site.fleet.nats.kill();
  const [scanner, client] = [site.newSource(), site.newSource()];
  await site.scan(scanner);
  await site.fleet.nats.start();
  await site.blocked(scanner);
  expect(await site.visit(scanner)).toBe("timed out");
  expect(await site.visit(client)).toBe("pong");
});
