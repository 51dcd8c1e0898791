/** `packetwatch blocked`: the sources that are blocked on every host. */
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import type { BlockVerdict } from "@packetwatch/contracts";
import type { Command } from "commander";
import { jsonOption, timeoutOption } from "../options.ts";
import { printable } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { JsonFormat } from "../tail/json-format.ts";
import { describeBlock } from "../tail/scan-text.ts";
import { LocalTime } from "../tail/time-text.ts";
import { print } from "../terminal.ts";
import { readBlockList } from "./read-block-list.ts";
import { withBus } from "./with-bus.ts";

type BlockedFlags = { readonly timeout: number; readonly json?: true };

export function blockedCommand(program: Command, from: Environment = environment): void {
  program
    .command("blocked")
    .description("list the sources that are blocked, since when, until when and why")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", blockedHelp)
    .action((flags: BlockedFlags) => blocked(flags, from));
}

const blockedHelp = `
With --json each line is the block as 'packetwatch tail --format json' prints it.

Examples:
  packetwatch blocked
  packetwatch blocked --json | jq -r .source
`;

async function blocked(flags: BlockedFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const nowUs = Date.now() * 1000;
  const work = (bus: Parameters<typeof readBlockList>[0]["bus"]) =>
    readBlockList({ bus, timeoutMs, nowUs });
  const blocks = await withBus({ config, command: "blocked", timeoutMs, work });
  const inOrder = blocks.toSorted((a, b) => a.issuedUs - b.issuedUs);
  if (flags.json) return printJson(inOrder);
  print(renderBlockList(inOrder, nowUs));
}

function printJson(blocks: readonly BlockVerdict[]): void {
  const format = new JsonFormat();
  for (const block of blocks) process.stdout.write(format.block(block));
}

/** The table; `nothing is blocked` where it would be empty. */
export function renderBlockList(blocks: readonly BlockVerdict[], nowUs: number): string {
  if (blocks.length === 0) return "nothing is blocked";
  const time = new LocalTime();
  const rows = blocks.map((block) => [
    block.source,
    block.rule,
    time.format(block.issuedUs),
    describeRemaining(block.expiresUs, nowUs),
    printable(describeBlock(block)),
  ]);
  return renderTable([["SOURCE", "RULE", "SINCE", "EXPIRES IN", "WHY"], ...rows]);
}

const units = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

/** `never`, `2h 5m`: the two largest units. */
export function describeRemaining(expiresUs: number | null, nowUs: number): string {
  if (expiresUs === null) return "never";
  let seconds = Math.max(0, Math.ceil((expiresUs - nowUs) / 1e6));
  const parts: string[] = [];
  for (const [unit, size] of units) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0s";
}
