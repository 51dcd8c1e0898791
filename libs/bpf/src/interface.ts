import { BpfError } from "./bpf-error.ts";
import { Descriptor } from "./descriptor.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { lastErrno, libc } from "./libc.ts";
import { syscallFailure } from "./syscall-failure.ts";

// From <sys/socket.h> and <linux/sockios.h>.
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SIOCGIFMTU = 0x8921;
/** struct ifreq: a name of at most 15 bytes and a NUL, then a union. */
const interfaceRequestBytes = 40;
const interfaceNameBytes = 16;

/**
 * The index of an interface of this process's network namespace (/sys/class/net may show another namespace's).
 * NO_INTERFACE if there is none of that name.
 */
export function interfaceIndex(name: string): number {
  const ifindex = findInterface(name);
  if (ifindex === undefined) throw noInterface("find interface", name);
  return ifindex;
}

/** The same; undefined if there is none of that name. */
export function findInterface(name: string): number | undefined {
  return libc.if_nametoindex(name) || undefined;
}

/** The MTU of an interface in bytes; NO_INTERFACE if there is none of that name. */
export function interfaceMtu(name: string): number {
  interfaceIndex(name);
  const socket = openSocket();
  try {
    return readMtu(socket, name);
  } finally {
    socket.close();
  }
}

function openSocket(): Descriptor {
  const fd = libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) throw syscallFailure({ operation: "open", subject: "a socket", errno: lastErrno() });
  return new Descriptor(fd, "socket");
}

function readMtu(socket: Descriptor, name: string): number {
  const request = Buffer.alloc(interfaceRequestBytes);
  request.write(name, 0, interfaceNameBytes - 1);
  if (libc.ioctl(socket.fd, SIOCGIFMTU, "void *", request) < 0)
    throw noInterface("read MTU of", name);
  return new DataView(request.buffer, request.byteOffset).getInt32(
    interfaceNameBytes,
    hostIsLittleEndian,
  );
}

export function noInterface(operation: string, subject: string): BpfError {
  return new BpfError({
    code: "NO_INTERFACE",
    operation,
    subject,
    errnoName: "ENODEV",
    reason: "no such interface in this network namespace",
    hint: "list them with 'ip link'; a container needs the host's network",
  });
}
