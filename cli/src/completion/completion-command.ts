/** `packetwatch completion`: what makes a shell complete the command. */
import { Argument, type Command } from "commander";
import { commandTree } from "./command-tree.ts";
import { completionScript, type Shell, shells } from "./shell-scripts.ts";

export function completionCommand(program: Command): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .description("print what makes a shell complete commands, options and their values")
    .addHelpText("after", completionHelp)
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, commandTree(program)));
    });
}

const completionHelp = `
Examples:
  source <(packetwatch completion bash)        in this shell; in ~/.bashrc for all
  packetwatch completion bash > /etc/bash_completion.d/packetwatch
  source <(packetwatch completion zsh)         in ~/.zshrc, after compinit
  packetwatch completion fish > ~/.config/fish/completions/packetwatch.fish
`;
