import assert from "node:assert/strict";
import { definePipeline, float32, type Tensor, traceStep } from "../../../mod.ts";
import {
  addVector,
  HookFunction,
  outputEdit,
  OutputEditor,
  scale,
  zero,
} from "../../../plugins/output_edit/mod.ts";
import {
  assertSameBits,
  BERT_FEEDS,
  coded,
  LAYER_1,
  maxDifference,
  openTorch,
  torchModel,
} from "./_models.ts";

Deno.test("editor.run() uses the union of groups, or its complement, for that run alone", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  const fired: string[] = [];
  for (const [name, ...groups] of [["a", "x"], ["b", "x", "y"], ["c", "y"], ["d"]]) {
    const hook = new HookFunction("encoder.layer.1", {
      editingFunction: () => void fired.push(name ?? ""),
    });
    editor.register(hook, { groups });
  }
  const run = async (options: Parameters<OutputEditor["run"]>[1]) => {
    fired.length = 0;
    await editor.run(BERT_FEEDS, options);
    return fired.join("");
  };
  assert.equal(await run({}), "abcd");
  assert.equal(await run({ groups: "x" }), "ab");
  assert.equal(await run({ groups: ["x", "y"] }), "abc");
  assert.equal(await run({ groups: "x", complement: true }), "cd");
  assert.equal(await run({ complement: true }), "");
  assert.equal(await run({}), "abcd");
  // A group and its complement are disjoint and cover all.
  assert.equal(
    [...await run({ groups: "y" }), ...await run({ groups: "y", complement: true })]
      .sort().join(""),
    "abcd",
  );
});

Deno.test("runs at the same time keep the groups that each was started with", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) }), {
    groups: ["half"],
  });
  editor.register(new HookFunction("encoder.layer.1", { editingFunction: zero() }), {
    groups: ["zero"],
  });
  const apart = [
    await editor.run(BERT_FEEDS, { groups: "half" }),
    await editor.run(BERT_FEEDS, { groups: "zero" }),
    await editor.run(BERT_FEEDS, { groups: "zero", complement: true }),
    await editor.run(BERT_FEEDS),
  ];
  const together = await Promise.all([
    editor.run(BERT_FEEDS, { groups: "half" }),
    editor.run(BERT_FEEDS, { groups: "zero" }),
    editor.run(BERT_FEEDS, { groups: "zero", complement: true }),
    editor.run(BERT_FEEDS),
  ]);
  for (const [index, outputs] of together.entries()) {
    assertSameBits(outputs["last_hidden_state"], apart[index]?.["last_hidden_state"]);
  }
  assert.ok(maxDifference(apart[0]?.["pooler_output"], apart[1]?.["pooler_output"]) > 0);
});

Deno.test("groups are updated and removed by hook, by list and by substring", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  const hooks = editor.createHookGroup("layers", { select: "encoder.layer.*" });
  assert.equal(hooks.length, 3);
  const [first, second, third] = hooks as [HookFunction, HookFunction, HookFunction];
  editor.updateHookGroups(first, "one");
  editor.updateHookGroups([second, "layer.2"], ["two", "more"]);
  assert.deepEqual(editor.hooksOf("two"), [second, third]);
  assert.deepEqual(editor.groupsOf(third), ["all", "layers", "more", "two"]);
  editor.updateHookGroups("encoder", "one");
  assert.deepEqual(editor.hooksOf("one"), hooks);
  editor.removeHookGroups("layer.0", "one");
  editor.removeHookGroups(hooks, "layers");
  assert.deepEqual(editor.groups, ["all", "more", "one", "two"]);
  assert.deepEqual(editor.hooksOf("all"), hooks);
  assert.throws(
    () => editor.updateHookGroups("decoder", "x"),
    coded("HOOK_MATCH_EMPTY", /decoder/),
  );
  assert.throws(() => editor.updateHookGroups(first, "no name"), coded("OPTION_INVALID"));
  editor.remove(second);
  assert.deepEqual(editor.hooksOf("two"), [third]);
  assert.throws(() => editor.groupsOf(second), coded("HOOK_UNKNOWN"));
});

Deno.test("saveCtx carries a value from one layer to a later one, equal to what was captured", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model, { capture: "pre-edit" });
  let later: Tensor | undefined;
  editor.register(
    new HookFunction("encoder.layer.2", {
      editingFunction: (_activation, { saveCtx }) => void (later = saveCtx["early"] as Tensor),
    }),
  );
  editor.register(
    new HookFunction("encoder.layer.0", {
      editingFunction: (activation, { saveCtx }) => void (saveCtx["early"] = activation),
    }),
  );
  await model.run(BERT_FEEDS);
  assertSameBits(later, editor.captures.get("encoder.layer.0")[0]?.tensor);
});

Deno.test("helper modules are models or functions, registered before or after the hooks", async () => {
  await using model = await openTorch("bert");
  await using probe = await openTorch("bert");
  using editor = new OutputEditor(model);
  editor.helpers.register("probe", probe);
  const seen: Tensor[] = [];
  editor.register(
    new HookFunction("encoder.layer.1", {
      async editingFunction(activation, scope) {
        const { pooler_output } = await scope.helper("probe").run(BERT_FEEDS);
        if (pooler_output !== undefined) seen.push(pooler_output);
        const { half } = await scope.helper("halve").run({ x: activation });
        return half;
      },
    }),
  );
  await assert.rejects(model.run(BERT_FEEDS), coded("OPTION_INVALID", /helper "halve"/));
  editor.helpers.register("halve", ({ x }) => ({
    half: float32(x?.shape ?? [], (x?.data as Float32Array).map((value) => value / 2)),
  }));
  const outputs = await model.run(BERT_FEEDS);
  const plain = await probe.run(BERT_FEEDS);
  assertSameBits(seen.at(-1), plain["pooler_output"]);
  editor.restore();
  editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) }));
  assertSameBits(
    outputs["last_hidden_state"],
    (await model.run(BERT_FEEDS))["last_hidden_state"],
  );
  assert.deepEqual(editor.helpers.names, ["halve", "probe"]);
  assert.throws(() => editor.helpers.register("probe", probe), coded("OPTION_INVALID", /taken/));
  editor.helpers.remove("probe");
  assert.throws(() => editor.helpers.remove("probe"), coded("OPTION_INVALID", /"probe"/));
});

Deno.test("an editing function sees module, call, inputs and all outputs; the tensors of others are not its to change", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model, { capture: "pre-edit" });
  let checked = 0;
  editor.register(
    new HookFunction("encoder.layer.1", {
      editingFunction(activation, { module, call, inputs, tensors, name, shard }) {
        assert.equal(module.path, "encoder.layer.1");
        assert.equal(call.step, 3);
        assert.equal(name, LAYER_1);
        assert.equal(shard, null);
        assert.equal(Object.keys(inputs ?? {}).length, 2);
        assert.notEqual(activation.data, tensors[LAYER_1]?.data);
        (activation.data as Float32Array).fill(0); // its own copy
        checked++;
      },
    }),
  );
  editor.register(
    new HookFunction("encoder.layer.1", {
      readsInputs: false,
      editingFunction(activation, { inputs }) {
        assert.equal(inputs, null);
        assert.ok((activation.data as Float32Array).every((value) => value === 0));
        checked++;
      },
    }),
  );
  await traceStep(3, () => model.run(BERT_FEEDS));
  assert.equal(checked, 2);
  const [before] = editor.captures.get("encoder.layer.1");
  assert.ok((before?.tensor.data as Float32Array).some((value) => value !== 0));
  assert.equal(before?.step, 3);
});

Deno.test("an editing function that returns something else is refused with what it is", async () => {
  await using model = await openTorch("bert");
  const run = async (result: unknown) => {
    using editor = new OutputEditor(model);
    editor.register(
      new HookFunction("encoder.layer.1", { editingFunction: () => result as undefined }),
    );
    await model.run(BERT_FEEDS);
  };
  await assert.rejects(run(null), coded("HOOK_RESULT", /it is null/));
  await assert.rejects(run([1]), coded("HOOK_RESULT", /it is an array/));
  await assert.rejects(run(5), coded("HOOK_RESULT", /of type number/));
  await assert.rejects(run({ [LAYER_1]: 5 }), coded("HOOK_RESULT", /is no tensor/));
});

Deno.test("HookFunction refuses options of another form", () => {
  const make = (options: object) => () => new HookFunction("encoder.layer.1", options);
  assert.throws(make({ expectedShape: [1.5] }), coded("OPTION_INVALID", /expectedShape/));
  assert.throws(make({ unpackIdx: 0.5 }), coded("OPTION_INVALID", /unpackIdx/));
  assert.throws(make({ capture: "before" }), coded("OPTION_INVALID", /capture/));
  assert.throws(make({ editingFunction: "scale" }), coded("OPTION_INVALID", /editingFunction/));
  assert.throws(make({ capture: "before" }), coded("OPTION_INVALID", /capture "before"/));
});

Deno.test("a span is edited like a module, and has the tensors that its last block has", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  const run = async (unpackIdx: number) => {
    const hook = new HookFunction("encoder.layer.[0-1]", { unpackIdx, editingFunction: scale(2) });
    using _handle = editor.register(hook);
    return await model.run(BERT_FEEDS);
  };
  const bySpan = await run(-1);
  await assert.rejects(run(1), coded("OPTION_INVALID", /is no number 1/));
  editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(2) }));
  assertSameBits((await model.run(BERT_FEEDS))["pooler_output"], bySpan["pooler_output"]);
});

Deno.test("two editors of one model are independent when they have two names", async () => {
  await using model = await openTorch("bert");
  const vector = addVector(float32([1], [1]));
  const outputs: (Tensor | undefined)[] = [];
  for (const order of [["a", "b"], ["b", "a"]]) {
    const editors = order.map((name) => new OutputEditor(model, { name }));
    for (const [index, editor] of editors.entries()) {
      const edit = order[index] === "a" ? scale(2) : vector;
      editor.register(new HookFunction("encoder.layer.1", { editingFunction: edit }));
    }
    outputs.push((await model.run(BERT_FEEDS))["last_hidden_state"]);
    for (const editor of editors) editor.restore();
  }
  assertSameBits(outputs[0], outputs[1]); // hooks are ordered by name, not by who came first
  using _first = new OutputEditor(model);
  const hook = () => new HookFunction("encoder.layer.1", { editingFunction: scale(2) });
  _first.register(hook());
  assert.throws(() => new OutputEditor(model).register(hook()), coded("HOOK_NAME_DUPLICATE"));
});

Deno.test("outputEdit() attaches to the named model of a pipeline, and off costs nothing", async () => {
  const models = { one: torchModel("bert"), two: torchModel("bert") };
  await using pipeline = await definePipeline({
    models,
    provider: "cpu",
    plugins: [outputEdit({
      model: "one",
      setup: (editor) =>
        void editor.register(new HookFunction("encoder.layer.1", { editingFunction: zero() })),
    })],
  }).open();
  assert.equal(pipeline.models.one.plan().kind, "split");
  assert.equal(pipeline.models.two.plan().kind, "whole");
  await assert.rejects(
    definePipeline({
      models,
      provider: "cpu",
      plugins: [outputEdit({
        setup: (editor) => void editor.register(new HookFunction("no.module")),
      })],
    }).open(),
    coded("MODULE_UNKNOWN"),
  );
});

Deno.test("outputEdit() and OutputEditor refuse unknown options and edits that are no set", async () => {
  for (const options of [{ edits: 3 }, { edits: null }, { setup: 3 }, { edit: [] }]) {
    assert.throws(() => outputEdit(options as never), coded("OPTION_INVALID"));
  }
  await using model = await openTorch("bert");
  assert.throws(() => new OutputEditor(model, { captures: "x" } as never), coded("OPTION_INVALID"));
});
