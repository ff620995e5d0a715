import assert from "node:assert/strict";
import { TensorProto_DataType } from "onnx-buf";
import { dtypeFromOnnx, dtypeInfo, storedByteLength } from "../../tensor/dtype.ts";

Deno.test("dtypeFromOnnx() knows every element type of the ONNX schema, by its number", () => {
  const numbers = Object.values(TensorProto_DataType).filter((value) => typeof value === "number");
  for (const number of numbers) {
    const info = dtypeFromOnnx(number);
    if (number === TensorProto_DataType.UNDEFINED) assert.equal(info, undefined);
    else assert.equal(info?.onnxType, number, `type ${number}`);
  }
});

Deno.test("dtypeInfo() and dtypeFromOnnx() agree, and know nothing else", () => {
  for (const name of ["float32", "int64", "bool", "bfloat16", "int4"]) {
    const info = dtypeInfo(name);
    assert.equal(dtypeFromOnnx(info?.onnxType ?? -1), info);
  }
  assert.equal(dtypeInfo("float"), undefined);
  assert.equal(dtypeFromOnnx(99), undefined);
});

Deno.test("storedByteLength() packs sub-byte types and rounds up", () => {
  const bytes = (name: string, count: number): number =>
    storedByteLength(dtypeInfo(name) ?? { dtype: "bool", onnxType: 0, bitWidth: NaN }, count);
  assert.equal(bytes("float32", 3), 12);
  assert.equal(bytes("int4", 3), 2);
  assert.equal(bytes("uint2", 5), 2);
  assert.equal(bytes("int64", 0), 0);
});
