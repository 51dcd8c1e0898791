import { type Variable, type VariableGroup, variableGroups } from "./variables.ts";

const PAGE_COLUMNS = 100;

const INTRODUCTION = `# Variables

Everything is configured by environment variables. Empty counts as unset, and blanks around a value
don't count. A bad value stops the start with one message that lists every bad variable, what it
holds and what it may hold. A \`PW_\` variable that is not on this page is reported in the log.

This page is generated from \`libs/config/src/variables.ts\` by \`make docs\`; a test fails where it
differs.
`;

/** docs/variables.md, from the table itself. */
export function renderVariablesPage(): string {
  return [INTRODUCTION, ...variableGroups.map(renderGroup)].join("\n");
}

function renderGroup({ title, variables }: VariableGroup): string {
  return [`## ${title}\n`, ...variables.map(renderVariable)].join("\n");
}

function renderVariable({ name, field, fallback, description, readBy }: Variable): string {
  return `### ${name}

${wrap(description)}

${wrap(`- Default: ${renderFallback(fallback)}`, "  ")}
${wrap(`- May hold: ${field.expected}`, "  ")}
${wrap(`- Read by: ${readBy.join(", ")}`, "  ")}
`;
}

function renderFallback(fallback: string | undefined): string {
  if (fallback === undefined) return "none";
  return fallback === "" ? "empty" : `\`${fallback}\``;
}

/** Breaks a line between words; the lines that follow are indented. */
function wrap(line: string, indent = ""): string {
  if (line.length <= PAGE_COLUMNS) return line;
  const end = line.lastIndexOf(" ", PAGE_COLUMNS);
  if (end <= indent.length) return line;
  return `${line.slice(0, end)}\n${wrap(indent + line.slice(end + 1), indent)}`;
}
