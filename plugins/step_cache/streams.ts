// Which input of a span continues in which output. A cache adds what the span added last time to what
// enters it now, so it must know that `hidden` in is `hidden` out. It knows no policy.

import { HooklineError, type Tensor, type TensorMap } from "../../mod.ts";

/** Output names with the input that each of them continues. */
export type Streams = Readonly<Record<string, string>>;

/**
 * Pairs every output with the one input of its dtype and shape, or takes the pairs that were given.
 *
 * @throws {HooklineError} OPTION_INVALID when an output fits no input or several, or a given pair does
 * not fit.
 */
export function pairStreams(
  place: string,
  inputs: TensorMap,
  outputs: TensorMap,
  given: Streams | undefined,
): Streams {
  const pairs: Record<string, string> = {};
  for (const [name, output] of Object.entries(outputs)) {
    const wanted = given?.[name];
    const fitting = Object.keys(inputs).filter((input) => fits(inputs[input] as Tensor, output));
    const chosen = wanted ?? (fitting.length === 1 ? fitting[0] : undefined);
    if (chosen === undefined || !fitting.includes(chosen)) {
      throw new HooklineError("OPTION_INVALID", {
        message: `cannot cache "${place}": its output "${name}" [${output.shape.join(", ")}] ${
          wanted !== undefined
            ? `does not fit the input "${wanted}"`
            : fitting.length === 0
            ? "has no input of its shape"
            : `may continue ${fitting.map((input) => `"${input}"`).join(" or ")}`
        }`,
        fix:
          `pass streams: { "${name}": INPUT }, or cache a span whose outputs have the shape of inputs`,
        details: { module: place, output: name, inputs: fitting },
      });
    }
    pairs[name] = chosen;
  }
  return pairs;
}

function fits(input: Tensor, output: Tensor): boolean {
  return input.dtype === output.dtype && input.shape.length === output.shape.length &&
    input.shape.every((size, axis) => size === output.shape[axis]) && isFloat(input);
}

/** Arrays that hold real numbers as elements. */
export type FloatArray = Float32Array | Float64Array | Float16Array;

/** True for a tensor whose elements are numbers with fractions. */
export function isFloat(value: Tensor): value is Tensor & { readonly data: FloatArray } {
  return value.dtype === "float32" || value.dtype === "float64" ||
    (value.dtype === "float16" && !(value.data instanceof Uint16Array));
}

/** `left − right`, elementwise, in the left tensor's precision. */
export function difference(left: Tensor, right: Tensor): FloatArray {
  const data = (left.data as FloatArray).slice();
  const other = right.data as FloatArray;
  for (let index = 0; index < data.length; index++) {
    data[index] = (data[index] as number) - (other[index] as number);
  }
  return data;
}

/** `base + residual`, elementwise. */
export function sum(base: Tensor, residual: FloatArray): Tensor {
  const data = (base.data as FloatArray).slice();
  for (let index = 0; index < data.length; index++) {
    data[index] = (data[index] as number) + (residual[index] as number);
  }
  return { dtype: base.dtype, shape: base.shape, data };
}

/** mean|current − previous| and mean|previous|, accumulated in float64 in index order. */
export function meanChange(
  current: FloatArray,
  previous: FloatArray,
): { change: number; size: number } {
  let change = 0;
  let size = 0;
  for (let index = 0; index < current.length; index++) {
    const before = previous[index] as number;
    change += Math.abs((current[index] as number) - before);
    size += Math.abs(before);
  }
  return { change: change / current.length, size: size / current.length };
}
