import { describe, expect, it } from "vitest";
import { connectFailure } from "./connect-failure.ts";

const coded = (message: string, code: string) => Object.assign(new Error(message), { code });

describe("why a connection failed", () => {
  const cases = [
    ["unreachable", new Error("connection refused"), "PW_NATS_URL"],
    ["unreachable", undefined, "PW_NATS_URL"],
    ["unauthorized", new Error("Authorization Violation"), "PW_NATS_NKEY_FILE"],
    [
      "untrusted",
      coded("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"),
      "PW_NATS_TLS_CA",
    ],
    ["untrusted", coded("x", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "PW_NATS_TLS_CA"],
    ["untrusted", coded("x", "ERR_TLS_CERT_ALTNAME_INVALID"), "PW_NATS_TLS_CA"],
    ["untrusted", new Error("x", { cause: coded("y", "CERT_HAS_EXPIRED") }), "PW_NATS_TLS_CA"],
    ["refuses_certificate", new Error("tlsv13 alert certificate required"), "PW_NATS_TLS_CERT"],
    ["no_tls", new Error("'tls' is not available on this server"), "PW_NATS_URL"],
  ] as const;
  it.each(cases)("%s", (kind, error, variable) => {
    const failure = connectFailure(error, "plain");
    expect(failure.kind).toBe(kind);
    expect(failure.variable).toContain(variable);
    expect(failure.cause).not.toBe("");
  });

  it("over TLS, silence may be a certificate that is refused", () => {
    const timeout = new Error("timeout");
    expect(connectFailure(timeout, "tls").variable).toContain("PW_NATS_TLS_CERT");
    expect(connectFailure(timeout, "plain").variable).toBe("PW_NATS_URL");
  });

  it("ends where causes go in a circle", () => {
    const error = new Error("round");
    error.cause = error;
    expect(connectFailure(error, "plain")).toMatchObject({ kind: "unreachable", cause: "round" });
  });
});
