import { userInfo } from "node:os";
import type { Environment } from "@packetwatch/config";

/** `operator/alice@desk`: who acts, for those who read it later. */
export function operatorName(host: string, from: Environment): string {
  return `operator/${userName(from)}@${host}`.slice(0, 255);
}

/** Who is behind sudo, if anybody; a container's user may have no name. */
function userName(from: Environment): string {
  if (from["SUDO_USER"]) return from["SUDO_USER"];
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.()}`;
  }
}
