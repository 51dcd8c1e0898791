/** Usage: block BLOCKED_MAP_PIN SOURCE SECONDS. Puts a block that expires, prints when (boot-time ns), and ends. */
import { bootTimeNs, openPinnedMap } from "@packetwatch/bpf";
import { writeBlock, writeSourceKey } from "@packetwatch/contracts";
import { parseAddress } from "@packetwatch/net";

const [pinPath = "", source = "", seconds = ""] = process.argv.slice(2);

const blocked = openPinnedMap(pinPath, { type: "hash" });
const expiresNs = bootTimeNs() + BigInt(Math.round(Number(seconds) * 1e9));
const block = writeBlock({ expiresNs, dropped: 0n, firstDropNs: 0n });
blocked.update(writeSourceKey(parseAddress(source)), block);
console.log(String(expiresNs));
