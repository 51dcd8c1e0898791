import type { CommonConfig } from "./load-config.ts";

type AccessConfig = Pick<
  CommonConfig,
  "natsNkeyFile" | "natsCredsFile" | "natsTlsCa" | "natsTlsCert" | "natsTlsKey"
>;

/** How to prove oneself to NATS, and whom to believe, as the bus takes it: paths of files. */
export function natsAccess(config: AccessConfig) {
  const { natsNkeyFile, natsCredsFile, natsTlsCa, natsTlsCert, natsTlsKey } = config;
  const tls = { caFile: natsTlsCa, certFile: natsTlsCert, keyFile: natsTlsKey };
  const hasTls = Object.values(tls).some((file) => file !== undefined);
  return {
    nkeyFile: natsNkeyFile,
    credsFile: natsCredsFile,
    tls: hasTls ? tls : undefined,
  };
}
