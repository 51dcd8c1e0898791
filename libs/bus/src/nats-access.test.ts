import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Authenticator } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accessOptions } from "./nats-access.ts";
import { createNatsKey, type NatsKey } from "./nats-keys.ts";

const ignore = () => undefined;
const NONCE = "a nonce of the server";

let folder: string;
let file: string;
let warnings: string[];
let key: NatsKey;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-access-"));
  file = join(folder, "key");
  warnings = [];
  key = createNatsKey();
});
afterEach(() => rmSync(folder, { recursive: true }));

const kinds = [
  ["nkeyFile", ({ seed }: NatsKey) => `${seed}\n`],
  ["credsFile", ({ seed }: NatsKey) => `${block("JWT", "ey.J.W")}\n${block("SEED", seed)}`],
] as const;

function block(name: string, text: string): string {
  return `-----BEGIN ${name}-----\n${text}\n------END ${name}------\n`;
}

describe.each(kinds)("the key of %s, at a reconnect", (option, textOf) => {
  function connect(): () => unknown {
    writeFileSync(file, textOf(key));
    const logger = {
      debug: ignore,
      info: ignore,
      error: ignore,
      warn: (_: object, message: string) => void warnings.push(message),
    };
    const { authenticator } = accessOptions([], { [option]: file }, logger);
    return () => (authenticator as Authenticator)(NONCE);
  }

  it("is the one of before where the file can't be used, which is said once", () => {
    const answer = connect();
    const before = answer();
    expect(before).toMatchObject({ nkey: key.publicKey });
    writeFileSync(file, "half a k");
    expect(answer()).toEqual(before);
    rmSync(file);
    expect([answer(), answer()]).toEqual([before, before]);
    expect(warnings).toEqual(["the key can't be read; the one of before serves on"]);
    writeFileSync(file, textOf(key));
    expect(answer()).toEqual(before);
    rmSync(file);
    answer();
    expect(warnings).toHaveLength(2);
  });

  it("ends the connection where it is another one", () => {
    const answer = connect();
    writeFileSync(file, textOf(createNatsKey()));
    expect(answer).toThrow(
      `reconnect with the key in ${file}: it is another key than at the start, and takes a new start`,
    );
  });
});
