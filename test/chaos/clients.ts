/**
 * Usage: chaos-clients PLAN, a JSON array of ClientPlan. Visits for as long as its input is open; each visit
 * that fails is a line. The last line is the number of those that were answered.
 */
import { setMaxListeners } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { ClientPlan, Place } from "./benign-clients.ts";

/** A busy machine may take long, and a SYN that the network lost is sent again after 1, 3 and 7 seconds. */
const ANSWER_TIMEOUT_MS = 15_000;
const EXPECTED = "pong";

const plans = JSON.parse(process.argv[2] ?? "[]") as readonly ClientPlan[];
const over = new AbortController();
setMaxListeners(0, over.signal);
let answered = 0;

async function live({ source, places, pauseMs }: ClientPlan): Promise<void> {
  for (let visits = 0; !over.signal.aborted; visits++) {
    const place = places[visits % places.length] as Place;
    const answer = await visit(source, place).catch((error: Error) => error.message);
    if (answer.endsWith(EXPECTED)) answered++;
    else console.log(`${source} visits ${place.address} ${place.port}: ${answer}`);
    // The end cuts the pause short, and is seen above.
    await Promise.allSettled([delay(pauseMs, undefined, { signal: over.signal })]);
  }
}

/** One connection: what is answered to it. */
function visit(source: string, { address, port }: Place): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, localAddress: source });
    let answer = "";
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error("timed out")));
    socket.on("connect", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}

process.stdin.on("end", () => over.abort()).resume();
console.log("ready");
await Promise.all(plans.map(live));
console.log(String(answered));
