// The fuzz by hand: `deno task fuzz [COUNT [SEED [SURVIVORS]]]`; 20,000 cases of seed 1 by default, of
// which 400 survivors go on to ONNX Runtime. Exits with 1 when there is a finding.
// One case alone: `deno run -A tests/fuzz/case_script.ts SEED N N+1`.

import process from "node:process";
import { type FuzzFinding, runFuzz } from "./fuzz_run.ts";
import { runSessions } from "./session_run.ts";
import { spread } from "./spread.ts";

const [count = 20_000, seed = 1, survivors = 400] = Deno.args.map(Number);
const start = performance.now();

function seconds(): number {
  return Math.round((performance.now() - start) / 1000);
}

function tell(findings: readonly FuzzFinding[], what: string): void {
  for (const finding of findings) {
    console.log(
      `${what}: case ${finding.index} of seed ${seed} (${finding.base}): ${finding.what}\n`,
    );
  }
}

function summary(outcomes: ReadonlyMap<string, number>): string {
  return [...outcomes].sort(([left], [right]) => left < right ? -1 : 1)
    .map(([outcome, times]) => `${outcome} ${times}`).join(", ");
}

const report = await runFuzz({ seed, count, workers: 2 });
tell(report.findings, "finding");
console.log(summary(report.outcomes));
console.log(
  `${report.cases} cases of seed ${seed}, ${report.findings.length} findings, slowest ${
    Math.round(report.slowestMs)
  } ms, ${seconds()} s`,
);
const sessions = await runSessions(seed, spread(report.survivors, survivors));
tell(sessions.findings, "finding");
tell(sessions.crashes, "ONNX Runtime");
console.log(`on ONNX Runtime: ${summary(sessions.outcomes)}; ${seconds()} s in all`);
process.exitCode = report.findings.length + sessions.findings.length === 0 ? 0 : 1;
