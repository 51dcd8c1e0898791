// Posts verdicts and alerts to a webhook: WEBHOOK_URL=https://... node relay.mjs
// Each at least once and in order; WEBHOOK_FORMAT=slack posts what Slack's incoming webhooks take.
import { setTimeout as sleep } from "node:timers/promises";
import { abortOnSignal } from "../shared/abort-on-signal.mjs";
import { connectToNats } from "../shared/connect.mjs";
import { deliverEvents } from "../shared/durable-events.mjs";
import { describeEvent } from "../shared/read-event.mjs";

const { WEBHOOK_URL, WEBHOOK_FORMAT = "json", DURABLE = "webhook-relay" } = process.env;
const REQUEST_TIMEOUT_MS = 10_000;
/** Between two tries of one message; doubled each time. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;

if (!URL.canParse(WEBHOOK_URL ?? "")) {
  console.error(
    "WEBHOOK_URL is not set, or is no URL: WEBHOOK_URL=https://example.net/hook node relay.mjs",
  );
  process.exit(2);
}

const signal = abortOnSignal();
const connection = await connectToNats("webhook relay");
await deliverEvents(connection, { durable: DURABLE, deliver: post, signal });

/** Returns when the webhook has taken the event, or will never take it. */
async function post(event, message) {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    const problem = await tryOnce(event, message);
    if (problem === undefined) return;
    if (!problem.retry) {
      console.error(`given up: ${describeEvent(event)}: ${problem.what}`);
      return;
    }
    console.error(`${problem.what}; trying again in ${waitMs} ms`);
    await sleep(waitMs, undefined, { signal });
  }
}

/** Undefined when it was taken. */
async function tryOnce(event, message) {
  try {
    const response = await fetch(WEBHOOK_URL, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        // The same for each try, for a receiver that wants each event once.
        "idempotency-key": `packetwatch-${message.seq}`,
      },
      body: JSON.stringify(bodyOf(event)),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    await response.body?.cancel();
    if (response.ok) return undefined;
    return { what: `the webhook says ${response.status}`, retry: mayHelp(response.status) };
  } catch (error) {
    return {
      what: `the webhook can't be reached: ${error.cause?.message ?? error.message}`,
      retry: true,
    };
  }
}

function bodyOf(event) {
  const text = describeEvent(event);
  return WEBHOOK_FORMAT === "slack" ? { text } : { text, event };
}

/** What a server may take later; a request that it calls wrong stays so. */
function mayHelp(status) {
  return status >= 500 || status === 408 || status === 429;
}
