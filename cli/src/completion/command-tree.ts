/** The commands as plain data, for what is generated from them. */
import type { Command, Option } from "commander";

export type OptionNode = {
  /** `--ttl`, `-d`: all of its spellings. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The values it may have; none where they can't be listed. */
  readonly choices: readonly string[];
};

export type CommandNode = {
  /** Names from the first command on: `["allow", "add"]`; empty for the program. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly OptionNode[];
  readonly commands: readonly CommandNode[];
  /** The values that its first argument may have. */
  readonly choices: readonly string[];
};

/** Hidden commands and options are left out; each command has --help. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode {
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  return {
    path,
    description: command.description(),
    options: help.visibleOptions(command).map(optionNode),
    commands: help
      .visibleCommands(command)
      .map((child) => commandTree(child, [...path, child.name()])),
    choices: argument?.argChoices ?? [],
  };
}

function optionNode({ short, long, description, required, optional, argChoices }: Option) {
  const flags = [short, long].filter((flag) => flag !== undefined);
  return { flags, description, takesValue: required || optional, choices: argChoices ?? [] };
}

/** A command and all below it, itself first. */
export function flatten(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.commands.flatMap(flatten)];
}
