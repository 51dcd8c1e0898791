import { describe, expect, test } from "vitest";
import { requireServer } from "./provision-streams.ts";

describe("requireServer", () => {
  test.each(["2.11.0", "2.15.1", "2.12.0-RC.1", "3.0.0", "v2.11.4"])("takes %s", (version) => {
    expect(() => requireServer(version)).not.toThrow();
  });

  test.each(["2.10.29", "2.9.0", "1.4.1"])(
    "refuses %s and names the version that is needed",
    (version) => {
      expect(() => requireServer(version)).toThrow(
        `nats-server ${version} is too old: verdicts that expire need 2.11 or newer`,
      );
    },
  );
});
