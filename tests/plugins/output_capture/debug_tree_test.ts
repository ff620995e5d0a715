// T25 to T28: the call tree of a run, and its two files.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeSafetensors, float32, openModel } from "../../../mod.ts";
import { type DebugNode, debugTree } from "../../../plugins/output_capture/mod.ts";
import { summarize } from "../../../plugins/output_capture/tensor_summary.ts";
import { chainFeeds, chainModel } from "../../pipeline/_small_models.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { fixture } from "./_models.ts";

const pathsOf = (tree: DebugNode): string[] => tree.children?.map((one) => one.module_path) ?? [];

Deno.test("T26 debugTree() keeps the first and last of six layers, or all of them without pruning", async () => {
  await using model = await openModel(chainModel(6), { provider: "cpu" });
  const pruned = await debugTree(model, chainFeeds(1), { name: "Chain" });
  assert.deepEqual(pathsOf(pruned), ["Chain.layers.0", "Chain.layers.5"]);
  const all = await debugTree(model, chainFeeds(1), { name: "Chain", prune: false });
  assert.equal(all.children?.length, 6);
  assert.equal(model.plan().kind, "whole", "nothing stays attached");
});

Deno.test("T25 debugTree() is in execution order, leaves alone hold outputs, statistics as torch has them", async () => {
  await using open = await fixture("torch/bert");
  const { model, feeds } = open;
  const tree = await debugTree(model, feeds, { name: "Bert" });
  assert.deepEqual(pathsOf(tree), ["Bert.embeddings", "Bert.encoder", "Bert.pooler"]);
  assert.equal(tree.outputs, undefined);
  const layers = tree.children?.[1];
  assert.deepEqual(pathsOf(layers as DebugNode), ["Bert.encoder.layer.0", "Bert.encoder.layer.2"]);
  const dense = tree.children?.[2]?.children?.[0];
  const [output] = Object.values(dense?.outputs ?? {});
  assert.deepEqual(output?.shape, [2, 32]);
  assert.deepEqual(Object.keys(output ?? {}), ["shape", "dtype", "mean", "std", "min", "max"]);
  const [ids] = Object.values(tree.inputs ?? {});
  assert.deepEqual(Object.keys(ids ?? {}), ["shape", "dtype"], "integers have no statistics");
});

Deno.test("T28 debugTree() writes the full tree and its summary, T27 elements inline or as files", async () => {
  await using model = await openModel(chainModel(2), { provider: "cpu" });
  const dir = mkdtempSync(join(tmpdir(), "hookline-debug-"));
  try {
    const read = (file: string) => JSON.parse(readFileSync(join(dir, file), "utf8")) as DebugNode;
    await debugTree(model, chainFeeds(1), { name: "Chain", dir });
    assert.deepEqual(readdirSync(dir).sort(), [
      "Chain_debug_tree_FULL_TENSORS.json",
      "Chain_debug_tree_SUMMARY.json",
    ]);
    const full = read("Chain_debug_tree_FULL_TENSORS.json");
    const summary = read("Chain_debug_tree_SUMMARY.json");
    assert.deepEqual(full.inputs?.["x"]?.value, [1, 1]);
    assert.equal(summary.inputs?.["x"]?.value, undefined);
    assert.deepEqual(pathsOf(full), pathsOf(summary));
    await debugTree(model, chainFeeds(1), { name: "Chain", dir, values: "files" });
    const path = read("Chain_debug_tree_FULL_TENSORS.json").inputs?.["x"]?.value as string;
    assert.match(path, /^Chain_debug_tree_\d+\.safetensors$/);
    const saved = decodeSafetensors(new Uint8Array(readFileSync(join(dir, path))), path);
    assert.deepEqual([...saved["data"]?.data as Float32Array], [1, 1]);
    await expectCode(
      "FILE_WRITE",
      () => debugTree(model, chainFeeds(1), { dir: "/proc/nowhere/x" }),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

Deno.test("summarize() gives an unbiased deviation and lets NaN through", () => {
  assert.deepEqual(summarize(float32([4], [1, 2, 3, 4])), {
    shape: [4],
    dtype: "float32",
    mean: 2.5,
    std: Math.sqrt(5 / 3),
    min: 1,
    max: 4,
  });
  const broken = summarize(float32([3], [1, NaN, 2]));
  assert.deepEqual([broken.mean, broken.min, broken.max], ["NaN", "NaN", "NaN"]);
});
