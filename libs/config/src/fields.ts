import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { AddressError, parseAllowPrefix, type Prefix } from "@packetwatch/net";

/** How one variable's text becomes a value. */
export type Field<T> = {
  /** Completes the sentence "it may hold ...". */
  readonly expected: string;
  /** The value, or undefined where the text isn't one. */
  readonly parse: (text: string) => T | undefined;
};

export const MAX_INTERFACES = 64;
export const MAX_PREFIXES = 1024;
export const MAX_NATS_SERVERS = 64;

/** Linux: IFNAMSIZ is 16 with the final NUL. */
const MAX_INTERFACE_NAME_BYTES = 15;

export function integer(min: number, max: number): Field<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse: (text) => within(/^\d+$/.test(text) ? Number(text) : Number.NaN, min, max),
  };
}

/** Seconds, with decimals. */
export function seconds(min: number, max: number): Field<number> {
  return {
    expected: `seconds from ${min} to ${max}, such as ${Math.min(60, max)} or 0.5`,
    parse: (text) => within(/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN, min, max),
  };
}

/** A number, with decimals. */
export function decimal(min: number, max: number): Field<number> {
  return {
    expected: `a number from ${min} to ${max}, such as 2 or 1.5`,
    parse: (text) => within(/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN, min, max),
  };
}

/** A size in bytes: plain, or with KiB, MiB or GiB. */
export function bytes(min: number, max: number): Field<number> {
  return {
    expected: `a size from ${formatBytes(min)} to ${formatBytes(max)}, such as 16MiB`,
    parse: (text) => {
      const match = /^(\d+)\s*(|KiB|MiB|GiB)$/i.exec(text);
      if (!match) return undefined;
      const unit = { "": 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 }[
        (match[2] ?? "").toLowerCase()
      ];
      return within(Number(match[1]) * (unit ?? Number.NaN), min, max);
    },
  };
}

/** One of a few whole numbers. */
export function integerOf<const T extends number>(...values: readonly T[]): Field<T> {
  return {
    expected: alternatives(values),
    parse: (text) => values.find((value) => String(value) === text),
  };
}

export function boolean(): Field<boolean> {
  const values = new Map([
    ["true", true],
    ["1", true],
    ["false", false],
    ["0", false],
  ]);
  return {
    expected: "True or False (any case), 1 or 0",
    parse: (text) => values.get(text.toLowerCase()),
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Field<T> {
  return {
    expected: alternatives(values),
    parse: (text) => values.find((value) => value === text.toLowerCase()),
  };
}

export function text(expected: string, pattern: RegExp): Field<string> {
  return { expected, parse: (value) => (pattern.test(value) ? value : undefined) };
}

/** Linux: PATH_MAX is 4096 bytes with the final NUL. */
export function path(): Field<string> {
  return {
    expected: "a path of at most 4095 bytes",
    parse: (value) =>
      Buffer.byteLength(value) < 4096 && !value.includes("\0") ? value : undefined,
  };
}

export function listenAddress(): Field<string> {
  return {
    expected: "an address to listen on, such as 0.0.0.0, 127.0.0.1 or ::",
    parse: (value) => (isIP(value) === 0 ? undefined : value),
  };
}

export function interfaces(): Field<readonly string[]> {
  return {
    expected:
      `interface names, separated by commas, such as eth0 or eth0,eth1: ` +
      `at most ${MAX_INTERFACES}, none twice`,
    parse: (value) => {
      const names = splitList(value);
      const isDistinct = new Set(names).size === names.length;
      const isUsable = isDistinct && names.every(isInterfaceName);
      return isUsable && hasBetween(names, 1, MAX_INTERFACES) ? names : undefined;
    },
  };
}

export function prefixes(): Field<readonly Prefix[]> {
  return {
    expected:
      `addresses or CIDRs, separated by commas, such as 192.0.2.0/24,2001:db8::/32: ` +
      `at most ${MAX_PREFIXES}; for all of IPv6 2000::/3, because ::/0 would hold IPv4 too`,
    parse: (value) => {
      const parts = splitList(value);
      return hasBetween(parts, 0, MAX_PREFIXES) ? parsePrefixes(parts) : undefined;
    },
  };
}

export function natsUrls(): Field<readonly string[]> {
  return {
    expected:
      `NATS URLs, separated by commas, such as nats://127.0.0.1:4222 or tls://nats.example: ` +
      `at most ${MAX_NATS_SERVERS}`,
    parse: (value) => {
      const urls = splitList(value);
      return hasBetween(urls, 1, MAX_NATS_SERVERS) && urls.every(isNatsUrl) ? urls : undefined;
    },
  };
}

/** What dev_valid_name in net/core/dev.c accepts, less the comma that separates names here. */
function isInterfaceName(name: string): boolean {
  if (Buffer.byteLength(name) > MAX_INTERFACE_NAME_BYTES) return false;
  return /^[^\s/:]+$/.test(name) && name !== "." && name !== "..";
}

/** Scheme, host, and maybe a user and a port: NATS knows no path, and the client ignores queries. */
function isNatsUrl(url: string): boolean {
  return /^(nats|tls):\/\/[^\s/?#]+$/.test(url) && URL.canParse(url);
}

function splitList(value: string): string[] {
  return value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function parsePrefixes(parts: readonly string[]): Prefix[] | undefined {
  try {
    return parts.map((part) => parseAllowPrefix(part));
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** `a, b or c`. */
function alternatives(values: readonly (string | number)[]): string {
  return `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}

function hasBetween(list: readonly unknown[], min: number, max: number): boolean {
  return list.length >= min && list.length <= max;
}

function within(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}

export function formatBytes(value: number): string {
  for (const [unit, size] of [
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (value >= size && value % size === 0) return `${value / size}${unit}`;
  }
  return String(value);
}
