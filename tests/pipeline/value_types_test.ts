import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { ValueTypes } from "../../pipeline/value_types.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { float32 } from "../../tensor/tensor.ts";
import { ValueInfoProtoSchema } from "onnx-buf";
import { int64s, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, scaleOutputs } from "./_hooks.ts";
import { chainModel } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

/** `m` puts x into a sequence, `n` takes it out: a sequence between two modules. */
function sequenceModel(): Uint8Array<ArrayBuffer> {
  return modelBytes({
    nodes: [
      node("Neg", ["x"], ["a"], { name: "/m/Neg" }),
      node("SequenceConstruct", ["a", "x"], ["items"], { name: "/m/Sequence" }),
      node("SequenceAt", ["items", "zero"], ["b"], { name: "/n/At" }),
      node("Neg", ["b"], ["c"], { name: "/n/Neg" }),
      node("Neg", ["c"], ["y"], { name: "/o/Neg" }),
    ],
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [valueInfo("y", "float32", [2])],
    initializers: [int64s("zero", [0], [])],
  });
}

Deno.test("ValueTypes reads types from one probe and keeps them", async () => {
  const spy = new SpyEngine();
  const types = new ValueTypes(new ModelStructure(chainModel()), spy);
  const found = await types.require(["x", "s0", "h1"]);
  assert.deepEqual([...found.keys()], ["x", "s0", "h1"]);
  for (const type of found.values()) assert.deepEqual(type, { dtype: "float32", shape: ["n", 2] });
  assert.equal(spy.opened.length, 1);
  await types.require(["h1", "s0"]);
  assert.equal(spy.opened.length, 1);
  await types.require(["h0"]);
  assert.equal(spy.opened.length, 2);
  assert.ok(spy.opened.every(({ session }) => session.released));
  const { settings } = spy.opened[0] ?? assert.fail();
  assert.deepEqual([settings.optimization, settings.prepacking], ["disabled", false]);
  assert.equal(sessionLedger.count, 0);
});

Deno.test("ValueTypes names the values that cannot cross and finds the others", async () => {
  const types = new ValueTypes(new ModelStructure(sequenceModel()), new SpyEngine());
  const error = await expectCode("PLAN_VALUE_TYPE", () => types.require(["a", "items", "c"]));
  assert.deepEqual(error.details["values"], ["items"]);
  assert.equal((await types.require(["a", "c"])).size, 2);
  assert.equal(sessionLedger.count, 0);
});

Deno.test("ValueTypes throws what ONNX Runtime says of a model that it refuses", async () => {
  const bytes = modelBytes({
    nodes: [node("NoSuchOperator", ["x"], ["a"]), node("Neg", ["a"], ["y"])],
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [create(ValueInfoProtoSchema, { name: "y" })],
  });
  const types = new ValueTypes(new ModelStructure(bytes), new SpyEngine());
  await expectCode("SESSION_CREATE", () => types.require(["a"]));
  assert.equal(sessionLedger.count, 0);
});

Deno.test("a cut or a tap at a sequence is refused before anything runs; others work", async () => {
  const spy = new SpyEngine();
  await using model = await openModel(sequenceModel(), { engine: spy, provider: "cpu" });
  const feeds = { x: float32([2], [1, 2]) };
  for (const one of [scaleOutputs("edit", 2), hook({ name: "see", postForward: () => {} })]) {
    await using _ = model.registry("m").register(one);
    const error = await expectCode("PLAN_VALUE_TYPE", () => model.run(feeds));
    assert.deepEqual(error.details["values"], ["items"]);
    assert.equal(spy.runs.length, 0);
  }
  model.registry("n").register(scaleOutputs("edit", 2));
  model.registry("").register(hook({ name: "see", postForward: () => {} }));
  assert.deepEqual((await model.run(feeds))["y"]?.data, Float32Array.of(-2, -4));
});
