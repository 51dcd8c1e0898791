/** `packetwatch keys`: who may connect to NATS, and as what. */
import { HOST_NAME } from "@packetwatch/config";
import { type Role, roleNames } from "@packetwatch/contracts";
import { type Command, InvalidArgumentError, Argument, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { jsonOption } from "../options.ts";
import { counted, jsonText } from "../printable.ts";
import { renderTable } from "../render-table.ts";
import { print } from "../terminal.ts";
import { KEY_NAME, KeyFolder, type Owners } from "./key-folder.ts";

type InitFlags = { readonly owner?: Owners; readonly json?: true };
type AddFlags = InitFlags & { readonly host?: string };

const FOLDER = "where the keys are kept";

export function keysCommand(program: Command): void {
  const keys = program
    .command("keys")
    .description("make the keys by which NATS knows the services, and its permissions")
    .addHelpText("after", keysHelp);
  keys
    .command("init")
    .argument("<folder>", `${FOLDER}; made where it is missing`, folderArgument)
    .description("make a key for each role that has none; harmless to repeat")
    .addOption(ownerOption())
    .addOption(jsonOption())
    .action(init);
  keys
    .command("add")
    .argument("<folder>", FOLDER, folderArgument)
    .addArgument(new Argument("<role>", "what it may do").choices(roleNames))
    .addArgument(new Argument("<name>", "the name of the key").argParser(keyName))
    .description("make one more key of a role, such as one for each host")
    .option("--host <host>", "the host (PW_HOST) that it may speak for; without it, any", hostName)
    .addOption(ownerOption())
    .addOption(jsonOption())
    .action(add);
  keys
    .command("remove")
    .argument("<folder>", FOLDER, folderArgument)
    .argument("<name>", "the key, as 'packetwatch keys list' shows it")
    .description("take a key away; NATS refuses it once it has read the configuration again")
    .addOption(jsonOption())
    .action(remove);
  keys
    .command("list")
    .argument("<folder>", FOLDER, folderArgument)
    .description("list the keys; seeds are not shown")
    .addOption(jsonOption())
    .action(list);
}

const keysHelp = `
Each key has a folder with its seed, readable by its owner alone. The folder
'nats' has accounts.conf for nats-server: public keys and permissions, nothing
secret. After a change, nats-server reads it again on SIGHUP.
docs/security.md tells how to use them, docs/permissions.md what each role may.

Examples:
  packetwatch keys init /etc/packetwatch/keys
  packetwatch keys add /etc/packetwatch/keys enforcer enforcer-web1 --host web1
  packetwatch keys remove /etc/packetwatch/keys enforcer-web1
`;

function init(folder: string, flags: InitFlags): void {
  const keys = new KeyFolder(folder, flags.owner);
  const made = reporting(folder, () => keys.init());
  if (flags.json) return print(jsonText({ made, accounts: keys.accountsFile }));
  print(made.length === 0 ? "every role has its key already" : `made keys: ${made.join(", ")}`);
  print(`nats-server's part: ${keys.accountsFile}`);
}

function add(folder: string, role: Role, name: string, flags: AddFlags): void {
  const keys = new KeyFolder(folder, flags.owner);
  reporting(folder, () => keys.add({ name, role, host: flags.host }));
  const [seed, accounts] = [keys.seedFile(name), keys.accountsFile];
  if (flags.json) print(jsonText({ made: name, role, host: flags.host ?? null, seed, accounts }));
  else print(`made ${seed}; have nats-server read ${accounts} again`);
}

function remove(folder: string, name: string, flags: { readonly json?: true }): void {
  const keys = new KeyFolder(folder);
  reporting(folder, () => keys.remove(name));
  const accounts = keys.accountsFile;
  if (flags.json) print(jsonText({ removed: name, accounts }));
  else print(`removed ${name}; have nats-server read ${accounts} again`);
}

function list(folder: string, flags: { readonly json?: true }): void {
  const users = reporting(folder, () => new KeyFolder(folder).users());
  if (flags.json) {
    for (const user of users) print(jsonText(user));
    return;
  }
  const rows = users.map(({ name, role, host, publicKey }) => [
    name,
    role,
    host ?? "any",
    publicKey,
  ]);
  print(renderTable([["NAME", "ROLE", "HOST", "PUBLIC KEY"], ...rows]));
  print(counted(users.length, "key"));
}

/** A disk that is full or a folder that is somebody else's is no programmer's error. */
function reporting<T>(folder: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof Error) || !("syscall" in cause)) throw cause;
    throw new CliError("KEY_FOLDER", `keys in ${folder}: ${cause.message}`, { cause });
  }
}

function ownerOption(): Option {
  return new Option(
    "--owner <[role=]uid:gid>",
    "whom the seeds belong to, where a service is another user; once for all, or once for each role",
  ).argParser(addOwner);
}

function addOwner(text: string, owners: Owners = {}): Owners {
  const match = /^(?:([a-z]+)=)?(\d{1,9}):(\d{1,9})$/.exec(text);
  const [, of = "all", uid, gid] = match ?? [];
  if (!match || !["all", ...roleNames].includes(of)) {
    throw new InvalidArgumentError("It is two numbers, such as 1000:1000 or capture=0:0.");
  }
  return { ...owners, [of]: { uid: Number(uid), gid: Number(gid) } };
}

/** A variable that is empty by mistake would make it the current folder. */
function folderArgument(text: string): string {
  if (text !== "") return text;
  throw new InvalidArgumentError("It is empty; the current folder is '.'.");
}

function keyName(text: string): string {
  if (KEY_NAME.test(text)) return text;
  throw new InvalidArgumentError("It is letters, digits, dashes and underscores, at most 64.");
}

/** A key for another name than a service can have would let nobody in. */
function hostName(text: string): string {
  if (HOST_NAME.test(text)) return text;
  throw new InvalidArgumentError(
    "It is letters, digits, dots, dashes and underscores, at most 253, as in PW_HOST.",
  );
}
