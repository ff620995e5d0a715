// Runs models on ONNX Runtime for tests that must know whether two models compute the same bits.

import assert from "node:assert/strict";
import type { OptimizationLevel, SessionSource, ValueSpec } from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";

const engine = new NapiEngine();

/** Opens a model, runs it once, releases it. */
export async function runModel(
  source: SessionSource | Uint8Array,
  feeds: TensorMap,
  optimization: OptimizationLevel = "disabled",
): Promise<TensorMap> {
  const opened = source instanceof Uint8Array
    ? { kind: "bytes" as const, bytes: source, weightFolder: null }
    : source;
  await using session = await engine.open(opened, {
    provider: "cpu",
    optimization,
    threads: 1,
    prepacking: true,
    label: "test",
  });
  return await session.run(feeds);
}

/** A float32 tensor whose elements all differ. */
export function rampTensor(shape: readonly number[]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, (_, index) => Math.sin(index + 1));
  return { dtype: "float32", shape, data };
}

/** Feeds that fit: floats between -1 and 1, small whole numbers, symbolic sizes as `sizeOf` has them. */
export function feedsFor(
  inputs: readonly ValueSpec[],
  sizeOf: (name: string | null) => number = () => 2,
): TensorMap {
  const feeds: Record<string, Tensor> = {};
  for (const { name, dtype, shape } of inputs) {
    const sizes = (shape ?? []).map((size) =>
      typeof size === "number" && size >= 0 ? size : sizeOf(typeof size === "string" ? size : null)
    );
    const count = sizes.reduce((product, size) => product * size, 1);
    if (dtype === "int64") {
      const data = BigInt64Array.from({ length: count }, (_, index) => BigInt(index % 2));
      feeds[name] = { dtype, shape: sizes, data };
    } else if (dtype === "bool") {
      feeds[name] = { dtype, shape: sizes, data: new Uint8Array(count).fill(1) };
    } else feeds[name] = rampTensor(sizes);
  }
  return feeds;
}

/** Fails unless both maps hold the same tensors, bit for bit. */
export function assertSameBits(actual: TensorMap, expected: TensorMap): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, tensor] of Object.entries(expected)) {
    const other = actual[name] as Tensor;
    assert.equal(other.dtype, tensor.dtype, name);
    assert.deepEqual(other.shape, tensor.shape, name);
    assert.deepEqual(bitsOf(other), bitsOf(tensor), name);
  }
}

function bitsOf({ data }: Tensor): unknown {
  if (!ArrayBuffer.isView(data)) return data;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
