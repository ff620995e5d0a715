import assert from "node:assert/strict";
import { float32, type HooklineError, loadInputs, openModel } from "@hookline/hookline";
import { nanGuard } from "../../../plugins/nan_guard/mod.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";

/** sqrt(x) after a shift: NaN where x < −1, from module `encoder.base` on. */
function shiftedRoot(): Uint8Array {
  return modelBytes({
    nodes: [
      node("Add", ["x", "one"], ["/encoder/shift/Add_output_0"], { name: "/encoder/shift/Add" }),
      node("Sqrt", ["/encoder/shift/Add_output_0"], ["/encoder/base/Sqrt_output_0"], {
        name: "/encoder/base/Sqrt",
      }),
      node("Mul", ["/encoder/base/Sqrt_output_0", "one"], ["y"], { name: "/head/Mul" }),
    ],
    initializers: [floats("one", [1], () => 1)],
    inputs: [valueInfo("x", "float32", [4])],
    outputs: [valueInfo("y", "float32", [4])],
  });
}

async function failure(values: readonly number[], infinities = true): Promise<HooklineError> {
  await using model = await openModel(shiftedRoot(), { provider: "cpu" });
  using _guard = nanGuard({ infinities }).attach(model, { modelName: "m" }) as Disposable;
  try {
    await model.run({ x: float32([4], values) });
  } catch (error) {
    return (error as Error).cause as HooklineError;
  }
  throw new Error("the run went through");
}

Deno.test("nanGuard() names the innermost module that is the first to put out NaN", async () => {
  const error = await failure([1, 2, -3, -4]);
  assert.equal(error.code, "VALUE_NOT_FINITE");
  assert.equal(error.details["module"], "encoder.base");
  assert.equal(error.details["nanCount"], 2);
  assert.equal(error.details["firstIndex"], 2);
});

Deno.test("nanGuard() tells a broken input from a module that breaks", async () => {
  const error = await failure([1, NaN, 2, 3]);
  assert.equal(error.code, "VALUE_NOT_FINITE");
  assert.match(error.message, /input "x" of the model holds 1 NaN before any module ran/);
});

Deno.test("nanGuard() lets infinities pass when they are meant, and NaN never", async () => {
  await using model = await openModel(shiftedRoot(), { provider: "cpu" });
  using _guard = nanGuard({ infinities: false }).attach(model, { modelName: "m" }) as Disposable;
  const { y } = await model.run({ x: float32([4], [Infinity, 0, 1, 2]) });
  assert.equal(y?.data[0], Infinity);
  assert.equal((await failure([Infinity, 0, 1, 2])).details["infinityCount"], 1);
  assert.equal((await failure([-2, 0, 1, 2], false)).details["module"], "encoder.base");
});

Deno.test("nanGuard() lets a healthy model pass with its own bits, and leaves nothing when disposed", async () => {
  const dir = fixturePath("torch", "bert");
  await using model = await openModel(fixturePath("torch", "bert", "model.onnx"), {
    provider: "cpu",
    optimization: "disabled",
  });
  const feeds = await loadInputs({ dir }, model.inputs);
  const plain = await model.run(feeds);
  {
    using _guard = nanGuard().attach(model, { modelName: "bert" }) as Disposable;
    assert.equal(model.plan().kind, "tapped");
    const guarded = await model.run(feeds);
    for (const [name, value] of Object.entries(plain)) {
      assert.deepEqual(guarded[name]?.data, value.data);
    }
  }
  assert.equal(model.plan().kind, "whole");
});

Deno.test("nanGuard() refuses options that it does not have", () => {
  assert.throws(() => nanGuard({ select: "zzz" } as never), {
    code: "OPTION_INVALID",
    fix: "use some of modules, infinities",
  });
});
