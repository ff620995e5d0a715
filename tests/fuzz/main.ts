// The fuzz by hand: `deno task fuzz [COUNT [SEED]]`, 20,000 cases of seed 1 by default. Exits with 1
// when there is a finding. One case alone: `deno run -A tests/fuzz/case_script.ts SEED N N+1 1`.

import process from "node:process";
import { runFuzz } from "./fuzz_run.ts";

const [count = 20_000, seed = 1] = Deno.args.map(Number);
const start = performance.now();
const report = await runFuzz({ seed, count, workers: 2 });
for (const { index, base, what } of report.findings) {
  console.log(`case ${index} of seed ${seed} (${base}): ${what}\n`);
}
const outcomes = [...report.outcomes].sort(([left], [right]) => left < right ? -1 : 1);
console.log(outcomes.map(([outcome, times]) => `${outcome} ${times}`).join(", "));
console.log(
  `${report.cases} cases of seed ${seed}, ${report.findings.length} findings, slowest ${
    Math.round(report.slowestMs)
  } ms, ${Math.round((performance.now() - start) / 1000)} s`,
);
process.exitCode = report.findings.length === 0 ? 0 : 1;
