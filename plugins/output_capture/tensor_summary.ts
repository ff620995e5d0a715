// A tensor in the form of a debug tree: shape, dtype, statistics of floats, and on request the elements.
// It knows no module.

import { type JsonValue, type Tensor, toJson } from "../../mod.ts";

const FLOATS: readonly string[] = ["float16", "float32", "float64"];

/** What a debug tree says of a tensor. */
export interface TensorSummary {
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: string;
  /** Mean of a float tensor's elements, added up in order in double precision. */
  readonly mean?: JsonValue;
  /** Standard deviation of a float tensor, unbiased. */
  readonly std?: JsonValue;
  /** Smallest element of a float tensor. */
  readonly min?: JsonValue;
  /** Largest element of a float tensor. */
  readonly max?: JsonValue;
}

/** Summarises a tensor. */
export function summarize({ dtype, shape, data }: Tensor): TensorSummary {
  if (!FLOATS.includes(dtype) || !ArrayBuffer.isView(data) || data.length === 0) {
    return { shape, dtype };
  }
  const values = data as Float32Array;
  let [sum, min, max] = [0, Infinity, -Infinity];
  for (const value of values) {
    sum += value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const std = Math.sqrt(squares / (values.length - 1));
  const json = (value: number): JsonValue => toJson(value) as JsonValue;
  return { shape, dtype, mean: json(mean), std: json(std), min: json(min), max: json(max) };
}

/** A tensor's elements in order, as JSON holds them. */
export function elementsOf({ data }: Tensor): JsonValue {
  return Array.from(
    data as Iterable<number | bigint | string>,
    (value) => toJson(value) as JsonValue,
  );
}
