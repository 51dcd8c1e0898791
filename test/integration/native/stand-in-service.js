// Logs as a service does, and misbehaves where STANDIN_<SERVICE> asks for it.
import path from "node:path";

const service = path.basename(process.argv[1], ".js");
const behaviour = process.env[`STANDIN_${service.toUpperCase()}`];
const log = (level, fields) =>
  process.stdout.write(`${JSON.stringify({ level, service, ...fields })}\n`);

if (behaviour === "refuses") {
  log("fatal", { msg: "attach xdp to eth0: EBUSY: detach the other program" });
  process.exit(1);
}
const alive = setInterval(() => undefined, 1000);
process.on("SIGTERM", () => {
  log("info", { msg: "stopping" });
  if (behaviour !== "stays") clearInterval(alive);
});
if (service === "capture")
  log("info", { interface: process.env.PW_IFDEV, mode: "skb", msg: "watching" });
if (behaviour !== "is silent") log("info", { msg: "ready" });
