import type { Config } from "@packetwatch/config";
import type { HostState } from "@packetwatch/contracts";
import { rulesFromConfig, type RulesConfig, type RuleVariables } from "@packetwatch/detection";
import { counted, printable } from "../printable.ts";

/** Hosts that are named one by one. */
const MAX_NAMED_HOSTS = 5;

export type WelcomeConfig = Pick<Config<"cli">, "interfaces" | "whitelistSelf"> & RuleVariables;

/** What is watched, what makes a scanner, and who is never blocked. */
export function welcomeLines(config: WelcomeConfig): readonly string[] {
  const { interfaces, whitelistSelf } = config;
  return [
    `Packetwatch is watching ${interfaces.join(", ")}`,
    ...describeVertical(rulesFromConfig(config)),
    whitelistSelf
      ? "Own addresses are never blocked (PW_WHITELIST_SELF)"
      : "Own addresses are blocked like any other (PW_WHITELIST_SELF)",
  ];
}

export type FleetFacts = {
  readonly hosts: readonly Pick<HostState, "host" | "interfaces">[];
  /** undefined: no detector says them. */
  readonly rules: RulesConfig | undefined;
};

/** The same of a fleet, as far as it is heard. */
export function fleetWelcomeLines({ hosts, rules }: FleetFacts): readonly string[] {
  const named = hosts.slice(0, MAX_NAMED_HOSTS).map(describeHost);
  const more = hosts.length - named.length;
  const names = [...named, ...(more > 0 ? [`${more} more`] : [])].join(", ");
  return [
    ...(hosts.length === 0
      ? []
      : [`Packetwatch is watching ${counted(hosts.length, "host")}: ${names}`]),
    ...(rules ? describeVertical(rules) : []),
  ];
}

function describeHost({ host, interfaces }: FleetFacts["hosts"][number]): string {
  const where = interfaces.length === 0 ? "no interface yet" : interfaces.join(", ");
  return printable(`${host} (${where})`);
}

function describeVertical({ vertical }: RulesConfig): readonly string[] {
  const { threshold, windowUs, action } = vertical;
  if (action === "off") return [];
  const seconds = counted(windowUs / 1e6, "second");
  const what = action === "block" ? "blocked" : "reported, and not blocked";
  return [
    `A source that tries ${counted(threshold, "port")} of one address within ${seconds} is ${what}`,
  ];
}
