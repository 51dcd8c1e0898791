/** Every bench, in the order of the page. */
export const benches = [
  "xdp",
  "capture",
  "detection",
  "reaction",
  "end-to-end",
  "floods",
  "aggregation",
] as const;
