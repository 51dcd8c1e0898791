import { execFile } from "node:child_process";
import { type Environment } from "@packetwatch/config";

const DETACH_TIMEOUT_MS = 20_000;

export type DetachOptions = {
  /** The command's own file: `detach` is one of its commands. */
  readonly entry: string;
  readonly environment: Environment;
};

export type DetachResult = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Takes XDP, links, maps and pins off the interfaces of PW_IFDEV. */
export function detach(options: DetachOptions): Promise<DetachResult> {
  const { entry, environment } = options;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [entry, "detach"],
      { env: environment, timeout: DETACH_TIMEOUT_MS },
      (error, stdout, stderr) => {
        const said = (stderr || stdout).trim();
        resolve(
          error === null
            ? { ok: true }
            : { ok: false, message: `XDP could not be detached: ${said || error.message}` },
        );
      },
    );
  });
}
