import { ConfigError } from "@packetwatch/config";
import { type Command, CommanderError } from "commander";
import { describe, expect, it, vi } from "vitest";
import { CliError } from "./cli-error.ts";
import { withoutSecrets } from "./connect-cli.ts";
import { describeDetached } from "./detach/detach-command.ts";
import { interfaceOfFolder } from "./detach/detach-interface.ts";
import { createProgram } from "./program.ts";
import { reportFailure } from "./report-failure.ts";
import { usesColours } from "./terminal.ts";

/** What it said on standard error, and the exit code. */
function report(error: unknown) {
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const exitCode = reportFailure(error);
    return { exitCode, said: write.mock.calls.map(([text]) => String(text)).join("") };
  } finally {
    write.mockRestore();
  }
}

describe("failures", () => {
  it("an operating error is one line, and exit code 1", () => {
    const { exitCode, said } = report(new CliError("NATS_UNREACHABLE", "no NATS"));
    expect({ exitCode, said }).toEqual({ exitCode: 1, said: "packetwatch: no NATS\n" });
  });

  it("a bad variable is exit code 2", () => {
    const problem = { variable: "PW_IFDEV", value: ",", expected: "names" };
    const { exitCode, said } = report(new ConfigError([problem]));
    expect(exitCode).toBe(2);
    expect(said).toContain("PW_IFDEV");
  });

  it("bad usage is exit code 2, help is none", () => {
    expect(report(new CommanderError(1, "commander.unknownOption", "x"))).toEqual({
      exitCode: 2,
      said: "",
    });
    expect(report(new CommanderError(0, "commander.help", "x"))).toEqual({ exitCode: 0, said: "" });
  });

  it("an error that nobody expected comes with its stack", () => {
    const { exitCode, said } = report(new TypeError("surprise"));
    expect(exitCode).toBe(1);
    expect(said).toContain("program.test.ts");
  });
});

describe("colours", () => {
  const terminal = { isTerminal: true, isWanted: true, environment: {} };
  it.each([
    [terminal, true],
    [{ ...terminal, isTerminal: false }, false],
    [{ ...terminal, isWanted: false }, false],
    [{ ...terminal, environment: { NO_COLOR: "1" } }, false],
    [{ ...terminal, environment: { NO_COLOR: "" } }, true],
  ])("%j: %s", (question, answer) => {
    expect(usesColours(question)).toBe(answer);
  });
});

describe("the command", () => {
  it.each(createProgram().commands.map((command) => [command.name(), command] as const))(
    "%s says what it does",
    (_, command) => {
      expect(command.description()).not.toBe("");
    },
  );

  const commandsWithout = (flag: string) => {
    const leaves = (command: Command): readonly Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    const has = (command: Command) => command.options.some(({ long }) => long === flag);
    return leaves(createProgram()).flatMap((command) => (has(command) ? [] : [command.name()]));
  };

  it("all speak JSON but the one that prints a script", () => {
    expect(commandsWithout("--json")).toEqual(["completion"]);
  });

  it.each([
    [["tail", "--bogus"], "unknown option '--bogus'", "packetwatch tail"],
    [["allow", "check"], "missing required argument 'address'", "packetwatch allow check"],
    [["--bogus"], "unknown option '--bogus'", "packetwatch"],
  ])("%j names the help of the command that was meant", async (args, what, path) => {
    const said: string[] = [];
    const program = createProgram();
    const meant = args.reduce(
      (command, arg) => command.commands.find((each) => each.name() === arg) ?? command,
      program,
    );
    meant.configureOutput({ writeErr: (text) => said.push(text) });
    await expect(program.parseAsync(args, { from: "user" })).rejects.toThrow(CommanderError);
    expect(said.join("")).toBe(`packetwatch: ${what}\n('${path} --help' tells how it is used)\n`);
  });

  it.each([
    [["allow", "add", "10.1.2.3/16"], "10.1.2.3/16 is an address within 10.1.0.0/16"],
    [["allow", "remove", "2001:db8::7/64"], "name that, or 2001:db8::7 alone"],
    [["keys", "add", "keys", "capture", "web1", "--host", "web 1"], "as in PW_HOST"],
    [["keys", "add", "keys", "capture", "web1", "--host", ""], "as in PW_HOST"],
  ])("%j is misuse", async (args, reason) => {
    const program = createProgram();
    const said: string[] = [];
    const listen = (command: Command): void => {
      command.configureOutput({ writeErr: (text) => said.push(text) });
      for (const each of command.commands) listen(each);
    };
    listen(program);
    await expect(program.parseAsync(args, { from: "user" })).rejects.toThrow(CommanderError);
    expect(said.join("")).toContain(reason);
  });

  it("every argument is described", () => {
    const argumentsOf = (command: Command): readonly string[] => [
      ...command.registeredArguments
        .filter((each) => each.description === "")
        .map((each) => `${command.name()} ${each.name()}`),
      ...command.commands.flatMap(argumentsOf),
    ];
    expect(argumentsOf(createProgram())).toEqual([]);
  });

  it("passwords in URLs are not shown", () => {
    const servers = ["nats://user:secret@nats.example:4222", "tls://nats.example"];
    expect(withoutSecrets(servers)).toBe("nats://nats.example:4222,tls://nats.example");
  });
});

describe("detach", () => {
  it.each([
    [{ link: true, maps: ["a", "b"], left: [] }, "detached lo; removed 2 maps"],
    [{ link: false, maps: ["a"], left: [] }, "nothing attached on lo; removed 1 map"],
    [{ link: false, maps: [], left: [] }, "nothing attached on lo"],
    [{ link: false, maps: [], left: ["x"] }, "nothing attached on lo; left what isn't ours: x"],
  ])("%j reads %j", (outcome, text) => {
    expect(describeDetached({ interface: "lo", ...outcome })).toBe(text);
  });

  it.each([
    ["eth0", "eth0"],
    ["eth0%2e100", "eth0.100"],
    ["a%252e", "a%2e"],
  ])("the folder %s belongs to %s", (folder, name) => {
    expect(interfaceOfFolder(folder)).toBe(name);
  });
});
