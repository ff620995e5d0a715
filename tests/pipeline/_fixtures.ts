// Inputs, outputs and every module's output of the exported models, as PyTorch computed them.

import { readdirSync } from "node:fs";
import { decodeNpy } from "../../formats/npy.ts";
import { decodeSafetensors } from "../../formats/safetensors.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";

/** The fixtures of torch 1.13, each with the trace that FastVideo's own hooks wrote. */
export const TORCH_FIXTURES = ["bert", "gpt2_past", "unet", "vit"] as const;

/** The files `in.NAME.npy` of a fixture. */
export function fixtureInputs(...folder: readonly string[]): TensorMap {
  return readTensors("in.", folder);
}

/** The files `out.NAME.npy` of a fixture. */
export function fixtureOutputs(...folder: readonly string[]): TensorMap {
  return readTensors("out.", folder);
}

/** What each module of a fixture returned: by path, with `[INDEX]` and `#CALL` where there are several. */
export function moduleOutputs(...folder: readonly string[]): TensorMap {
  return decodeSafetensors(readFixture(...folder, "module_outputs.safetensors"), folder.join("/"));
}

/** Module paths in the order in which PyTorch left them in the first run, each call once. */
export function tracedModules(...folder: readonly string[]): string[] {
  const text = new TextDecoder().decode(readFixture(...folder, "trace.fastvideo.jsonl"));
  const records = text.trim().split("\n").map((line) =>
    JSON.parse(line) as { module: string; tensor: string; step: number | null }
  );
  return records.filter(({ step }) => step === records[0]?.step)
    .filter(({ tensor }) => /^out(\[0\])*$/.test(tensor))
    .map(({ module }) => module);
}

function readTensors(prefix: string, folder: readonly string[]): TensorMap {
  const found: Record<string, Tensor> = {};
  for (const file of readdirSync(fixturePath(...folder)).sort()) {
    if (!file.startsWith(prefix) || !file.endsWith(".npy")) continue;
    found[file.slice(prefix.length, -".npy".length)] = decodeNpy(
      readFixture(...folder, file),
      file,
    );
  }
  return found;
}
