import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import fc from "fast-check";
import { decodeNpy, encodeNpy } from "../../formats/npy.ts";
import { float32, tensor } from "../../tensor/tensor.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";
import { damagedCopies, refusals, thrown } from "./_damage.ts";
import { assertSameTensor, NUMERIC, numericTensors, stringTensors } from "./_tensors.ts";

const golden = (name: string) => decodeNpy(readFixture("formats", `${name}.npy`), name);

/** A .npy file of version 1.0 with this header text. */
function npy(header: string, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(header);
  return Uint8Array.of(
    ...[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8],
    ...text,
    ...body,
  );
}

const refuse = (bytes: Uint8Array) => thrown(() => decodeNpy(bytes, "x.npy"), "FILE_FORMAT");

Deno.test("decodeNpy() gives back what encodeNpy() wrote, bit for bit", () => {
  const plain = NUMERIC.filter((dtype) => !dtype.startsWith("float8"));
  fc.assert(fc.property(numericTensors(plain), (value) => {
    assertSameTensor(decodeNpy(encodeNpy(value), "x"), value);
  }));
});

Deno.test("decodeNpy() gives the 8-bit floats back as their bits", () => {
  for (const dtype of NUMERIC.filter((name) => name.startsWith("float8"))) {
    const bits = Uint8Array.of(0, 0x7f, 0xff);
    const found = decodeNpy(encodeNpy(tensor(dtype, [3], bits)), "x");
    assertSameTensor(found, tensor("uint8", [3], bits));
  }
});

Deno.test("decodeNpy() gives back strings that do not end in NUL", () => {
  fc.assert(fc.property(stringTensors(), (value) => {
    fc.pre(!(value.data as string[]).some((text) => text.endsWith("\0")));
    assertSameTensor(decodeNpy(encodeNpy(value), "x"), value);
  }));
});

Deno.test("decodeNpy() reads what numpy wrote", () => {
  const quarter = Float32Array.from({ length: 6 }, (_, index) => index / 4);
  assertSameTensor(golden("f4_2x3"), float32([2, 3], quarter));
  assertSameTensor(golden("f4_big_endian"), float32([2, 3], quarter));
  const ramp = Float32Array.from({ length: 24 }, (_, index) => index);
  assertSameTensor(golden("f4_fortran"), float32([2, 3, 4], ramp));
  const special = Float64Array.of(NaN, Infinity, -Infinity, -0, 5e-324);
  assertSameTensor(golden("f8_special"), tensor("float64", [5], special));
  const half = Float16Array.of(1, -2, 65504, 6e-8);
  assertSameTensor(golden("f2"), tensor("float16", [4], half));
  assertSameTensor(golden("i8_scalar"), tensor("int64", [], BigInt64Array.of(-(2n ** 63n))));
  const wide = BigUint64Array.of(2n ** 64n - 1n, 1n);
  assertSameTensor(golden("u8_big_endian"), tensor("uint64", [2], wide));
  assertSameTensor(golden("i2_empty"), tensor("int16", [0, 3], new Int16Array(0)));
  assertSameTensor(golden("b1"), tensor("bool", [2, 2], Uint8Array.of(1, 0, 0, 1)));
  assertSameTensor(golden("str_u"), tensor("string", [2, 2], ["a", "häß", "", "𝛼β"]));
  assertSameTensor(golden("str_u_big_endian"), tensor("string", [2], ["ab", "c"]));
  assertSameTensor(golden("str_s"), tensor("string", [2], ["ä", "xyz"]));
  assertSameTensor(golden("bfloat16"), tensor("bfloat16", [2], Uint16Array.of(0x3f80, 0xc020)));
  assertSameTensor(golden("float8e4m3fn"), tensor("uint8", [2], Uint8Array.of(0x38, 0xc2)));
  for (const version of [1, 2, 3]) {
    assertSameTensor(golden(`version_${version}`), tensor("uint16", [2], Uint16Array.of(1, 2)));
  }
});

Deno.test("encodeNpy() writes the bytes that numpy writes", () => {
  const rewritable = "f4_2x3 f8_special f2 i8_scalar i2_empty b1 str_u bfloat16 rank_6 version_1";
  for (const name of rewritable.split(" ")) {
    assert.deepEqual(encodeNpy(golden(name)), readFixture("formats", `${name}.npy`), name);
  }
  const bits = tensor("float8e4m3fn", [2], Uint8Array.of(0x38, 0xc2));
  assert.deepEqual(encodeNpy(bits), readFixture("formats", "float8e4m3fn.npy"));
});

Deno.test("encodeNpy() writes every torch fixture byte for byte as it was", () => {
  let files = 0;
  for (const model of readdirSync(fixturePath("torch"))) {
    for (const name of readdirSync(fixturePath("torch", model))) {
      if (!name.endsWith(".npy")) continue;
      const value = decodeNpy(readFixture("torch", model, name), name);
      assertSameTensor(decodeNpy(encodeNpy(value), name), value);
      assert.deepEqual(encodeNpy(value), readFixture("torch", model, name), name);
      files++;
    }
  }
  assert.equal(files, 25);
});

Deno.test("encodeNpy() writes version 2.0 when the header passes 64 KiB, and decodeNpy() reads it", () => {
  const value = tensor("uint8", new Array(30_000).fill(1), Uint8Array.of(7));
  const bytes = encodeNpy(value);
  assert.equal(bytes[6], 2);
  assertSameTensor(decodeNpy(bytes, "x"), value);
});

Deno.test("decodeNpy() copies, at any alignment", () => {
  const file = encodeNpy(float32([2], [1, 2]));
  const shifted = new Uint8Array(file.length + 1);
  shifted.set(file, 1);
  const value = decodeNpy(shifted.subarray(1), "x");
  shifted.fill(0);
  assertSameTensor(value, float32([2], [1, 2]));
});

Deno.test("decodeNpy() refuses types that no ONNX tensor has and says which", () => {
  assert.match(refuse(readFixture("formats", "object.npy")).message, /pickle/);
  assert.match(refuse(readFixture("formats", "structured.npy")).message, /structured dtype/);
  assert.match(refuse(readFixture("formats", "complex.npy")).message, /<c8/);
  for (const descr of ["<M8[s]", "<f16", "<i3", "<U0", "|V3", "", "<<f4", "<U9999999999"]) {
    refuse(npy(`{'descr': '${descr}', 'fortran_order': False, 'shape': (1,), }`));
  }
});

Deno.test("decodeNpy() refuses damaged files with label, found, wanted and fix", () => {
  const error = refuse(encodeNpy(float32([2], [1, 2])).slice(0, -1));
  assert.match(error.message, /"x\.npy": found 7 bytes of data, wanted 8/);
  assert.equal(error.details.file, "x.npy");
  assert.match(error.fix, /cut off/);
  refuse(new Uint8Array(0));
  refuse(Uint8Array.of(0x93, 0x4e));
  refuse(encodeNpy(float32([2], [1, 2])).slice(0, 9));
  refuse(encodeNpy(float32([2], [1, 2])).slice(0, 40));
  refuse(Uint8Array.of(...encodeNpy(float32([1], [1])), 0));
  const future = encodeNpy(float32([1], [1]));
  future[6] = 4;
  assert.match(refuse(future).message, /version 4\.0/);
  assert.match(
    refuse(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", Uint8Array.of(2)))
      .message,
    /bool byte/,
  );
});

Deno.test("decodeNpy() refuses hostile headers before it allocates", () => {
  const dict = (shape: string) => `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}, }`;
  for (
    const header of [
      "",
      "[]",
      "{}",
      "{'descr': '<f4'}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + exit()",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
      "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<\\x664', 'fortran_order': False, 'shape': (1,)}",
      dict("1"),
      dict("(1)"),
      dict("(-1,)"),
      dict("(1.0,)"),
      dict("(,)"),
      dict("(1,,2)"),
      dict("(1000000000000,)"),
      dict("(4294967296, 4294967296)"),
      dict("(4294967296, 4294967296, 0)"),
      dict("(99999999999999999999,)"),
      dict(`(${"9999999,".repeat(200)})`),
    ]
  ) refuse(npy(header));
  const old = npy(dict("(1L, 2L)"), new Uint8Array(8));
  assert.deepEqual([...decodeNpy(old, "python 2").shape], [1, 2]);
});

Deno.test("decodeNpy() refuses 2,000 damaged files with FILE_FORMAT alone", () => {
  const names = ["f4_fortran", "str_u", "b1", "i8_scalar", "version_2", "str_s"];
  const files = names.map((name) => readFixture("formats", `${name}.npy`));
  const refused = refusals((bytes) => decodeNpy(bytes, "damaged"), damagedCopies(files, 2000));
  assert.ok(refused > 1000, `${refused}`);
});

Deno.test("encodeNpy() refuses what numpy cannot hold", () => {
  const write = (text: string) =>
    thrown(() => encodeNpy(tensor("string", [1], [text])), "FILE_WRITE");
  assert.match(write("a\0").message, /NUL/);
  assert.match(write("\ud800").message, /well-formed/);
  const broken = { dtype: "float32", shape: [2], data: new Float32Array(1) } as const;
  thrown(() => encodeNpy(broken), "FEED_DATA");
});
