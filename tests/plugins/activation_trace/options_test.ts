// What a trace refuses before any model is touched.

import assert from "node:assert/strict";
import { activationTrace } from "../../../plugins/activation_trace/mod.ts";
import {
  type ActivationTraceOptions,
  resolveOptions,
} from "../../../plugins/activation_trace/options.ts";
import { traceFromEnvironment } from "../../../plugins/activation_trace/mod.ts";
import { expectCode } from "../../sessions/expect_code.ts";

const refused = (options: object) => async (): Promise<string> => {
  const error = await expectCode(
    "OPTION_INVALID",
    () => activationTrace(options as ActivationTraceOptions),
  );
  return `${error.message} ${error.fix}`;
};

Deno.test("activationTrace() has FastVideo's defaults", () => {
  const { stats, steps, selector, output, mode } = resolveOptions({});
  assert.deepEqual(stats, ["abs_mean", "sum"]);
  assert.deepEqual([steps, selector], [null, null]);
  assert.deepEqual([output, mode], ["<tmp>/hookline_trace_<pid>.jsonl", "append"]);
  assert.deepEqual(resolveOptions({ stats: "", steps: " ", layers: "", output: "" }).stats, stats);
});

Deno.test("activationTrace() takes lists and the texts of the variables", () => {
  const text = resolveOptions({ stats: " max , sum,,std", steps: "0, -2,+7" });
  const list = resolveOptions({ stats: ["max", "sum", "std"], steps: [0, -2, 7] });
  assert.deepEqual(text.stats, ["max", "sum", "std"]);
  assert.deepEqual(list.stats, text.stats);
  assert.deepEqual([...text.steps ?? []], [0, -2, 7]);
  assert.deepEqual(list.steps, text.steps);
});

Deno.test("activationTrace() refuses unknown and repeated statistics, and a list of none", async () => {
  assert.match(
    await refused({ stats: "abs_mean,variance" })(),
    /"variance".*use some of abs_mean, /,
  );
  assert.match(await refused({ stats: "Sum" })(), /"Sum"/); // case counts
  assert.match(await refused({ stats: "sum,sum" })(), /named twice/);
  assert.match(await refused({ stats: "," })(), /names none/);
  await refused({ stats: [] })();
  await refused({ stats: ["toString"] })();
});

Deno.test("activationTrace() refuses malformed step lists, and a list of none", async () => {
  for (const steps of ["a", "1.5", "0;1", "1e3", "0x1", "0-9", ",", [0.5], [], [NaN]]) {
    await refused({ steps })();
  }
});

Deno.test("activationTrace() takes layers or select, not both", async () => {
  await refused({ layers: "a", select: "b" })();
  assert.equal(resolveOptions({ layers: "layer\\.0$" }).selector, "/layer\\.0$/");
  assert.equal(resolveOptions({ layers: "/ATTN/i" }).selector, "/ATTN/i");
  assert.equal(resolveOptions({ layers: "a|b/c" }).selector, "/a|b/c/");
});

Deno.test("traceFromEnvironment() names the variable that is wrong", async () => {
  const from = (variables: Record<string, string>) => () =>
    traceFromEnvironment((name) => variables[name]);
  const stats = await expectCode("OPTION_INVALID", from({ HOOKLINE_TRACE_STATS: "mad" }));
  assert.match(stats.message, /"mad" \(from HOOKLINE_TRACE_STATS\)$/);
  assert.equal(stats.details["variable"], "HOOKLINE_TRACE_STATS");
  const steps = await expectCode("OPTION_INVALID", from({ HOOKLINE_TRACE_STEPS: "one" }));
  assert.match(steps.message, /HOOKLINE_TRACE_STEPS/);
  assert.equal(from({})().name, "activation-trace-environment");
});

Deno.test("activationTrace() refuses options that it does not have, and texts of another kind", async () => {
  assert.match(await refused({ outputs: "a" })(), /there is no such option.*output/);
  assert.match(await refused({ output: 3 })(), /output.*type number/);
  assert.match(await refused({ layers: /a/ })(), /layers.*type object/);
});
