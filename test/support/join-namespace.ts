import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { NETNS_FOLDER, type NetworkNamespace } from "./network-namespace.ts";

/** From <sched.h>. */
const CLONE_NEWNET = 0x40000000;

const libc = koffi.load(null);
const setns = libc.func("int setns(int, int)");

/**
 * Moves this process into a network namespace: its sockets and the processes
 * that it starts are there until the result is closed. The kernel moves the
 * calling thread, which in Node is the one that makes all sockets.
 */
export function joinNamespace({ name }: NetworkNamespace): { close(): void } {
  const home = openSync("/proc/self/ns/net", "r");
  enter(`${NETNS_FOLDER}/${name}`);
  return {
    close: () => {
      enterDescriptor(home, "the namespace this process came from");
      closeSync(home);
    },
  };
}

function enter(path: string): void {
  const descriptor = openSync(path, "r");
  enterDescriptor(descriptor, path);
  closeSync(descriptor);
}

function enterDescriptor(descriptor: number, subject: string): void {
  if (setns(descriptor, CLONE_NEWNET) !== 0) {
    throw new Error(`enter ${subject}: errno ${koffi.errno()}; the suites run as root`);
  }
}
