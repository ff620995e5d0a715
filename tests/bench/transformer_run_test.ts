// The generated models do what the benchmarks need of them: ONNX Runtime runs them, their blocks are
// modules, and the outputs of blocks can be had.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blockPaths, transformerFeeds } from "../../bench/subjects.ts";
import { transformerBytes, writeTransformer } from "../../bench/transformer_model.ts";
import { openModel, openSessions, type Tensor, tensor } from "../../mod.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import type { EngineSession, SessionSource } from "../../sessions/engine.ts";
import { tensorBytes } from "../../tensor/tensor.ts";
import { appendOutputs } from "./_append_outputs.ts";

const SMALL = { blocks: 3, width: 32, heads: 4 };
const TAPS = [0, 1, 2].map((index) => `/blocks.${index}/Add_1_output_0`);

const engine = new NapiEngine();

function open(source: Uint8Array | string): Promise<EngineSession> {
  const given: SessionSource = typeof source === "string"
    ? { kind: "file", path: source }
    : { kind: "bytes", bytes: source, weightFolder: null };
  return engine.open(given, {
    provider: "cpu",
    optimization: "all",
    threads: 1,
    prepacking: true,
    label: "transformer",
  });
}

function assertSane(value: Tensor | undefined, shape: readonly number[]): void {
  assert.ok(value !== undefined);
  assert.deepEqual([...value.shape], shape);
  const elements = [...value.data as Float32Array];
  assert.ok(elements.every(Number.isFinite));
  assert.ok(elements.some((element) => Math.abs(element) > 0.1));
}

Deno.test("ONNX Runtime runs the float32 transformer at any batch and length", async () => {
  await using session = await open(transformerBytes(SMALL));
  assert.deepEqual(session.inputs[0]?.shape, ["batch", "tokens", 32]);
  for (const [batch, tokens] of [[1, 1], [2, 7]] as const) {
    const data = Float32Array.from({ length: batch * tokens * 32 }, (_, index) => index % 5 - 2);
    const x = tensor("float32", [batch, tokens, 32], data);
    assertSane((await session.run({ x })).y, [batch, tokens, 32]);
  }
});

Deno.test("ONNX Runtime runs the float16 transformer", async () => {
  await using session = await open(transformerBytes({ ...SMALL, dtype: "float16" }));
  const given = transformerFeeds(5, 32)["x"] as Tensor;
  const x = tensor("float16", given.shape, Float16Array.from(given.data as Float32Array));
  const { y } = await session.run({ x });
  assert.equal(y?.dtype, "float16");
  assertSane(y, [1, 5, 32]);
});

Deno.test("ONNX Runtime runs the transformer with a vocabulary", async () => {
  await using session = await open(transformerBytes({ ...SMALL, vocabulary: 11 }));
  const ids = tensor("int64", [1, 3], BigInt64Array.of(0n, 10n, 5n));
  assertSane((await session.run({ input_ids: ids })).logits, [1, 3, 11]);
});

Deno.test("ONNX Runtime computes the same from external weights", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-test-"));
  try {
    const path = join(folder, "model.onnx");
    writeTransformer(path, { ...SMALL, weights: "external" });
    await using inline = await open(transformerBytes(SMALL));
    await using external = await open(path);
    const feeds = transformerFeeds(4, 32);
    const wanted = (await inline.run(feeds)).y as Tensor;
    const found = (await external.run(feeds)).y as Tensor;
    assert.deepEqual(tensorBytes(found), tensorBytes(wanted));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("the outputs of the blocks can be tapped", async () => {
  await using session = await open(appendOutputs(transformerBytes(SMALL), TAPS));
  const outputs = await session.run(transformerFeeds(4, 32));
  assert.deepEqual(Object.keys(outputs), ["y", ...TAPS]);
  for (const name of TAPS) assertSane(outputs[name], [1, 4, 32]);
});

Deno.test("the blocks are modules with the children that PyTorch would show", async () => {
  await using model = await openModel(transformerBytes({ ...SMALL, vocabulary: 11 }));
  const paths = model.modules.map((module) => module.path);
  const inBlock = [
    ...["ln1", "attn", "attn.q", "attn.k", "attn.v", "attn.proj"],
    ...["ln2", "mlp", "mlp.fc1", "mlp.act", "mlp.fc2"],
  ];
  assert.deepEqual(paths, [
    "",
    "embed",
    "blocks",
    ...blockPaths(3).flatMap((block) => [block, ...inBlock.map((child) => `${block}.${child}`)]),
    "norm",
    "head",
  ]);
});

Deno.test("tapped and split transformers equal the whole one bit for bit when nothing is fused", async () => {
  await using model = await openModel(transformerBytes(SMALL), {
    provider: "cpu",
    optimization: "disabled",
  });
  const feeds = transformerFeeds(4, 32);
  const wanted = (await model.run(feeds))["y"] as Tensor;
  for (const options of [{ tap: blockPaths(3) }, { split: blockPaths(3) }]) {
    const plan = model.plan(options);
    const found = (await model.run(feeds, { plan }))["y"] as Tensor;
    assert.deepEqual(tensorBytes(found), tensorBytes(wanted), plan.kind);
  }
});

Deno.test("no session of these tests stayed open", () => assert.deepEqual(openSessions(), []));
