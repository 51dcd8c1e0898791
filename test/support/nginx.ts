import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitUntil, within } from "./eventually.ts";
import type { Place } from "./network-namespace.ts";

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;

export type NginxOptions = {
  readonly namespace: Place;
  readonly ports: readonly number[];
  /** What it answers to every request. */
  readonly answer: string;
};

/** A real nginx, IPv4 and IPv6, in a folder of its own: nothing of an nginx of the system is read or touched. */
export async function startNginx(options: NginxOptions): Promise<{ close(): Promise<void> }> {
  const { namespace, ports } = options;
  const folder = mkdtempSync(join(tmpdir(), "packetwatch-nginx-"));
  writeFileSync(join(folder, "nginx.conf"), configuration(folder, options));
  const command = ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")];
  const nginx = spawn(...namespace.commandLine("nginx", command), { stdio: "ignore" });
  const exited = once(nginx, "exit");
  const close = async () => {
    nginx.kill("SIGKILL");
    await within(exited, { timeoutMs: STOP_TIMEOUT_MS, what: "nginx to end" });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await waitUntil(() => nginx.exitCode !== null || isListening(namespace, ports), {
      timeoutMs: START_TIMEOUT_MS,
      what: `nginx to listen on ${ports.join(", ")}`,
    });
    if (nginx.exitCode !== null) throw new Error(`nginx ended with code ${nginx.exitCode}`);
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

function isListening(namespace: Place, ports: readonly number[]): boolean {
  const sockets = namespace.run("ss", ["-Hltn"]);
  return ports.every((port) => sockets.includes(`0.0.0.0:${port} `));
}

// One process: it ends with the signal that it gets.
function configuration(folder: string, { ports, answer }: NginxOptions): string {
  const listen = ports.flatMap((port) => [`listen ${port};`, `listen [::]:${port};`]);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { }
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ")}
  server {
    ${listen.join("\n    ")}
    location / { return 200 "${answer}"; }
  }
}
`;
}
