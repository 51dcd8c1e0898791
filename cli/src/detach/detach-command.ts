/** `packetwatch detach`: takes XDP, maps and pins off interfaces of this host. */
import { findInterface } from "@packetwatch/bpf";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { type Command, Option } from "commander";
import { jsonOption } from "../options.ts";
import { counted, jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { complain, print } from "../terminal.ts";
import { type Detached, detachInterface, pinnedInterfaces } from "./detach-interface.ts";

type DetachFlags = {
  readonly interface?: readonly string[];
  readonly all?: true;
  readonly json?: true;
};

export function detachCommand(program: Command, from: Environment = environment): void {
  program
    .command("detach")
    .description("detach XDP from interfaces of this host, and remove the maps with the block list")
    .option("--interface <name...>", "these interfaces, in place of those in PW_IFDEV")
    .addOption(
      new Option("--all", "every interface with a folder under PW_PIN_DIR").conflicts("interface"),
    )
    .addOption(jsonOption())
    .addHelpText("after", detachHelp)
    .action((flags: DetachFlags) => detach(flags, from));
}

const detachHelp = `
What is blocked is no longer dropped on these interfaces. Established connections
go on as ever. Doing it twice is harmless. It needs root, or CAP_BPF,
CAP_NET_ADMIN and CAP_PERFMON. A capture that still runs goes on without
attempts: stop it first ('packetwatch down' does all of it).

Examples:
  packetwatch detach                        the interfaces in PW_IFDEV
  packetwatch detach --interface eth0 eth1  these two
  packetwatch detach --all                  whatever Packetwatch has attached here
`;

function detach(flags: DetachFlags, from: Environment): void {
  const { bpffsDir, interfaces } = loadConfig("cli", from);
  const names = flags.all ? pinnedInterfaces(bpffsDir) : (flags.interface ?? interfaces);
  if (names.length === 0 && !flags.json) print(`nothing attached under ${bpffsDir}`);
  for (const name of names) {
    const detached = detachInterface(bpffsDir, name);
    print(flags.json ? jsonText(detached) : describeDetached(detached));
    if (isMistaken(detached)) {
      complain(`there is no interface ${name} here`);
      // One of PW_IFDEV may have gone since it was watched, and a stop can't fail for ever because of it.
      if (flags.interface) process.exitCode = exitCodes.failed;
    }
  }
  const others = pinnedInterfaces(bpffsDir).filter((name) => !names.includes(name));
  if (others.length > 0) {
    complain(`still attached: ${others.join(", ")} (--interface ${others.join(" ")}, or --all)`);
  }
}

/** Neither an interface nor anything that was left of one. */
function isMistaken({ interface: name, link, maps }: Detached): boolean {
  return !link && maps.length === 0 && findInterface(name) === undefined;
}

/** `detached lo; removed 5 maps`. */
export function describeDetached({ interface: name, link, maps, left }: Detached): string {
  const others = left.length === 0 ? "" : `; left what isn't ours: ${left.join(", ")}`;
  if (!link && maps.length === 0) return `nothing attached on ${name}${others}`;
  const attachment = link ? `detached ${name}` : `nothing attached on ${name}`;
  const removed = maps.length === 0 ? "" : `; removed ${counted(maps.length, "map")}`;
  return `${attachment}${removed}${others}`;
}
