import { ConfigError } from "@packetwatch/config";
import { describe, expect, it } from "vitest";
import { nativeSettings } from "./native-settings.ts";

describe("native settings", () => {
  it("the services meet on a NATS of their own, with absolute paths", () => {
    const settings = nativeSettings("/opt/pw", { HOME: "/root" });
    expect(settings).toMatchObject({
      runDir: "/opt/pw/.run",
      interfaces: ["lo"],
      natsUrl: "nats://127.0.0.1:4222",
      ownNatsPort: 4222,
      metricsUrl: "http://localhost:9090/metrics",
    });
    expect(settings.serviceEnvironment).toEqual({
      HOME: "/root",
      PW_NATS_URL: "nats://127.0.0.1:4222",
      PW_RUN_DIR: "/opt/pw/.run",
      PW_BPF_OBJECT: "/opt/pw/build/packetwatch.bpf.o",
    });
  });

  it("starts no NATS where PW_NATS_URL names one; empty counts as unset", () => {
    const given = nativeSettings("/opt/pw", { PW_NATS_URL: "nats://nats.example:4222" });
    expect(given.ownNatsPort).toBeUndefined();
    expect(given.serviceEnvironment["PW_NATS_URL"]).toBe("nats://nats.example:4222");
    const empty = nativeSettings("/opt/pw", { PW_NATS_URL: " ", PW_NATS_PORT: "4333" });
    expect(empty).toMatchObject({ ownNatsPort: 4333, natsUrl: "nats://127.0.0.1:4333" });
  });

  it("the supervisor reads the same settings from the environment it is given", () => {
    const settings = nativeSettings("/opt/pw", { PW_NATS_PORT: "4333", PW_RUN_DIR: "/tmp/run" });
    expect(nativeSettings("/opt/pw", settings.environment)).toEqual(settings);
  });

  it("one error lists every variable that any service would refuse, each once", () => {
    const environment = {
      PW_IFDEV: "a/b",
      PW_PORTSCAN_PORT_THRESHOLD: "-1",
      PW_RING_BYTES: "x",
      PW_NATS_PORT: "0",
    };
    const error = refusal(() => nativeSettings("/opt/pw", environment));
    expect(error.problems.map(({ variable }) => variable).toSorted()).toEqual(
      Object.keys(environment).toSorted(),
    );
  });

  it.each([
    ["debug", true],
    ["info", true],
    ["warn", false],
    ["fatal", false],
  ])("at log level %s, that readiness is logged is %s", (level, expected) => {
    expect(nativeSettings("/opt/pw", { PW_LOG_LEVEL: level }).readinessIsLogged).toBe(expected);
  });
});

function refusal(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
