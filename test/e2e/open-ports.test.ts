import { afterEach, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { holdsFor } from "../support/eventually.ts";
import { startNginx } from "../support/nginx.ts";
import { type Site, startSite } from "./site.ts";

const OPEN_PORTS = [9001, 9002, 9003, 9004, 9005, 9006] as const;
const ROUNDS = 3;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** As a browser that fetches from several ports of one host, each in a connection of its own. */
async function browse(site: Site, source: string): Promise<readonly string[]> {
  const answers: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const port of OPEN_PORTS) answers.push(await site.visit(source, port));
  }
  return answers;
}

describe("with PW_COUNT=closed, at a threshold of 3", () => {
  const settings = { PW_COUNT: "closed" };
  const allAnswered = Array.from({ length: ROUNDS * OPEN_PORTS.length }, () => "hello");

  it("a client of six open ports is never blocked, and nmap still is", async () => {
    const site = await startSite(cleanup, { settings });
    const { namespace } = site.host;
    cleanup.own(await startNginx({ namespace, ports: OPEN_PORTS, answer: "hello" }));
    const { verdicts } = await site.tap();
    const client = site.newSource();
    expect(await browse(site, client)).toEqual(allAnswered);

    const scanner = site.newSource();
    const nmap = ["-n", "-Pn", "-sS", "-T4", "-p", "1-60", "--max-retries", "0", "-S", scanner];
    site.visitor.run("nmap", [...nmap, "-e", "eth0", site.address]);
    await site.blocked(scanner);
    expect(await browse(site, client)).toEqual(allAnswered);
    await holdsFor(() => verdicts.verdicts.length === 1, { timeoutMs: 500, what: "one verdict" });
    expect(verdicts.blockOf(client)).toBeUndefined();
  });

  it("without it the same client is blocked at its third port", async () => {
    const site = await startSite(cleanup);
    const { namespace } = site.host;
    cleanup.own(await startNginx({ namespace, ports: OPEN_PORTS, answer: "hello" }));
    const client = site.newSource();
    for (const port of OPEN_PORTS.slice(0, 3)) expect(await site.visit(client, port)).toBe("hello");
    await site.blocked(client);
    expect(await browse(site, client)).not.toContain("hello");
  });
});
