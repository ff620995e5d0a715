// Tapped and split plans give the bits of the whole model at optimization "disabled", on everything that
// can be had: PyTorch's exports, trained models from npm, and the ONNX backend suite, whose models count
// where onnxruntime-node, called directly, gives what the suite expects.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { skippable } from "../skippable.ts";
import {
  ENDS_THE_PROCESS,
  ENDS_THE_PROCESS_ON_OTHER_INPUTS,
  NOT_PASSED_BY_PLAIN,
  NOTHING_TO_COMPARE,
} from "./backend_known.ts";
import { runSuite, type SuiteResult } from "./run_suite.ts";
import { BACKEND_FOLDER, backendModels, fixtureModels, npmModels } from "./suite_models.ts";

/** What is wrong, a line for each model: whatever is neither exact nor accounted for by name elsewhere. */
function notExact(results: ReadonlyMap<string, SuiteResult>): string[] {
  return [...results].flatMap(([name, result]) => {
    switch (result.kind) {
      case "single node":
      case "plain fails":
      case "nothing to compare":
        return [];
      case "verified":
        return result.status === "exact" && result.bits === 0
          ? []
          : [`${name}: ${result.bits} bits differ`];
      default:
        return [`${name}: ${result.kind}, ${result.why}`];
    }
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

const WITHOUT_BACKEND = existsSync(BACKEND_FOLDER)
  ? undefined
  : "Debian's package libonnx-testdata is not installed";

function namesOf(
  results: ReadonlyMap<string, SuiteResult>,
  is: (result: SuiteResult) => boolean,
): string[] {
  return [...results].filter(([, result]) => is(result)).map(([name]) => name);
}

/** How often plain ONNX Runtime does not pass a model, by reason. */
function reasons(results: ReadonlyMap<string, SuiteResult>, isSingle: boolean): string {
  const counts = new Map<string, number>();
  for (const result of results.values()) {
    if (result.kind !== "plain fails" || result.isSingle !== isSingle) continue;
    counts.set(result.why, (counts.get(result.why) ?? 0) + 1);
  }
  return [...counts].map(([why, count]) => `${why} ${count}`).sort().join(", ");
}

Deno.test({
  ...skippable(
    "verify finds 0 differing bits on every multi-node model of the ONNX backend suite that plain " +
      "onnxruntime-node passes, those with nothing to compare apart",
    WITHOUT_BACKEND,
  ),
  async fn() {
    const models = backendModels();
    const results = await runSuite(models);
    const count = (kind: SuiteResult["kind"]): number =>
      namesOf(results, (result) => result.kind === kind).length;
    const failsIn = (isSingle: boolean): number =>
      namesOf(results, (result) => result.kind === "plain fails" && result.isSingle === isSingle)
        .length;
    console.log(
      `${results.size} models. More than one live node: ${count("verified")} verified, ` +
        `${count("nothing to compare")} with nothing to compare, ` +
        `${failsIn(false)} that plain onnxruntime-node does not pass (${
          reasons(results, false)
        }). ` +
        `One live node: ${count("single node")} with the bits of plain onnxruntime-node, ` +
        `${failsIn(true)} that it does not pass (${reasons(results, true)}). ` +
        `${count("failed")} failed, ${count("process ended")} ended the process`,
    );
    const isListed = (line: string): boolean =>
      ENDS_THE_PROCESS.some((name) => line.startsWith(`${name}: process ended`));
    assert.deepEqual(notExact(results).filter((line) => !isListed(line)), []);
    assert.deepEqual(
      namesOf(results, (result) => result.kind === "process ended").sort(),
      [...ENDS_THE_PROCESS].sort(),
    );
    assert.deepEqual(
      Object.fromEntries(
        [...results].flatMap(([name, result]) =>
          result.kind === "plain fails" && !result.isSingle ? [[name, result.why]] : []
        ),
      ),
      NOT_PASSED_BY_PLAIN,
    );
    assert.deepEqual(
      namesOf(results, (result) => result.kind === "nothing to compare").sort(),
      [...NOTHING_TO_COMPARE].sort(),
    );
    assert.equal(results.size, models.length);
    assert.ok(verified(results).every(({ taps, segments }) => taps > 0 || segments > 1));
    assert.ok(count("verified") >= 107, `only ${count("verified")} models were verified`);
    assert.ok(count("single node") >= 840, `only ${count("single node")} of one node compared`);
  },
});

Deno.test({
  ...skippable(
    "ONNX Runtime still ends the process over test_if_opt with a condition that is true",
    WITHOUT_BACKEND,
  ),
  async fn() {
    assert.deepEqual(ENDS_THE_PROCESS_ON_OTHER_INPUTS, ["node/test_if_opt"]);
    const script = fileURLToPath(new URL("optional_crash_child.ts", import.meta.url));
    const { signal, code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--no-check", script],
      env: { ORT_DISABLE_TELEMETRY: "1" },
      stderr: "null",
    }).output();
    // Loaded and begun, and then nothing: neither a result nor an error that could be caught.
    assert.deepEqual(
      { said: new TextDecoder().decode(stdout), isKilled: signal !== null },
      { said: "running\n", isKilled: true },
      `ONNX Runtime no longer crashes here (exit status ${code}): remove node/test_if_opt from ` +
        "ENDS_THE_PROCESS_ON_OTHER_INPUTS in tests/verify/backend_known.ts, and this test",
    );
  },
});
