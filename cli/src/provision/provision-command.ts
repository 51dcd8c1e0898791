/** `packetwatch provision`: makes NATS ready for the services. */
import { provisionStreams } from "@packetwatch/bus";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { streamSpecs } from "@packetwatch/contracts";
import { streamSizes } from "@packetwatch/detection";
import type { Command } from "commander";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { withoutSecrets } from "../connect-cli.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { jsonText } from "../printable.ts";
import { print } from "../terminal.ts";

type ProvisionFlags = { readonly timeout: number; readonly json?: true };

export function provisionCommand(program: Command, from: Environment = environment): void {
  program
    .command("provision")
    .description("create the streams that are missing in NATS, and update those that differ")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", provisionHelp)
    .action((flags: ProvisionFlags) => provision(flags, from));
}

const provisionHelp = `
A detector makes what is missing, too, when it starts and when NATS comes back,
and changes nothing. Where NATS knows roles this needs the provisioner's key
(docs/security.md). The variables that size the streams are a detector's:
PW_SYN_STREAM_BYTES, PW_MAX_VERDICTS, PW_HISTORY_SECONDS, PW_HISTORY_BYTES,
PW_STREAM_REPLICAS, PW_SYN_STORAGE and the windows of the rules. Doing it twice is
harmless.

Examples:
  packetwatch provision
  packetwatch provision --timeout 60   wait a minute for NATS
  PW_NATS_NKEY_FILE=keys/provisioner/user.nk packetwatch provision
`;

async function provision({ timeout, json }: ProvisionFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const specs = streamSpecs(streamSizes(loadConfig("detector", from)));
  const timeoutMs = timeout * 1000;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await withBus({
      config,
      command: "provision",
      timeoutMs,
      work: (bus) => provisionStreams(bus, specs, { signal, whenForbidden: "fail" }),
    });
  } catch (cause) {
    if (!isAbort(cause)) throw cause;
    const detail = `provision streams at ${withoutSecrets(config.natsServers)}: JetStream wasn't ready within ${timeout} s; is it enabled there ('jetstream {}')? --timeout waits longer`;
    throw new CliError("NOT_PROVISIONED", detail, { cause });
  }
  for (const { name } of specs)
    print(json ? jsonText({ provisioned: name }) : `provisioned ${name}`);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
