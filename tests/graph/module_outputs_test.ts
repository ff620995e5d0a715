// The boundary that the module tree gives a module is where PyTorch's module ends: every output that
// PyTorch recorded is computed, by ONNX Runtime without optimisation, at one of its boundary values.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { decodeNpy } from "../../formats/npy.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import { inlineFunctions } from "../../graph/inline_functions.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { fixtureTree, fixtureUrl } from "./_fixtures.ts";

/**
 * Absolute; for tensors that reach beyond 8, in proportion. gpt2_past's logits reach 26, and there the
 * whole untouched model differs from PyTorch by 5.7e-6 on some CPUs.
 */
const TOLERANCE = 4e-6;
const EXPECTED_COUNTS: Readonly<Record<string, number>> = {
  "torch/bert": 54,
  "torch/gpt2_past": 46,
  "torch/unet": 53,
  "torch/vit": 30,
  "exports/dynamo_bert": 54,
  "exports/dynamo_tied": 87,
  "exports/dynamo_unet": 57,
  "exports/functions": 54,
  "exports/functions_shared": 50,
  "exports/tied_merged": 87,
};

function feedsOf(name: string): Record<string, OrtTensor> {
  const feeds: Record<string, OrtTensor> = {};
  const folder = fileURLToPath(fixtureUrl(name, "."));
  for (const file of readdirSync(folder).sort()) {
    const input = /^in\.(.*)\.npy$/.exec(file)?.[1];
    if (input === undefined) continue;
    const { dtype, data, shape } = decodeNpy(readFileSync(fixtureUrl(name, file)), file);
    feeds[input] = new OrtTensor(dtype as "float32", data as Float32Array, [...shape]);
  }
  return feeds;
}

/** A model's bytes, its functions inlined: values inside them can be tapped only so. */
function modelBytes(name: string): Uint8Array {
  const bytes = readFileSync(fixtureUrl(name, "model.onnx"));
  if (!name.startsWith("exports/functions")) return bytes;
  const { model } = inlineFunctions(fromBinary(ModelProtoSchema, bytes));
  model.graph?.node.forEach((node, index) => node.name = `n${index}`); // ONNX Runtime wants no name twice
  return toBinary(ModelProtoSchema, model);
}

/** Runs a model with further values as outputs: protobuf joins the lists of appended messages. */
async function runTapped(name: string, values: readonly string[]) {
  const declared = new Set(fixtureTree(name).graph.outputs);
  const taps = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      graph: {
        output: values.filter((value) => !declared.has(value)).map((value) => ({ name: value })),
      },
    }),
  );
  const session = await InferenceSession.create(new Uint8Array([...modelBytes(name), ...taps]), {
    graphOptimizationLevel: "disabled",
    intraOpNumThreads: 1,
  });
  try {
    return await session.run(feedsOf(name));
  } finally {
    await session.release();
  }
}

function difference(expected: Tensor, actual: OrtTensor | undefined): number {
  if (actual === undefined || actual.dims.join() !== expected.shape.join()) return Infinity;
  const wanted = expected.data as Float32Array;
  const found = actual.data as Float32Array;
  let largest = 0;
  let reach = 0;
  wanted.forEach((value, index) => {
    largest = Math.max(largest, Math.abs(value - (found[index] ?? NaN)));
    reach = Math.max(reach, Math.abs(value));
  });
  return largest / Math.max(1, reach / 8);
}

function truthTensors(name: string): Record<string, Tensor> {
  return decodeSafetensors(readFileSync(fixtureUrl(name, "module_outputs.safetensors")), name);
}

for (const [name, count] of Object.entries(EXPECTED_COUNTS)) {
  Deno.test(`moduleTree() ends every module of ${name} where PyTorch's ends`, async () => {
    const { tree } = fixtureTree(name);
    const truth = truthTensors(name);
    const wanted: { key: string; expected: Tensor; outputs: readonly string[] }[] = [];
    for (const [key, expected] of Object.entries(truth)) {
      const [, path = "", further = "0"] = /^(.*?)(?:#(\d+))?(?:\[.*)?$/.exec(key) ?? [];
      const call = tree.get(path)?.calls[Number(further)];
      if (call !== undefined) wanted.push({ key, expected, outputs: call.outputs });
    }
    assert.equal(wanted.length, count);
    const results = await runTapped(name, [...new Set(wanted.flatMap((item) => item.outputs))]);
    for (const { key, expected, outputs } of wanted) {
      const best = Math.min(...outputs.map((value) => difference(expected, results[value])));
      assert.ok(best <= TOLERANCE, `${key}: ${best} at ${outputs.join(", ")}`);
    }
  });
}

Deno.test("nameByTopology() ends the blocks of an unnamed BERT where its layers end", async () => {
  const name = "exports/unnamed";
  const { tree } = fixtureTree(name);
  const blocks = tree.modules.filter((module) => /^block\.\d+$/.test(module.path));
  const outputs = blocks.flatMap((block) => block.calls[0]?.outputs ?? []);
  const results = await runTapped(name, outputs);
  const truth = truthTensors(name);
  const differences = outputs.map((value, index) =>
    difference(truth[`encoder.layer.${index}`] as Tensor, results[value])
  );
  assert.equal(differences.length, 3);
  for (const found of differences) assert.ok(found <= TOLERANCE, String(found));
});
