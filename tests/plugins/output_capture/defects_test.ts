// TD1 to TD14: the defects of transformers' output capturing that this plugin does not have.

import assert from "node:assert/strict";
import { float32, type Model, openModel, type TensorMap } from "../../../mod.ts";
import {
  type NestingPolicy,
  outputCapture,
  OutputRecorder,
  partialCaptures,
} from "../../../plugins/output_capture/mod.ts";
import { hook, mapped, scaleOutputs } from "../../pipeline/_hooks.ts";
import { chainFeeds, chainModel, chainOutput, first } from "../../pipeline/_small_models.ts";
import { SpyEngine } from "../../pipeline/_spy_engine.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { decoderModel, difference, fixture, valueOf } from "./_models.ts";

const LAYERS = { keys: { hidden_states: "layers.*" } };
const openChain = (): Promise<Model> => openModel(chainModel(), { provider: "cpu" });

/** A replacing hook that runs another capture before the original. */
function running(inner: () => Promise<unknown>) {
  return hook({
    name: "nested",
    access: "replace",
    newForward: async (_call, _inputs, original) => {
      await inner();
      return await original();
    },
  });
}

/** A replacing hook that never runs the module: it returns zeros. */
const skip = hook({
  name: "skip",
  access: "replace",
  newForward: (call, inputs) => {
    const [given] = Object.values(inputs);
    assert.ok(given);
    return Object.fromEntries(call.outputNames.map((name) => [name, float32(given.shape, [0, 0])]));
  },
});

for (const nesting of ["shadow", "stack"] as const) {
  Deno.test(
    `TD1 a captured run inside a captured run: ${nesting} ${
      nesting === "stack"
        ? "gives each level the inner captures"
        : "hides them from the outer level"
    }`,
    async () => {
      await using outerModel = await openChain();
      await using innerModel = await openModel(chainModel(2), { provider: "cpu" });
      const outer = outputCapture(outerModel, LAYERS);
      const inner = outputCapture(innerModel, { ...LAYERS, nesting });
      let seen: readonly (number | null)[] = [];
      outerModel.registry("layers.1").register(running(async () => {
        const { captures } = await inner.run(chainFeeds(10), { hidden_states: true });
        seen = captures.hidden_states.map(valueOf);
      }));
      const result = await outer.run(chainFeeds(1), { hidden_states: true });
      assert.deepEqual(seen, [10, 21, 65], "the inner level has its own in any case");
      assert.deepEqual(result.captures.hidden_states.map(valueOf), [1, 3, 11, 47]);
      const found = result.inner.map(({ model, captures }) => [
        model,
        captures["hidden_states"]?.map(valueOf),
      ]);
      assert.deepEqual(found, nesting === "stack" ? [["bytes", [10, 21, 65]]] : []);
    },
  );
}

Deno.test("TD1 a scope of the same capture: stack fills both levels, shadow the inner one alone", async () => {
  await using model = await openChain();
  const nested = (nesting: NestingPolicy) => {
    const capture = outputCapture(model, { ...LAYERS, nesting });
    return capture.collect(
      { hidden_states: true },
      () => capture.run(chainFeeds(1), { hidden_states: true }),
    );
  };
  const { runs, value } = await nested("stack");
  assert.deepEqual(value.captures.hidden_states.map(valueOf), [1, 3, 11, 47]);
  assert.deepEqual(runs.map((run) => run.captures["hidden_states"]?.map(valueOf)), [[
    1,
    3,
    11,
    47,
  ]]);
  const error = await expectCode("CAPTURE_EMPTY", () => nested("shadow"));
  assert.equal(error.details["key"], "hidden_states");
});

Deno.test("TD1 a scope that asks for nothing shadows all the same, and stacks all the same", async () => {
  await using model = await openChain();
  for (const [nesting, count] of [["shadow", 0], ["stack", 1]] as const) {
    const outer = outputCapture(model, { ...LAYERS, onEmpty: "ignore" });
    const inner = outputCapture(model, { ...LAYERS, nesting });
    const { runs } = await outer.collect(
      { hidden_states: true },
      () => inner.run(chainFeeds(1), {}),
    );
    assert.equal(runs.length, count, nesting);
  }
});

Deno.test("TD2 a requested key whose modules never run is an error by default", async () => {
  await using model = await openChain();
  model.registry("layers.1").register(skip);
  const keys = { inner: "layers.1.scale" };
  const error = await expectCode(
    "CAPTURE_EMPTY",
    () => outputCapture(model, { keys }).run(chainFeeds(1), { inner: true }),
  );
  assert.match(error.message, /"inner".*layers\.1\.scale/);
  const lenient = outputCapture(model, { keys, onEmpty: "ignore" });
  const { captures, outputs } = await lenient.run(chainFeeds(1), { inner: true });
  assert.deepEqual(captures.inner, [null]);
  assert.equal(first(outputs), 3);
});

Deno.test("TD2 a key whose declaration matches nothing is an error before anything runs", async () => {
  const engine = new SpyEngine();
  await using model = await openModel(chainModel(), { provider: "cpu", engine });
  const capture = outputCapture(model, { keys: { hidden_states: "block.*" } });
  await expectCode("HOOK_MATCH_EMPTY", () => capture.run(chainFeeds(1), { hidden_states: true }));
  assert.equal(engine.opened.length, 0);
  await capture.run(chainFeeds(1), {}); // not asked for, not looked for
});

Deno.test("TD3 a derived class inherits its base's recorders and declarations", async () => {
  await using open = await fixture("exports/dynamo_bert");
  const { model, feeds, truth } = open;
  const bases = { Layer: "FastBertLayer", FastBertLayer: "BertLayer", Bert: "PreTrainedBert" };
  const byRecorder = outputCapture(model, { keys: { hidden_states: "BertLayer" }, bases });
  const one = await byRecorder.run(feeds, { hidden_states: true });
  assert.ok(difference(one.captures.hidden_states[1], truth["encoder.layer.0"]) < 1e-5);
  const declarations = { PreTrainedBert: { states: "BertLayer" } };
  const byDeclaration = outputCapture(model, { declarations, bases });
  assert.deepEqual(byDeclaration.keys, ["states"]);
  const two = await byDeclaration.run(feeds, { states: true });
  assert.equal(two.captures.states.length, 3);
});

Deno.test("TD4 a first layer that is fed by names alone gives its main input, or the declared one", async () => {
  await using open = await fixture("torch/bert");
  const { model, feeds, truth } = open;
  const { captures } = await outputCapture(model).run(feeds, { hidden_states: [0] });
  assert.ok(difference(captures.hidden_states[0], truth["embeddings"]) < 1e-5);
  const declared = (firstInput: string | number | boolean) =>
    outputCapture(model, {
      keys: { hidden_states: new OutputRecorder({ target: "encoder.layer.*", firstInput }) },
    });
  const mask = await declared("Mul_output_0").run(feeds, { hidden_states: [0] });
  assert.deepEqual(mask.captures.hidden_states[0]?.shape, [2, 1, 1, 7]);
  assert.equal(declared(false).positions("hidden_states").length, 3);
  await expectCode("OPTION_INVALID", () => declared("nothing").positions("hidden_states"));
});

Deno.test("TD5 child captured first, then the parent: one record per firing", async () => {
  await using model = await openChain();
  const keys = { hidden_states: { target: "layers.*", firstInput: false } } as const;
  const child = outputCapture(model, { keys: { scaled: "layers.1.scale" } });
  await child.run(chainFeeds(1), { scaled: true });
  for (const nesting of ["shadow", "stack"] as const) {
    const parent = outputCapture(model, {
      keys,
      submodels: { "layers.1": { scaled: "layers.1.scale" } },
      nesting,
    });
    for (let time = 0; time < 2; time++) {
      const { records, submodels } = await parent.run(chainFeeds(1), {
        hidden_states: true,
      }, { submodels: { "layers.1": { scaled: true } } });
      assert.deepEqual(records.map(({ name }) => name), [
        "hidden_states/layers.0",
        "layers.1/scaled/layers.1.scale",
        "hidden_states/layers.2",
      ]);
      assert.deepEqual(submodels["layers.1"]?.["scaled"]?.map(valueOf), [9]);
    }
    parent[Symbol.dispose]();
  }
});

Deno.test("TD6 a layer without cross-attention leaves a hole and shifts nothing", async () => {
  await using model = await decoderModel();
  const feeds = { x: float32([1, 2], [1, 2]), context: float32([1, 2], [0.5, 0]) };
  for (
    const capture of [
      outputCapture(model),
      outputCapture(model, {
        keys: { attentions: ["layers.*.self_attn", "layers.*.cross_attn"] },
      }),
    ]
  ) {
    const { captures } = await capture.run(feeds, { attentions: true });
    const modules = (key: string) => captures[key]?.map((one) => one?.module ?? null);
    assert.deepEqual(
      modules("attentions"),
      [0, 1, 2].map((at) => `layers.${at}.self_attn::Softmax`),
    );
    assert.deepEqual(modules("cross_attentions"), [
      "layers.0.cross_attn::Softmax",
      null,
      "layers.2.cross_attn::Softmax",
    ]);
  }
});

Deno.test("TD7 mlp.gate does not find mlp.gate_proj unless substring matching is chosen", async () => {
  const bytes = modelBytes({
    nodes: [
      node("Neg", ["x"], ["a"], { name: "/block/mlp/gate/Neg" }),
      node("Abs", ["a"], ["y"], { name: "/block/mlp/gate_proj/Abs" }),
    ],
    inputs: [valueInfo("x", "float32", [1])],
    outputs: [valueInfo("y", "float32", [1])],
  });
  await using model = await openModel(bytes, { provider: "cpu" });
  const found = (matching: "segments" | "substring") =>
    outputCapture(model, {
      keys: { gates: { target: "block.mlp.*", layerName: "mlp.gate", matching } },
    }).positions("gates");
  assert.deepEqual(found("segments"), ["gates/block.mlp.gate"]);
  assert.deepEqual(found("substring"), ["gates/block.mlp.gate", "gates/block.mlp.gate_proj"]);
  const byEnd = outputCapture(model, { keys: { gates: { className: "gate" } } });
  assert.deepEqual(byEnd.positions("gates"), ["gates/block.mlp.gate"]);
});

Deno.test("TD8 a module that gives nothing leaves a hole, not a shorter list", async () => {
  await using model = await openChain();
  model.registry("layers.1").register(skip);
  const capture = outputCapture(model, { keys: { scaled: "layers.*.scale" } });
  const { captures } = await capture.run(chainFeeds(1), { scaled: true });
  assert.deepEqual(captures.scaled.map(valueOf), [2, null, 0]);
});

Deno.test("TD9 an index picks one of several outputs, by position or by name", async () => {
  await using open = await fixture("torch/gpt2_past");
  const { model, feeds, truth } = open;
  const target = "transformer.h.1";
  const capture = outputCapture(model, {
    keys: {
      key: { target, index: 0 },
      value: { target, index: "present.1.value" },
      hidden: { target },
      hiddenByName: { target, index: "/Add_1_output_0" },
      single: { target: "transformer.ln_f", index: 3 },
      beyond: { target, index: 3 },
      absent: { target, index: "nothing" },
    },
  });
  const { captures, outputs } = await capture.run(feeds, {
    key: true,
    value: true,
    hidden: true,
    hiddenByName: true,
    single: true,
  });
  assert.deepEqual(captures.key[0]?.data, outputs["present.1.key"]?.data);
  assert.deepEqual(captures.value[0]?.data, outputs["present.1.value"]?.data);
  assert.ok(difference(captures.hidden[0], truth["transformer.h.1[0]"]) < 1e-5);
  assert.deepEqual(captures.hidden[0]?.data, captures.hiddenByName[0]?.data);
  assert.ok(difference(captures.single[0], truth["transformer.ln_f"]) < 1e-5, "no tuple: whole");
  await expectCode("OPTION_INVALID", () => capture.run(feeds, { beyond: true }));
  await expectCode("OPTION_INVALID", () => capture.run(feeds, { absent: true }));
});

Deno.test("TD10 captured values do not change when buffers are reused or edited later", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, LAYERS);
  const feeds = chainFeeds(1);
  const { captures, outputs } = await capture.run(feeds, { hidden_states: true });
  (outputs["y"]?.data as Float32Array).fill(-1);
  (feeds["x"]?.data as Float32Array).fill(-1);
  await capture.run(chainFeeds(5), { hidden_states: true });
  assert.deepEqual(captures.hidden_states.map(valueOf), [1, 3, 11, 47]);
  // A hook that breaks the rules and writes into the shared buffer after the capture.
  model.registry("layers.1").register(hook({
    name: "vandal",
    access: "edit",
    preForward: (_call, inputs) => {
      for (const { data } of Object.values(inputs)) (data as Float32Array).fill(100);
    },
  }));
  const { captures: second } = await capture.run(chainFeeds(1), { hidden_states: true });
  assert.equal(valueOf(second.hidden_states[1]), 3);
});

Deno.test("TD11 a failed run gives what was captured before, marked partial", async () => {
  await using model = await openChain();
  const reason = new Error("at the third layer");
  model.registry("layers.2").register(hook({
    name: "thrower",
    access: "edit",
    preForward: () => {
      throw reason;
    },
  }));
  const capture = outputCapture(model, LAYERS);
  const error = await expectCode(
    "HOOK_THROWN",
    () => capture.run(chainFeeds(1), { hidden_states: true }),
  );
  const partial = partialCaptures(error);
  assert.equal(partial?.isPartial, true);
  assert.equal(partial?.error, error);
  assert.equal(error.cause, reason);
  assert.deepEqual(partial?.captures["hidden_states"]?.map(valueOf), [1, 3, 11, null]);
  const returned = await capture.run(chainFeeds(1), { hidden_states: true }, { onError: "return" });
  assert.equal(returned.isPartial, true);
  assert.deepEqual(returned.captures.hidden_states.map(valueOf), [1, 3, 11, null]);
  assert.deepEqual(returned.outputs, {});
  assert.equal(partialCaptures(reason), undefined);
});

Deno.test("TD11 an aborted run gives what was captured before, also for a reason that is no object", async () => {
  await using model = await openChain();
  const abort = new AbortController();
  model.registry("layers.1").register(hook({
    name: "stop",
    access: "edit",
    postForward: () => abort.abort("enough"),
  }));
  const capture = outputCapture(model, LAYERS);
  const result = await capture.run(chainFeeds(1), { hidden_states: true }, {
    signal: abort.signal,
    onError: "return",
  });
  assert.equal(result.error, "enough");
  assert.deepEqual(result.captures.hidden_states.map(valueOf), [1, 3, null, null]);
});

Deno.test("TD12 hooks are attached once, disposed of completely, and capture can be repeated", async () => {
  await using model = await openChain();
  const hooked = () =>
    ["layers.0", "layers.1", "layers.2"].map((path) => model.registry(path).size);
  const capture = outputCapture(model, LAYERS);
  assert.deepEqual([capture.isInstalled, hooked()], [false, [0, 0, 0]], "nothing before the first");
  await capture.run(chainFeeds(1), {});
  assert.deepEqual(hooked(), [0, 0, 0]);
  for (let time = 0; time < 3; time++) {
    await capture.run(chainFeeds(1), { hidden_states: true });
    assert.deepEqual(hooked(), [2, 1, 1]);
  }
  await capture.dispose();
  assert.deepEqual([capture.isInstalled, hooked()], [false, [0, 0, 0]]);
  assert.equal(model.plan().kind, "whole");
  const { captures } = await capture.run(chainFeeds(1), { hidden_states: true });
  assert.deepEqual(captures.hidden_states.map(valueOf), [1, 3, 11, 47]);
  capture[Symbol.dispose]();
  assert.deepEqual(hooked(), [0, 0, 0]);
});

Deno.test("TD13 a key with output_ in its middle keeps its name", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, {
    keys: { my_output_states: "layers.*", output_gate: "layers.0" },
  });
  for (const flag of ["my_output_states", "output_my_output_states"] as const) {
    const { captures } = await capture.run(chainFeeds(1), { [flag]: true });
    assert.deepEqual(Object.keys(captures), ["my_output_states"]);
  }
  const { captures } = await capture.run(chainFeeds(1), { output_gate: true });
  assert.deepEqual(Object.keys(captures), ["output_gate"]);
});

Deno.test("TD14 an inactive capture uses the same session object and adds no fetches", async () => {
  const engine = new SpyEngine();
  await using model = await openModel(chainModel(), { provider: "cpu", engine });
  const plainPlan = model.plan().hash;
  await model.run(chainFeeds(1));
  const [plain] = engine.runs;
  const capture = outputCapture(model, LAYERS);
  await capture.run(chainFeeds(1), {});
  await capture.run(chainFeeds(1), { hidden_states: true });
  await capture.run(chainFeeds(1), { hidden_states: false });
  await model.run(chainFeeds(1));
  // Beside a captured run in flight, too.
  const [, outputs] = await Promise.all([
    capture.run(chainFeeds(1), { hidden_states: true }),
    model.run(chainFeeds(2)),
  ]);
  assert.equal(first(outputs), chainOutput(2));
  assert.equal(model.plan().hash, plainPlan);
  const inactive = engine.runs.filter(({ session }) => session === plain?.session);
  assert.equal(inactive.length, 5);
  assert.ok(inactive.every(({ fetches }) => fetches === undefined));
  const active = engine.runs.filter(({ session }) => session !== plain?.session);
  for (const { fetches } of active) assert.deepEqual([...fetches ?? []].sort(), ["h0", "h1", "y"]);
  assert.equal(active.length, 2);
  assert.equal(engine.sessions.length, 2);
});

Deno.test("TD14 captures in other async contexts keep their own values", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, LAYERS);
  model.registry("layers.1").register(scaleOutputs("scale", 1)); // a cut, so that runs interleave
  const runs = await Promise.all(Array.from({ length: 8 }, async (_, at) => {
    const feeds: TensorMap = mapped(chainFeeds(1), () => at);
    const want = at % 2 === 0 ? { hidden_states: true } : { hidden_states: [at % 4] };
    return (await capture.run(feeds, want)).captures.hidden_states.map(valueOf);
  }));
  runs.forEach((found, at) => {
    const all = [at, 2 * at + 1, 3 * (2 * at + 1) + 2, 4 * (3 * (2 * at + 1) + 2) + 3];
    assert.deepEqual(found, all.map((value, k) => at % 2 === 0 || k === at % 4 ? value : null));
  });
});
