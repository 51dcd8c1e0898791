import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export type Certificate = { readonly certFile: string; readonly keyFile: string };

/** A certificate authority in a folder, made by openssl; what it signs is for 127.0.0.1 and both directions. */
export class CertificateAuthority {
  readonly certFile: string;
  readonly #keyFile: string;
  readonly #folder: string;
  readonly #name: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#name = name;
    this.certFile = join(folder, `${name}.pem`);
    this.#keyFile = join(folder, `${name}.key`);
    openssl(
      ...["req", "-x509", ...NEW_KEY, "-keyout", this.#keyFile, "-out", this.certFile],
      ...["-days", "2", "-subj", `/CN=${name}`],
    );
  }

  issue(subject: string): Certificate {
    const path = (extension: string) => join(this.#folder, `${this.#name}-${subject}.${extension}`);
    const [certFile, keyFile] = [path("pem"), path("key")];
    writeFileSync(path("ext"), "subjectAltName=IP:127.0.0.1\n");
    openssl("req", ...NEW_KEY, "-keyout", keyFile, "-out", path("csr"), "-subj", `/CN=${subject}`);
    openssl(
      ...["x509", "-req", "-in", path("csr"), "-CA", this.certFile, "-CAkey", this.#keyFile],
      ...["-CAcreateserial", "-out", certFile, "-days", "2", "-extfile", path("ext")],
    );
    return { certFile, keyFile };
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", [...args], { stdio: "pipe" });
}
