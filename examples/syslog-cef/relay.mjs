// Sends verdicts and alerts to a SIEM as CEF over syslog: SYSLOG_URL=tcp://siem:601 node relay.mjs
import { setTimeout as sleep } from "node:timers/promises";
import { abortOnSignal } from "../shared/abort-on-signal.mjs";
import { connectToNats } from "../shared/connect.mjs";
import { deliverEvents } from "../shared/durable-events.mjs";
import { cefLine } from "./cef.mjs";
import { openSyslog, syslogMessage } from "./syslog.mjs";

const { SYSLOG_URL = "udp://127.0.0.1:514", DURABLE = "syslog-relay" } = process.env;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;

const signal = abortOnSignal();
const syslog = openSyslog(SYSLOG_URL);
const connection = await connectToNats("syslog relay");
await deliverEvents(connection, { durable: DURABLE, deliver: send, signal });
syslog.close();

async function send(event) {
  const line = syslogMessage(event, cefLine(event));
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await syslog.send(line);
    } catch (error) {
      console.error(`${SYSLOG_URL}: ${error.message}; trying again in ${waitMs} ms`);
      await sleep(waitMs, undefined, { signal });
    }
  }
}
