// Tapped and split plans give the bits of the whole model at optimization "disabled", on everything that
// can be had: PyTorch's exports, trained models from npm, and the ONNX backend suite.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { skippable } from "../skippable.ts";
import { runSuite, type SuiteResult } from "./run_suite.ts";
import { BACKEND_FOLDER, backendModels, fixtureModels, npmModels } from "./suite_models.ts";

function notExact(results: ReadonlyMap<string, SuiteResult>): string[] {
  return [...results].flatMap(([name, result]) => {
    if (result.kind === "single node" || result.kind === "plain fails") return [];
    if (result.kind !== "verified") return [`${name}: ${result.kind}, ${result.why}`];
    return result.status === "exact" && result.bits === 0
      ? []
      : [`${name}: ${result.bits} bits differ`];
  });
}

function verified(
  results: ReadonlyMap<string, SuiteResult>,
): Extract<SuiteResult, { kind: "verified" }>[] {
  return [...results.values()].filter((result) => result.kind === "verified");
}

Deno.test("verify finds 0 differing bits on every torch fixture and export", async () => {
  const results = await runSuite(fixtureModels());
  assert.deepEqual(notExact(results), []);
  assert.ok(verified(results).length >= 19, `verified ${verified(results).length}`);
  assert.ok(verified(results).every(({ taps, segments }) => taps > 0 && segments > 1));
});

Deno.test("verify finds 0 differing bits on every model of the npm packages", async () => {
  const results = await runSuite(npmModels());
  assert.deepEqual(notExact(results), []);
  assert.equal(verified(results).length, 7);
  assert.ok(verified(results).every(({ taps, segments }) => taps > 0 && segments > 1));
});

// Valid models on which ONNX Runtime ends the process or does not come back, whoever calls it.
const ENDS_THE_PROCESS: readonly string[] = ["node/test_if_opt"];

Deno.test({
  ...skippable(
    "verify finds 0 differing bits on every multi-node model of the ONNX backend suite that passes",
    existsSync(BACKEND_FOLDER) ? undefined : "Debian's package libonnx-testdata is not installed",
  ),
  async fn() {
    const results = await runSuite(backendModels());
    const count = (kind: SuiteResult["kind"]): number =>
      [...results.values()].filter((result) => result.kind === kind).length;
    const ended = [...results].filter(([, result]) => result.kind === "process ended").map((
      [name],
    ) => name);
    assert.deepEqual(ended.filter((name) => !ENDS_THE_PROCESS.includes(name)), []);
    assert.deepEqual(
      notExact(results).filter((line) => !ENDS_THE_PROCESS.some((name) => line.startsWith(name))),
      [],
    );
    console.log(
      `${results.size} models: ${count("verified")} exact, ${count("single node")} of one node, ` +
        `${
          count("plain fails")
        } that plain ONNX Runtime does not pass, ${ended.length} that end the process`,
    );
    assert.ok(count("verified") >= 100, `only ${count("verified")} models were verified`);
  },
});
