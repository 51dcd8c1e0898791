import { expect, it } from "vitest";
import { negotiateFormat } from "./negotiate-format.ts";

const OM = "application/openmetrics-text";

it.each([
  [undefined, "prometheus"],
  ["", "prometheus"],
  ["*/*", "prometheus"],
  ["text/plain", "prometheus"],
  [OM, "openmetrics"],
  ["Application/OpenMetrics-Text", "openmetrics"],
  [`${OM};version=1.0.0`, "openmetrics"],
  [`${OM}; version="0.0.1"; charset=utf-8`, "openmetrics"],
  [`${OM};version=2.0.0`, "prometheus"],
  [`${OM};q=0`, "prometheus"],
  [`${OM};q=nonsense`, "prometheus"],
  [`${OM};q=0.3,text/plain;q=0.9`, "prometheus"],
  [`text/plain;q=0.5,${OM};q=0.5`, "openmetrics"],
  // What Prometheus 2.43 and 3.1 send.
  [
    `${OM};version=1.0.0,${OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
    "openmetrics",
  ],
  [
    `${OM};version=1.0.0;escaping=allow-utf-8;q=0.5,${OM};version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1`,
    "openmetrics",
  ],
  [",;=,;;q=,", "prometheus"],
])("Accept: %s is answered with %s", (accept, format) => {
  expect(negotiateFormat(accept)).toBe(format);
});
