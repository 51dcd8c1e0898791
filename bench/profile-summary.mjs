// Prints where the time of CPU profiles went: node bench/profile-summary.mjs FILE.cpuprofile ...
import { readFileSync } from "node:fs";
import { basename } from "node:path";

const SHOWN = 35;

function selfTimes({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const times = new Map();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const { functionName, url, lineNumber } = byId.get(id).callFrame;
    const name = `${functionName || "(anonymous)"} ${basename(url)}:${lineNumber + 1}`;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[index]);
    total += timeDeltas[index];
  }
  return { times, total };
}

for (const file of process.argv.slice(2)) {
  const { times, total } = selfTimes(JSON.parse(readFileSync(file, "utf8")));
  console.log(`${file}: ${(total / 1e6).toFixed(1)} s`);
  const largest = [...times].sort(([, a], [, b]) => b - a).slice(0, SHOWN);
  for (const [name, us] of largest) {
    console.log(`${((us / total) * 100).toFixed(1).padStart(6)} %  ${name}`);
  }
}
