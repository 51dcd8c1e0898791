import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Variable, variables } from "./variables.ts";

type Service = {
  readonly environment?: Readonly<Record<string, string | number | null>>;
  readonly [key: string]: unknown;
};
type ComposeFile = {
  readonly "x-variables": Readonly<Record<string, null>>;
  readonly services: Readonly<Record<string, Service>>;
};

type KeyMount = { readonly source: string };

const file = new URL("../../../docker-compose.yml", import.meta.url);
const compose = parse(readFileSync(file, "utf8"), { merge: true }) as ComposeFile;

/** What a container is told by its image or by the stack, whatever the host's environment says. */
const fixed = ["PW_BPF_OBJECT", "PW_HEALTH_FILE"];
/** Handed on with a value, because the stack's network is another than the host's. */
const translated = [
  "PW_NATS_URL",
  "PW_NATS_NKEY_FILE",
  "PW_PROMETHEUS_PORT",
  "PW_PROMETHEUS_ADDRESS",
];

const ofServices = Object.values<Variable>(variables)
  .filter(({ readBy }) => readBy.some((reader) => reader !== "cli"))
  .map(({ name }) => name);

describe("docker-compose.yml", () => {
  it("hands every variable that a service reads to its containers, and no other", () => {
    const handedOn = ofServices.filter((name) => ![...fixed, ...translated].includes(name));
    expect(Object.keys(compose["x-variables"]).toSorted()).toEqual(handedOn.toSorted());
  });

  it("gives none of them a default of its own: those of the variables hold", () => {
    expect(Object.values(compose["x-variables"]).every((value) => value === null)).toBe(true);
  });

  const clients = {
    capture: "capture",
    enforcer: "enforcer",
    detector: "detector",
    metrics: "metrics",
    provision: "provisioner",
    packetwatch: "operator",
  };
  it.each(Object.entries(clients))(
    "tells %s where NATS is, and mounts the folder of the key of %s and no other",
    (name, role) => {
      const environment = compose.services[name]?.environment;
      expect(environment).toHaveProperty("PW_NATS_URL");
      expect(environment).toHaveProperty("PW_NATS_NKEY_FILE", "${PW_NATS_NKEY_FILE-/keys/user.nk}");
      expect(keyMountsOf(name)).toEqual([
        {
          type: "volume",
          source: "keys",
          target: "/keys",
          read_only: true,
          volume: { subpath: role, nocopy: true },
        },
      ]);
    },
  );

  it.each(["capture", "enforcer"])("has %s dial NATS where the stack publishes it", (name) => {
    const url = "nats://${PW_NATS_ADDRESS:-127.0.0.1}:${PW_NATS_PORT:-4222}";
    expect(compose.services[name]?.environment?.["PW_NATS_URL"]).toBe(`\${PW_NATS_URL:-${url}}`);
    expect(compose.services["nats"]?.["ports"]).toEqual([
      {
        target: 4222,
        published: "${PW_NATS_PORT:-4222}",
        host_ip: "${PW_NATS_ADDRESS:-127.0.0.1}",
      },
    ]);
  });

  it("shows the enforcer who is logged in on the host, and lets it change nothing there", () => {
    const mounts = compose.services["enforcer"]?.["volumes"] as readonly unknown[];
    expect(mounts).toContain("/run/systemd/sessions:/run/systemd/sessions:ro");
  });

  it("lets the command sign as its operator on its host, and watch nothing of its own", () => {
    expect(compose.services["packetwatch"]).toMatchObject({
      uts: "host",
      environment: { SUDO_USER: "${SUDO_USER:-${USER:-}}", PW_IFDEV: "" },
    });
  });

  it("mounts what NATS knows of the keys at NATS, and the seeds where they are made alone", () => {
    expect(keyMountsOf("nats")).toMatchObject([{ read_only: true, volume: { subpath: "nats" } }]);
    const all = Object.keys(compose.services).filter((name) => keyMountsOf(name).length > 0);
    expect(all.toSorted()).toEqual([...Object.keys(clients), "keys", "nats"].toSorted());
  });

  function keyMountsOf(name: string): readonly unknown[] {
    const mounts = (compose.services[name]?.["volumes"] ?? []) as readonly (string | KeyMount)[];
    return mounts.filter((mount) =>
      typeof mount === "string" ? mount.startsWith("keys:") : mount.source === "keys",
    );
  }

  it("uses only variables that are in docs/variables.md", () => {
    const used = readFileSync(file, "utf8").match(/PW_[A-Z0-9_]+/g) ?? [];
    const known = new Set(Object.values<Variable>(variables).map(({ name }) => name));
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  it.each(Object.entries(compose.services))(
    "%s has no privileges but those it is given one by one, and bounds on what it takes",
    (_, service) => {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        logging: { driver: "json-file", options: { "max-size": "10m", "max-file": "3" } },
      });
      expect(service).toHaveProperty("mem_limit");
      expect(service).toHaveProperty("restart");
      expect(service).not.toHaveProperty("privileged");
    },
  );

  it("gives capabilities to capture, enforcer and whoever makes the keys, and the host's network to the two", () => {
    const having = (key: string) =>
      Object.entries(compose.services).flatMap(([name, service]) =>
        service[key] === undefined ? [] : [[name, service[key]]],
      );
    expect(having("cap_add")).toEqual([
      ["keys", ["CHOWN", "DAC_OVERRIDE", "FOWNER"]],
      ["capture", ["BPF", "NET_ADMIN", "PERFMON"]],
      ["enforcer", ["BPF"]],
    ]);
    expect(having("network_mode")).toEqual([
      ["keys", "none"],
      ["capture", "host"],
      ["enforcer", "host"],
    ]);
    expect(having("user")).toEqual([
      ["keys", "root"],
      ["capture", "root"],
      ["enforcer", "root"],
    ]);
  });

  it("leaves the detector free to be scaled: no fixed name, no port", () => {
    expect(compose.services["detector"]).not.toHaveProperty("container_name");
    expect(compose.services["detector"]).not.toHaveProperty("ports");
  });
});
