// Runs a model on onnxruntime-node with nothing of this project in between, and without a word on
// stderr: what ONNX Runtime says of a model that it refuses is in the error.

import { InferenceSession, type Tensor as OrtTensor } from "onnxruntime-node";
import type { OptimizationLevel } from "../../sessions/engine.ts";
import type { DType } from "../../tensor/dtype.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";

const FATAL = 4;

/** Opens a model, runs it once on one thread, releases it. */
export async function plainRun(
  model: Uint8Array | string,
  feeds: TensorMap,
  optimization: OptimizationLevel = "disabled",
): Promise<TensorMap> {
  const options = {
    graphOptimizationLevel: optimization,
    intraOpNumThreads: 1,
    logSeverityLevel: FATAL,
  } as const;
  const session =
    await (typeof model === "string"
      ? InferenceSession.create(model, options)
      : InferenceSession.create(model, options));
  try {
    const outputs = await session.run(
      Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)])),
      { logSeverityLevel: FATAL },
    );
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, fromOrt(value as OrtTensor)]),
    );
  } finally {
    await session.release();
  }
}

/** A plain object is taken like a Tensor, whose constructor refuses half floats. */
function toOrt({ dtype, shape, data }: Tensor): OrtTensor {
  const bits = data instanceof Float16Array
    ? new Uint16Array(data.buffer, data.byteOffset, data.length)
    : data;
  return { type: dtype, dims: shape, data: bits, location: "cpu" } as unknown as OrtTensor;
}

function fromOrt({ type, dims, data }: OrtTensor): Tensor {
  return { dtype: type as DType, shape: [...dims], data: data as Float32Array };
}
