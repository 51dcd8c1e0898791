import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KeyFolder } from "../../cli/src/keys/key-folder.ts";
import type { NatsServer } from "./nats.ts";

/** A NATS that knows the roles of libs/contracts/src/roles.ts, each with a key. */
export type LockedNats = {
  readonly keys: KeyFolder;
  /** For nats-server's `-c`. */
  readonly configFile: string;
  /** Has a server that runs know the keys of now. */
  readonly reload: (nats: NatsServer) => Promise<void>;
};

/**
 * Makes keys and configuration in `folder`. A test's own connections come
 * without a key and may do everything, as nobody else may.
 */
export function prepareLockedNats(folder: string): LockedNats {
  mkdirSync(folder, { recursive: true });
  const keys = new KeyFolder(folder);
  keys.init();
  const configFile = join(folder, "nats.conf");
  const write = () =>
    writeFileSync(configFile, withTester(readFileSync(keys.accountsFile, "utf8")));
  write();
  const reload = async (nats: NatsServer) => {
    write();
    await nats.reload();
  };
  return { keys, configFile, reload };
}

/** The fleet's account is the first. */
function withTester(accounts: string): string {
  const tester = "{ user: tester, password: tester }";
  return `${accounts.replace("users: [", `users: [\n      ${tester}`)}\nno_auth_user: tester\n`;
}

/** What a detector tries where its settings are not those of the stream, and can live without. */
const TOLERATED = "$JS.API.STREAM.UPDATE.";

/** Without what differs from line to line: connection, key, and the names of consumers. */
function shortened(line: string): string {
  return line
    .replace(/^.*? - /, "")
    .replace(/cid:\d+ - /, "")
    .replace(/nkey:\w+/, "")
    .replace(/\.\w{22}(?=[".])/, ".*");
}

/** Throws where a service was refused anything: the table of roles lacks what it needs. */
export function requireNothingForbidden(nats: NatsServer): void {
  const forbidden = nats.output
    .split("\n")
    .filter((line) => line.includes("Violation") && !line.includes(TOLERATED));
  if (forbidden.length === 0) return;
  const lines = [...new Set(forbidden.map((line) => shortened(line)))].slice(0, 10).join("\n  ");
  throw new Error(`NATS forbade this; the table is libs/contracts/src/roles.ts:\n  ${lines}`);
}
