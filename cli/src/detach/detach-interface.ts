import { readdirSync, rmdirSync } from "node:fs";
import path from "node:path";
import { BpfError, bpffsName, openPinnedLink, removePin } from "@packetwatch/bpf";
import { LINK_PIN_NAME, mapNames } from "@packetwatch/contracts";
import { CliError } from "../cli-error.ts";

/** What was taken off one interface. */
export type Detached = {
  readonly interface: string;
  /** Whether XDP was attached by a link of ours. */
  readonly link: boolean;
  /** Names of the maps whose pins were removed. */
  readonly maps: readonly string[];
  /** What else lies in the folder of the pins: not ours, and left there. */
  readonly left: readonly string[];
};

/**
 * Detaches the pinned link of an interface, then removes the pins and their
 * folder. Nothing there is no error. Throws BpfError, NO_PERMISSION above all.
 */
export function detachInterface(pinDir: string, name: string): Detached {
  const folder = path.join(pinDir, bpffsName(name));
  const link = detachLink(path.join(folder, LINK_PIN_NAME));
  // Files of these names on another file system are not pins, and not ours.
  if (link === "no bpffs") return { interface: name, link: false, maps: [], left: [] };
  const maps = Object.values(mapNames).filter((map) => removePin(path.join(folder, map)));
  const left = removeEmptyFolder(folder);
  if (left.length === 0) removeIfLast(pinDir);
  return { interface: name, link: link === "detached", maps, left };
}

/** The interfaces with a pin of ours under `pinDir`, by the names of their folders. */
export function pinnedInterfaces(pinDir: string): readonly string[] {
  return listFolder(pinDir)
    .filter((folder) => listFolder(path.join(pinDir, folder)).some(isOurs))
    .map(interfaceOfFolder);
}

/** The reverse of bpffsName(). */
export function interfaceOfFolder(folder: string): string {
  return folder.replaceAll("%2e", ".").replaceAll("%25", "%");
}

function isOurs(pin: string): boolean {
  return pin === LINK_PIN_NAME || Object.values<string>(mapNames).includes(pin);
}

type LinkOutcome = "detached" | "absent" | "no bpffs";

/** Detached, and not only unpinned: a capture that still runs holds the link open. */
function detachLink(pin: string): LinkOutcome {
  try {
    const link = openPinnedLink(pin);
    try {
      link.detach();
    } finally {
      link.close();
    }
  } catch (error) {
    if (error instanceof BpfError && error.code === "PIN_MISSING") return "absent";
    if (error instanceof BpfError && error.code === "NO_BPFFS") return "no bpffs";
    throw error;
  }
  removePin(pin);
  return "detached";
}

/** Returns what keeps the folder from being removed. */
function removeEmptyFolder(folder: string): readonly string[] {
  const left = listFolder(folder);
  if (left.length > 0) return left;
  try {
    rmdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw folderFailure("remove", folder, error);
  }
  return [];
}

/** The folder of all interfaces goes with the last one; it stays where it is in use, or a mount point. */
function removeIfLast(pinDir: string): void {
  try {
    rmdirSync(pinDir);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EBUSY", "EPERM", "EACCES"].includes(codeOf(error)))
      throw folderFailure("remove", pinDir, error);
  }
}

/** Sorted; a folder that isn't there, or is none, has no entries. */
function listFolder(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw folderFailure("list", folder, error);
  }
}

function folderFailure(operation: string, folder: string, cause: unknown): CliError {
  const detail = `${operation} ${folder}: ${codeOf(cause)}; run it as root (sudo)`;
  return new CliError("PIN_FOLDER", detail, { cause });
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | null)?.code ?? String(error);
}
