// What a caller may ask for and what comes back: flags, configuration, positions, ties, sub-models.

import assert from "node:assert/strict";
import { float32, type Model, openModel } from "../../../mod.ts";
import { outputCapture } from "../../../plugins/output_capture/mod.ts";
import { chainFeeds, chainModel } from "../../pipeline/_small_models.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { decoderModel, difference, fixture, valueOf } from "./_models.ts";

const KEYS = { hidden_states: "layers.*", scaled: "layers.*.scale" };
const openChain = (layers = 3): Promise<Model> =>
  openModel(chainModel(layers), { provider: "cpu" });

Deno.test("T16 a call's flag goes before the configuration's, and null means off", async () => {
  await using model = await openChain();
  const config = { output_scaled: true, use_cache: true, return_dict: true } as const;
  const capture = outputCapture(model, { keys: KEYS, config });
  const keysOf = async (want: Parameters<typeof capture.run>[1]) =>
    Object.keys((await capture.run(chainFeeds(1), want)).captures);
  assert.deepEqual(await keysOf({}), ["scaled"]);
  assert.deepEqual(await keysOf({ output_hidden_states: true }), ["hidden_states", "scaled"]);
  assert.deepEqual(await keysOf({ output_scaled: null }), []);
  assert.deepEqual(await keysOf({ scaled: false, hidden_states: true }), ["hidden_states"]);
  assert.deepEqual(await keysOf({ scaled: undefined }), ["scaled"]);
});

Deno.test("T16 an unknown key, or one key under both its names, is an error before anything runs", async () => {
  await using model = await openChain();
  const capture = outputCapture<string>(model, { keys: KEYS });
  const error = await expectCode(
    "OPTION_INVALID",
    () => capture.run(chainFeeds(1), { hidden_state: true }),
  );
  assert.match(error.fix, /hidden_states, scaled/);
  await expectCode(
    "OPTION_INVALID",
    () => capture.run(chainFeeds(1), { scaled: true, output_scaled: true }),
  );
  await expectCode("OPTION_INVALID", () => capture.run(chainFeeds(1), { scaled: 1 as never }));
});

Deno.test("T17 cross-attentions follow the flag of attentions unless they are named", async () => {
  await using model = await decoderModel();
  const feeds = { x: float32([1, 2], [1, 2]), context: float32([1, 2], [0.5, 0]) };
  const capture = outputCapture<string>(model);
  assert.deepEqual(capture.keys, ["hidden_states", "attentions", "cross_attentions"]);
  const keysOf = async (want: Record<string, boolean>) =>
    Object.keys((await capture.run(feeds, want)).captures);
  assert.deepEqual(await keysOf({ output_attentions: true }), ["attentions", "cross_attentions"]);
  assert.deepEqual(await keysOf({ attentions: true, cross_attentions: false }), ["attentions"]);
  assert.deepEqual(await keysOf({ cross_attentions: true }), ["cross_attentions"]);
});

Deno.test("T19 returnDict false gives outputs and captures as a tuple", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, { keys: KEYS });
  const want = { hidden_states: true, scaled: true } as const;
  const [y, states, scaled, ...rest] = await capture.run(chainFeeds(1), want, {
    returnDict: false,
  });
  assert.deepEqual(rest, []);
  assert.ok(y && "data" in y && Array.isArray(states) && Array.isArray(scaled));
  assert.deepEqual([states.length, scaled.length], [4, 3]);
  const named = await capture.run(chainFeeds(1), want);
  assert.equal(named.toTuple().length, 3);
  const byConfig = outputCapture(model, { keys: KEYS, config: { return_dict: false } });
  assert.ok(Array.isArray(await byConfig.run(chainFeeds(1), want)));
});

Deno.test("T21 the last hidden state is the model's last_hidden_state, an output or module of your choice, or untied", async () => {
  const bytes = modelBytes({
    nodes: [
      node("Neg", ["x"], ["a"], { name: "/layers.0/Neg" }),
      node("Abs", ["a"], ["b"], { name: "/layers.1/Abs" }),
      node("Sqrt", ["b"], ["last_hidden_state"], { name: "/norm/Sqrt" }),
      node("Neg", ["last_hidden_state"], ["pooled"], { name: "/pooler/Neg" }),
    ],
    inputs: [valueInfo("x", "float32", [1])],
    outputs: ["last_hidden_state", "pooled"].map((name) => valueInfo(name, "float32", [1])),
  });
  await using model = await openModel(bytes, { provider: "cpu" });
  const states = async (tieLastHiddenStates?: boolean | string, stop = false) => {
    const capture = outputCapture(model, {
      keys: { hidden_states: "layers.*" },
      ...tieLastHiddenStates === undefined ? {} : { tieLastHiddenStates },
    });
    const { captures } = await capture.run({ x: float32([1], [9]) }, { hidden_states: true }, {
      stop,
    });
    return captures.hidden_states.map(valueOf);
  };
  assert.deepEqual(await states(), [9, -9, 3]);
  assert.deepEqual(await states(true, true), [9, -9, 3], "stopping early does not change it");
  assert.deepEqual(await states(false), [9, -9, 9]);
  assert.deepEqual(await states("pooled"), [9, -9, -3]);
  assert.deepEqual(await states("norm"), [9, -9, 3]);
  await expectCode("OPTION_INVALID", () => states("nothing"));
});

Deno.test("T21 leaves the last layer's own value where the model has no such output", async () => {
  await using open = await fixture("torch/gpt2_past");
  const { model, feeds, truth } = open;
  const own = await outputCapture(model).run(feeds, { hidden_states: [-1] });
  assert.ok(difference(own.captures.hidden_states[3], truth["transformer.h.2[0]"]) < 1e-5);
  const tied = outputCapture(model, { tieLastHiddenStates: "transformer.ln_f" });
  const { captures } = await tied.run(feeds, { hidden_states: [-1] });
  assert.ok(difference(captures.hidden_states[3], truth["transformer.ln_f"]) < 1e-5);
});

Deno.test("T22 two specs of attentions are self and cross, any other number is one list", async () => {
  await using model = await decoderModel();
  const [self, cross] = ["layers.*.self_attn", "layers.*.cross_attn"] as const;
  const keys = (attentions: string[]) =>
    outputCapture<string>(model, { keys: { attentions } }).keys;
  assert.deepEqual(keys([self, cross]), ["attentions", "cross_attentions"]);
  assert.deepEqual(keys([self]), ["attentions"]);
  assert.deepEqual(keys([self, cross, self]), ["attentions"]);
});

Deno.test("T7 specs of one key are joined in the order in which the model computes them", async () => {
  await using model = await openChain(2);
  const capture = outputCapture(model, { keys: { both: ["layers.*", "layers.*.scale"] } });
  const { captures } = await capture.run(chainFeeds(1), { both: true });
  assert.deepEqual(captures.both.map((one) => one?.module), [
    "layers.0.scale",
    "layers.0",
    "layers.1.scale",
    "layers.1",
  ]);
});

Deno.test("T2 a shorthand takes the main output for hidden states and the second one for other keys", async () => {
  await using open = await fixture("torch/gpt2_past");
  const { model } = open;
  const capture = outputCapture(model, {
    keys: { my_hidden_states: "transformer.h.0", other: "transformer.h.0" },
  });
  assert.deepEqual(capture.positions("my_hidden_states"), ["my_hidden_states/transformer.h.0[2]"]);
  assert.deepEqual(capture.positions("other"), ["other/transformer.h.0[1]"]);
});

Deno.test("T23 listed positions are filled, the others stay null, and only those modules are hooked", async () => {
  await using model = await openChain(4);
  const capture = outputCapture(model, { keys: KEYS });
  const states = async (positions: readonly number[]) =>
    (await capture.run(chainFeeds(1), { hidden_states: positions })).captures.hidden_states;
  const sparse = await states([1, 3]);
  assert.deepEqual(sparse.map(valueOf), [null, 3, null, 47, null]);
  assert.deepEqual((await states([-1])).map(valueOf), [null, null, null, null, 239]);
  const plan = await capture.explain({ hidden_states: [1, 3] });
  assert.match(plan, /one session with 2 further outputs/);
  assert.deepEqual(plan.match(/layers\.\d/g), ["layers.0", "layers.2"]);
  await expectCode("OPTION_INVALID", () => states([5]));
  await expectCode("OPTION_INVALID", () => states([0.5]));
});

Deno.test("T6 a sub-model has its own keys, and the parent's never reach inside", async () => {
  await using model = await openChain();
  const capture = outputCapture<string>(model, {
    keys: { states: "layers.**" },
    submodels: { "layers.1": { states: "**.scale", out: "layers.1" } },
  });
  assert.deepEqual(capture.submodels, { "layers.1": ["states", "out"] });
  const { captures, submodels } = await capture.run(chainFeeds(1), { states: true });
  const modules = (list: typeof captures[string] | undefined) => list?.map((one) => one?.module);
  assert.deepEqual(modules(captures["states"]), [
    "layers.0.scale",
    "layers.0",
    "layers.2.scale",
    "layers.2",
  ]);
  assert.deepEqual(modules(submodels["layers.1"]?.["states"]), ["layers.1.scale"]);
  const own = await capture.run(chainFeeds(1), {}, { submodels: { "layers.1": { out: true } } });
  assert.deepEqual(own.submodels["layers.1"]?.["out"]?.map(valueOf), [11]);
  assert.deepEqual(own.captures, {});
  await expectCode(
    "OPTION_INVALID",
    () => Promise.resolve(outputCapture(model, { submodels: { nowhere: {} } })),
  );
});

Deno.test("T6 with stack, the parent's key holds what its sub-models capture under the same key", async () => {
  await using model = await openChain();
  const capture = outputCapture<string>(model, {
    keys: { states: "layers.0" },
    submodels: { "layers.1": { states: "layers.1" } },
    nesting: "stack",
  });
  const { captures, submodels } = await capture.run(chainFeeds(1), { states: true });
  assert.deepEqual(captures["states"]?.map(valueOf), [3, 11]);
  assert.deepEqual(submodels["layers.1"]?.["states"]?.map(valueOf), [11]);
});

Deno.test("collect() captures every run inside, however the code calls the model", async () => {
  await using model = await openChain();
  const capture = outputCapture(model, { keys: KEYS });
  const { runs, value } = await capture.collect({ scaled: true }, async () => {
    for (const x of [1, 2]) await model.run(chainFeeds(x));
    return "done";
  });
  assert.equal(value, "done");
  assert.deepEqual(runs.map((run) => run.captures["scaled"]?.map(valueOf)), [[2, 9, 44], [
    4,
    15,
    68,
  ]]);
  await expectCode("CAPTURE_EMPTY", () => capture.collect({ scaled: true }, () => {}));
});

Deno.test("outputCapture() refuses wrong options", async () => {
  await using model = await openChain();
  for (
    const options of [
      { byteBudget: -1 },
      { nesting: "both" as never },
      { onEmpty: "maybe" as never },
      { keys: { "a b": "layers.*" } },
    ]
  ) {
    await expectCode(
      "OPTION_INVALID",
      () => Promise.resolve(outputCapture<string>(model, options)),
    );
  }
});
