import assert from "node:assert/strict";
import { fromBinary, isFieldSet, toBinary } from "@bufbuild/protobuf";
import { GraphProtoSchema, NodeProtoSchema, TensorProtoSchema } from "onnx-buf";
import { copyMessage } from "../../graph/copy_message.ts";
import { floats, graph, node } from "../support/build_model.ts";

Deno.test("copyMessage() changes the copy alone and shares what it does not change", () => {
  const original = node("Relu", ["x"], ["y"], { name: "first", attributes: { axis: 1 } });
  const copy = copyMessage(NodeProtoSchema, original, { name: "second" });
  assert.deepEqual([original.name, copy.name], ["first", "second"]);
  assert.equal(copy.attribute[0], original.attribute[0]);
});

Deno.test("copyMessage() keeps defaults and presence of unset fields", () => {
  const original = fromBinary(TensorProtoSchema, toBinary(TensorProtoSchema, floats("w", [1])));
  const copy = copyMessage(TensorProtoSchema, original, { name: "v" });
  assert.equal(copy.docString, "");
  assert.equal(copy.dataLocation, 0);
  assert.equal(isFieldSet(copy, TensorProtoSchema.field.dataLocation), false);
  const same = copyMessage(TensorProtoSchema, original, {});
  assert.deepEqual(toBinary(TensorProtoSchema, same), toBinary(TensorProtoSchema, original));
});

Deno.test("copyMessage() keeps fields that this version of the schema does not know", () => {
  const unknown = Uint8Array.of(0xa2, 0x38, 0x01, 0x07); // field 900, one byte
  const bytes = Uint8Array.from([...toBinary(GraphProtoSchema, graph({})), ...unknown]);
  const copy = copyMessage(GraphProtoSchema, fromBinary(GraphProtoSchema, bytes), { name: "g" });
  assert.deepEqual(toBinary(GraphProtoSchema, copy).slice(-4), unknown);
});
