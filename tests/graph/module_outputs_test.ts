// The boundary that the module tree gives a module is where PyTorch's module ends: every output that
// PyTorch recorded is computed, by ONNX Runtime without optimisation, at one of its boundary values.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { decodeNpy } from "../../formats/npy.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { fixtureTree, fixtureUrl } from "./_fixtures.ts";

const TOLERANCE = 4e-6;
const EXPECTED_COUNTS: Readonly<Record<string, number>> = {
  "torch/bert": 54,
  "torch/gpt2_past": 46,
  "torch/unet": 53,
  "torch/vit": 30,
  "exports/dynamo_bert": 54,
  "exports/dynamo_tied": 87,
  "exports/functions": 54,
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

/** Runs a model with further values as outputs: protobuf joins the lists of appended messages. */
async function runTapped(name: string, values: readonly string[]) {
  const model = readFileSync(fixtureUrl(name, "model.onnx"));
  const declared = new Set(fixtureTree(name).graph.outputs);
  const taps = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      graph: {
        output: values.filter((value) => !declared.has(value)).map((value) => ({ name: value })),
      },
    }),
  );
  const session = await InferenceSession.create(new Uint8Array([...model, ...taps]), {
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
  wanted.forEach((value, index) => {
    largest = Math.max(largest, Math.abs(value - (found[index] ?? NaN)));
  });
  return largest;
}

for (const [name, count] of Object.entries(EXPECTED_COUNTS)) {
  // Values inside functions have no name that ONNX Runtime could tap in the file as it is.
  const isFunctions = name === "exports/functions";
  Deno.test({
    name: `moduleTree() ends every module of ${name} where PyTorch's ends`,
    ignore: isFunctions,
    fn: async () => {
      const { tree } = fixtureTree(name);
      const truth = decodeSafetensors(
        readFileSync(fixtureUrl(name, "module_outputs.safetensors")),
        name,
      );
      const wanted: { key: string; outputs: readonly string[] }[] = [];
      for (const key of truth.tensors.keys()) {
        const [, path = "", further = "0"] = /^(.*?)(?:#(\d+))?(?:\[.*)?$/.exec(key) ?? [];
        const call = tree.get(path)?.calls[Number(further)];
        if (call !== undefined) wanted.push({ key, outputs: call.outputs });
      }
      assert.equal(wanted.length, count);
      const results = await runTapped(name, [...new Set(wanted.flatMap((item) => item.outputs))]);
      for (const { key, outputs } of wanted) {
        const expected = truth.tensors.get(key) as Tensor;
        const best = Math.min(...outputs.map((value) => difference(expected, results[value])));
        assert.ok(best <= TOLERANCE, `${key}: ${best} at ${outputs.join(", ")}`);
      }
    },
  });
}
