import { connectBus } from "@packetwatch/bus";
import { verdictSubject } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterEach, expect, it } from "vitest";
import { AppliedTap } from "../support/applied-tap.ts";
import { Cleanup } from "../support/cleanup.ts";
import type { Settings } from "../support/fleet-service.ts";
import { jsonLines, runPacketwatch } from "../support/packetwatch-command.ts";
import { blockVerdict, publishVerdict, unblockVerdict } from "../support/published-verdicts.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { visit } from "../support/visit.ts";
import { type Site, SITE_PORTS, startSite } from "./site.ts";

/** Of one /64; of another in the same /56; of another /56. */
const near = ["2001:db8:0:100::1", "2001:db8:0:100:ffff::2"] as const;
const beside = "2001:db8:0:1ff::3";
const far = "2001:db8:0:200::4";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

async function startIpv6Site(settings: Settings): Promise<Site> {
  const site = await startSite(cleanup, { settings });
  for (const address of [...near, beside, far]) {
    site.visitor.ip("addr", "add", `${address}/128`, "dev", "eth0", "nodad");
  }
  return site;
}

function knock(site: Site, source: string, port: number = SITE_PORTS[0]): Promise<string> {
  return visit({ from: site.visitor, source, address: site.ipv6Address, port });
}

/** The command, where it is set as the hosts are. */
function command(site: Site, settings: Settings, ...args: readonly string[]) {
  return runPacketwatch({ settings: { ...site.fleet.operator, ...settings }, args });
}

const lengths = [
  {
    length: "/64 by default",
    settings: {},
    source: "2001:db8:0:100::/64",
    subject: "packetwatch.v1.verdict.ip6.2001.db8.0.100",
    inside: near,
    outside: [beside, far],
  },
  {
    length: "/56 where PW_IPV6_PREFIX says so",
    settings: { PW_IPV6_PREFIX: "56" },
    source: "2001:db8:0:100::/56",
    subject: "packetwatch.v1.verdict.ip6.2001.db8.0.100.s56",
    inside: [near[0], beside],
    outside: [far],
  },
] as const;

it.each(lengths)(
  "an IPv6 scanner is judged, blocked and lifted by its $length",
  async ({ settings, source, subject, inside, outside }) => {
    const site = await startIpv6Site(settings);
    const { verdicts } = await site.tap();
    const [first, second] = inside;
    // Neither of them alone has tried enough.
    for (const [from, port] of [
      [first, 1],
      [second, 2],
      [first, 3],
    ] as const) {
      expect(await knock(site, from, port)).toBe("refused");
    }
    await site.blocked("2001:db8:0:100::");
    const { verdict } = await verdicts.untilBlockOf(source);
    expect(verdict).toMatchObject({ source, evidence: { count: 3 } });
    expect(verdictSubject(parsePrefix(source))).toBe(subject);
    for (const address of inside) expect(await knock(site, address)).toBe("timed out");
    for (const address of outside) expect(await knock(site, address)).toBe("pong");

    const listed = await command(site, settings, "blocked", second, "--json");
    expect(jsonLines(listed)).toMatchObject([
      { source, hosts: [{ host: "host", state: "applied" }] },
    ]);
    // One of each or, where a visitor gives up late, its repetition too.
    expect(jsonLines(listed)[0]?.["dropped"]).toBeGreaterThanOrEqual(2);
    const notBlocked = await command(site, settings, "blocked", far);
    expect(notBlocked.errors).toContain("nothing there is blocked");
    const lifted = await command(site, settings, "unblock", second);
    expect(lifted.out).toMatch(/^lifted on 1\/1 host in \d+ ms\n$/);
    for (const address of inside) expect(await knock(site, address)).toBe("pong");

    const blocked = await command(site, settings, "block", second);
    expect(blocked.out).toMatch(/^blocked on 1\/1 host in \d+ ms\n$/);
    expect(await knock(site, first)).toBe("timed out");
  },
);

it("a verdict on a prefix of another length is refused: it would reach further than it says, or nowhere", async () => {
  const site = await startIpv6Site({ PW_IPV6_PREFIX: "56" });
  const options = { servers: [site.fleet.nats.url], name: "test", logger: new RecordingLogger() };
  const bus = cleanup.own(await connectBus(options));
  const applied = cleanup.own(new AppliedTap(bus));
  const enforcer = site.host.service("enforcer");

  await publishVerdict(bus, blockVerdict("2001:db8:0:200::/64"));
  const refused = await enforcer.logged("a verdict was rejected");
  expect(refused).toMatchObject({
    reason: "wrong_prefix",
    cause:
      "verdict v1: 2001:db8:0:200::/64 is no source on this host, which knows IPv6 by /56 (PW_IPV6_PREFIX)",
  });
  expect(await knock(site, far)).toBe("pong");

  const own = blockVerdict("2001:db8:0:200::/56");
  await publishVerdict(bus, own);
  expect(await applied.of("host", own.id)).toMatchObject({ action: "blocked" });
  // The enforcer may have found the maps of capture only after it.
  await site.blocked("2001:db8:0:200::");
  await publishVerdict(bus, unblockVerdict("2001:db8:0:200::/64"));
  const later = blockVerdict("192.0.2.1");
  await publishVerdict(bus, later);
  await applied.of("host", later.id);
  expect(await knock(site, far)).toBe("timed out");

  const listed = jsonLines(await command(site, {}, "blocked", "2001:db8:0:200::/56", "--json"));
  expect(listed).toMatchObject([{ source: "2001:db8:0:200::/56" }]);
  expect(listed[0]?.["dropped"]).toBeGreaterThanOrEqual(1);
});
