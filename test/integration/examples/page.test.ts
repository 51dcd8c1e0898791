import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import { alertSubject, appliedSubject, encodeAlert, encodeApplied } from "@packetwatch/contracts";
import { exampleMessages } from "@packetwatch/contracts/published";
import { parsePrefix } from "@packetwatch/net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embedExamples } from "../../../scripts/embed-examples.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { ExampleProcess, ExamplesCopy } from "../../support/example-process.ts";
import { startExampleSite } from "../../support/example-site.ts";
import type { NatsServer } from "../../support/nats.ts";
import {
  blockVerdict,
  publishVerdict,
  timedBlockVerdict,
  unblockVerdict,
} from "../../support/published-verdicts.ts";
import { RawSubscription } from "../../support/raw-subscription.ts";

const TIMEOUT_MS = 30_000;
const repository = fileURLToPath(new URL("../../../", import.meta.url));
const readText = (path: string) => readFileSync(join(repository, path), "utf8");
const page = readText("docs/integrations.md");

/** The lines of the page's shell blocks, each split into words as a shell does. */
const commands = [...page.matchAll(/^```sh\n([^]*?)\n```$/gm)]
  .flatMap(([, block = ""]) => block.split("\n"))
  .map((line) => line.split(" ").map((word) => word.replaceAll("'", "")));
const subscribed = commands.filter(([program, verb]) => program === "nats" && verb === "sub");
const subjectsOnPage = subscribed.map(([, , subject = ""]) => subject);

const programs = readdirSync(join(repository, "examples"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".mjs"))
  .map((path) => `examples/${path}`);

const cleanup = new Cleanup();
let nats: NatsServer;
let bus: Bus;
let examples: ExamplesCopy;

beforeAll(async () => {
  ({ nats, bus, examples } = await startExampleSite(cleanup));
});
afterAll(() => cleanup.run());

/** A command of the page, which has to be there. */
function run(...command: readonly string[]): ExampleProcess {
  expect(commands).toContainEqual(command);
  return cleanup.own(examples.start(command, { NATS_URL: nats.url }));
}

describe("docs/integrations.md", () => {
  it("has the programs as they are in examples/; `make docs` writes them", () => {
    expect(page).toBe(embedExamples(page, readText));
    expect(page.match(/^<!-- examples\/.* -->$/gm)).toHaveLength(5);
  });

  it("has commands for each program, and `nats sub` lines", () => {
    const started = programs.filter((path) => !path.includes("/shared/"));
    const mains = started.filter((path) => /relay|watch|block-list/.test(path));
    const named = commands.flat().filter((word) => word.endsWith(".mjs"));
    expect(new Set(named.map((path) => `examples/${path}`))).toEqual(new Set(mains));
    expect(subjectsOnPage).toHaveLength(4);
  });
});

describe("examples/", () => {
  const manifest = JSON.parse(readText("examples/package.json")) as Manifest;
  const ours = JSON.parse(readText("package.json")) as Manifest;

  it("asks for the versions that are tested here", () => {
    const tested = Object.keys(manifest.dependencies).map((name) => [
      name,
      ours.dependencies[name],
    ]);
    expect(manifest.dependencies).toEqual(Object.fromEntries(tested));
  });

  it.each(programs)("%s imports Node's, the named packages and its own files only", (path) => {
    const imported = [...readText(path).matchAll(/ from "([^"]+)"/g)].map(([, from = ""]) => from);
    const strangers = imported.filter(
      (from) => !/^(node:|\.\.?\/)/.test(from) && !(from in manifest.dependencies),
    );
    expect(strangers).toEqual([]);
  });
});

type Manifest = { readonly dependencies: Readonly<Record<string, string>> };

it.each(subjectsOnPage)("nats sub '%s' hears what the page says", async (subject) => {
  const subscription = cleanup.own(await RawSubscription.open(nats.url, subject));
  const { alert, applied } = exampleMessages;
  await publishVerdict(bus, blockVerdict("203.0.113.50"));
  await publishVerdict(bus, unblockVerdict("203.0.113.51"));
  await publishVerdict(bus, blockVerdict("198.51.100.1"));
  await publishVerdict(bus, blockVerdict("2001:db8:0:1::/64"));
  const alerted = alertSubject(alert.rule, parsePrefix(alert.source));
  // An id of its own for each subscription, or the server drops it.
  const options = { messageId: `${alert.id} ${subject}` };
  await publishAcknowledged(bus, alerted, encodeAlert(alert), options);
  await publishAcknowledged(bus, appliedSubject("web-1"), encodeApplied(applied));
  const expected = heardOn[subject] ?? [];
  await waitUntil(() => subscription.subjects.length >= expected.length, {
    timeoutMs: TIMEOUT_MS,
    what: `messages on ${subject}`,
  });
  expect(expected).not.toEqual([]);
  expect(subscription.subjects).toEqual(expected);
});

const V = "packetwatch.v1.verdict";
const heardOn: Readonly<Record<string, readonly string[]>> = {
  [`${V}.>`]: [
    `${V}.ip4.203.0.113.50`,
    `${V}.ip4.203.0.113.51`,
    `${V}.ip4.198.51.100.1`,
    `${V}.ip6.2001.db8.0.1`,
  ],
  [`${V}.ip4.203.0.113.*`]: [`${V}.ip4.203.0.113.50`, `${V}.ip4.203.0.113.51`],
  "packetwatch.v1.alert.>": ["packetwatch.v1.alert.horizontal.ip4.203.0.113.9"],
  "packetwatch.v1.applied.*": ["packetwatch.v1.applied.web-1"],
};

describe("node node/watch.mjs", () => {
  it.each([
    [[], ["block 203.0.113.60", "block 198.51.100.60", "unblock 203.0.113.60"]],
    [[`${V}.ip4.203.0.113.*`], ["block 203.0.113.60", "unblock 203.0.113.60"]],
  ])("%j prints verdicts as they come", async (args, expected) => {
    const watch = run("node", "node/watch.mjs", ...args);
    const seen = (source: string) => watch.output.includes(source);
    // It says nothing of when it has begun to listen.
    await waitUntil(
      async () => {
        await publishVerdict(bus, blockVerdict("203.0.113.59"));
        return seen("203.0.113.59");
      },
      { timeoutMs: TIMEOUT_MS, what: "it to listen" },
    );
    await publishVerdict(bus, blockVerdict("203.0.113.60"));
    await publishVerdict(bus, blockVerdict("198.51.100.60"));
    await publishVerdict(bus, unblockVerdict("203.0.113.60"));
    await watch.printed(/^unblock 203\.0\.113\.60/m);
    const lines = watch.lines.filter((line) => line.includes(".60 "));
    expect(lines.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(expected);
    await watch.close();
  });

  it("lives through the end of a block, which core NATS doesn't tell", async () => {
    const watch = run("node", "node/watch.mjs");
    await waitUntil(
      async () => {
        await publishVerdict(bus, timedBlockVerdict("203.0.113.62", 1));
        return watch.output.includes("203.0.113.62");
      },
      { timeoutMs: TIMEOUT_MS, what: "it to listen" },
    );
    await waitUntil(
      async () => {
        const answer = await bus.connection.request(
          "$JS.API.STREAM.MSG.GET.PACKETWATCH_VERDICT",
          JSON.stringify({ last_by_subj: `${V}.ip4.203.0.113.62` }),
        );
        const hdrs = answer.json<{ message?: { hdrs?: string } }>().message?.hdrs ?? "";
        return Buffer.from(hdrs, "base64").includes("Nats-Marker-Reason: MaxAge");
      },
      { timeoutMs: TIMEOUT_MS, what: "the block to end" },
    );
    await publishVerdict(bus, blockVerdict("203.0.113.63"));
    await watch.printed("203.0.113.63");
    expect(
      new Set(watch.lines.filter((line) => !/^block 203\.0\.113\.6[23] vertical/.test(line))),
    ).toEqual(new Set());
    await watch.close();
  });
});

describe("node node/block-list.mjs", () => {
  it("prints who is blocked now, not who was lifted or whose block has ended, and ends", async () => {
    await publishVerdict(bus, blockVerdict("203.0.113.70"));
    await publishVerdict(bus, blockVerdict("203.0.113.71"));
    await publishVerdict(bus, unblockVerdict("203.0.113.71"));
    await publishVerdict(bus, timedBlockVerdict("203.0.113.72", 3600));
    const all = run("node", "node/block-list.mjs");
    expect(await all.exited()).toBe(0);
    expect(all.lines).toContain("203.0.113.70 vertical until it is lifted");
    expect(all.output).toMatch(/^203\.0\.113\.72 vertical 20\d\d-\d\d-\d\dT/m);
    expect(all.output).not.toContain("203.0.113.71");
    expect(all.output).toContain("198.51.100.1 ");
    const some = run("node", "node/block-list.mjs", `${V}.ip4.203.0.113.*`);
    expect(await some.exited()).toBe(0);
    expect(some.lines).toEqual(all.lines.filter((line) => line.startsWith("203.0.113.")));
  });

  it("prints a long list, and an empty one", async () => {
    const sources = Array.from(
      { length: 600 },
      (_, index) => `100.64.${index >> 8}.${index & 255}`,
    );
    for (const source of sources) await publishVerdict(bus, blockVerdict(source));
    const list = cleanup.own(
      examples.start(["node", "node/block-list.mjs", `${V}.ip4.100.64.>`], { NATS_URL: nats.url }),
    );
    expect(await list.exited()).toBe(0);
    expect(list.lines.map((line) => line.split(" ")[0])).toEqual(sources);
    const empty = cleanup.own(
      examples.start(["node", "node/block-list.mjs", `${V}.ip4.100.65.>`], { NATS_URL: nats.url }),
    );
    expect(await empty.exited()).toBe(0);
    expect(empty.output).toBe("");
  });
});
