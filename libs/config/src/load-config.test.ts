import { hostname } from "node:os";
import type { Prefix } from "@packetwatch/net";
import { describe, expect, expectTypeOf, it } from "vitest";
import { ConfigError } from "./config-error.ts";
import { type Config, loadConfig } from "./load-config.ts";
import { type ServiceName, type Variable, variableGroups, variables } from "./variables.ts";

const services: readonly ServiceName[] = ["capture", "detector", "enforcer", "metrics", "cli"];
const table = Object.values<Variable>(variables);

function refusal(service: ServiceName, environment: Record<string, string>): ConfigError {
  try {
    loadConfig(service, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("the table of variables", () => {
  it("names are unique and begin with PW_", () => {
    const names = table.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^PW_[A-Z0-9]+(_[A-Z0-9]+)*$/);
  });

  it.each(table)("$name is read by somebody, and by nobody twice", ({ readBy }) => {
    expect(readBy.length).toBeGreaterThan(0);
    expect(new Set(readBy).size).toBe(readBy.length);
    expect(services).toEqual(expect.arrayContaining([...readBy]));
  });

  it.each(table)("$name says in sentences what it is for", ({ description, field }) => {
    expect(description).toMatch(/^[A-Z].*\.$/);
    expect(field.expected).not.toMatch(/^[A-Z].*\.$|undefined|NaN/);
  });

  it("the groups have every variable once", () => {
    const grouped = variableGroups.flatMap((group) => group.variables.map(({ name }) => name));
    expect(grouped.toSorted()).toEqual(table.map(({ name }) => name).toSorted());
  });

  it.each(table.filter(({ fallback }) => fallback !== undefined))(
    "the default of $name is one of its values",
    ({ field, fallback }) => {
      expect(field.parse(fallback ?? "")).toBeDefined();
    },
  );
});

describe("defaults", () => {
  it.each(services)("%s starts with none of its variables set", (service) => {
    const config = loadConfig(service, {});
    const unset = Object.entries(config).filter(([, value]) => value === undefined);
    const mayBeUnset = Object.entries<Variable>(variables).filter(
      ([, { fallback }]) => fallback === undefined,
    );
    expect(mayBeUnset.map(([key]) => key)).toEqual(
      expect.arrayContaining(unset.map(([key]) => key)),
    );
  });

  it("are those of the ported tool", () => {
    expect(loadConfig("detector", {})).toMatchObject({
      windowSeconds: 60,
      portThreshold: 3,
      blockTtlSeconds: 0,
    });
    expect(loadConfig("cli", {})).toMatchObject({
      interfaces: ["lo"],
      prometheusPort: 9090,
      whitelistSelf: true,
    });
  });

  it("the host's name is the system's", () => {
    expect(loadConfig("metrics", {}).host).toBe(hostname());
    expect(loadConfig("metrics", { PW_HOST: "web-1" }).host).toBe("web-1");
  });

  it.each(["", " ", "\t \n"])("%j counts as unset", (blank) => {
    const names = table.map(({ name }) => [name, blank]);
    for (const service of services) {
      expect(loadConfig(service, Object.fromEntries(names))).toEqual(loadConfig(service, {}));
    }
  });

  it("blanks around a value don't count", () => {
    const config = loadConfig("detector", {
      PW_PORTSCAN_PORT_THRESHOLD: " 5\n",
      PW_HOST: "\tweb-1 ",
    });
    expect(config).toMatchObject({ portThreshold: 5, host: "web-1" });
  });
});

describe("a service has its own variables, and no other", () => {
  it("the detector's", () => {
    expect(Object.keys(loadConfig("detector", {})).toSorted()).toEqual([
      "blockMemorySeconds",
      "blockTtlFactor",
      "blockTtlMaxSeconds",
      "blockTtlSeconds",
      "breakerQuietSeconds",
      "count",
      "detectorCapacity",
      "detectorTtlSeconds",
      "drainTimeoutSeconds",
      "healthFile",
      "historyBytes",
      "historySeconds",
      "horizontalAction",
      "horizontalThreshold",
      "horizontalWindowSeconds",
      "host",
      "ipv6SourceBits",
      "logLevel",
      "maxBlocked",
      "maxBlocksPerMinute",
      "maxVerdicts",
      "natsCredsFile",
      "natsNkeyFile",
      "natsServers",
      "natsTlsCa",
      "natsTlsCert",
      "natsTlsKey",
      "portThreshold",
      "spreadAction",
      "spreadThreshold",
      "spreadWindowSeconds",
      "streamReplicas",
      "synStorage",
      "synStreamBytes",
      "verticalAction",
      "windowSeconds",
    ]);
  });

  it("a bad variable of another service is not its concern", () => {
    expect(() => loadConfig("detector", { PW_RING_BYTES: "much" })).not.toThrow();
    expect(() => loadConfig("capture", { PW_RING_BYTES: "much" })).toThrow(ConfigError);
  });

  it("types say the same", () => {
    type Detector = Config<"detector">;
    expectTypeOf<Detector>().not.toHaveProperty("ringBytes");
    expectTypeOf<Detector>().not.toHaveProperty("whitelistSelf");
    expectTypeOf<Detector["portThreshold"]>().toEqualTypeOf<number>();
    expectTypeOf<Detector["verticalAction"]>().toEqualTypeOf<"block" | "alert" | "off">();
    expectTypeOf<Detector["streamReplicas"]>().toEqualTypeOf<1 | 3 | 5>();
    expectTypeOf<Detector["host"]>().toEqualTypeOf<string>();
    expectTypeOf<Config<"enforcer">["allow"]>().toEqualTypeOf<readonly Prefix[]>();
    expectTypeOf<Config<"cli">["whitelistSelf"]>().toEqualTypeOf<boolean>();
    expectTypeOf<keyof Config<"metrics">>().toEqualTypeOf<
      | "natsServers"
      | "natsNkeyFile"
      | "natsCredsFile"
      | "natsTlsCa"
      | "natsTlsCert"
      | "natsTlsKey"
      | "host"
      | "logLevel"
      | "drainTimeoutSeconds"
      | "healthFile"
      | "prometheusPort"
      | "prometheusAddress"
    >();
    // Code that is generic over services sees what all of them read.
    const levelOf = <S extends ServiceName>(config: Config<S>) => config.logLevel;
    expect(levelOf(loadConfig("metrics", { PW_LOG_LEVEL: "WARN" }))).toBe("warn");
  });
});

describe("a start that can't be", () => {
  it("is one error that lists every bad variable, its value and what it may hold", () => {
    const error = refusal("detector", {
      PW_PORTSCAN_PORT_THRESHOLD: "0",
      PW_PORTSCAN_TIME_THRESHOLD: "a minute",
      PW_STREAM_REPLICAS: "2",
      PW_BLOCK_TTL: "60",
    });
    expect(error.message).toBe(`3 variables can't be used:
  PW_PORTSCAN_TIME_THRESHOLD is "a minute"; it may hold seconds from 0.001 to 86400, such as 60 or 0.5
  PW_PORTSCAN_PORT_THRESHOLD is "0"; it may hold a whole number from 1 to 1024
  PW_STREAM_REPLICAS is "2"; it may hold 1, 3 or 5`);
    expect(error).toMatchObject({ code: "CONFIG_INVALID", retryable: false });
    expect(error.problems).toHaveLength(3);
  });

  it("counts one variable as one", () => {
    const { message } = refusal("capture", { PW_XDP_MODE: "fast" });
    expect(message).toBe(`1 variable can't be used:
  PW_XDP_MODE is "fast"; it may hold auto, native or skb`);
  });

  it("lists every variable where every one is bad", () => {
    for (const service of services) {
      const own = table.filter(({ readBy }) => readBy.includes(service));
      const environment = Object.fromEntries(own.map(({ name }) => [name, "\0,\0"]));
      const { message } = refusal(service, environment);
      for (const { name, field } of own) {
        expect(message).toContain(
          `\n  ${name} is "\\u0000,\\u0000"; it may hold ${field.expected}`,
        );
      }
    }
  });

  it("shows the beginning of a long value, and how long it is", () => {
    const { message, problems } = refusal("enforcer", { PW_ALLOW: "x".repeat(100_000) });
    expect(message).toContain(`PW_ALLOW is "${"x".repeat(80)}... (100000 characters)"`);
    expect(message.length).toBeLessThan(400);
    expect(problems[0]?.value).toHaveLength(80 + "... (100000 characters)".length);
  });

  it("a value is shown on one line, whatever it holds", () => {
    const { message } = refusal("enforcer", { PW_ALLOW: "a\nPW_HOST is fine\u{1b}[2J" });
    expect(message.split("\n")).toHaveLength(2);
    expect(message).not.toContain("\u{1b}");
  });

  it("shows no password of a NATS server", () => {
    const urls = "nats://ada:secret@a:99999,nats://token@b, nats://bob:p@ss@c/d";
    const error = refusal("metrics", { PW_NATS_URL: urls });
    expect(error.message).toContain("nats://***@a:99999,nats://***@b, nats://***@c/d");
    expect(JSON.stringify(error.problems)).not.toMatch(/secret|token|p@ss/);
  });
});
