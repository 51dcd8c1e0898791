/** Usage: echo-server HOST PORT. Sends back what it gets, over TCP and UDP. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIPv6 } from "node:net";

const [host = "", port = ""] = process.argv.slice(2);

const tcp = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
tcp.listen(Number(port), host);
await once(tcp, "listening");

const udp = createSocket(isIPv6(host) ? "udp6" : "udp4");
udp.on("message", (message, { address, port: from }) => udp.send(message, from, address));
udp.bind(Number(port), host);
await once(udp, "listening");

console.log("ready");

// It ends with the process that started it, whose pipe this is.
process.stdin.on("end", () => process.exit()).resume();
