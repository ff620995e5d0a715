// The JUnit reader on a report in the form that `deno test` writes.

import assert from "node:assert/strict";
import { parseJunitReport } from "./junit_report.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="7" failures="3" errors="0" time="0.018">
    <testsuite name="./a_test.ts" tests="7" disabled="2" errors="0" failures="3">
        <testcase name="parent" classname="./a_test.ts" time="0.002" line="1" col="6">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="a &gt; &quot;b&quot;" classname="./a_test.ts" time="0.002" line="2" col="6">
        </testcase>
        <testcase name="on a GPU [skipped: no &lt;driver&gt;]" classname="./a_test.ts" time="0.0">
            <skipped/>
        </testcase>
        <testcase name="bare skip" classname="./a_test.ts" time="0.0" line="4" col="6">
            <skipped/>
        </testcase>
        <testcase name="parent &gt; fails" classname="./a_test.ts" time="0.001" line="1" col="44">
            <failure message="Uncaught Error: in">Error: in &lt;testcase</failure>
        </testcase>
    </testsuite>
</testsuites>`;

Deno.test("parseJunitReport() gives tests with their outcome and folds steps into them", () => {
  const file = "./a_test.ts";
  assert.deepEqual(parseJunitReport(REPORT), [
    { name: "parent", file, outcome: "failed" },
    { name: 'a > "b"', file, outcome: "passed" },
    { name: "on a GPU [skipped: no <driver>]", file, outcome: "skipped", reason: "no <driver>" },
    { name: "bare skip", file, outcome: "skipped" },
  ]);
});

Deno.test("parseJunitReport() of an empty report is empty", () => {
  assert.deepEqual(parseJunitReport('<testsuites name="deno test" tests="0"></testsuites>'), []);
});
