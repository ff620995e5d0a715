// Shards: several sessions that are one model. The MLP of bert's second layer is cut in two and in three
// by its intermediate width, column-parallel and then row-parallel; the parts run instead of it.

import assert from "node:assert/strict";
import { float32, type Model, openModel, type TensorMap } from "../../../mod.ts";
import {
  addVector,
  HookFunction,
  OutputEditor,
  scale,
  ShardedForward,
  ShardGroup,
} from "../../../plugins/output_edit/mod.ts";
import {
  assertSameBits,
  BERT_FEEDS,
  coded,
  decodeModel,
  EXACT,
  LAYER_1,
  maxDifference,
  MLP,
  mlpShard,
  openTorch,
  torchModel,
} from "./_models.ts";

const BERT = decodeModel(torchModel("bert"));
const WIDTH = 64;
/** Partial sums are added in another order than MatMul's: what a few roundings of values near 1 make. */
const TOLERANCE = 1e-6;
const COLUMN = "encoder.layer.1.intermediate.dense";
const RAMP = float32([WIDTH], Float32Array.from({ length: WIDTH }, (_, index) => index / 100));

async function openShards(count: number, stack: AsyncDisposableStack): Promise<Model[]> {
  const shards: Model[] = [];
  for (let rank = 0; rank < count; rank++) {
    const start = Math.floor(rank * WIDTH / count);
    const end = Math.floor((rank + 1) * WIDTH / count);
    const bytes = mlpShard(BERT, { start, end });
    shards.push(stack.use(await openModel(bytes, EXACT)));
  }
  return shards;
}

/** The MLP's own input, and what the whole model makes of it under an edit of the wide activation. */
async function wholeMlp(
  options: ConstructorParameters<typeof HookFunction>[1] = {},
): Promise<{ input: TensorMap; output: TensorMap; final: TensorMap }> {
  await using model = await openTorch("bert");
  using editor = new OutputEditor(model);
  editor.register(new HookFunction(COLUMN, options));
  const before = "encoder.layer.1.attention";
  editor.register(new HookFunction(before, { capture: "pre-edit" }));
  editor.register(new HookFunction("encoder.layer.1.output.dense", { capture: "pre-edit" }));
  const final = await model.run(BERT_FEEDS);
  const captured = (path: string) => editor.captures.get(path)[0]?.tensor ?? assert.fail(path);
  return {
    input: { [MLP.input]: captured(before) },
    output: { [MLP.output]: captured("encoder.layer.1.output.dense") },
    final,
  };
}

for (const count of [2, 3]) {
  Deno.test(`ShardGroup: column- and row-parallel shards, ${count} of them, equal the unsharded module within ${TOLERANCE}`, async () => {
    const whole = await wholeMlp();
    await using stack = new AsyncDisposableStack();
    const shards = await openShards(count, stack);
    const group = new ShardGroup(shards, { outputs: { [MLP.output]: "sum" } });
    const outputs = await group.run(whole.input);
    assert.ok(maxDifference(outputs[MLP.output], whole.output[MLP.output]) <= TOLERANCE);
    assert.deepEqual(shards[0]?.modules.map(({ path }) => path).includes(COLUMN), true);
  });

  Deno.test(`expectedShape gathers ${count} shards, edits the whole activation once and scatters it back`, async () => {
    const edit = addVector(RAMP);
    const whole = await wholeMlp({ editingFunction: edit });
    await using stack = new AsyncDisposableStack();
    const group = new ShardGroup(await openShards(count, stack), {
      outputs: { [MLP.output]: "sum" },
    });
    using editor = new OutputEditor(group, { capture: "both" });
    let calls = 0;
    editor.register(
      new HookFunction(COLUMN, {
        expectedShape: [null, null, WIDTH],
        editingFunction(activation, scope) {
          calls++;
          assert.deepEqual(activation.shape, [2, 7, WIDTH]);
          assert.equal(scope.shard, null);
          return edit.apply(activation, scope);
        },
      }),
    );
    const outputs = await group.run(whole.input);
    assert.equal(calls, 1);
    assert.ok(maxDifference(outputs[MLP.output], whole.output[MLP.output]) <= TOLERANCE);
    const plain = await wholeMlp();
    assert.ok(maxDifference(outputs[MLP.output], plain.output[MLP.output]) > 0.01);
    const [before, after] = editor.captures.get(COLUMN);
    assert.deepEqual(before?.tensor.shape, [2, 7, WIDTH]);
    assert.equal(before?.when, "pre-edit");
    assertSameBits(after?.tensor, await edit.apply(before?.tensor ?? RAMP, {} as never) as never);
  });
}

Deno.test("ShardedForward runs shards instead of a module: the model's outputs stay within the tolerance", async () => {
  const whole = await wholeMlp({ editingFunction: scale(0.5) });
  await using stack = new AsyncDisposableStack();
  const group = new ShardGroup(await openShards(2, stack), { outputs: { [MLP.output]: "sum" } });
  await using model = await openTorch("bert", {
    boundaries: { mlp: { inputs: [MLP.input], outputs: [MLP.output] } },
  });
  const plain = await model.run(BERT_FEEDS);
  model.registry("mlp").register(new ShardedForward(group));
  const sharded = await model.run(BERT_FEEDS);
  assert.ok(maxDifference(sharded["last_hidden_state"], plain["last_hidden_state"]) <= 2e-6);
  using editor = new OutputEditor(group);
  editor.register(
    new HookFunction(COLUMN, { expectedShape: [2, 7, WIDTH], editingFunction: scale(0.5) }),
  );
  const edited = await model.run(BERT_FEEDS);
  assert.ok(maxDifference(edited["last_hidden_state"], whole.final["last_hidden_state"]) <= 2e-6);
});

Deno.test("ShardGroup: data-parallel rows cut the batch and are gathered along dimension 0", async () => {
  await using stack = new AsyncDisposableStack();
  const replicas = [stack.use(await openTorch("bert")), stack.use(await openTorch("bert"))];
  const group = new ShardGroup(replicas, { data: 2 });
  assert.deepEqual(group.mesh, { data: 2, tensor: 1 });
  using editor = new OutputEditor(group, { capture: "pre-edit" });
  editor.register(
    new HookFunction("encoder.layer.1", {
      expectedShape: [null, null, 32],
      editingFunction(activation) {
        assert.deepEqual(activation.shape, [2, 7, 32]);
        return scale(0.3).apply(activation, {} as never);
      },
    }),
  );
  const outputs = await group.run(BERT_FEEDS);
  await using model = await openTorch("bert");
  using single = new OutputEditor(model);
  single.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.3) }));
  const truth = await model.run(BERT_FEEDS);
  assert.ok(
    maxDifference(outputs["last_hidden_state"], truth["last_hidden_state"]) <= TOLERANCE,
  );
  assert.equal(editor.captures.get("encoder.layer.1")[0]?.name, LAYER_1);
});

Deno.test("expectedShape: hooks without it, and shards that already have it, are edited shard by shard", async () => {
  const { input } = await wholeMlp();
  await using stack = new AsyncDisposableStack();
  const group = new ShardGroup(await openShards(2, stack), { outputs: { [MLP.output]: "sum" } });
  for (const expectedShape of [null, [null, null, null], [2, 7, WIDTH / 2]]) {
    using editor = new OutputEditor(group);
    const shards: (number | null)[] = [];
    editor.register(
      new HookFunction(COLUMN, {
        expectedShape,
        editingFunction: ({ shape }, { shard }) => {
          assert.deepEqual(shape, [2, 7, WIDTH / 2]);
          shards.push(shard);
        },
      }),
    );
    await group.run(input);
    assert.deepEqual(shards.sort(), [0, 1]); // shards run side by side
  }
});

Deno.test("XD13: a rank mismatch in expectedShape fails, and so do two differing dimensions and a wrong size", async () => {
  const { input } = await wholeMlp();
  await using stack = new AsyncDisposableStack();
  const group = new ShardGroup(await openShards(2, stack), { outputs: { [MLP.output]: "sum" } });
  const attempt = async (expectedShape: readonly (number | null)[]) => {
    using editor = new OutputEditor(group);
    editor.register(new HookFunction(COLUMN, { expectedShape, editingFunction: scale(2) }));
    await group.run(input);
  };
  await assert.rejects(attempt([7, WIDTH]), coded("HOOK_SHAPE", /it has 2 dimensions, .* has 3/));
  await assert.rejects(attempt([4, 7, WIDTH]), coded("HOOK_UNSUPPORTED", /dimensions 0 and 2/));
  await assert.rejects(attempt([2, 7, 65]), coded("HOOK_SHAPE", /\[2, 7, 64\], .*\[2, 7, 65\]/));
  await attempt([2, null, WIDTH]); // and the group can be used again
});

Deno.test("expectedShape on one model is checked, whole or not", async () => {
  await using model = await openTorch("bert");
  const attempt = async (expectedShape: readonly (number | null)[]) => {
    using editor = new OutputEditor(model);
    editor.register(
      new HookFunction("encoder.layer.1", { expectedShape, editingFunction: scale(1) }),
    );
    await model.run(BERT_FEEDS);
  };
  await attempt([2, null, 32]);
  await assert.rejects(attempt([2, 32]), coded("HOOK_SHAPE", /2 dimensions/));
  await assert.rejects(attempt([2, 7, 64]), coded("HOOK_SHAPE", /expected is \[2, 7, 64\]/));
});

Deno.test("ShardGroup: the error of one shard is the run's error, and no other shard waits for it", async () => {
  const { input } = await wholeMlp();
  await using stack = new AsyncDisposableStack();
  const group = new ShardGroup(await openShards(2, stack), { outputs: { [MLP.output]: "sum" } });
  using editor = new OutputEditor(group);
  editor.register(
    new HookFunction("encoder.layer.1.intermediate", {
      editingFunction(_activation, { shard }) {
        if (shard === 1) throw new Error("the second shard broke");
      },
    }),
  );
  editor.register(
    new HookFunction("encoder.layer.1.output.dense", {
      expectedShape: [null, null, 33],
      editingFunction: scale(1),
    }),
  );
  await assert.rejects(group.run(input), /the second shard broke/);
});

Deno.test("ShardGroup refuses meshes, outputs and feeds that do not fit", async () => {
  await using stack = new AsyncDisposableStack();
  const shards = await openShards(2, stack);
  const outputs = { [MLP.output]: "sum" } as const;
  assert.throws(
    () => new ShardGroup(shards, { tensor: 3, outputs }),
    coded("OPTION_INVALID", /2 shards: a mesh of 1 × 3 has 3 places/),
  );
  assert.throws(
    () => new ShardGroup(shards),
    coded("OPTION_INVALID", /comes together is not said/),
  );
  assert.throws(
    () => new ShardGroup(shards, { outputs: { ...outputs, nothing: "same" } }),
    coded("OPTION_INVALID", /no output "nothing"/),
  );
  const group = new ShardGroup(shards, { data: 2, outputs: {} });
  await assert.rejects(
    group.run({ [MLP.input]: float32([1, 7, 32], new Float32Array(224)) }),
    coded("FEED_SHAPE", /into 2 parts along dimension 0: it has 1/),
  );
  using editor = new OutputEditor(group);
  editor.register(new HookFunction(COLUMN, { editingFunction: scale(1) }));
  await assert.rejects(
    (shards[0] as Model).run({ [MLP.input]: float32([1, 7, 32], new Float32Array(224)) }),
    coded("HOOK_UNSUPPORTED", /its shard was run by itself/),
  );
});

Deno.test("ShardGroup: an input is split along a dimension for row-parallel shards", async () => {
  await using stack = new AsyncDisposableStack();
  const replicas = [stack.use(await openTorch("bert")), stack.use(await openTorch("bert"))];
  const same = { last_hidden_state: { gather: 0 }, pooler_output: { gather: 0 } } as const;
  const split = { split: 0 } as const;
  const group = new ShardGroup(replicas, {
    inputs: { input_ids: split, attention_mask: split, token_type_ids: split },
    outputs: same,
  });
  const outputs = await group.run(BERT_FEEDS);
  await using model = await openTorch("bert");
  const truth = await model.run(BERT_FEEDS);
  assert.ok(maxDifference(outputs["pooler_output"], truth["pooler_output"]) <= TOLERANCE);
});
