import assert from "node:assert/strict";
import {
  FLOAT_TOLERANCES,
  INTEGER_TOLERANCE,
  isFloat,
  plainDtype,
  requireTolerance,
  toleranceOf,
} from "../../parity/trace_tolerance.ts";

Deno.test("plainDtype() reads the spellings of frameworks as one", () => {
  const spellings = {
    float32: ["torch.float32", "float32", "F32", "tensor(float)", "numpy.float32", "torch.float"],
    float16: ["torch.half", "torch.float16", "tensor(float16)", "f16"],
    bfloat16: ["torch.bfloat16", "BF16", "jnp.bfloat16"],
    int64: ["torch.int64", "torch.long", "tensor(int64)"],
    float8e4m3fn: ["torch.float8_e4m3fn", "float8e4m3fn"],
    bool: ["torch.bool", "boolean"],
  };
  for (const [wanted, found] of Object.entries(spellings)) {
    for (const spelling of found) assert.equal(plainDtype(spelling), wanted, spelling);
  }
  assert.equal(plainDtype("torch.complex64"), "complex64");
  assert.equal(plainDtype("constructor"), "constructor");
});

Deno.test("toleranceOf() takes the dtype's tolerance, or the caller's", () => {
  assert.deepEqual(toleranceOf("float32"), FLOAT_TOLERANCES["float32"]);
  assert.deepEqual(toleranceOf("int64"), INTEGER_TOLERANCE);
  assert.deepEqual(toleranceOf("toString"), INTEGER_TOLERANCE);
  assert.deepEqual(toleranceOf("float16", { rtol: 0 }), { rtol: 0, atol: 1e-5 });
  assert.deepEqual(toleranceOf("float16", { atol: 1, rtol: 2 }), { rtol: 2, atol: 1 });
  assert.deepEqual(["float64", "bool"].map(isFloat), [true, false]);
});

Deno.test("requireTolerance() refuses what is no tolerance and no window", () => {
  requireTolerance({ rtol: 0, atol: undefined }, 1);
  for (const options of [{ rtol: -1 }, { atol: NaN }, { rtol: Infinity }]) {
    assert.throws(() => requireTolerance(options, 5), { code: "OPTION_INVALID" });
  }
  for (const window of [0, 1.5, NaN, 1e9]) {
    assert.throws(() => requireTolerance({}, window), { code: "OPTION_INVALID" });
  }
});
