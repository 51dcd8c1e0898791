// A `packetwatch` with the real up and down, and a console table and a detach that only leave a trace.
import { appendFileSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { downCommand, upCommand } from "../../../cli/src/up.ts";

const program = new Command("packetwatch");
upCommand(program);
downCommand(program);
program
  .command("tail")
  .requiredOption("--format <format>")
  .action(({ format }: { readonly format: string }) => {
    process.stdout.write(format === "table" ? "TIME SOURCE IP PORT MESSAGE\n" : "{}\n");
    setInterval(() => undefined, 1000);
  });
program.command("detach").action(() => {
  if (process.env["STANDIN_DETACH"] === "refuses") program.error("no permission");
  const folder = path.dirname(process.env["PW_RUN_DIR"] ?? "");
  appendFileSync(path.join(folder, "detached"), `${process.env["PW_IFDEV"]}\n`);
});
await program.parseAsync();
