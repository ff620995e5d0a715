import assert from "node:assert/strict";
import { create, fromBinary } from "@bufbuild/protobuf";
import { ModelHook } from "../../hooks/model_hook.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { ValueTypes } from "../../pipeline/value_types.ts";
import type { Engine, SessionSource } from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { ModelProtoSchema, ValueInfoProtoSchema } from "onnx-buf";
import { declaredResize, tracedResize } from "../graph/_resize_models.ts";
import { int64s, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { assertSameBits, rampTensor } from "../support/run_model.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, scaleOutputs } from "./_hooks.ts";
import { chainModel } from "./_small_models.ts";
import { blocksModel } from "./residency/_blocks_model.ts";
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

Deno.test("ValueTypes maps no weight where memory is short, and gives the same types", async () => {
  using file = blocksModel();
  const structure = new ModelStructure(file.path);
  const values = structure.graph.nodes.flatMap((node) => node.outputs).filter((name) =>
    !structure.graph.isConstantValue(name)
  );
  const engine = new NapiEngine();
  const plain = await new ValueTypes(structure, engine).require(values);
  const sources: SessionSource[] = [];
  const spying: Engine = {
    name: "napi",
    version: () => engine.version(),
    open: (source, settings) => {
      sources.push(source);
      return engine.open(source, settings);
    },
  };
  const types = new ValueTypes(structure, spying);
  assert.deepEqual(await types.require(values, { isMemoryShort: true }), plain);
  assert.equal(sources.length, 1);
  const [source] = sources;
  assert.ok(source?.kind === "bytes");
  const { graph } = fromBinary(ModelProtoSchema, source.bytes);
  assert.ok(graph?.initializer.every((tensor) => tensor.dataLocation === 0));
});

Deno.test("ValueTypes falls back to the probe with weights when operators want constants", async () => {
  using file = blocksModel();
  const structure = new ModelStructure(file.path);
  const engine = new NapiEngine();
  let refused = 0;
  const picky: Engine = {
    name: "napi",
    version: () => engine.version(),
    open: (source, settings) => {
      const first = refused++ === 0;
      return first ? Promise.reject(new Error("not constant")) : engine.open(source, settings);
    },
  };
  const value = structure.tree.get("blocks.0")?.calls[0]?.outputs[0] ?? assert.fail();
  const types = await new ValueTypes(structure, picky).require([value], { isMemoryShort: true });
  assert.equal(types.get(value)?.dtype, "float32");
  assert.equal(refused, 2);
});

/** Changes nothing, and the plan must cut after the module all the same; before it too with `isAround`. */
class Edit extends ModelHook {
  override readonly name = "edit";
  override readonly access = "edit";

  constructor(isAround: boolean) {
    super();
    if (isAround) this.preForward = (_module: unknown, inputs: TensorMap) => inputs;
    else this.postForward = (_module: unknown, outputs: TensorMap) => outputs;
  }
}

const MODELS = [
  ["was traced from numbers", tracedResize(), float32([4], [0, 0, 0, 0])],
  ["the file declares", declaredResize(), float32([12], [1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1])],
] as const;

for (const [how, bytes, z] of MODELS) {
  Deno.test(`cuts around a Resize keep the length of its sizes, which ${how}`, async () => {
    const feeds = { x: rampTensor([1, 3, 8, 8]), z };
    await using model = await openModel(bytes, { provider: "cpu", optimization: "disabled" });
    const whole = await model.run(feeds);
    const paths = ["m0", "m1", "m2", "m3", "m4"];
    for (const isAround of [false, true]) {
      for (const cut of [...paths.map((path) => [path]), paths]) {
        using stack = new DisposableStack();
        for (const path of cut) stack.use(model.registry(path).register(new Edit(isAround)));
        assert.equal(model.plan().kind, "split");
        assertSameBits(await model.run(feeds), whole);
      }
    }
  });
}
