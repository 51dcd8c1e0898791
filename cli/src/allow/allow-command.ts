/** `packetwatch allow`: who is never dropped and never counted as a scanner, on every host. */
import { type Environment, environment } from "@packetwatch/config";
import {
  type AddressWords,
  AddressError,
  parseAddress,
  parseAllowPrefix,
  type Prefix,
} from "@packetwatch/net";
import { type Command, InvalidArgumentError } from "commander";
import { CliError } from "../cli-error.ts";
import { longDurationArgument } from "../duration.ts";
import { requireNoHostBits } from "../host-bits.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { addAllowed } from "./add-allowed.ts";
import { checkAllowed } from "./check-allowed.ts";
import { listAllowed } from "./list-allowed.ts";
import { removeAllowed } from "./remove-allowed.ts";

export function allowCommand(program: Command, from: Environment = environment): void {
  const allow = program
    .command("allow")
    .description("say who is never dropped and never counted as a scanner, on every host")
    .addHelpText("after", allowHelp);
  addCommand(allow, from);
  removeCommand(allow, from);
  listCommand(allow, from);
  checkCommand(allow, from);
}

const allowHelp = `
Changes reach the kernels of all hosts at once, and hold there when no service is
alive. A source that is blocked and becomes allowed passes from then on; its block
goes on underneath, and counts again when the entry ends.

What a host allows by itself (its own addresses, gateways, resolvers, NATS servers,
SSH sessions, and PW_ALLOW) is in the list too, and changed by its variables.

Examples:
  packetwatch allow add 192.0.2.0/24 --comment "the monitoring"
  packetwatch allow add 203.0.113.9 --ttl 2h --comment "penetration test"
  packetwatch allow remove 192.0.2.0/24
  packetwatch allow list
  packetwatch allow check 203.0.113.9
`;

function addCommand(allow: Command, from: Environment): void {
  allow
    .command("add")
    .argument("<prefix>", "an address or a CIDR", prefixArgument)
    .description("allow an address or a CIDR on every host")
    .option("--comment <text>", "kept with the entry, for others to read")
    .option(
      "--ttl <time>",
      "how long, such as 90s, 10m, 2h or 7d; default: until removed",
      longDurationArgument,
    )
    .option("--force", "allow even what is so wide that hardly anybody is left to block")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((prefix: Prefix, flags) => addAllowed(prefix, flags, from));
}

function removeCommand(allow: Command, from: Environment): void {
  allow
    .command("remove")
    .argument("<prefix>", "the entry, as 'packetwatch allow list' shows it", prefixArgument)
    .description("remove an operator's entry on every host")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((prefix: Prefix, flags) => removeAllowed(prefix, flags, from));
}

function listCommand(allow: Command, from: Environment): void {
  allow
    .command("list")
    .description("list what is allowed, why, on which hosts and until when")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags) => listAllowed(flags, from));
}

function checkCommand(allow: Command, from: Environment): void {
  allow
    .command("check")
    .argument("<address>", "an address", addressArgument)
    .description("say which entries allow an address, and on which hosts")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", "\nThe exit code is 0 where every host that is heard allows it.\n")
    .action((address: AddressWords, flags) => checkAllowed(address, flags, from));
}

function prefixArgument(text: string): Prefix {
  return orMisuse(() => {
    const prefix = parseAllowPrefix(text);
    requireNoHostBits(text, prefix);
    return prefix;
  });
}

function addressArgument(text: string): AddressWords {
  return orMisuse(() => parseAddress(text));
}

function orMisuse<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof AddressError || error instanceof CliError) {
      throw new InvalidArgumentError(error.message);
    }
    throw error;
  }
}
