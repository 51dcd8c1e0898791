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
 * The options for nats.js. Files are read at each connection, so that a key or
 * certificate that is replaced serves from the next one on. Throws BusError
 * for a file that can't be used.
 */
export function accessOptions(servers: readonly string[], access: NatsAccess): AccessOptions {
  const { nkeyFile, credsFile } = access;
  const tls = tlsOptions(servers, access.tls);
  const common = tls === undefined ? {} : { tls };
  if (credsFile !== undefined) {
    const read = () => readAccessFile(credsFile, "PW_NATS_CREDS_FILE");
    return { ...common, ...identity(credsAuthenticator(read), readCredsSeed(credsFile)) };
  }
  if (nkeyFile === undefined) return common;
  const read = () => new TextEncoder().encode(readSeed(nkeyFile));
  return { ...common, ...identity(nkeyAuthenticator(read), readSeed(nkeyFile)) };
}

/** An inbox of its own: with one that all share, each could read the answers to the others. */
function identity(authenticator: Authenticator, seed: string) {
  const publicKey = publicKeyOfSeed(seed);
  return publicKey === undefined
    ? { authenticator }
    : { authenticator, inboxPrefix: inboxPrefix(publicKey) };
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

function readSeed(path: string): string {
  const text = new TextDecoder().decode(readAccessFile(path, "PW_NATS_NKEY_FILE")).trim();
  if (publicKeyOfSeed(text) !== undefined) return text;
  throw refused("PW_NATS_NKEY_FILE", path, "it holds no seed of a user's nkey (SU...)");
}

/** The second block of the file. */
function readCredsSeed(path: string): string {
  const text = new TextDecoder().decode(readAccessFile(path, "PW_NATS_CREDS_FILE"));
  const seed = /^SU[A-Z2-7]+(?=\s*$)/m.exec(text)?.[0];
  if (seed !== undefined) return seed;
  throw refused("PW_NATS_CREDS_FILE", path, "it holds no JWT with a user's seed");
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
