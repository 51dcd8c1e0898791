// RFC 5424 messages over UDP (RFC 5426) or TCP (RFC 6587, octet counting).
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { hostname } from "node:os";

/** local0 */
const FACILITY = 16;
const severities = { block: 4, alert: 4, unblock: 5, ended: 5 };
const CONNECT_TIMEOUT_MS = 10_000;

/** `<132>1 2026-11-22T05:37:23.000250Z relay-host packetwatch 4711 block - CEF:0|...` */
export function syslogMessage(event, text) {
  const priority = FACILITY * 8 + severities[event.kind];
  const host =
    hostname()
      .replaceAll(/[^\x21-\x7e]/g, "_")
      .slice(0, 255) || "-";
  return `<${priority}>1 ${timestamp(event.issuedUs)} ${host} packetwatch ${process.pid} ${event.kind} - ${text}`;
}

/** RFC 3339 with microseconds; `-` where an event has no time of its own. */
function timestamp(us) {
  if (us === undefined) return "-";
  const seconds = new Date(Math.floor(us / 1000)).toISOString().slice(0, 19);
  return `${seconds}.${String(us % 1_000_000).padStart(6, "0")}Z`;
}

/** What `send(message)` resolves for: UDP that it left, TCP that the kernel has it. Syslog knows no acknowledgement. */
export function openSyslog(url) {
  const { protocol, hostname: rawHost, port } = new URL(url);
  const host = rawHost.replaceAll(/[[\]]/g, "");
  if (protocol === "udp:") return openUdp(host, Number(port || 514));
  if (protocol === "tcp:") return openTcp(host, Number(port || 601));
  throw new Error(`${url}: neither udp: nor tcp:`);
}

function openUdp(host, port) {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.unref();
  // An unreachable port comes back as an error of the socket; datagrams are lost in silence otherwise too.
  socket.on("error", (error) => console.error(`syslog: ${error.message}`));
  const send = (message) =>
    new Promise((resolve, reject) => {
      socket.send(message, port, host, (error) => (error ? reject(error) : resolve()));
    });
  return { send, close: () => socket.close() };
}

/** Connects with the first message, and anew after an error. */
function openTcp(host, port) {
  let socket;
  const send = async (message) => {
    socket ??= await connected(host, port);
    try {
      await write(socket, `${Buffer.byteLength(message)} ${message}`);
    } catch (error) {
      socket.destroy();
      socket = undefined;
      throw error;
    }
  };
  return { send, close: () => socket?.end() };
}

function connected(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.on("error", () => socket.destroy());
      resolve(socket.unref());
    });
    // What a server says is not read otherwise, and its end of the connection would go unnoticed.
    socket.resume();
  });
}

function write(socket, text) {
  return new Promise((resolve, reject) => {
    if (socket.destroyed || socket.readableEnded)
      return reject(new Error("the server has closed the connection"));
    socket.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
