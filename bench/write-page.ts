/** Writes docs/benchmarks.md from the results that are there. */
import { writePage } from "./harness/benchmarks-page.ts";
import benches from "./benches.json" with { type: "json" };

writePage(benches);
