// The fuzz as a test: as many of the 20,000 cases as fit into the time (on a machine with nothing else to
// do, all of them), and a sample of survivors on ONNX Runtime. `deno task fuzz` runs all 20,000, however
// long they take; it names every case that it complains about.

import assert from "node:assert/strict";
import { runFuzz } from "./fuzz_run.ts";
import { SeededRandom } from "./seeded_random.ts";
import { runSessions } from "./session_run.ts";
import { spread } from "./spread.ts";
import { runWatched } from "./watched_process.ts";

const SEED = 1;
const COUNT = 20_000;
/** Fewer only where the machine is very busy; then the test fails. */
const COUNT_MIN = 5_000;
const DEADLINE_MS = 100_000;

Deno.test("of 20,000 damaged models of seed 1, as many as 100 s allow and at least 5,000 end fine or with a coded error, each in bounded time and memory", async () => {
  const report = await runFuzz({ seed: SEED, count: COUNT, workers: 2, deadlineMs: DEADLINE_MS });
  const ran = `${report.cases} of ${COUNT} cases of seed ${SEED} ran`;
  console.log(
    report.cases === COUNT
      ? ran
      : `NOT ALL CASES RAN: ${ran}, the time of ${DEADLINE_MS / 1000} s was over`,
  );
  assert.deepEqual(report.findings, []);
  assert.ok(report.cases >= COUNT_MIN, `only ${report.cases} cases ran, not ${COUNT_MIN}`);
  // Damage that every model survives, or none, would test nothing.
  assert.ok(report.survivors.length > report.cases / 10);
  assert.ok(report.survivors.length < report.cases * 9 / 10);
  assert.ok(report.outcomes.size > 8);
});

/** Another seed than above, so that the sample is models that nothing else runs. */
const SESSION_SEED = 2;
const SESSION_CASES = 600;
const SURVIVORS = 90;

Deno.test("survivors compute the same bits whole, tapped and split, at least a third of 90, or fail with a coded error", async () => {
  const { survivors } = await runFuzz({ seed: SESSION_SEED, count: SESSION_CASES, workers: 2 });
  const tried = spread(survivors, SURVIVORS);
  assert.equal(tried.length, SURVIVORS);
  const { outcomes, findings, crashes } = await runSessions(SESSION_SEED, tried);
  const list = [...outcomes].map(([outcome, times]) => `${outcome} ${times}`).sort().join(", ");
  console.log(`${tried.length} survivors of seed ${SESSION_SEED} on ONNX Runtime: ${list}`);
  for (const { index, what } of crashes) {
    console.log(`ONNX Runtime: case ${index} of seed ${SESSION_SEED}: ${what}`);
  }
  assert.deepEqual(findings, []);
  const same = outcomes.get("same bits") ?? 0;
  assert.ok(same >= tried.length / 3, `${same} of ${tried.length} survivors ran: ${list}`);
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
