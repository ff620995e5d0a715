// How far a statistic may be off, by the dtype of the tensor that it is of. It knows dtypes and numbers.
//
// The rule is relative to the tensor's scale, so it folds each pair of torch.testing.assert_close, which
// is for single elements, into one relative bound: rtol is the larger number of the pair (1e-5 for
// float32, whose element-wise rtol of 1.3e-6 is passed by rounding alone after a dozen layers). A tensor
// whose scale is itself noise gets a hundredth of that as atol.
// Source: https://docs.pytorch.org/docs/stable/testing.html (2.9), table of torch.testing.assert_close.

import { HooklineError } from "../errors/hookline_error.ts";

/** How far a number may be off: by `atol + rtol * scale`. */
export interface Tolerance {
  /** Relative to the scale. */
  readonly rtol: number;
  /** Absolute, per element. */
  readonly atol: number;
}

/** What a caller wants instead, for every dtype. */
export interface ToleranceOptions {
  /** Relative to the tensor's scale. */
  readonly rtol?: number | undefined;
  /** Absolute, per element. */
  readonly atol?: number | undefined;
}

/** The tolerance of every float dtype. */
export const FLOAT_TOLERANCES: Readonly<Record<string, Tolerance>> = {
  float64: { rtol: 1e-7, atol: 1e-9 },
  float32: { rtol: 1e-5, atol: 1e-7 },
  float16: { rtol: 1e-3, atol: 1e-5 },
  bfloat16: { rtol: 1.6e-2, atol: 1.6e-4 },
  float8e4m3fn: { rtol: 0.125, atol: 1.25e-3 },
  float8e4m3fnuz: { rtol: 0.125, atol: 1.25e-3 },
  float8e5m2: { rtol: 0.25, atol: 2.5e-3 },
  float8e5m2fnuz: { rtol: 0.25, atol: 2.5e-3 },
};

/** Integers and booleans: what float32, in which statistics are computed, does to their sums. */
export const INTEGER_TOLERANCE: Tolerance = { rtol: 1e-6, atol: 0 };
/** A record that does not say its dtype is taken for this one. */
export const ASSUMED_DTYPE = "float32";

/** Other spellings, once a framework's name and punctuation are taken off. */
const SPELLINGS: Readonly<Record<string, string>> = {
  double: "float64",
  float: "float32",
  half: "float16",
  f64: "float64",
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
  long: "int64",
  int: "int32",
  short: "int16",
  char: "int8",
  byte: "uint8",
  boolean: "bool",
};

/** The dtype that a framework's spelling means: `torch.float32`, `tensor(float)` and `F32` are one. */
export function plainDtype(spelling: string): string {
  const inner = /^tensor\((.*)\)$/.exec(spelling)?.[1] ?? spelling;
  const name = inner.slice(inner.lastIndexOf(".") + 1).toLowerCase().replaceAll("_", "");
  return Object.hasOwn(SPELLINGS, name) ? SPELLINGS[name] as string : name;
}

/** Whether a dtype is a float. */
export function isFloat(dtype: string): boolean {
  return Object.hasOwn(FLOAT_TOLERANCES, dtype);
}

/** The tolerance of tensors of this dtype. */
export function toleranceOf(dtype: string, options: ToleranceOptions = {}): Tolerance {
  const base = isFloat(dtype) ? FLOAT_TOLERANCES[dtype] as Tolerance : INTEGER_TOLERANCE;
  return { rtol: options.rtol ?? base.rtol, atol: options.atol ?? base.atol };
}

/**
 * Refuses options that mean nothing.
 *
 * @throws {HooklineError} OPTION_INVALID for a tolerance that is negative or no number, or a window
 * that is no whole number from 1 to a million.
 */
export function requireTolerance({ rtol, atol }: ToleranceOptions, window: number): void {
  for (const [option, value] of [["rtol", rtol], ["atol", atol]] as const) {
    if (value === undefined || (value >= 0 && value < Infinity)) continue;
    throw invalidOption(option, String(value), "a number that is not negative, such as 1e-5");
  }
  if (Number.isSafeInteger(window) && window >= 1 && window <= 1_000_000) return;
  throw invalidOption("window", String(window), "a whole number from 1 to 1000000");
}

function invalidOption(option: string, found: string, wanted: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot compare traces with ${option} ${found}: wanted ${wanted}`,
    fix: `give ${wanted}, or leave ${option} out`,
    details: { option },
  });
}
