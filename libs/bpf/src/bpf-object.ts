import assert from "node:assert/strict";
import type { BpfMap } from "./bpf-map.ts";
import type { BpfProgram } from "./bpf-program.ts";

/** What an object owns, by the names of the ELF. */
export interface ObjectParts {
  readonly path: string;
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: ReadonlyMap<string, BpfProgram>;
}

/**
 * A loaded object: owner of its maps and programs, which `close()` closes. What is pinned or attached lives on.
 * Made by `ObjectSpec.load()`.
 */
export class BpfObject {
  readonly path: string;
  readonly #parts: ObjectParts;
  #closed = false;

  constructor(parts: ObjectParts) {
    this.path = parts.path;
    this.#parts = parts;
  }

  /** The map of that name in the ELF, closed with the object. A name that isn't there is an AssertionError. */
  map(name: string): BpfMap {
    this.#requireOpen();
    const map = this.#parts.maps.get(name);
    assert(map !== undefined, `${this.path} has no map ${name}`);
    return map;
  }

  /** The program of that name in the ELF, closed with the object. A name that isn't there is an AssertionError. */
  program(name: string): BpfProgram {
    this.#requireOpen();
    const program = this.#parts.programs.get(name);
    assert(program !== undefined, `${this.path} has no program ${name}`);
    return program;
  }

  close(): void {
    for (const map of this.#parts.maps.values()) map.close();
    for (const program of this.#parts.programs.values()) program.close();
    this.#closed = true;
  }

  #requireOpen(): void {
    assert(!this.#closed, `the object ${this.path} is used after it was closed`);
  }
}
