import { existsSync, mkdirSync, readlinkSync, statfsSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { dirname, resolve } from "node:path";
import { BpfError } from "./bpf-error.ts";
import { Descriptor } from "./descriptor.ts";
import { libbpf } from "./libbpf.ts";
import { libc } from "./libc.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** BPF_FS_MAGIC of <linux/magic.h>. */
const bpffsMagic = 0xcafe4a11;
/** Pins are an interface between services of one owner. */
const pinFolderMode = 0o700;

export type PinnedKind = "map" | "program" | "link";

/** What /proc/self/fd calls a descriptor; the kernel spells a link's in two ways (kernel/bpf/syscall.c). */
const inodeNames: Readonly<Record<PinnedKind, readonly string[]>> = {
  map: ["anon_inode:bpf-map"],
  program: ["anon_inode:bpf-prog"],
  link: ["anon_inode:bpf_link", "anon_inode:bpf-link"],
};

/** Throws NO_BPFFS unless `folder`, or its nearest parent that exists, is on a BPF file system. */
export function requireBpffs(folder: string): void {
  const existing = nearestExisting(resolve(folder));
  const magic = statfsSync(existing).type;
  if (magic === bpffsMagic) return;
  throw new BpfError({
    code: "NO_BPFFS",
    operation: "pin under",
    subject: folder,
    reason: `${existing} is not on a BPF file system`,
    hint: "mount one with 'mount -t bpf bpf /sys/fs/bpf', or give the container the host's /sys/fs/bpf",
  });
}

function nearestExisting(folder: string): string {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder));
}

/** Makes the folder of a pin, with its parents; NO_BPFFS if it would not be on a BPF file system. */
export function makePinFolder(folder: string): void {
  requireBpffs(folder);
  try {
    makeWithParents(folder);
  } catch (cause) {
    throw folderFailure(folder, cause);
  }
}

/** Not Node's recursive mkdir, which says ENOENT where the file system is read-only. */
function makeWithParents(folder: string): void {
  if (existsSync(folder)) return;
  makeWithParents(dirname(folder));
  try {
    mkdirSync(folder, { mode: pinFolderMode });
  } catch (cause) {
    // Another service may have made it meanwhile.
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  }
}

function folderFailure(folder: string, cause: unknown): BpfError {
  const errno = Math.abs((cause as NodeJS.ErrnoException).errno ?? 0);
  return syscallFailure({
    operation: "make pin folder",
    subject: folder,
    errno,
    ...pathHint(folder, errno),
  });
}

/** bpffs answers EPERM to any name with a dot in it ("reserved for future extensions", kernel/bpf/inode.c). */
function pathHint(
  path: string,
  errno: number,
): { readonly code?: "SYSCALL"; readonly hint?: string } {
  if (errno === constants.errno.EROFS) {
    return { hint: "mount the BPF file system read-write where this service sees it" };
  }
  if (errno !== constants.errno.EPERM || !path.includes(".")) return {};
  return {
    code: "SYSCALL",
    hint: "bpffs refuses names with a dot: pass names through bpffsName()",
  };
}

/**
 * A name as bpffs takes it: dots, which it refuses, become "%2e" (and "%" becomes "%25", so that names stay
 * distinct). "eth0.100" becomes "eth0%2e100"; a name without either is unchanged.
 */
export function bpffsName(name: string): string {
  return name.replaceAll("%", "%25").replaceAll(".", "%2e");
}

/** Pins a descriptor, making the folder where needed; PIN_EXISTS, NO_BPFFS. */
export function pinDescriptor(descriptor: Descriptor, path: string): void {
  makePinFolder(dirname(path));
  const status = libbpf().bpf_obj_pin(descriptor.fd, path);
  if (status < 0)
    throw pinFailure({ subject: `${descriptor.subject} at ${path}`, path, errno: -status });
}

function pinFailure({
  subject,
  path,
  errno,
}: {
  subject: string;
  path: string;
  errno: number;
}): BpfError {
  if (errno !== constants.errno.EEXIST)
    return syscallFailure({ operation: "pin", subject, errno, ...pathHint(path, errno) });
  const hint = `open it, or remove it with 'rm ${path}'`;
  return syscallFailure({
    operation: "pin",
    subject,
    errno,
    code: "PIN_EXISTS",
    reason: "something is pinned there",
    hint,
  });
}

/** Removes a pin; false if there was none. What was pinned lives on while something else refers to it. */
export function removePin(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (cause) {
    const { errno = 0, code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return false;
    throw syscallFailure({ operation: "remove pin", subject: path, errno: Math.abs(errno) });
  }
}

/** Opens what is pinned at a path: PIN_MISSING if nothing is, MAP_MISMATCH or SYSCALL if it is of another kind. */
export function openPin(path: string, kind: PinnedKind): Descriptor {
  const fd = libbpf().bpf_obj_get(path);
  if (fd < 0) throw openPinFailure({ path, kind, errno: -fd });
  const found = readlinkSync(`/proc/self/fd/${fd}`);
  if (inodeNames[kind].includes(found)) return new Descriptor(fd, `${kind} pinned at ${path}`);
  libc.close(fd);
  throw new BpfError({
    code: kind === "map" ? "MAP_MISMATCH" : "SYSCALL",
    operation: `open pinned ${kind}`,
    subject: path,
    reason: `the pin holds ${found}`,
    hint: `remove it with 'rm ${path}' if it is left over`,
  });
}

interface OpenPinFailure {
  readonly path: string;
  readonly kind: PinnedKind;
  readonly errno: number;
}

function openPinFailure({ path, kind, errno }: OpenPinFailure): BpfError {
  const operation = `open pinned ${kind}`;
  if (errno !== constants.errno.ENOENT) return syscallFailure({ operation, subject: path, errno });
  requireBpffs(dirname(path));
  const hint = "wait for the service that pins it, or start it";
  return syscallFailure({
    operation,
    subject: path,
    errno,
    code: "PIN_MISSING",
    reason: "nothing is pinned there",
    hint,
  });
}
