/** Completion scripts, from the tree of commands. */
import { type CommandNode, flatten, type OptionNode } from "./command-tree.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

type Candidate = { readonly word: string; readonly description: string };

/** A script that makes a shell complete `packetwatch`. */
export function completionScript(shell: Shell, root: CommandNode): string {
  if (shell === "fish") return fishScript(root);
  return shell === "bash" ? bashScript(root) : zshScript(root);
}

/** What may come after a command: its commands, what its argument may be, its options. */
function candidatesOf(node: CommandNode): readonly Candidate[] {
  return [
    ...node.commands.map(({ path, description }) => ({ word: path.at(-1) ?? "", description })),
    ...node.choices.map((word) => ({ word, description: "" })),
    ...node.options.flatMap(({ flags, description }) =>
      flags.map((word) => ({ word, description })),
    ),
  ];
}

/** ` allow add`: how the scripts write where they are. */
function place({ path }: CommandNode): string {
  return path.map((name) => ` ${name}`).join("");
}

/** A case for each option that takes a value, after which only that may come. */
function valueCases(root: CommandNode, render: (option: OptionNode) => string): readonly string[] {
  return flatten(root).flatMap((node) =>
    node.options
      .filter(({ takesValue }) => takesValue)
      .map((option) => {
        const patterns = option.flags.map((flag) => `"${place(node)} ${flag}"`).join("|");
        return `    ${patterns}) ${render(option)} ;;`;
      }),
  );
}

/** `" block"|" allow"|" allow add"`: the places that a word can lead to. */
function placePatterns(root: CommandNode): string {
  return flatten(root)
    .slice(1)
    .map((node) => `"${place(node)}"`)
    .join("|");
}

function bashScript(root: CommandNode): string {
  const wordCases = flatten(root).map((node) => {
    const words = candidatesOf(node).map(({ word }) => word);
    return `    "${place(node)}") words="${words.join(" ")}" ;;`;
  });
  const values = valueCases(root, ({ choices }) =>
    choices.length === 0 ? "return" : `words="${choices.join(" ")}"`,
  );
  return `# bash completion for packetwatch: source <(packetwatch completion bash)
_packetwatch() {
  local word="\${COMP_WORDS[COMP_CWORD]}" place="" index words=""
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$place \${COMP_WORDS[index]}" in
      ${placePatterns(root)}) place+=" \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$place" in
${wordCases.join("\n")}
  esac
  case "$place \${COMP_WORDS[COMP_CWORD - 1]}" in
${values.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o bashdefault -o default -F _packetwatch packetwatch
`;
}

function zshScript(root: CommandNode): string {
  const describe = ({ word, description }: Candidate) =>
    quoted(`${word.replaceAll(":", "\\:")}:${description.replaceAll(":", "\\:")}`);
  const wordCases = flatten(root).map(
    (node) => `    "${place(node)}") candidates=(${candidatesOf(node).map(describe).join(" ")}) ;;`,
  );
  const values = valueCases(root, ({ choices }) =>
    choices.length === 0 ? "_default; return" : `candidates=(${choices.map(quoted).join(" ")})`,
  );
  return `#compdef packetwatch
# zsh completion for packetwatch: source <(packetwatch completion zsh)
_packetwatch() {
  local place="" index
  local -a candidates
  for ((index = 2; index < CURRENT; index++)); do
    case "$place \${words[index]}" in
      ${placePatterns(root)}) place+=" \${words[index]}" ;;
    esac
  done
  case "$place" in
${wordCases.join("\n")}
  esac
  case "$place \${words[CURRENT-1]}" in
${values.join("\n")}
  esac
  _describe packetwatch candidates || _default
}
compdef _packetwatch packetwatch
`;
}

function fishScript(root: CommandNode): string {
  const lines = flatten(root).flatMap(fishLines);
  return `# fish completion for packetwatch: packetwatch completion fish | source
function __packetwatch_place
    set -l place ""
    for word in (commandline -opc)[2..-1]
        switch "$place $word"
            case ${flatten(root)
              .slice(1)
              .map((node) => quoted(place(node)))
              .join(" ")}
                set place "$place $word"
        end
    end
    echo "$place"
end
${lines.join("\n")}
`;
}

function fishLines(node: CommandNode): readonly string[] {
  const at = `complete -c packetwatch -n 'test (__packetwatch_place) = "${place(node)}"'`;
  const commands = node.commands.map(
    ({ path, description }) => `-f -a ${quoted(path.at(-1) ?? "")} -d ${quoted(description)}`,
  );
  const choices = node.choices.length > 0 ? [`-f -a ${quoted(node.choices.join(" "))}`] : [];
  return [...commands, ...choices, ...node.options.map(fishOption)].map((line) => `${at} ${line}`);
}

function fishOption({ flags, description, takesValue, choices }: OptionNode): string {
  const spellings = flags.map((flag) =>
    flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
  );
  const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(" "))}` : " -r";
  return `${spellings.join(" ")}${takesValue ? value : ""} -d ${quoted(description)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
