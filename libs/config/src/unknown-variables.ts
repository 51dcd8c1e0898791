import type { Environment } from "./load-config.ts";
import { type Variable, variables } from "./variables.ts";

/** No more than this many are named, each cut to this length. */
const MAX_UNKNOWN_NAMED = 32;
const MAX_NAME_CHARACTERS = 64;

const knownNames = Object.values<Variable>(variables).map(({ name }) => name);

/**
 * The `PW_` variables of an environment that nothing reads, most likely typing errors, each with
 * the known names that are nearest: `PW_IFDEF (did you mean PW_IFDEV?)`.
 */
export function unknownVariables(from: Environment): string[] {
  const known = new Set(knownNames);
  const unknown = Object.keys(from).filter((name) => name.startsWith("PW_") && !known.has(name));
  return unknown
    .slice(0, MAX_UNKNOWN_NAMED)
    .map((name) => withSuggestion(name.slice(0, MAX_NAME_CHARACTERS)));
}

function withSuggestion(name: string): string {
  const nearest = nearestNames(name);
  return nearest.length === 0 ? name : `${name} (did you mean ${nearest.join(" or ")}?)`;
}

/** All known names at the least distance; none where that is over a third of the name. */
function nearestNames(name: string): string[] {
  const distances = knownNames.map((known) => editDistance(name.toUpperCase(), known));
  const least = Math.min(...distances);
  return least > name.length / 3 ? [] : knownNames.filter((_, index) => distances[index] === least);
}

/** Levenshtein's: how many characters to insert, remove or replace. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, character] of from.split("").entries())
    row = nextRow(row, index + 1, character, to);
  return row[to.length] ?? 0;
}

function nextRow(above: readonly number[], first: number, character: string, to: string): number[] {
  const row = [first];
  for (let column = 1; column <= to.length; column++) {
    const inserted = (row[column - 1] ?? 0) + 1;
    const removed = (above[column] ?? 0) + 1;
    const replaced = (above[column - 1] ?? 0) + (to[column - 1] === character ? 0 : 1);
    row.push(Math.min(inserted, removed, replaced));
  }
  return row;
}
