import { parsePrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { ConfigError } from "./config-error.ts";
import { loadConfig } from "./load-config.ts";
import { type Variable, variables } from "./variables.ts";

type Row = {
  readonly accepted: readonly (readonly [text: string, value: unknown])[];
  readonly refused: readonly string[];
};

const KIB = 1024;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

const integer = (min: number, max: number): Row => ({
  accepted: [
    [`${min}`, min],
    [`${max}`, max],
    [`0${max}`, max],
  ],
  refused: [
    `${min - 1}`,
    `${max + 1}`,
    `-${max}`,
    `${min}.5`,
    "1e3",
    "0x20",
    "many",
    "9".repeat(400),
  ],
});

const seconds = (min: number, max: number): Row => ({
  accepted: [
    [`${min}`, min],
    [`${max}`, max],
    ["1.25", 1.25],
    ["007.50", 7.5],
  ],
  refused: [`${max}.001`, `${max + 1}`, "-1", ".5", "5.", "1e1", "5s", "1,5", "Infinity", "NaN"],
});

const window: Row = {
  ...seconds(0.001, 86_400),
  refused: [...seconds(0.001, 86_400).refused, "0", "0.0009"],
};

const size = (min: [text: string, value: number], max: [text: string, value: number]): Row => ({
  accepted: [
    min,
    max,
    [`${min[1]}`, min[1]],
    [`${max[1]}`, max[1]],
    ["64 mib", 64 * MIB],
    ["2048KIB", 2 * MIB],
  ],
  refused: [`${min[1] - 1}`, `${max[1] + 1}`, "0", "-1MiB", "1.5MiB", "16MB", "16M", "MiB", "1e9"],
});

const boolean: Row = {
  accepted: [
    ["True", true],
    ["true", true],
    ["TRUE", true],
    ["tRuE", true],
    ["1", true],
    ["False", false],
    ["false", false],
    ["FALSE", false],
    ["0", false],
  ],
  refused: ["yes", "no", "on", "off", "2", "01", "truee", "t", "null"],
};

const oneOf = (...values: readonly string[]): Row => ({
  accepted: values.flatMap((value) => [
    [value, value] as const,
    [value.toUpperCase(), value] as const,
  ]),
  refused: ["none", `${values[0]}s`, values.join(",")],
});

const listenAddress: Row = {
  accepted: ["0.0.0.0", "127.0.0.1", "::", "::1", "2001:DB8::1"].map((text) => [text, text]),
  refused: ["localhost", "256.0.0.1", "1.2.3", "..", "::g", "127.0.0.1:9090", "0.0.0.0/0"],
};

const path: Row = {
  accepted: [
    ["/", "/"],
    ["a b/c", "a b/c"],
    ["x".repeat(4095), "x".repeat(4095)],
  ],
  refused: ["x".repeat(4096), "é".repeat(2048), "a\0b"],
};

const action = oneOf("block", "alert", "off");
const port = integer(1, 65_535);
const repeated = <T>(count: number, item: T) => Array.from({ length: count }, () => item);
const numbered = (count: number, prefix: string) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** What each variable may hold, at its boundaries, and what it may not. */
const rows: Record<keyof typeof variables, Row> = {
  interfaces: {
    accepted: [
      ["eth0", ["eth0"]],
      [" eth0 , eth1.100 ,", ["eth0", "eth1.100"]],
      ["a23456789012345", ["a23456789012345"]],
      ["br-lan@0", ["br-lan@0"]],
      ["ééééééé", ["ééééééé"]],
      [numbered(64, "veth").join(","), numbered(64, "veth")],
    ],
    refused: [
      "a234567890123456",
      "éééééééé",
      "eth 0",
      "eth\t0",
      "eth/0",
      "eth:0",
      ".",
      "..",
      "eth0,..",
      "eth0,eth0",
      ",",
      " , , ",
      numbered(65, "veth").join(","),
    ],
  },
  windowSeconds: window,
  portThreshold: integer(1, 1024),
  verticalAction: action,
  horizontalWindowSeconds: window,
  horizontalThreshold: integer(1, 1024),
  horizontalAction: action,
  spreadWindowSeconds: window,
  spreadThreshold: integer(1, 1024),
  spreadAction: action,
  blockTtlSeconds: seconds(0, 315_360_000),
  blockTtlFactor: seconds(1, 100),
  blockTtlMaxSeconds: seconds(1, 315_360_000),
  blockMemorySeconds: seconds(0, 31_536_000),
  detectorTtlSeconds: seconds(1, 300),
  detectorCapacity: integer(1024, 8_388_608),
  prometheusPort: port,
  prometheusAddress: listenAddress,
  maxBlocksPerMinute: integer(0, 1_000_000),
  maxBlocked: integer(0, 16_777_216),
  breakerQuietSeconds: seconds(1, 86_400),
  whitelistSelf: boolean,
  allowGateways: boolean,
  allowResolvers: boolean,
  allowNatsServers: boolean,
  allowSshPeers: boolean,
  allow: {
    accepted: [
      ["192.0.2.7", [parsePrefix("192.0.2.7")]],
      ["192.0.2.0/24, 2001:db8::/32,", [parsePrefix("192.0.2.0/24"), parsePrefix("2001:db8::/32")]],
      ["0.0.0.0/0", [parsePrefix("0.0.0.0/0")]],
      [",", []],
      [repeated(1024, "10.0.0.7").join(","), repeated(1024, parsePrefix("10.0.0.7"))],
    ],
    refused: [
      "192.0.2.0/33",
      "192.0.2.0/24 2001:db8::/32",
      "192.0.2.0/24;10.0.0.0/8",
      "10.0.0.0/8,example.net",
      "192.0.2",
      repeated(1025, "10.0.0.7").join(","),
    ],
  },
  enforce: boolean,
  count: oneOf("all", "closed"),
  xdpMode: oneOf("auto", "native", "skb"),
  listenerLookup: boolean,
  ipv6SourceBits: integer(16, 128),
  ringBytes: size(["4KiB", 4 * KIB], ["1GiB", GIB]),
  blockedEntries: integer(16, 16_777_216),
  allowedEntries: integer(16, 1_048_576),
  publishBufferBytes: size(["1MiB", MIB], ["4GiB", 4 * GIB]),
  bpffsDir: path,
  bpfObject: path,
  natsNkeyFile: path,
  natsCredsFile: path,
  natsTlsCa: path,
  natsTlsCert: path,
  natsTlsKey: path,
  natsServers: {
    accepted: [
      ["nats://127.0.0.1:4222", ["nats://127.0.0.1:4222"]],
      ["nats://a, tls://b:4443,", ["nats://a", "tls://b:4443"]],
      ["nats://[::1]:4222", ["nats://[::1]:4222"]],
      ["nats://user:secret@nats.example", ["nats://user:secret@nats.example"]],
      [numbered(64, "nats://n").join(","), numbered(64, "nats://n")],
    ],
    refused: [
      "127.0.0.1:4222",
      "http://a",
      "ws://a",
      "nats:a",
      "nats://",
      "nats://:4222",
      "nats://a:65536",
      "nats://a:port",
      "nats://a/",
      "nats://a/path",
      "nats://a?x=1",
      "nats://?x",
      "nats://#x",
      "nats://a b",
      "nats://a;nats://b",
      ",",
      numbered(65, "nats://n").join(","),
    ],
  },
  streamReplicas: {
    accepted: [
      ["1", 1],
      ["3", 3],
      ["5", 5],
    ],
    refused: ["0", "2", "4", "6", "03", "3.0", "three"],
  },
  synStorage: oneOf("memory", "file"),
  synStreamBytes: size(["1MiB", MIB], ["1024GiB", 1024 * GIB]),
  maxVerdicts: integer(16, 16_777_216),
  historySeconds: integer(60, 315_360_000),
  historyBytes: size(["1MiB", MIB], ["1024GiB", 1024 * GIB]),
  host: {
    accepted: ["web-1", "web_1.example.net", "a", "x".repeat(253)].map((text) => [text, text]),
    refused: ["x".repeat(254), "a b", "a/b", "é", "a*", "a\nb", "a>"],
  },
  logLevel: oneOf("trace", "debug", "info", "warn", "error", "fatal"),
  drainTimeoutSeconds: seconds(0, 300),
  healthFile: path,
  runtime: oneOf("native", "docker"),
  runDir: path,
  natsPort: port,
  natsAddress: listenAddress,
};

/** A row's item with what a test's title shows of it. */
function titled<T>(item: T) {
  return { item, shown: JSON.stringify(item).slice(0, 60) };
}

/** Variables that may not be alone. */
const companions: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  natsTlsCert: { PW_NATS_TLS_KEY: "key.pem" },
  natsTlsKey: { PW_NATS_TLS_CERT: "cert.pem" },
};

/** What the service that reads the variable gets for it. */
function load(key: keyof typeof variables, text: string): unknown {
  const { name, readBy }: Variable = variables[key];
  const service = readBy[0];
  if (service === undefined) throw new Error(`nobody reads ${name}`);
  const config: Readonly<Record<string, unknown>> = loadConfig(service, {
    ...companions[key],
    [name]: text,
  });
  return config[key];
}

const keys = Object.keys(rows) as (keyof typeof variables)[];

describe("every variable keeps to its boundaries", () => {
  describe.each(keys)("%s", (key) => {
    const { accepted, refused } = rows[key];

    it.each(accepted.map(titled))("may be $shown", ({ item: [text, value] }) => {
      expect(load(key, text)).toEqual(value);
    });

    it.each(refused.map(titled))("may not be $shown", ({ item: text }) => {
      expect(() => load(key, text)).toThrow(ConfigError);
    });
  });
});
