import assert from "node:assert/strict";
import type { ValueSpec } from "../../sessions/engine.ts";
import { FetchGuard } from "../../sessions/fetch_guard.ts";
import { expectCode } from "./expect_code.ts";

const OUTPUTS: readonly ValueSpec[] = [
  { name: "sum", isTensor: true, dtype: "float32", shape: null },
  { name: "items", isTensor: false, dtype: null, shape: null },
  { name: "negated", isTensor: true, dtype: "float32", shape: [1] },
];

Deno.test("FetchGuard.check() lets every tensor output pass, in any order", () => {
  const guard = new FetchGuard(OUTPUTS, "the model");
  guard.check(["negated", "sum"]);
  guard.check(["sum"]);
  assert.deepEqual(guard.names, ["sum", "items", "negated"]);
  assert.deepEqual(guard.tensorNames, ["sum", "negated"]);
});

Deno.test("FetchGuard.check() refuses unknown names, values that are no tensors, and nothing", async () => {
  const guard = new FetchGuard(OUTPUTS, "the model");
  const check = (fetches: readonly string[]) => () => Promise.resolve(guard.check(fetches));
  const unknown = await expectCode("FETCH_UNKNOWN", async () => await check(["sum", "negate"])());
  assert.deepEqual(unknown.details["unknown"], ["negate"]);
  assert.match(unknown.fix, /did you mean "negated"/);
  const sequence = await expectCode("FETCH_UNKNOWN", async () => await check(["items"])());
  assert.deepEqual(sequence.details["notTensors"], ["items"]);
  const none = await expectCode("FETCH_UNKNOWN", async () => await check([])());
  assert.match(none.message, /cannot run the model: no output was asked for/);
});
