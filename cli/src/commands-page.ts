import type { Command } from "commander";
import { createProgram } from "./program.ts";

const PAGE_COLUMNS = 100;

/** docs/commands.md, from the commands' own help. */
export function renderCommandsPage(): string {
  const program = createProgram();
  const commands = program.createHelp().visibleCommands(program);
  const own = commands.filter((command) => command.name() !== "help");
  const rows = own.map(
    (command) =>
      `| [\`${command.name()}\`](#packetwatch-${command.name()}) | ${command.description()} |`,
  );
  return `# Commands

\`packetwatch\` is \`build/packetwatch.js\`, in containers \`docker compose run --rm packetwatch\`. Every command has
\`--help\`, which is what this page shows; \`source <(packetwatch completion bash)\` completes them. Those that print
something for scripts have \`--json\`.

| command | what it does |
|---|---|
${rows.join("\n")}

The exit code is 0 when it is done, 1 when it failed or is done only in part, 2 when a variable, an option or an argument
is bad. Standard error then says why, in one line. The variables that commands read are in
[variables.md](variables.md).

This page is generated from \`cli/src/\` by \`make docs\`; a test fails where it differs.

${own.flatMap(renderAll).join("\n")}`;
}

/** A command and those below it. */
function renderAll(command: Command): readonly string[] {
  const below = command.commands.flatMap(renderAll);
  const names = [command.name()];
  for (let up = command.parent; up; up = up.parent) names.unshift(up.name());
  return [`## ${names.join(" ")}\n\n\`\`\`text\n${helpOf(command).trim()}\n\`\`\`\n`, ...below];
}

/** What --help prints, as wide as the page is. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (piece) => (text += piece),
    getOutHelpWidth: () => PAGE_COLUMNS,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}
