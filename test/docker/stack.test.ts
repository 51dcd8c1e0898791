/** The stack of docker-compose.yml, from the images of the Dockerfile, on a Docker Engine. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { connectBus, publicKeyOfSeed } from "@packetwatch/bus";
import { encodeVerdict, type Role, streamNames, verdictSubject } from "@packetwatch/contracts";
import { parsePrefix } from "@packetwatch/net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { BackgroundCommand } from "../support/background-command.ts";
import { ChildProgram } from "../support/child-program.ts";
import { Cleanup } from "../support/cleanup.ts";
import { type ComposeStack, docker } from "../support/compose-stack.ts";
import { waitUntil } from "../support/eventually.ts";
import { metricTotal, readMetrics } from "../support/metrics-page.ts";
import { blockVerdict, publishVerdict } from "../support/published-verdicts.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { SynTap, VerdictTap } from "../support/taps.ts";
import { BLOCK_TIMEOUT_MS, OPEN_PORT, PIN_DIR, StackSite } from "./stack-site.ts";
import { createWatchedLink, ip, PREFIX, type WatchedLink } from "./watched-link.ts";

const OTHER_PIN_DIR = `${PIN_DIR}other`;
const START_TIMEOUT_MS = 300_000;
const TEST_TIMEOUT_MS = 240_000;

/** As nkeys are written: of a user, 58 characters. */
const SEED = /\bSU[A-Z2-7]{56}\b/;
/** Where an image has files of ours. */
const SEARCHED = "/etc /home /root /opt /usr/local/bin /var";

const services = ["nats", "capture", "enforcer", "detector", "metrics"] as const;

/** Where logind notes who is logged in. */
const SESSIONS = "/run/systemd/sessions";

const talker = new ChildProgram("talker");
const ofStack = new Cleanup();
const ofTest = new Cleanup();
let site: StackSite;
let stack: ComposeStack;
let other: WatchedLink;

beforeAll(async () => {
  other = createWatchedLink("b", "198.18.8", ofStack);
  // The taps below read all attempts, over restarts of NATS too.
  site = await StackSite.create(ofStack, { PW_SYN_STORAGE: "file", SUDO_USER: "alice" });
  stack = site.stack;
  await stack.up();
}, START_TIMEOUT_MS);
afterEach(() => ofTest.run());
afterAll(() => ofStack.run(), START_TIMEOUT_MS);

async function openBus(key = "operator") {
  const access = { nkeyFile: await stack.seedFile(key) };
  const options = { servers: [site.natsUrl], access, name: "test", logger: new RecordingLogger() };
  return ofTest.own(await connectBus(options));
}

describe("privileges", () => {
  it.each([
    { service: "capture", mask: "000000c000001000", uid: "0" },
    { service: "enforcer", mask: "0000008000000000", uid: "0" },
    { service: "detector", mask: "0000000000000000", uid: "1000" },
    { service: "metrics", mask: "0000000000000000", uid: "1000" },
    { service: "nats", mask: "0000000000000000", uid: "1000" },
  ])("$service runs as $uid with the capabilities $mask and can get no others", async (row) => {
    const status = await stack.status(row.service);
    const [uid] = (status.get("Uid") ?? "").split("\t");
    expect(uid).toBe(row.uid);
    expect(status.get("NoNewPrivs")).toBe("1");
    for (const set of ["CapEff", "CapPrm", "CapBnd"]) expect(status.get(set), set).toBe(row.mask);
  });

  it.each(services)(
    "%s has bounds, and a root file system that it can't write",
    async (service) => {
      const [facts] = await stack.inspect(service);
      expect(facts?.HostConfig).toMatchObject({
        Privileged: false,
        ReadonlyRootfs: true,
        CapDrop: ["ALL"],
        LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "3" } },
      });
      expect(facts?.HostConfig.Memory).toBeGreaterThan(0);
      expect(facts?.HostConfig.NetworkMode === "host").toBe(
        service === "capture" || service === "enforcer",
      );
      expect(facts?.State.Health?.Status).toBe("healthy");
    },
  );

  const ofCapture = ["BPF", "NET_ADMIN", "PERFMON"] as const;
  it.each(ofCapture)("capture without %s says that it is missing, and ends", async (left) => {
    const { code, output } = await stack.runWith(
      "capture",
      ofCapture.filter((name) => name !== left),
      { PW_IFDEV: other.interfaceName, PW_PIN_DIR: OTHER_PIN_DIR },
    );
    ofTest.defer(() => rmSync(OTHER_PIN_DIR, { recursive: true, force: true }));
    expect(code).toBe(1);
    const fatal = fatalLine(output);
    expect(fatal.code).toBe(left === "PERFMON" ? "VERIFIER" : "NO_PERMISSION");
    expect(fatal.msg).toContain(`missing here: CAP_${left})`);
    expect(ip("link", "show", other.interfaceName)).not.toContain("xdp");
  });

  it("enforcer without BPF says that it is missing, and ends", async () => {
    const { code, output } = await stack.runWith("enforcer", [], {});
    expect(code).toBe(1);
    expect(fatalLine(output)).toMatchObject({ code: "NO_PERMISSION" });
    expect(fatalLine(output).msg).toMatch(/open pinned map .*CAP_BPF/);
  });

  it.each(["packetwatch", "packetwatch-nats"])("the image %s holds no compiler", async (image) => {
    const compilers = "clang gcc cc c++ ld make llvm-strip".split(" ");
    const probe = compilers.map((name) => `command -v ${name}`).join("; ");
    const { output } = await docker(["run", "--rm", image, "sh", "-c", `${probe}; true`]);
    expect(output).toBe("");
  });
});

describe("keys", () => {
  const owners: Readonly<Record<Role, string>> = {
    capture: "0:0",
    enforcer: "0:0",
    detector: "1000:1000",
    metrics: "1000:1000",
    operator: "1000:1000",
    provisioner: "1000:1000",
    relay: "1000:1000",
    integrator: "1000:1000",
  };

  it(
    "a seed is for its reader alone; what NATS knows holds none",
    async () => {
      const stat = ["stat", "--format", "%a %u:%g %n"];
      for (const [role, owner] of Object.entries(owners)) {
        const paths = [`/keys/${role}`, `/keys/${role}/user.nk`];
        const expected = [`700 ${owner} ${paths[0]}`, `600 ${owner} ${paths[1]}`];
        expect((await stack.inKeys(...stat, ...paths)).trim().split("\n")).toEqual(expected);
      }
      expect(await stack.inKeys("sh", "-c", "cat /keys/nats/*")).not.toMatch(SEED);
    },
    TEST_TIMEOUT_MS,
  );

  it.each(services)("%s sees no key but its own, and can't write it", async (service) => {
    const folder = service === "nats" ? "/etc/nats/keys" : "/keys";
    const probe = `ls ${folder}; touch ${folder}/x 2>&1 || cat ${folder}/*`;
    const output = await stack.compose("exec", "-T", service, "sh", "-c", probe);
    expect(output).toMatch(/read-only file system/i);
    if (service === "nats") return expect(output).not.toMatch(SEED);
    expect(output).toMatch(/^user\.nk\n/);
    expect(publicKeyOfSeed(SEED.exec(output)?.[0] ?? "")).toBe(await publicKeyOf(service));
  });

  async function publicKeyOf(role: Role): Promise<string | undefined> {
    const list = await stack.inKeys("packetwatch", "keys", "list", "/keys", "--json");
    const users = list.split("\n").filter(Boolean).map(parseUser);
    return users.find(({ name }) => name === role)?.publicKey;
  }

  it("nobody connects without one", async () => {
    const failures: string[] = [];
    const refused = new AbortController();
    const connecting = connectBus({
      servers: [site.natsUrl],
      name: "nobody",
      logger: new RecordingLogger(),
      signal: refused.signal,
      onFailure: ({ kind }) => {
        failures.push(kind);
        refused.abort();
      },
    });
    const outcome = await connecting.then(
      () => "connected",
      () => "refused",
    );
    expect(outcome).toBe("refused");
    expect(failures).toEqual(["unauthorized"]);
  });

  it("capture's can't publish a verdict, and the operator's can", async () => {
    const verdict = blockVerdict("192.0.2.77");
    const subject = verdictSubject(parsePrefix(verdict.source));
    const { connection } = await openBus("capture");
    const forged = connection.request(subject, encodeVerdict(verdict));
    await expect(forged).rejects.toThrow("Permissions Violation");
    expect(await storedUnder(subject)).toEqual([]);
    await publishVerdict(await openBus("operator"), verdict);
    expect(await storedUnder(subject)).toEqual([subject]);
  });

  async function storedUnder(subject: string): Promise<readonly string[]> {
    const manager = await (await openBus()).jetstream.jetstreamManager();
    const { state } = await manager.streams.info(streamNames.verdict, { subjects_filter: subject });
    return Object.keys(state.subjects ?? {});
  }

  it("the command runs with the operator's", async () => {
    const status = ["run", "--rm", "--no-deps", "-T", "packetwatch", "status", "--json"];
    expect(await stack.compose(...status)).toContain('"capture"');
  });

  it("what it decides is signed by who runs it, on which host", async () => {
    const tap = ofTest.own(new VerdictTap(await openBus()));
    const block = ["packetwatch", "block", "192.0.2.78", "--ttl", "1h"];
    await stack.attempt([], "run", "--rm", "--no-deps", "-T", ...block);
    const verdict = await waitUntil(
      () => tap.verdicts.find(({ verdict: { source } }) => source === "192.0.2.78")?.verdict,
      { timeoutMs: BLOCK_TIMEOUT_MS, what: "the operator's verdict" },
    );
    expect(verdict?.decidedBy).toBe(`operator/alice@${hostname()}`);
  });

  it(
    "another start makes no new ones",
    async () => {
      const before = await publicKeyOf("capture");
      await stack.up("--no-recreate");
      expect(await publicKeyOf("capture")).toBe(before);
      expect(await stack.logs("keys")).toContain("every role has its key already");
    },
    TEST_TIMEOUT_MS,
  );

  it("one that is added can be used once nats-server reads them again", async () => {
    await stack.inKeys("packetwatch", "keys", "add", "/keys", "integrator", "siem");
    await stack.compose("kill", "--signal", "HUP", "nats");
    const bus = await openBus("siem");
    const refused = bus.connection.request("packetwatch.v1.breaker");
    await expect(refused).rejects.toThrow("Permissions Violation");
  });

  it("no seed is in the logs", async () => {
    expect(await stack.compose("logs", "--no-color")).not.toMatch(SEED);
  });

  it.each(["packetwatch", "packetwatch-nats"])("the image %s holds no seed", async (image) => {
    // Exit code 1: grep found none.
    const search = `grep --recursive --text --files-with-matches -E '\\bS[UAO][A-Z2-7]{56}\\b' ${SEARCHED}`;
    const { code, output } = await docker([
      "run",
      "--rm",
      "--user",
      "root",
      image,
      "sh",
      "-c",
      search,
    ]);
    expect({ code, output }).toEqual({ code: 1, output: "" });
  });
});

describe(
  "a scan",
  () => {
    it("is seen, judged and dropped; others are served, and metrics tell", async () => {
      expect(await site.visitFrom(site.newSource())).toBe("pong");
      const scanner = await site.addBlockedSource();
      expect(await site.visitFrom(scanner)).toBe("timed out");
      expect(await site.visitFrom(site.newSource())).toBe("pong");
      const dropped = async () => {
        const page = await readMetrics(`${site.metricsUrl}/metrics`);
        return (metricTotal(page, "packetwatch_syn_dropped_total") ?? 0) > 0;
      };
      await waitUntil(dropped, { timeoutMs: BLOCK_TIMEOUT_MS, what: "drops in the metrics" });
    });

    it("by many sources is judged once for each while detectors go from 1 to 3 and back to 1", async () => {
      const verdicts = ofTest.own(new VerdictTap(await openBus()));
      const sources = Array.from({ length: 24 }, () => site.newSource());
      const scanning = (async () => {
        for (const source of sources) await site.scan(source);
      })();
      await stack.up("--no-recreate", "--scale", "detector=3");
      expect(await stack.inspect("detector")).toHaveLength(3);
      await waitUntil(async () => (await stack.logs("detector")).includes('"members":3'), {
        timeoutMs: BLOCK_TIMEOUT_MS,
        what: "three detectors to share the shards",
      });
      await stack.up("--no-recreate", "--scale", "detector=1");
      expect(await stack.inspect("detector")).toHaveLength(1);
      await scanning;
      for (const source of sources) await site.untilBlocked(source);
      for (const source of sources) await verdicts.untilBlockOf(source);
      const judged = verdicts.verdicts.map(({ verdict }) => verdict.source);
      expect(judged.filter((source) => sources.includes(source)).toSorted()).toEqual(
        sources.toSorted(),
      );
    });
  },
  TEST_TIMEOUT_MS,
);

it(
  "somebody who is logged in on the host is never blocked",
  async () => {
    const source = site.newSource();
    const session = join(SESSIONS, "packetwatch-test");
    mkdirSync(SESSIONS, { recursive: true });
    writeFileSync(session, `REMOTE=1\nREMOTE_HOST=${source}\nSTATE=active\n`);
    ofTest.defer(() => rmSync(session));
    const login = await talker.start(site.link.visitor, [
      site.link.address,
      String(OPEN_PORT),
      source,
    ]);
    ofTest.own(login);
    expect(await login.ask("open")).toBe("connected");
    const pinned = ofTest.own(site.openPins());
    await waitUntil(() => pinned.maps.allowed().includes(source), {
      timeoutMs: BLOCK_TIMEOUT_MS,
      what: "the enforcer to see the login",
    });
    await site.scan(source);
    await site.addBlockedSource();
    expect(await site.visitFrom(source)).toBe("pong");
  },
  TEST_TIMEOUT_MS,
);

describe("blocks stay in force, and new scanners are blocked again", () => {
  it.each([
    { what: "a restart", happen: (service: string) => stack.compose("restart", service) },
    { what: "docker kill", happen: (service: string) => stack.kill(service) },
    { what: "a crash", happen: (service: string) => stack.crash(service) },
  ])(
    "through $what of each service, one after the other",
    async ({ happen }) => {
      const blocked = await addStubbornSource();
      const pinned = ofTest.own(site.openPins());
      const syns = ofTest.own(new SynTap(await openBus()));
      for (const service of services) {
        const droppedBefore = pinned.maps.blockOf(blocked)?.dropped ?? 0n;
        await happen(service);
        expect(await site.visitFrom(blocked), service).toBe("timed out");
        expect(pinned.maps.blockOf(blocked)?.dropped, service).toBeGreaterThan(droppedBefore);
      }
      // After docker kill the engine leaves containers as they are: by now none of them runs.
      await stack.up("--no-recreate");
      const next = await site.addBlockedSource();
      await waitUntil(() => syns.of(next).syns > 0, {
        timeoutMs: BLOCK_TIMEOUT_MS,
        what: "the stream to be read up to the newest attempts",
      });
      // It has kept on attempting all the time: had any got through, the stream would have it.
      expect(syns.of(blocked).ports.has(OPEN_PORT)).toBe(false);
    },
    TEST_TIMEOUT_MS,
  );

  /** A source that is blocked, and goes on to attempt without pause. */
  async function addStubbornSource(): Promise<string> {
    const source = await site.addBlockedSource();
    const flood = ["-q", "-S", "-a", source, "-p", String(OPEN_PORT), "-i", "u5000"];
    ofTest.own(new BackgroundCommand(site.link.visitor, ["hping3", ...flood, site.link.address]));
    return source;
  }
});

describe(
  "the end",
  () => {
    it("leaves no XDP program, no pins, no containers, networks or volumes", async () => {
      expect(ip("link", "show", site.link.interfaceName)).toContain("xdp");
      await stack.down();
      expect(ip("link", "show", site.link.interfaceName)).not.toContain("xdp");
      expect(existsSync(PIN_DIR)).toBe(false);
      const label = `label=com.docker.compose.project=${PREFIX}`;
      for (const kind of [["container", "--all"], ["network"], ["volume"]] as const) {
        const [object, ...flags] = kind;
        const { output } = await docker([object, "ls", ...flags, "--quiet", "--filter", label]);
        expect(output, object).toBe("");
      }
    });
  },
  TEST_TIMEOUT_MS,
);

type KeyLine = { readonly name: string; readonly publicKey: string };

function parseUser(line: string): KeyLine {
  return JSON.parse(line) as KeyLine;
}

type FatalLine = { readonly code: string; readonly msg: string };

function fatalLine(output: string): FatalLine {
  const line = output.split("\n").find((text) => text.includes('"level":"fatal"'));
  if (line === undefined) throw new Error(`no fatal line in:\n${output}`);
  return JSON.parse(line) as FatalLine;
}
