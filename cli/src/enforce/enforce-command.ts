/** `packetwatch enforce`: whether blocked sources are dropped, switched at run time. */
import { type Environment, environment } from "@packetwatch/config";
import { type Command, Option } from "commander";
import { durationArgument } from "../duration.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { confirmTrial } from "./confirm-trial.ts";
import { type Enforce, setEnforcement } from "./set-enforcement.ts";
import { showEnforcement } from "./show-enforcement.ts";

export function enforceCommand(program: Command, from: Environment = environment): void {
  const enforce = program
    .command("enforce")
    .description("switch between dropping and a dry run, on the fleet or on one host")
    .addHelpText("after", enforceHelp);
  modeCommand(enforce, { mode: "on", does: "drop the attempts of blocked sources" }, from);
  modeCommand(
    enforce,
    { mode: "off", does: "dry run: count what would be dropped, drop nothing" },
    from,
  );
  modeCommand(
    enforce,
    { mode: "default", does: "go back to what each host's PW_ENFORCE says" },
    from,
  );
  enforce
    .command("confirm")
    .description("keep what was switched on or off with --confirm")
    .addOption(hostOption())
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags) => confirmTrial(flags, from));
  enforce
    .command("show")
    .description("list which hosts drop, and what decides that")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags) => showEnforcement(flags, from));
}

const enforceHelp = `
What was set last holds, for the fleet or for one host, through any restart. With
--confirm it goes back by itself unless 'packetwatch enforce confirm' comes in time;
the kernel watches the clock, so that it goes back even where you are locked out.

Examples:
  packetwatch enforce off                      a dry run on all hosts
  packetwatch enforce on --host web-1          drop on one host
  packetwatch enforce on --confirm 60s         try it on all hosts for a minute
  packetwatch enforce confirm                  and keep it
  packetwatch enforce show
`;

function modeCommand(
  enforce: Command,
  { mode, does }: { readonly mode: Enforce; readonly does: string },
  from: Environment,
): void {
  enforce
    .command(mode)
    .description(does)
    .addOption(hostOption())
    .option("--confirm <time>", "go back after so long unless it is confirmed", durationArgument)
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags) => setEnforcement(mode, flags, from));
}

function hostOption(): Option {
  return new Option("--host <name>", "one host only, by the name that it has in 'enforce show'");
}
