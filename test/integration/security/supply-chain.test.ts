import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string) => readFileSync(`${repository}/${path}`, "utf8");

type Manifest = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;
type Locked = {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
};

const manifests = [
  "package.json",
  "cli/package.json",
  "test/package.json",
  "bench/package.json",
].map((path): [string, Manifest] => [path, JSON.parse(read(path)) as Manifest]);
const { packages } = JSON.parse(read("package-lock.json")) as {
  readonly packages: Readonly<Record<string, Locked>>;
};
const fetched = Object.entries(packages).filter(
  ([path, { link }]) => path.includes("node_modules/") && link !== true,
);

/**
 * Packages that have an install script. None is run (.npmrc): koffi's only
 * checks a binary that comes as a package of its own; those of cpu-features and
 * ssh2 compile what makes SSH faster, and protobufjs's prints a notice.
 * testcontainers brings the last three, and uses no SSH here.
 */
const WITH_INSTALL_SCRIPT = ["cpu-features", "koffi", "protobufjs", "ssh2"];

describe("packages", () => {
  it.each(manifests)("%s names exact versions", (_path, manifest) => {
    const wanted = [manifest["dependencies"], manifest["devDependencies"]].flatMap((list) =>
      Object.values(list ?? {}),
    );
    expect(wanted.filter((version) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });

  it("each has a hash, and comes from npm's registry and from nowhere else", () => {
    const isOdd = ({ resolved = "https://registry.npmjs.org/", integrity = "" }: Locked) =>
      !resolved.startsWith("https://registry.npmjs.org/") || !integrity.startsWith("sha512-");
    const odd = fetched.filter(([, locked]) => locked.inBundle !== true && isOdd(locked));
    expect(odd.map(([path]) => path)).toEqual([]);
  });

  it("no install script is run, and those that there are are known", () => {
    expect(read(".npmrc")).toMatch(/^ignore-scripts=true$/m);
    const having = fetched
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//, ""));
    const wanted = having.filter((name) => name !== "fsevents");
    expect(wanted.toSorted()).toEqual(WITH_INSTALL_SCRIPT);
  });
});

describe("build/sbom.json", () => {
  type Component = { readonly name: string; readonly version: string; readonly purl?: string };

  it("names every package that is delivered, libbpf and nats-server, in their versions", () => {
    execFileSync("node", ["scripts/sbom.mjs"], { cwd: repository, stdio: "pipe" });
    const sbom = JSON.parse(read("build/sbom.json")) as {
      readonly bomFormat: string;
      readonly components: readonly Component[];
    };
    expect(sbom.bomFormat).toBe("CycloneDX");
    const versions = new Map(sbom.components.map(({ name, version }) => [name, version]));
    const [, { dependencies = {} }] = manifests[0] ?? ["", {}];
    for (const [name, version] of Object.entries(dependencies)) {
      expect([name, versions.get(name)]).toEqual([name, version]);
    }
    expect(versions.get("libbpf")).toMatch(/^1\.\d/);
    expect(versions.get("nats-server")).toMatch(/^2\.\d+\.\d+/);
    expect(versions.has("vitest")).toBe(false);
  });
});
