import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cleanup } from "../../test/support/cleanup.ts";
import {
  connectNamespaces,
  createNetworkNamespace,
  type NetworkNamespace,
} from "../../test/support/network-namespace.ts";

const XDP_DROP = 1;

/** What `xdp-filter load -f` takes, each on a veth of its own; without the option it is `all`. */
export const filterFeatures = ["all", "ipv4"] as const;
export type FilterFeatures = (typeof filterFeatures)[number];

export type XdpFilterOptions = {
  readonly source: string;
  /** A frame of that source. */
  readonly frame: Uint8Array;
};

/** xdp-filter of Debian's xdp-tools, dropping one source. */
export class XdpFilter {
  readonly #ids = new Map<FilterFeatures, string>();
  readonly #frame: string;

  /** It keeps its maps under one name for the whole machine: nobody else may use it meanwhile. */
  constructor({ source, frame }: XdpFilterOptions, cleanup: Cleanup) {
    const namespace = cleanup.own(createNetworkNamespace(`pwb${process.pid}-filter`));
    const peer = cleanup.own(createNetworkNamespace(`pwb${process.pid}-peer`));
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-xdp-filter-"));
    cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
    for (const features of filterFeatures) {
      const ends = [namespace, peer].map((end) => ({
        namespace: end,
        interfaceName: `pw-${features}`,
        addresses: [],
      }));
      connectNamespaces(ends[0]!, ends[1]!);
      namespace.run("xdp-filter", ["load", "-f", features, `pw-${features}`]);
      cleanup.defer(() => namespace.run("xdp-filter", ["unload", `pw-${features}`]));
      this.#ids.set(features, programId(namespace, `pw-${features}`));
    }
    namespace.run("xdp-filter", ["ip", "-m", "src", source]);
    this.#frame = join(folder, "frame");
    writeFileSync(this.#frame, frame);
  }

  /** Nanoseconds a packet. */
  dropNs(features: FilterFeatures, repeat: number): number {
    const id = this.#ids.get(features) ?? "";
    const input = ["data_in", this.#frame, "repeat", String(repeat)];
    const printed = execFileSync("bpftool", ["-j", "prog", "run", "id", id, ...input], {
      encoding: "utf8",
    });
    const { retval, duration } = JSON.parse(printed) as { retval: number; duration: number };
    if (retval !== XDP_DROP) throw new Error(`xdp-filter -f ${features} dropped nothing`);
    return duration;
  }
}

function programId(namespace: NetworkNamespace, interfaceName: string): string {
  const shown = namespace.ip("-j", "-d", "link", "show", interfaceName);
  const [link] = JSON.parse(shown) as { xdp?: { prog?: { id?: number } } }[];
  const id = link?.xdp?.prog?.id;
  if (id === undefined) throw new Error(`xdp-filter attached nothing: ${shown}`);
  return String(id);
}
