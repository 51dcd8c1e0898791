/** Usage: send-frames INTERFACE [TIMES]. Sends the frames on standard input, a line of hex digits each, as they are. */
import { readFileSync } from "node:fs";
import { interfaceIndex } from "@packetwatch/bpf";
import koffi from "koffi";

// From <sys/socket.h> and <linux/if_packet.h>.
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCKADDR_LL_BYTES = 20;

const libc = koffi.load(null);
const socket = libc.func("int socket(int, int, int)");
const sendto = libc.func("int64_t sendto(int, void *, size_t, int, void *, unsigned int)");

const [interfaceName = "", times = "1"] = process.argv.slice(2);
const address = Buffer.alloc(SOCKADDR_LL_BYTES);
address.writeUInt16LE(AF_PACKET, 0);
address.writeInt32LE(interfaceIndex(interfaceName), 4);

const fd = socket(AF_PACKET, SOCK_RAW, 0);
const lines = readFileSync(0, "utf8")
  .split("\n")
  .filter((line) => line !== "");
for (const line of lines) send(Buffer.from(line, "hex"), Number(times));

function send(frame: Buffer, times: number): void {
  for (let time = 0; time < times; time++) {
    const sent = sendto(fd, frame, frame.length, 0, address, address.length);
    if (sent !== frame.length) throw new Error(`${frame.toString("hex")}: errno ${koffi.errno()}`);
  }
}
