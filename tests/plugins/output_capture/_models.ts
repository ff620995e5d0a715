// What the tests of output capture run: the exported fixtures with their true module outputs, and small
// models with the shapes that exports do not have.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  decodeSafetensors,
  loadInputs,
  type Model,
  openModel,
  type Tensor,
  type TensorMap,
} from "../../../mod.ts";
import type { OpenOptions } from "../../../pipeline/open_model.ts";
import { Buffer } from "node:buffer";
import { FIXTURES } from "../../support/fixture_path.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";

/** A fixture that is open. */
export interface Fixture extends AsyncDisposable {
  readonly model: Model;
  readonly feeds: TensorMap;
  /** Every module's true output. */
  readonly truth: TensorMap;
}

/** A fixture, open, with its inputs and every module's true output. */
export async function fixture(name: string, options: OpenOptions = {}): Promise<Fixture> {
  const dir = join(FIXTURES, name);
  const model = await openModel(join(dir, "model.onnx"), { provider: "cpu", ...options });
  const path = join(dir, "module_outputs.safetensors");
  return {
    model,
    feeds: await loadInputs({ dir }, model.inputs),
    truth: decodeSafetensors(new Uint8Array(readFileSync(path)), path),
    [Symbol.asyncDispose]: () => model.close(),
  };
}

/** The largest difference, relative to the largest magnitude of what is right. */
export function difference(found: Tensor | null | undefined, right: Tensor | undefined): number {
  assert.ok(found && right);
  assert.deepEqual([...found.shape], [...right.shape]);
  const [a, b] = [found.data as Float32Array, right.data as Float32Array];
  let largest = 0;
  let scale = 1e-9;
  for (const [index, value] of b.entries()) {
    largest = Math.max(largest, Math.abs((a[index] ?? NaN) - value));
    scale = Math.max(scale, Math.abs(value));
    if (Number.isNaN(a[index])) return NaN;
  }
  return largest / scale;
}

/** True when two tensors have the same bits. */
export function isSame(left: Tensor | null | undefined, right: Tensor | null | undefined): boolean {
  return left != null && right != null && Buffer.from((left.data as Float32Array).buffer.slice(0))
    .equals(Buffer.from((right.data as Float32Array).buffer.slice(0)));
}

/**
 * Three decoder layers over `x` and `context`; the middle one has no cross-attention. Each layer adds a
 * Softmax of its input, and the outer two another one of input plus context. Input `x`, output `y`.
 */
export function decoderModel(): Promise<Model> {
  const nodes = [0, 1, 2].flatMap((at) => {
    const from = at === 0 ? "x" : `h${at}`;
    const to = at === 2 ? "y" : `h${at + 1}`;
    const layer = `/layers.${at}`;
    const own = [
      node("Softmax", [from], [`s${at}`], { name: `${layer}/self_attn/Softmax` }),
      node("Add", [from, `s${at}`], [`a${at}`], { name: `${layer}/self_attn/Add` }),
    ];
    if (at === 1) return [...own, node("Neg", [`a${at}`], [to], { name: `${layer}/mlp/Neg` })];
    return [
      ...own,
      node("Add", [`a${at}`, "context"], [`q${at}`], { name: `${layer}/cross_attn/Add` }),
      node("Softmax", [`q${at}`], [`c${at}`], { name: `${layer}/cross_attn/Softmax` }),
      node("Add", [`a${at}`, `c${at}`], [to], { name: `${layer}/cross_attn/Add_1` }),
    ];
  });
  const io = (name: string) => valueInfo(name, "float32", ["n", 2]);
  return openModel(modelBytes({ nodes, inputs: [io("x"), io("context")], outputs: [io("y")] }), {
    provider: "cpu",
  });
}

/** The first element of a captured value, or null. */
export function valueOf(value: Tensor | null | undefined): number | null {
  return value ? (value.data as Float32Array)[0] ?? null : null;
}
