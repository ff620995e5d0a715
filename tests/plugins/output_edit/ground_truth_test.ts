// Hooks equal plain framework semantics: a hook on a module gives the bits of a model in which a node
// stands at that place, run by plain ONNX Runtime.

import assert from "node:assert/strict";
import { decodeSafetensors, float32, type Model, type Tensor } from "../../../mod.ts";
import {
  addVector,
  clamp,
  HookFunction,
  type HookFunctionOptions,
  type HookType,
  OutputEditor,
  scale,
} from "../../../plugins/output_edit/mod.ts";
import { segmentsOf } from "../../../pipeline/plan.ts";
import {
  assertSameBits,
  BERT_FEEDS,
  decodeModel,
  LAYER_1,
  maxDifference,
  openTorch,
  plainRun,
  torchFeeds,
  torchModel,
  weight,
  withNodeAfter,
} from "./_models.ts";
import { readFixture } from "../../support/fixture_path.ts";

const BERT = decodeModel(torchModel("bert"));
const VECTOR = Float32Array.from({ length: 32 }, (_, index) => Math.sin(index) / 3);

async function runWithHook(
  model: Model,
  options: HookFunctionOptions & { readonly module: string; readonly type?: HookType },
) {
  const { module, type = "forward", ...rest } = options;
  using editor = new OutputEditor(model);
  editor.register(new HookFunction(module, rest), { type });
  return await model.run(BERT_FEEDS);
}

const cases = [
  {
    name: "scale",
    edit: scale(0.3),
    op: "Mul",
    constants: [weight("c", [], Float32Array.of(0.3))],
  },
  {
    name: "add",
    edit: addVector(float32([32], VECTOR)),
    op: "Add",
    constants: [weight("c", [32], VECTOR)],
  },
  {
    name: "clamp",
    edit: clamp({ min: -0.4, max: 0.7 }),
    op: "Clip",
    constants: [weight("low", [], Float32Array.of(-0.4)), weight("high", [], Float32Array.of(0.7))],
  },
];

for (const { name, edit, op, constants } of cases) {
  Deno.test(`a forward hook that does ${name} on encoder.layer.1 has the bits of a graph with ${op} there`, async () => {
    const truth = await plainRun(withNodeAfter(BERT, LAYER_1, { op, constants }), BERT_FEEDS);
    await using model = await openTorch("bert");
    const outputs = await runWithHook(model, {
      module: "encoder.layer.1",
      editingFunction: edit,
    });
    for (const output of ["last_hidden_state", "pooler_output"]) {
      assertSameBits(outputs[output], truth[output]);
    }
  });
}

Deno.test("a forward_pre hook that scales encoder.layer.2's first input has the bits of a graph with Mul before it", async () => {
  const truth = await plainRun(
    withNodeAfter(BERT, LAYER_1, {
      op: "Mul",
      constants: [weight("c", [], Float32Array.of(1.5))],
    }),
    BERT_FEEDS,
  );
  await using model = await openTorch("bert");
  const outputs = await runWithHook(model, {
    module: "encoder.layer.2",
    type: "forward_pre",
    unpackIdx: LAYER_1,
    editingFunction: scale(1.5),
  });
  assertSameBits(outputs["last_hidden_state"], truth["last_hidden_state"]);
});

Deno.test("editing functions written as code have the same bits as the edits", async () => {
  await using model = await openTorch("bert");
  const wanted = await runWithHook(model, {
    module: "encoder.layer.1",
    editingFunction: scale(0.3),
  });
  const byReturn = await runWithHook(model, {
    module: "encoder.layer.1",
    editingFunction: ({ shape, data }) =>
      float32(shape, (data as Float32Array).map((value) => value * Math.fround(0.3))),
  });
  const inPlace = await runWithHook(model, {
    module: "encoder.layer.1",
    editingFunction({ ndarray }) {
      const [batch = 0, positions = 0, width = 0] = ndarray.shape;
      for (let i = 0; i < batch; i++) {
        for (let j = 0; j < positions; j++) {
          for (let k = 0; k < width; k++) {
            ndarray.set(i, j, k, Number(ndarray.get(i, j, k)) * Math.fround(0.3));
          }
        }
      }
    },
  });
  for (const outputs of [byReturn, inPlace]) {
    assertSameBits(outputs["last_hidden_state"], wanted["last_hidden_state"]);
  }
});

Deno.test("hooks of one module run in the order of registering, for outputs and for inputs", async () => {
  await using model = await openTorch("bert");
  const edits = [scale(3), addVector(float32([32], VECTOR))];
  const truth = (data: Float32Array) =>
    data.map((value, index) => Math.fround(value * 3) + (VECTOR[index % 32] as number));
  for (const type of ["forward", "forward_pre"] as const) {
    const module = type === "forward" ? "encoder.layer.1" : "encoder.layer.2";
    using editor = new OutputEditor(model);
    const seen: Tensor[] = [];
    const look = () =>
      new HookFunction(module, {
        unpackIdx: LAYER_1,
        editingFunction: (activation) => void seen.push(activation),
      });
    editor.registerAll([
      { hook: look(), type },
      ...edits.map((edit) => ({
        hook: new HookFunction(module, { unpackIdx: LAYER_1, editingFunction: edit }),
        type,
      })),
      { hook: look(), type },
    ]);
    await model.run(BERT_FEEDS);
    const [before, after] = seen as [Tensor, Tensor];
    assertSameBits(after, float32(before.shape, truth(before.data as Float32Array)));
  }
});

Deno.test("captured values are what PyTorch's hooks saw of the same modules, within 1e-5", async () => {
  const truth = decodeSafetensors(
    readFixture("torch", "bert", "module_outputs.safetensors"),
    "module_outputs.safetensors",
  );
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model, { capture: "pre-edit" });
  const paths = ["embeddings", "encoder.layer.1.attention.self", "encoder.layer.2"];
  for (const path of paths) editor.register(new HookFunction(path));
  assert.equal(model.plan().kind, "tapped");
  await model.run(BERT_FEEDS);
  for (const path of paths) {
    const [captured] = editor.captures.get(path);
    assert.deepEqual(captured?.tensor.shape, truth[path]?.shape);
    assert.ok(maxDifference(captured?.tensor, truth[path]) < 1e-5);
  }
});

Deno.test("each of several outputs is reachable by number, from the end, and by name", async () => {
  await using model = await openTorch("gpt2_past");
  const feeds = torchFeeds("gpt2_past", model.inputs.map(({ name }) => name));
  const names = model.select("transformer.h.1")[0]?.calls[0]?.outputs ?? [];
  assert.equal(names.length, 3);
  using editor = new OutputEditor(model, { capture: "pre-edit" });
  for (const unpackIdx of [0, 1, -1, names[0] as string, names[2] as string]) {
    editor.register(new HookFunction("transformer.h.1", { unpackIdx }));
  }
  const outputs = await model.run(feeds);
  const captured = editor.captures.get("transformer.h.1");
  assert.deepEqual(
    captured.map(({ name }) => name),
    [names[0], names[1], names[2], names[0], names[2]],
  );
  assertSameBits(captured[0]?.tensor, outputs["present.1.key"]);
  assertSameBits(captured[1]?.tensor, outputs["present.1.value"]);
});

Deno.test("an edit at one module costs one cut, not a full split", async () => {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  const pieces = () => segmentsOf(model.plan().steps).length;
  const code = new HookFunction("encoder.layer.1.intermediate", {
    editingFunction: (activation) => activation,
  });
  {
    using _hook = editor.register(code);
    assert.equal(pieces(), 2);
  }
  {
    using _hook = editor.register(code, { type: "forward_pre" });
    assert.equal(pieces(), 3); // before it, itself, after it
  }
  {
    using _one = editor.register(code);
    using _two = editor.register(
      new HookFunction("encoder.layer.1.intermediate", { editingFunction: scale(2) }),
    );
    assert.equal(pieces(), 2); // two hooks of one module share the cut
  }
  assert.equal(model.plan().kind, "whole");
});

Deno.test("an edit that changes nothing leaves the model's bits, NaN and infinities included", async () => {
  await using model = await openTorch("bert");
  const plain = await model.run(BERT_FEEDS);
  const outputs = await runWithHook(model, {
    module: "encoder.layer.1",
    editingFunction: scale(1),
  });
  assertSameBits(outputs["last_hidden_state"], plain["last_hidden_state"]);
  const poisoned = await runWithHook(model, {
    module: "encoder.layer.1",
    editingFunction({ data }) {
      (data as Float32Array)[0] = NaN;
      (data as Float32Array)[40] = -Infinity;
    },
  });
  assert.ok((poisoned["last_hidden_state"]?.data as Float32Array).some(Number.isNaN));
});
