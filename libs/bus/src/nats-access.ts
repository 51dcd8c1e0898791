import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
} from "@nats-io/transport-node";
import { inboxPrefix } from "@packetwatch/contracts";
import { BusError } from "./bus-error.ts";
import type { Logger } from "./logger.ts";
import { publicKeyOfSeed } from "./nats-keys.ts";

/** How a connection proves who it is, and whom it believes: paths of PEM, nkey and credentials files. */
export type NatsAccess = {
  /** The seed of a user's nkey. */
  readonly nkeyFile?: string | undefined;
  /** A JWT with its seed, as `nsc` writes it. */
  readonly credsFile?: string | undefined;
  /** Missing: TLS is used where the server asks for it or a URL begins with `tls:`. */
  readonly tls?: NatsTls | undefined;
};

export type NatsTls = {
  /** Whose certificates are believed; missing: the system's. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
};

/** A seed, a JWT and a few certificates are far shorter. */
const MAX_FILE_BYTES = 64 * 1024;

type AccessOptions = Pick<ConnectionOptions, "authenticator" | "inboxPrefix" | "tls">;

/**
 * The options for nats.js. Files are read at each connection, so that a
 * certificate or JWT that is replaced serves from the next one on. Throws
 * BusError for a file that can't be used.
 */
export function accessOptions(
  servers: readonly string[],
  { nkeyFile, credsFile, tls: files }: NatsAccess,
  logger: Logger,
): AccessOptions {
  const tls = tlsOptions(servers, files);
  const common = tls === undefined ? {} : { tls };
  if (credsFile !== undefined)
    return { ...common, ...identity(() => readCreds(credsFile), logger) };
  if (nkeyFile !== undefined) return { ...common, ...identity(() => readNkey(nkeyFile), logger) };
  return common;
}

/** What the file of a key held when it was read. */
type Key = {
  readonly file: string;
  readonly publicKey: string;
  readonly authenticator: Authenticator;
};

/**
 * An inbox of its own: with one that all share, each could read the answers to
 * the others. It bears the name of the first key, and no other may read it. So
 * another key ends the connection for good, which is what nats.js does where an
 * authenticator throws; a file that can't be read at a reconnect doesn't: what
 * it held before serves until it can.
 */
function identity(read: () => Key, logger: Logger) {
  const first = read();
  let key = first;
  let isUnread = false;
  const authenticator = (nonce?: string) => {
    try {
      key = read();
      isUnread = false;
    } catch (error) {
      const fields = { cause: (error as Error).message };
      if (!isUnread) logger.warn(fields, "the key can't be read; the one of before serves on");
      isUnread = true;
    }
    if (key.publicKey !== first.publicKey) throw replaced(key);
    return key.authenticator(nonce);
  };
  return { authenticator, inboxPrefix: inboxPrefix(first.publicKey) };
}

function replaced({ file }: Key): BusError {
  const why = "it is another key than at the start, and takes a new start";
  const detail = `reconnect with the key in ${file}: ${why}`;
  return new BusError("ACCESS", "", detail, { retryable: true });
}

/** Checks every file now, for an error that names it; nats.js reads them again when it connects. */
function tlsOptions(servers: readonly string[], tls: NatsTls | undefined) {
  const check = identityCheck(servers);
  const isAsked = servers.some((server) => server.startsWith("tls:"));
  // Without options nats.js uses TLS where the server asks for it.
  if (tls === undefined) return isAsked ? { checkServerIdentity: check } : undefined;
  const files = [
    ["caFile", tls.caFile, "PW_NATS_TLS_CA"],
    ["certFile", tls.certFile, "PW_NATS_TLS_CERT"],
    ["keyFile", tls.keyFile, "PW_NATS_TLS_KEY"],
  ] as const;
  const options: TlsFiles & { checkServerIdentity: typeof check } = { checkServerIdentity: check };
  for (const [option, path, variable] of files) {
    if (path === undefined) continue;
    readAccessFile(path, variable);
    options[option] = path;
  }
  return options;
}

type TlsFiles = { caFile?: string; certFile?: string; keyFile?: string };

/**
 * nats.js 3.4 tells Node no name where a server is given by its address, and
 * Node then checks the certificate for `localhost`. In its place, the addresses
 * that are configured.
 */
function identityCheck(servers: readonly string[]) {
  const hosts = servers.map((server) => new URL(server).hostname.replaceAll(/[[\]]/g, ""));
  const unnamed = hosts.filter((host) => isIP(host) !== 0 || host === "localhost");
  return (host: string, certificate: PeerCertificate): Error | undefined => {
    const names = host === "localhost" && unnamed.length > 0 ? unnamed : [host];
    const errors = names.map((name) => checkServerIdentity(name, certificate));
    return errors.includes(undefined) ? undefined : errors[0];
  };
}

function readNkey(file: string): Key {
  const seed = new TextDecoder().decode(readAccessFile(file, "PW_NATS_NKEY_FILE")).trim();
  const publicKey = publicKeyOfSeed(seed);
  if (publicKey === undefined)
    throw refused("PW_NATS_NKEY_FILE", file, "it holds no seed of a user's nkey (SU...)");
  return { file, publicKey, authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) };
}

/** The seed is the second block of the file. */
function readCreds(file: string): Key {
  const bytes = readAccessFile(file, "PW_NATS_CREDS_FILE");
  const seed = /^SU[A-Z2-7]+(?=\s*$)/m.exec(new TextDecoder().decode(bytes))?.[0];
  const publicKey = seed === undefined ? undefined : publicKeyOfSeed(seed);
  if (publicKey === undefined)
    throw refused("PW_NATS_CREDS_FILE", file, "it holds no JWT with a user's seed");
  return { file, publicKey, authenticator: credsAuthenticator(bytes) };
}

function readAccessFile(path: string, variable: string): Uint8Array {
  try {
    const bytes = readFileSync(path);
    if (bytes.byteLength <= MAX_FILE_BYTES) return bytes;
  } catch (cause) {
    const why = existsSync(path) ? (cause as NodeJS.ErrnoException).code : "there is no such file";
    throw refused(variable, path, `${why}`, cause);
  }
  throw refused(variable, path, `it is longer than ${MAX_FILE_BYTES} bytes`);
}

function refused(variable: string, path: string, why: string, cause?: unknown): BusError {
  const detail = `${variable} is ${JSON.stringify(path)}: ${why}`;
  return new BusError("ACCESS", "", detail, { cause, retryable: false });
}
