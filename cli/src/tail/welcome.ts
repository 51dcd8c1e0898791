import type { Config } from "@packetwatch/config";
import { counted } from "../printable.ts";

export type WelcomeConfig = Pick<
  Config<"cli">,
  "interfaces" | "portThreshold" | "windowSeconds" | "whitelistSelf"
>;

/** What is watched, what makes a scanner, and who is never blocked. */
export function welcomeLines(config: WelcomeConfig): readonly string[] {
  const { interfaces, portThreshold, windowSeconds, whitelistSelf } = config;
  const ports = counted(portThreshold, "port");
  const window = counted(windowSeconds, "second");
  return [
    `Packetwatch is watching ${interfaces.join(", ")}`,
    `A source that tries ${ports} of one address within ${window} is blocked`,
    whitelistSelf
      ? "Own addresses are never blocked (PW_WHITELIST_SELF)"
      : "Own addresses are blocked like any other (PW_WHITELIST_SELF)",
  ];
}
