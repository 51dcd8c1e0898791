/** The verbs of make in containers, with the profile observability, as somebody uses them who has just cloned this. */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { type ComposeStack, docker } from "../support/compose-stack.ts";
import { dashboardExpressions } from "../support/dashboard.ts";
import { waitUntil } from "../support/eventually.ts";
import { freePort } from "../support/nats.ts";
import { PrometheusApi } from "../support/prometheus-api.ts";
import { PIN_DIR, StackSite } from "./stack-site.ts";
import { ip, PREFIX } from "./watched-link.ts";

const START_TIMEOUT_MS = 300_000;
const TEST_TIMEOUT_MS = 240_000;
/** Some expressions want several scrapes. */
const DATA_TIMEOUT_MS = 120_000;
const deployed = (path: string) => readFileSync(`deploy/${path}`, "utf8");

const cleanup = new Cleanup();
let site: StackSite;
let stack: ComposeStack;
let prometheus: PrometheusApi;
let said: string;

beforeAll(async () => {
  const [PROMETHEUS_PORT, GRAFANA_PORT] = [String(await freePort()), String(await freePort())];
  const COMPOSE_PROFILES = "observability";
  const settings = { COMPOSE_PROFILES, PROMETHEUS_PORT, GRAFANA_PORT };
  // Services on the host have to find NATS at another address, too.
  site = await StackSite.create(cleanup, { ...settings, PW_NATS_ADDRESS: "127.0.0.2" });
  stack = site.stack;
  prometheus = new PrometheusApi(`http://127.0.0.1:${PROMETHEUS_PORT}`);
  said = await stack.startMake("run").end();
}, START_TIMEOUT_MS);
afterAll(() => cleanup.run(), START_TIMEOUT_MS);

describe("make run", () => {
  it("says what it runs in, and where the metrics are", () => {
    expect(said).toMatch(/^runtime: docker \(Engine .+; PW_RUNTIME says so\)\n/);
    const { port } = new URL(site.metricsUrl);
    expect(said).toContain(`packetwatch runs: metrics at http://localhost:${port}/metrics;`);
    expect(said).toContain("the command: docker compose run --rm packetwatch status");
  });

  it("has started what blocks a scanner", async () => {
    const scanner = await site.addBlockedSource();
    expect(await site.visitFrom(scanner)).toBe("timed out");
  });
});

describe("Prometheus", () => {
  it("scrapes metrics, and has read every rule", async () => {
    const isScraped = async () =>
      (await prometheus.query('up{job="packetwatch"} == 1')).length === 1;
    await waitUntil(isScraped, { timeoutMs: DATA_TIMEOUT_MS, what: "a scrape" });
    const named = [...deployed("prometheus/rules.yml").matchAll(/- alert: (\w+)/g)].map(
      ([, name = ""]) => name,
    );
    const isEvaluated = async () =>
      (await prometheus.alertingRules()).every(({ health }) => health === "ok");
    await waitUntil(isEvaluated, { timeoutMs: DATA_TIMEOUT_MS, what: "all rules to be evaluated" });
    const loaded = (await prometheus.alertingRules()).map(({ name }) => name);
    expect(loaded.toSorted()).toEqual(named.toSorted());
  });

  it(
    "has data for every expression of the dashboard",
    async () => {
      for (const { panel, expression } of dashboardExpressions()) {
        const hasData = async () => (await prometheus.query(expression)).length > 0;
        await waitUntil(hasData, { timeoutMs: DATA_TIMEOUT_MS, what: `${panel}: ${expression}` });
      }
    },
    TEST_TIMEOUT_MS,
  );
});

describe("Grafana's container", () => {
  const inGrafana = (...command: readonly string[]) =>
    stack.compose("exec", "-T", "grafana", ...command);

  it("has the data source where Grafana reads it, and reaches Prometheus by its address", async () => {
    const [folder] = (await inGrafana("printenv", "GF_PATHS_PROVISIONING")).split("\n");
    const dataSource = await inGrafana("cat", `${folder}/datasources/prometheus.yml`);
    expect(dataSource).toBe(deployed("grafana/provisioning/datasources/prometheus.yml"));
    const [, url] = /^ +url: (.+)$/m.exec(dataSource) ?? [];
    const answer = await inGrafana("wget", "-q", "-O", "-", `${url}/api/v1/query?query=up`);
    expect(JSON.parse(answer)).toMatchObject({ status: "success", data: { result: [{}] } });
  });

  it("has the dashboard in the folder that its provider names", async () => {
    const [folder] = (await inGrafana("printenv", "GF_PATHS_PROVISIONING")).split("\n");
    const provider = await inGrafana("cat", `${folder}/dashboards/packetwatch.yml`);
    const [, path] = /^ +path: (.+)$/m.exec(provider) ?? [];
    expect(await inGrafana("cat", `${path}/packetwatch.json`)).toBe(
      deployed("grafana/dashboards/packetwatch.json"),
    );
  });

  it("runs as Grafana's user, which can write its data and nothing else", async () => {
    expect((await stack.status("grafana")).get("Uid")).toMatch(/^472\t/);
    await inGrafana("touch", "/var/lib/grafana/grafana.db");
    const paths = "/etc/grafana/provisioning/x /var/lib/grafana/dashboards/x /x";
    const probe = `for path in ${paths}; do touch "$path" 2>/dev/null && echo "$path"; done; true`;
    expect(await inGrafana("sh", "-c", probe)).toBe("");
  });
});

describe("a shell", () => {
  it(
    "of exec-app has the product beside what runs",
    async () => {
      const printed = await stack
        .startMake("exec-app")
        .end("packetwatch blocked --json\nls build\n");
      expect(printed).toContain('"source":"198.18.7.');
      expect(printed).toMatch(/^capture\.js$/m);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    "of exec-test has the suites and what they need",
    async () => {
      const printed = await stack.startMake("exec-test").end("ls build/test; nginx -v; pwd\n");
      expect(printed).toMatch(/^e2e-black\.js$/m);
      expect(printed).toContain("nginx version");
    },
    TEST_TIMEOUT_MS,
  );
});

describe("the end", () => {
  it(
    "run-log prints the console table, and Ctrl-C stops it all and detaches XDP",
    async () => {
      const log = stack.startMake("run-log");
      await log.printed(/^TIME +SOURCE/m);
      const source = site.newSource();
      await site.scan(source);
      await log.printed(new RegExp(`${source} .*Added to blacklist`));
      expect(log.output).not.toContain("Added to whitelist");
      await log.interrupt();
      expect(log.output).toMatch(/stopped; XDP is detached\n/);
      expect(ip("link", "show", site.link.interfaceName)).not.toContain("xdp");
      expect(existsSync(PIN_DIR)).toBe(false);
      expect(await containers()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    "stop ends the profile's containers too when it is not named again",
    async () => {
      await stack.startMake("run").end();
      expect(await containers()).toContain(`${PREFIX}-prometheus-1`);
      await stack.startMake("stop", { COMPOSE_PROFILES: "" }).end();
      expect(await containers()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  async function containers(): Promise<readonly string[]> {
    const label = `label=com.docker.compose.project=${PREFIX}`;
    const { output } = await docker(["ps", "--all", "--format", "{{.Names}}", "--filter", label]);
    return output.split("\n").filter(Boolean);
  }
});
