import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { createProgram } from "../program.ts";
import { commandTree, flatten } from "./command-tree.ts";
import { completionScript, shells } from "./shell-scripts.ts";

const tree = commandTree(createProgram());

/** What bash offers where the cursor is behind these words; the last one is being written. */
function offered(...words: readonly string[]): readonly string[] {
  const line = ["packetwatch", ...words];
  const quoted = line.map((word) => `'${word}'`).join(" ");
  const script = `${completionScript("bash", tree)}
complete -p packetwatch > /dev/null || exit 1
COMP_WORDS=(${quoted}); COMP_CWORD=${line.length - 1}
_packetwatch
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const options = { encoding: "utf8", input: script, stdio: "pipe" } as const;
  const printed = execFileSync("bash", ["--norc", "-s"], options);
  return printed.split("\n").filter((word) => word !== "");
}

describe("bash", () => {
  it("offers every command", () => {
    const commands = tree.commands.map(({ path }) => path.at(-1));
    expect(offered("")).toEqual(expect.arrayContaining([...commands, "--help", "--version"]));
    expect(commands).toEqual(expect.arrayContaining(["block", "blocked", "explain", "status"]));
  });

  it("offers what begins with what is written", () => {
    expect(offered("bl").toSorted()).toEqual(["block", "blocked"]);
    expect(offered("block", "--t")).toEqual(["--ttl", "--timeout"]);
  });

  it("offers the values of an option that has some, and of an argument", () => {
    expect(offered("tail", "--format", "")).toEqual(["table", "line", "json"]);
    expect(offered("blocked", "--json", "--sort", "s")).toEqual(["since", "source"]);
    expect(offered("completion", "")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
  });

  it("offers nothing where any value may come", () => {
    expect(offered("block", "192.0.2.1", "--ttl", "")).toEqual([]);
  });

  it("knows the command, whatever came since", () => {
    expect(offered("block", "192.0.2.1", "--reason", "tail", "--fo")).toEqual(["--force"]);
    expect(offered("nothing", "--form")).toEqual([]);
  });
});

it.each(flatten(tree).map((node) => [node.path.join(" ") || "packetwatch", node] as const))(
  "%s: each option says what it does, and hidden ones are not offered",
  (_, { options, commands }) => {
    for (const { flags, description } of options) {
      expect(flags.length).toBeGreaterThan(0);
      expect(description).not.toBe("");
    }
    expect(JSON.stringify([options, commands])).not.toContain("supervise");
  },
);

it.each(shells)("the script for %s has every command and every option", (shell) => {
  const script = completionScript(shell, tree);
  for (const { path, options } of flatten(tree)) {
    expect(script).toContain(path.join(" "));
    for (const { flags } of options) {
      for (const flag of flags) {
        expect(script).toContain(shell === "fish" ? flag.replace(/^-+/, "") : flag);
      }
    }
  }
});
