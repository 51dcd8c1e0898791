// Connects as the `nats` command does: NATS_URL, and paths in NATS_NKEY or NATS_CREDS, NATS_CA, NATS_CERT and NATS_KEY.
import { readFileSync } from "node:fs";
import { connect, credsAuthenticator, nkeyAuthenticator, nkeys } from "@nats-io/transport-node";

/** Later it is made anew for ever, also after a server has refused the key: it may be put right there. */
const FOR_EVER = { maxReconnectAttempts: -1, ignoreAuthErrorAbort: true };

/** Ends the program where there is no connection at the start, or where it ends for good with an error. */
export async function connectToNats(name) {
  const { NATS_URL = "nats://127.0.0.1:4222" } = process.env;
  const servers = NATS_URL.split(",");
  const end = (error) => {
    console.error(`connect to ${NATS_URL}: ${error.message} (NATS_URL, NATS_NKEY)`);
    process.exit(1);
  };
  try {
    const connection = await connect({ servers, name, ...FOR_EVER, ...identity(), ...tls() });
    void connection.closed().then((error) => error && end(error));
    return connection;
  } catch (error) {
    return end(error);
  }
}

function identity() {
  const { NATS_NKEY, NATS_CREDS } = process.env;
  if (NATS_CREDS) return { authenticator: credsAuthenticator(readFileSync(NATS_CREDS)) };
  if (!NATS_NKEY) return {};
  const seed = new TextEncoder().encode(readFileSync(NATS_NKEY, "utf8").trim());
  // Packetwatch's roles give each key an inbox of its own.
  const inboxPrefix = `_INBOX.${nkeys.fromSeed(seed).getPublicKey()}`;
  return { authenticator: nkeyAuthenticator(seed), inboxPrefix };
}

function tls() {
  const { NATS_CA: caFile, NATS_CERT: certFile, NATS_KEY: keyFile } = process.env;
  return caFile || certFile ? { tls: { caFile, certFile, keyFile } } : {};
}
