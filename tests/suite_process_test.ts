// What the runner makes of suites that pass, fail, crash, hang, stop early or skip in silence.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runSuite, type SuiteOutcome } from "./suite_process.ts";

async function outcomeOf(source: string, limitMs = 60_000): Promise<SuiteOutcome> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-runner-"));
  try {
    const file = join(folder, "sample_test.ts");
    writeFileSync(file, source);
    const args = ["-A", "--no-check", "--no-config"];
    const suite = { name: "sample", args, files: [file], pure: false, staged: false };
    return await runSuite(suite, false, limitMs);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("runSuite() counts passed and failed tests", async () => {
  const outcome = await outcomeOf(
    'Deno.test("good", () => {}); Deno.test("bad", () => { throw new Error("boom"); });',
  );
  assert.equal(outcome.passed, 1);
  assert.deepEqual(outcome.failures, ["sample: bad"]);
  assert.match(outcome.output, /boom/);
});

Deno.test("runSuite() reports a skip with its reason and fails one without", async () => {
  const outcome = await outcomeOf(
    'Deno.test("good", () => {}); Deno.test.ignore("a [skipped: no GPU]", () => {});' +
      'Deno.test.ignore("b", () => {});',
  );
  assert.deepEqual(outcome.skips, ["sample: a [skipped: no GPU]", "sample: b"]);
  assert.equal(outcome.failures.length, 1);
  assert.match(outcome.failures[0] ?? "", /^sample: b is skipped without a reason/);
});

Deno.test("runSuite() makes a crash by a signal one failure with the suite's name", async () => {
  const outcome = await outcomeOf(
    'Deno.test("good", () => {}); Deno.test("crash", async () => {' +
      'Deno.kill(Deno.pid, "SIGKILL"); await new Promise(() => setTimeout(() => {}, 9999)); });',
  );
  assert.deepEqual(outcome.failures, ["sample: the process crashed with SIGKILL"]);
});

Deno.test("runSuite() kills a suite that hangs", async () => {
  const source = 'Deno.test("hang", () => { while (true); });';
  assert.deepEqual((await outcomeOf(source, 3000)).failures, ["sample: killed after 3 s"]);
});

Deno.test("runSuite() fails a suite that cannot be loaded", async () => {
  const outcome = await outcomeOf('throw new Error("at import");');
  assert.equal(outcome.passed, 0);
  assert.ok(outcome.failures.length > 0);
});

Deno.test("runSuite() fails a file that holds no test", async () => {
  const [failure] = (await outcomeOf("export {};")).failures;
  assert.match(failure ?? "", /^sample: no test of .*sample_test\.ts ran$/);
});
