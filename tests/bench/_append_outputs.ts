// Taps values the way that needs no tool: an encoded ModelProto that holds only outputs, appended to a
// model's bytes, merges with it.

import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";

/** A model's bytes with further outputs. */
export function appendOutputs(
  model: Uint8Array,
  names: readonly string[],
): Uint8Array<ArrayBuffer> {
  const suffix = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { graph: { output: names.map((name) => ({ name })) } }),
  );
  const bytes = new Uint8Array(model.byteLength + suffix.byteLength);
  bytes.set(model);
  bytes.set(suffix, model.byteLength);
  return bytes;
}
