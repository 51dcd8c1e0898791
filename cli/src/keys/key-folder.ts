/**
 * A folder with the keys of a fleet, one folder for each:
 *
 *     <folder>/<name>/user.nk     the seed, for its owner alone
 *     <folder>/nats/accounts.conf for nats-server: public keys and permissions
 *     <folder>/nats/users.json    what accounts.conf is made from
 *
 * A seed may be moved to where it is used; what NATS needs stays.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { createNatsKey, publicKeyOfSeed } from "@packetwatch/bus";
import { type NatsUser, type Role, renderNatsAccounts, roleNames } from "@packetwatch/contracts";
import { z } from "zod";
import { CliError } from "../cli-error.ts";

export const SEED_FILE = "user.nk";
export const ACCOUNTS_FILE = "nats/accounts.conf";
const USERS_FILE = "nats/users.json";

/** More users than a fleet has hosts and services. */
const MAX_USERS = 10_000;
export const KEY_NAME = /^(?!nats$)[A-Za-z0-9_-]{1,64}$/;

export type Owner = { readonly uid: number; readonly gid: number };

/** Whom the files with seeds belong to: `all` where a role has no owner of its own; without either, whoever makes them. */
export type Owners = { readonly all?: Owner } & { readonly [role in Role]?: Owner };

export type NewKey = {
  readonly name: string;
  readonly role: Role;
  readonly host: string | undefined;
};

const usersFile = z.object({
  version: z.literal(1),
  users: z
    .array(
      z.object({
        name: z.string().regex(KEY_NAME),
        role: z.enum(roleNames as [Role, ...Role[]]),
        host: z.string().min(1).max(253).optional(),
        publicKey: z.string().regex(/^U[A-Z2-7]{55}$/),
      }),
    )
    .max(MAX_USERS),
});

export class KeyFolder {
  readonly #folder: string;
  readonly #owners: Owners;

  constructor(folder: string, owners: Owners = {}) {
    this.#folder = folder;
    this.#owners = owners;
  }

  get accountsFile(): string {
    return path.join(this.#folder, ACCOUNTS_FILE);
  }

  seedFile(name: string): string {
    return path.join(this.#folder, name, SEED_FILE);
  }

  /** Throws where there are none: a folder whose name is mistyped must not pass for one. */
  users(): readonly NatsUser[] {
    const users = this.#read();
    if (users !== undefined) return users;
    const wayOut = `'packetwatch keys init ${this.#folder}' makes them`;
    throw new CliError("KEY_FOLDER", `keys in ${this.#folder}: there are none; ${wayOut}`);
  }

  /** Makes a key for each role that has none; returns the names of those that it made. */
  init(): readonly string[] {
    const users = this.#read() ?? [];
    const missing = roleNames.filter((role) => !users.some(({ name }) => name === role));
    const made = missing.map((role) => this.#makeUser({ name: role, role, host: undefined }));
    this.#write([...users, ...made]);
    return missing;
  }

  add(key: NewKey): void {
    const users = this.users();
    if (users.some(({ name }) => name === key.name)) {
      const wayOut = `'packetwatch keys remove' takes it away`;
      throw new CliError("KEY_FOLDER", `add key ${key.name}: there is one already; ${wayOut}`);
    }
    if (users.length >= MAX_USERS) {
      throw new CliError("KEY_FOLDER", `add key ${key.name}: the folder holds ${MAX_USERS} keys`);
    }
    this.#write([...users, this.#makeUser(key)]);
  }

  remove(name: string): void {
    const users = this.users();
    if (!users.some((user) => user.name === name)) {
      const wayOut = `'packetwatch keys list' shows them`;
      throw new CliError("KEY_FOLDER", `remove key ${name}: there is none; ${wayOut}`);
    }
    this.#write(users.filter((user) => user.name !== name));
    rmSync(path.join(this.#folder, name), { recursive: true, force: true });
  }

  /** Undefined before the first init. */
  #read(): readonly NatsUser[] | undefined {
    const file = path.join(this.#folder, USERS_FILE);
    if (!existsSync(file)) return undefined;
    const parsed = usersFile.safeParse(parseJson(readFileSync(file, "utf8")));
    if (!parsed.success) {
      const wayOut = "put it back from a backup, or begin with a new folder";
      throw new CliError("KEY_FOLDER", `read ${file}: it is damaged; ${wayOut}`);
    }
    return parsed.data.users.map(({ name, role, host, publicKey }) => ({
      name,
      role,
      host,
      publicKey,
    }));
  }

  /** A seed that is there already is kept: a start that was cut short goes on. */
  #makeUser({ name, role, host }: NewKey): NatsUser {
    const file = this.seedFile(name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const kept = existsSync(file) ? publicKeyOfSeed(readFileSync(file, "utf8")) : undefined;
    const publicKey = kept ?? this.#makeSeed(file);
    this.#protect(file, role);
    return { name, role, host, publicKey };
  }

  #makeSeed(file: string): string {
    const { seed, publicKey } = createNatsKey();
    writeWhole(file, `${seed}\n`, 0o600);
    return publicKey;
  }

  #protect(file: string, role: Role): void {
    chmodSync(path.dirname(file), 0o700);
    chmodSync(file, 0o600);
    const owner = this.#owners[role] ?? this.#owners.all;
    if (owner === undefined) return;
    for (const each of [file, path.dirname(file)]) chownSync(each, owner.uid, owner.gid);
  }

  #write(users: readonly NatsUser[]): void {
    mkdirSync(path.join(this.#folder, "nats"), { recursive: true, mode: 0o755 });
    const json = JSON.stringify({ version: 1, users }, undefined, 2);
    writeWhole(path.join(this.#folder, USERS_FILE), `${json}\n`, 0o644);
    writeWhole(this.accountsFile, renderNatsAccounts(users), 0o644);
  }
}

/** No reader finds half a file. */
function writeWhole(file: string, text: string, mode: number): void {
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, text, { mode });
  renameSync(partial, file);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
