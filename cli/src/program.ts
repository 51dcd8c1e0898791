import { type Variable, variables } from "@packetwatch/config";
import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { blockCommand } from "./block-list/block-command.ts";
import { blockedCommand } from "./block-list/blocked-command.ts";
import { unblockCommand } from "./block-list/unblock-command.ts";
import { completionCommand } from "./completion/completion-command.ts";
import { keysCommand } from "./keys/keys-command.ts";
import { detachCommand } from "./detach/detach-command.ts";
import { provisionCommand } from "./provision/provision-command.ts";
import { explainCommand } from "./explain/explain-command.ts";
import { allowCommand } from "./allow/allow-command.ts";
import { breakerCommand } from "./breaker/breaker-command.ts";
import { enforceCommand } from "./enforce/enforce-command.ts";
import { recordCommand } from "./recording/record-command.ts";
import { replayCommand } from "./recording/replay-command.ts";
import { statusCommand } from "./status/status-command.ts";
import { tailCommand } from "./tail/tail-command.ts";
import { topCommand } from "./top/top-command.ts";
import { downCommand, upCommand } from "./up.ts";

/** The `packetwatch` command. Usage errors are thrown, as CommanderError. */
export function createProgram(): Command {
  const program = new Command("packetwatch")
    .description("Finds port scanners on a fleet of Linux hosts, and drops them in XDP.")
    .version(manifest.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help, or a command's own after its name")
    .configureOutput({
      // As every other failure of the command begins.
      outputError: (text, write) => write(text.replace(/^error: /, "packetwatch: ")),
    })
    .addHelpText("after", programHelp())
    .exitOverride();
  upCommand(program);
  downCommand(program);
  statusCommand(program);
  tailCommand(program);
  topCommand(program);
  blockedCommand(program);
  blockCommand(program);
  unblockCommand(program);
  explainCommand(program);
  allowCommand(program);
  enforceCommand(program);
  breakerCommand(program);
  recordCommand(program);
  replayCommand(program);
  detachCommand(program);
  keysCommand(program);
  provisionCommand(program);
  completionCommand(program);
  pointToHelp(program, "packetwatch");
  return program;
}

/** Bad usage names the help of the command that was meant. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`('${path} --help' tells how it is used)`);
  for (const each of command.commands) pointToHelp(each, `${path} ${each.name()}`);
}

function programHelp(): string {
  return `
Examples:
  packetwatch up                              start everything on this host, and print the table
  PW_IFDEV=eth0,eth1 packetwatch up --detach  the same in the background, on two interfaces
  packetwatch status                          is the fleet healthy, and if not, why
  packetwatch tail --format line              watch attempts and blocks, one sentence a line
  packetwatch top                             the sources with the most attempts
  packetwatch blocked                         list who is blocked, and why
  packetwatch explain 192.0.2.56              why is it blocked, or why isn't it
  packetwatch block 192.0.2.56 --ttl 2h       block a source on every host
  packetwatch unblock 192.0.2.56              lift a block on every host
  packetwatch allow add 192.0.2.0/24 --ttl 2h never drop these, on any host
  packetwatch enforce on --confirm 60s        drop from now on; go back unless confirmed
  packetwatch record monday.pwsyn             write the fleet's attempts to a file
  packetwatch replay monday.pwsyn             print whom the rules would block, and block nobody
  packetwatch down                            stop everything, and detach XDP

Exit codes:
  0  done, or ended by Ctrl-C
  1  failed; standard error says why, in one line
  2  misused: a bad variable, option or argument

Environment (all variables are in docs/variables.md; empty counts as unset):
${variableLines().join("\n")}
  NO_COLOR=                                  not empty: no colours
`;
}

/** The variables that this command reads: name, default, and the first sentence of their meaning. */
function variableLines(): readonly string[] {
  return Object.values<Variable>(variables)
    .filter(({ readBy }) => readBy.includes("cli"))
    .map(({ name, fallback, description }) => {
      const [sentence] = description.split(/(?<=\.) /);
      return `  ${`${name}=${fallback ?? ""}`.padEnd(41)}  ${sentence}`;
    });
}
