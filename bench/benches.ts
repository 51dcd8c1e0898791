/** Every bench, in the order of the page. */
export const benches = [
  "xdp",
  "capture",
  "detection",
  "reaction",
  "end-to-end",
  "floods",
  "scaling",
  "footprint",
  "aggregation",
] as const;
