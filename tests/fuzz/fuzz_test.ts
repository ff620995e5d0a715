// The fuzz as a test: as many of the 20,000 cases as fit into the time, and some survivors on ONNX
// Runtime. `deno task fuzz` runs them all; it names every case that it complains about.

import assert from "node:assert/strict";
import { runFuzz } from "./fuzz_run.ts";
import { SeededRandom } from "./seeded_random.ts";
import { runSessions } from "./session_run.ts";
import { spread } from "./spread.ts";
import { runWatched } from "./watched_process.ts";

const SEED = 1;
const COUNT = 20_000;
/** Fewer only where the machine is very busy; then the test says so and fails. */
const COUNT_MIN = 2_000;
const DEADLINE_MS = 75_000;
const SURVIVORS = 60;

let survivors: readonly number[] = [];

Deno.test("20,000 damaged models end fine or with a coded error, in time and in bounded memory", async () => {
  const report = await runFuzz({ seed: SEED, count: COUNT, workers: 2, deadlineMs: DEADLINE_MS });
  console.log(
    `${report.cases} of ${COUNT} cases of seed ${SEED} in ${DEADLINE_MS / 1000} s at most`,
  );
  assert.deepEqual(report.findings, []);
  assert.ok(report.cases >= COUNT_MIN, `only ${report.cases} cases ran`);
  survivors = spread(report.survivors, SURVIVORS);
  // Damage that every model survives, or none, would test nothing.
  assert.ok(report.survivors.length > report.cases / 10);
  assert.ok(report.outcomes.size > 8);
});

Deno.test("survivors compute the same bits whole, tapped and split, or fail with a coded error", async () => {
  const { outcomes, findings, crashes } = await runSessions(SEED, survivors);
  for (const { index, what } of crashes) {
    console.log(`ONNX Runtime: case ${index} of seed ${SEED}: ${what}`);
  }
  assert.deepEqual(findings, []);
  assert.ok((outcomes.get("same bits") ?? 0) > 0);
});

Deno.test("runWatched() kills a silent process and says so, and passes on crashes and lines", async () => {
  const run = (script: string, onLine: (line: string) => void = () => {}) =>
    runWatched({
      program: Deno.execPath(),
      args: ["eval", script],
      silenceMs: 3000,
    }, onLine);
  const lines: string[] = [];
  assert.deepEqual(await run("console.log('a\\nb')", (line) => void lines.push(line)), {
    isClean: true,
    reason: "",
  });
  assert.deepEqual(lines, ["a", "b"]);
  assert.match((await run("for (;;);")).reason, /^silent for/);
  assert.match((await run("Deno.kill(Deno.pid, 'SIGKILL')")).reason, /^SIGKILL/);
  assert.match((await run("throw new Error('why')")).reason, /why/);
});

Deno.test("SeededRandom draws the same numbers everywhere", () => {
  const random = new SeededRandom(1);
  assert.deepEqual([random.below(1000), random.below(1000), random.below(1000)], [627, 2, 527]);
  assert.equal(random.pick([]), undefined);
});
