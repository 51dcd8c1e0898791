// Writes build/sbom.json (CycloneDX): what the bundles are made of, with the libraries and the server they run with.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";

const OUTPUT = "build/sbom.json";

const run = (command, ...args) => execFileSync(command, args, { encoding: "utf8" });

function npmSbom() {
  // From the lock file, so that what happens to be installed makes no difference.
  return JSON.parse(
    run("npm", "sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--omit=dev"),
  );
}

function firstMatch(text, pattern, what) {
  const match = pattern.exec(text);
  if (!match)
    throw new Error(`the version of ${what} is not in ${JSON.stringify(text.slice(0, 200))}`);
  return match[1];
}

const library = (name, version, purl) => ({
  type: "library",
  name,
  version,
  purl,
  "bom-ref": purl,
});

function libbpf() {
  // The library's own file name has the version: libbpf.so.1 -> libbpf.so.1.1.2.
  const path = firstMatch(run("ldconfig", "-p"), /libbpf\.so\.1 .*=> (\S+)/, "libbpf");
  const version = firstMatch(run("readlink", "-f", path), /libbpf\.so\.(\S+)/, "libbpf");
  return library("libbpf", version.trim(), `pkg:generic/libbpf@${version.trim()}`);
}

function natsServer() {
  const version = firstMatch(
    run(".tools/bin/nats-server", "--version"),
    /v(\d+\.\d+\.\d+\S*)/,
    "nats-server",
  );
  const purl = `pkg:golang/github.com/nats-io/nats-server/v2@v${version}`;
  return { ...library("nats-server", version, purl), type: "application" };
}

try {
  const sbom = npmSbom();
  sbom.components.push(libbpf(), natsServer());
  sbom.components.sort((a, b) => (a.name < b.name ? -1 : 1));
  mkdirSync("build", { recursive: true });
  writeFileSync(OUTPUT, `${JSON.stringify(sbom, undefined, 2)}\n`);
  console.log(`${OUTPUT}: ${sbom.components.length} components`);
} catch (error) {
  console.error(`sbom: ${error.message}`);
  process.exitCode = 1;
}
