/** Why a server could not be connected to, and which variable mends it. */
export type ConnectFailure = {
  /** `unreachable` may pass by itself; the others want a human. */
  readonly kind: "unreachable" | "unauthorized" | "untrusted" | "refuses_certificate" | "no_tls";
  /** A sentence without its full stop. */
  readonly text: string;
  readonly variable: string;
  readonly cause: string;
};

type Known = Omit<ConnectFailure, "cause">;

const unreachable: Known = {
  kind: "unreachable",
  text: "NATS isn't reachable yet",
  variable: "PW_NATS_URL",
};

const unauthorized: Known = {
  kind: "unauthorized",
  text: "NATS refuses the credentials",
  variable: "PW_NATS_NKEY_FILE, PW_NATS_CREDS_FILE",
};

const untrusted: Known = {
  kind: "untrusted",
  text: "the certificate of NATS is not to be trusted",
  variable: "PW_NATS_TLS_CA",
};

const refusesCertificate: Known = {
  kind: "refuses_certificate",
  text: "NATS refuses the client's certificate",
  variable: "PW_NATS_TLS_CERT, PW_NATS_TLS_KEY",
};

const noTls: Known = {
  kind: "no_tls",
  text: "NATS offers no TLS, and TLS is asked for",
  variable: "PW_NATS_URL, PW_NATS_TLS_CA",
};

/** OpenSSL's and Node's codes for a certificate of the server that can't be verified. */
const untrustedCodes = [
  /^(UNABLE_TO|DEPTH_ZERO_|SELF_SIGNED_|CERT_|ERR_TLS_CERT_ALTNAME)/,
  /^(INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/,
];

/**
 * With TLS 1.3 a client is done before the server has looked at its
 * certificate, and nats.js 3.4 doesn't hear of the refusal that follows.
 */
const silentOverTls: Known = {
  kind: "unreachable",
  text: "NATS says nothing over TLS, as one that wants another certificate of the client",
  variable: "PW_NATS_TLS_CERT, PW_NATS_TLS_KEY, PW_NATS_URL",
};

/** Sorts what nats.js throws; nothing of it is a secret. */
export function connectFailure(error: unknown, transport: "plain" | "tls"): ConnectFailure {
  const chain = causesOf(error);
  const cause = chain[0]?.message || "no answer";
  const isSilent = transport === "tls" && cause === "timeout";
  return { ...(isSilent ? silentOverTls : sort(chain)), cause };
}

type Cause = { readonly name: string; readonly code: string; readonly message: string };

function sort(chain: readonly Cause[]): Known {
  if (chain.some(({ name }) => name === "AuthorizationError")) return unauthorized;
  if (chain.some(({ code }) => untrustedCodes.some((pattern) => pattern.test(code))))
    return untrusted;
  const texts = chain.map(({ message }) => message).join(" ");
  if (/authorization violation|user authentication/i.test(texts)) return unauthorized;
  if (/certificate required|alert (bad|unknown|unsupported) certificate|unknown ca/i.test(texts))
    return refusesCertificate;
  if (/'tls'.*is not available on this server|server does not support 'tls'/i.test(texts))
    return noTls;
  return unreachable;
}

const MAX_CAUSES = 8;

function causesOf(error: unknown): readonly Cause[] {
  const chain: Cause[] = [];
  for (let each = error; each instanceof Error && chain.length < MAX_CAUSES; each = each.cause) {
    chain.push({ name: each.name, code: codeOf(each), message: each.message });
  }
  return chain;
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "";
}
