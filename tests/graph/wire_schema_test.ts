import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProtoSchema, TypeProtoSchema } from "onnx-buf";
import type { ErrorCode } from "../../errors/codes.ts";
import { HooklineError } from "../../errors/hookline_error.ts";
import { checkWireTypes } from "../../graph/wire_schema.ts";
import { loadCorpus } from "../fuzz/corpus.ts";
import { expectCode } from "../sessions/expect_code.ts";

function tooDeep(): HooklineError {
  return new HooklineError("MODEL_TOO_DEEP", { message: "too deep", fix: "flatten it" });
}

function check(schema: Parameters<typeof checkWireTypes>[1]["schema"], ...bytes: number[]): void {
  checkWireTypes(Uint8Array.from(bytes), { schema, depthMax: 3, label: "test", tooDeep });
}

function refused(code: ErrorCode, ...bytes: number[]) {
  return expectCode(code, () => check(TensorProtoSchema, ...bytes));
}

Deno.test("checkWireTypes() accepts what real exporters write", () => {
  for (const { bytes } of loadCorpus()) {
    checkWireTypes(bytes, { schema: ModelProtoSchema, depthMax: 100, label: "test", tooDeep });
  }
});

Deno.test("checkWireTypes() accepts lists of numbers packed and unpacked, and unknown fields", () => {
  check(TensorProtoSchema, 0x08, 2, 0x08, 3); // dims
  check(TensorProtoSchema, 0x0a, 2, 2, 3);
  check(TensorProtoSchema, 0x25, 0, 0, 128, 63, 0x22, 4, 0, 0, 128, 63); // float_data
  check(TensorProtoSchema, 0x51, 0, 0, 0, 0, 0, 0, 0, 0); // double_data
  check(TensorProtoSchema, 0xa0, 0x38, 1, 0xa5, 0x38, 1, 2, 3, 4); // field 900
});

Deno.test("checkWireTypes() refuses another wire type than the schema's", async () => {
  await refused("MODEL_MALFORMED", 0x0d, 1, 2, 3, 4); // dims as four bytes
  await refused("MODEL_MALFORMED", 0x12, 0); // data_type as bytes
  await refused("MODEL_MALFORMED", 0x40, 1); // name as a number
  await refused("MODEL_MALFORMED", 0x68, 1); // external_data as a number
  await refused("MODEL_MALFORMED", 0x75, 1, 0, 0, 0); // data_location as four bytes
});

Deno.test("checkWireTypes() refuses a weight file that only ONNX Runtime would see", async () => {
  // data_type as four bytes. ONNX Runtime skips them and finds external_data behind; protobuf-es reads
  // one of them, and the other three as the head of an unknown field that swallows external_data.
  const reference = [0x6a, 4, 0x0a, 0, 0x12, 0, 0x70, 1];
  const bytes = [0x15, 1, 0xa2, 0x38, reference.length, ...reference];
  const read = fromBinary(TensorProtoSchema, Uint8Array.from(bytes));
  assert.deepEqual([read.dataType, read.dataLocation, read.externalData.length], [1, 0, 0]);
  const error = await refused("MODEL_MALFORMED", ...bytes);
  assert.match(error.message, /a TensorProto has wire type 5 at field 2, wanted 0/);
});

Deno.test("checkWireTypes() refuses groups, known and unknown", async () => {
  await refused("MODEL_MALFORMED", 0x0b, 0x0c);
  await refused("MODEL_MALFORMED", 0xa3, 0x38, 0xa4, 0x38);
  await refused("MODEL_MALFORMED", 0x0e, 0);
});

Deno.test("checkWireTypes() refuses what does not fit its message", async () => {
  await refused("MODEL_MALFORMED", 0x08);
  await refused("MODEL_MALFORMED", 0x08, 0x80);
  await refused("MODEL_MALFORMED", 0x0a, 5, 1);
  await refused("MODEL_MALFORMED", 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1);
  await refused("MODEL_MALFORMED", 0x51, 0);
  await refused("MODEL_MALFORMED", 0x08, ...Array<number>(10).fill(0xff), 1);
  await refused("MODEL_MALFORMED", 0x6a, 3, 0x0a, 2, 1, 0x10, 0); // inside external_data
});

Deno.test("checkWireTypes() counts messages within messages", async () => {
  const sequence = (inner: number[]) => [0x22, inner.length + 2, 0x0a, inner.length, ...inner];
  check(TypeProtoSchema, ...sequence([]));
  await expectCode("MODEL_TOO_DEEP", () => check(TypeProtoSchema, ...sequence(sequence([]))));
});
