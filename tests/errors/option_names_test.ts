import assert from "node:assert/strict";
import { HooklineError } from "../../errors/hookline_error.ts";
import { requireOptions } from "../../errors/option_names.ts";

const KNOWN = ["optimization", "threads"];

function refused(options: unknown): HooklineError {
  try {
    requireOptions("open a model", options, KNOWN);
  } catch (error) {
    assert.ok(error instanceof HooklineError && error.code === "OPTION_INVALID");
    return error;
  }
  assert.fail("nothing was refused");
}

Deno.test("requireOptions() lets known names pass", () => {
  requireOptions("open a model", {}, KNOWN);
  requireOptions("open a model", { threads: undefined, optimization: 1 }, KNOWN);
});

Deno.test("requireOptions() names the nearest options, or all of them", () => {
  const error = refused({ optimisation: "all" });
  assert.match(error.message, /cannot open a model: there is no option "optimisation"/);
  assert.equal(error.fix, 'did you mean "optimization"?');
  assert.deepEqual(error.details, { option: "optimisation", nearest: ["optimization"] });
  assert.equal(refused({ zz: 1 }).fix, "use some of optimization, threads");
});

Deno.test("requireOptions() refuses what is no object", () => {
  assert.match(refused(null).message, /its options are null/);
  assert.match(refused("cpu").message, /of type string/);
});
