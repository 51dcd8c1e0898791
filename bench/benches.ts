/** Every bench, in the order of the page. */
export const benches = ["xdp", "detection", "aggregation"] as const;
