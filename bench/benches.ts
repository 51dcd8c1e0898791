/** Every bench, in the order of the page. */
export const benches = ["xdp", "capture", "detection", "reaction", "aggregation"] as const;
