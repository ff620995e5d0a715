// Weights as they would be in fewer bits, kept in their own element type: what a module loses by being
// stored that way is in the numbers, and every provider can compute with them.

import type { TensorProto } from "onnx-buf";
import { dtypeFromOnnx } from "../../tensor/dtype.ts";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";
import { type Tensor, tensorBytes } from "../../tensor/tensor.ts";
import { castTensor, dtypeClass, readNumbers } from "../compare/cast_tensor.ts";

/** How a module's numbers are rounded. */
export type Rounding = "float16" | "bfloat16" | "int8";

const INT8_MAX = 127;
const CHUNK = 4096;

/** A tensor rounded to a float type and back; itself when it is no float. */
export function roundedTensor(value: Tensor, to: "float16" | "bfloat16"): Tensor {
  if (dtypeClass(value.dtype) !== "float") return value;
  const rounded = castTensor(value, to);
  return (rounded === null ? null : castTensor(rounded, value.dtype)) ?? value;
}

/**
 * A float tensor in 255 steps from -max to max, the same for all elements, as ONNX Runtime's dynamic
 * quantization stores weights. Source: onnxruntime/quantization, `QuantType.QInt8`, `per_channel=False`.
 */
export function int8Tensor(value: Tensor): Tensor {
  const numbers = new Float64Array(value.data.length);
  for (let start = 0; start < numbers.length; start += CHUNK) {
    readNumbers(value, start, numbers.subarray(start, start + CHUNK));
  }
  let max = 0;
  for (const number of numbers) if (Math.abs(number) > max) max = Math.abs(number);
  if (max === 0 || !Number.isFinite(max)) return value;
  const scale = max / INT8_MAX;
  for (const [index, number] of numbers.entries()) {
    numbers[index] = Math.round(number / scale) * scale;
  }
  return castTensor({ dtype: "float64", shape: value.shape, data: numbers }, value.dtype) ?? value;
}

/**
 * Whether a weight is rounded: any float for the float types; floats of two or more dimensions for int8,
 * because biases and norms stay as they are there.
 */
export function isRounded({ dataType, dims }: TensorProto, rounding: Rounding): boolean {
  const dtype = dtypeFromOnnx(dataType)?.dtype;
  if (dtype === undefined || dtypeClass(dtype) !== "float") return false;
  return rounding !== "int8" || dims.length >= 2;
}

/** Rounds a weight in place, where it is one that is rounded. */
export function roundWeight(tensor: TensorProto, rounding: Rounding): void {
  if (!isRounded(tensor, rounding)) return;
  const value = decodeTensorProto(tensor);
  const rounded = rounding === "int8" ? int8Tensor(value) : roundedTensor(value, rounding);
  tensor.rawData = tensorBytes(rounded).slice() as typeof tensor.rawData;
  tensor.floatData = [];
  tensor.doubleData = [];
  tensor.int32Data = [];
}
