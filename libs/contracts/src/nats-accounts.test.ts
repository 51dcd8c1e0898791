import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type NatsUser, permissionsOf, renderNatsAccounts } from "./nats-accounts.ts";
import { renderPermissionsPage } from "./permissions-page.ts";
import { type Role, roleNames, roles } from "./roles.ts";

const published = new URL("../../../docs/permissions.md", import.meta.url);

const user = (role: Role, host?: string): NatsUser => ({
  name: role,
  role,
  host,
  publicKey: `U${role.toUpperCase()}`,
});

/** The text from an account's opening to the next one. */
function accountOf(name: string): string {
  const conf = renderNatsAccounts(roleNames.map((role) => user(role)));
  return conf.split(/^ {2}(?=PACKETWATCH)/m).find((part) => part.startsWith(`${name} {`)) ?? "";
}

describe("docs/permissions.md", () => {
  it("is what the table renders; `make docs` writes it", () => {
    expect(readFileSync(published, "utf8")).toBe(renderPermissionsPage());
  });
});

describe("accounts for nats-server", () => {
  it("every role has its user in its own account, and in no other", () => {
    for (const role of roleNames) {
      const { account } = roles[role];
      const others = ["PACKETWATCH", "PACKETWATCH_SENSORS", "PACKETWATCH_INTEGRATIONS"].filter(
        (name) => name !== account,
      );
      expect(accountOf(account)).toContain(`nkey: U${role.toUpperCase()},`);
      for (const other of others) expect(accountOf(other)).not.toContain(`U${role.toUpperCase()},`);
    }
  });

  it("only the fleet's account has JetStream, and it is the first", () => {
    expect(accountOf("PACKETWATCH")).toContain("jetstream: enabled");
    expect(accountOf("PACKETWATCH_SENSORS")).not.toContain("jetstream");
    expect(renderNatsAccounts([])).toMatch(/^accounts \{\n {2}PACKETWATCH \{/m);
  });

  it("what crosses an account's border is exactly what its roles publish and read", () => {
    const { publish } = roles.capture;
    const { subscribe } = roles.integrator;
    const importsOf = (name: string, kind: string) =>
      [
        ...accountOf(name).matchAll(
          new RegExp(`\\{ ${kind}: \\{ account: \\w+, subject: "(.*?)"`, "g"),
        ),
      ].map(([, subject]) => subject);
    expect(importsOf("PACKETWATCH_SENSORS", "service")).toEqual(publish);
    expect(importsOf("PACKETWATCH_SENSORS", "stream")).toEqual([]);
    expect(importsOf("PACKETWATCH_INTEGRATIONS", "stream")).toEqual(subscribe);
    expect(importsOf("PACKETWATCH_INTEGRATIONS", "service")).toEqual([]);
    expect(importsOf("PACKETWATCH", "service")).toEqual(["$SRV.>"]);
  });

  it("whoever publishes nothing is denied everything", () => {
    expect(accountOf("PACKETWATCH_INTEGRATIONS")).toContain('publish: { deny: [">"] }');
  });

  it("a key for one host speaks for that host, as a subject's token, and one for none for any", () => {
    expect(permissionsOf(user("enforcer", "web.1")).publish).toContain(
      "packetwatch.v1.applied.web_1",
    );
    expect(permissionsOf(user("enforcer")).publish).toContain("packetwatch.v1.applied.*");
    expect(permissionsOf(user("enforcer", "a.>")).publish.join()).not.toContain("a.>");
  });

  it("no role but the operator, the integrator and metrics reads more than its own inbox", () => {
    const readers = roleNames.filter((role) => roles[role].subscribe.length > 0);
    expect(readers.toSorted()).toEqual(["integrator", "metrics", "operator"]);
  });
});
