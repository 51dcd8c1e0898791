/** The programs of one host, in their start order. */
import { existsSync } from "node:fs";
import path from "node:path";
import { type Environment } from "@packetwatch/config";
import { type Role } from "@packetwatch/contracts";
import { isNatsReady, isServiceReady } from "./log-lines.ts";
import { type NativeSettings } from "./native-settings.ts";
import { runLayout } from "./run-layout.ts";

export type Program = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Beside what all of them have. */
  readonly environment?: Environment;
  /** Undefined when it logs no such line. */
  readonly isReady: ((line: string) => boolean) | undefined;
  /** What its failure to start most likely means. */
  readonly wayOut?: string;
};

export const serviceNames = ["capture", "detector", "enforcer", "metrics"] as const;
export const SUPERVISOR = "supervisor";
export const NATS_SERVER = "nats-server";
export const CONSOLE_TABLE = "tail";

export function servicePrograms(settings: NativeSettings): readonly Program[] {
  return serviceNames.map((name) => ({
    name,
    command: process.execPath,
    args: ["--enable-source-maps", path.join(settings.repository, "build", `${name}.js`)],
    environment: keyEnvironment(settings, name),
    isReady: settings.readinessIsLogged ? isServiceReady : undefined,
  }));
}

/** Its own key for each, in the place of what the environment says; a NATS that is given has its own ways. */
export function keyEnvironment(settings: NativeSettings, role: Role): Environment {
  if (settings.ownNatsPort === undefined) return {};
  const seedFile = runLayout(settings.runDir).seedFile(role);
  return {
    PW_NATS_NKEY_FILE: seedFile,
    PW_NATS_CREDS_FILE: "",
    PW_NATS_TLS_CA: "",
    PW_NATS_TLS_CERT: "",
    PW_NATS_TLS_KEY: "",
  };
}

/** None when PW_NATS_URL names a server that runs already. */
export function natsPrograms(settings: NativeSettings): readonly Program[] {
  const port = settings.ownNatsPort;
  if (port === undefined) return [];
  const nats = {
    name: NATS_SERVER,
    command: natsCommand(settings.repository),
    args: [
      `--config=${runLayout(settings.runDir).natsConfig}`,
      `--store_dir=${runLayout(settings.runDir).natsStore}`,
      `--port=${port}`,
      "--addr=127.0.0.1",
      "--name=packetwatch",
    ],
    isReady: isNatsReady,
    wayOut: `if port ${port} is taken, choose another with PW_NATS_PORT, or use the server that is there with PW_NATS_URL`,
  };
  return [nats];
}

/** The one that set-up chose; without set-up, the one on PATH. */
function natsCommand(repository: string): string {
  const chosen = path.join(repository, ".tools/bin/nats-server");
  return existsSync(chosen) ? chosen : "nats-server";
}
