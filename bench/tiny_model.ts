// `y = x`: the smallest model there is. Whatever a run of it costs is the cost of running.

import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, TensorProto_DataType } from "onnx-buf";

/** The bytes of a model with one Identity node on `x[n]`, float32. */
export function identityBytes(): Uint8Array<ArrayBuffer> {
  const declared = (name: string) => ({
    name,
    type: {
      value: {
        case: "tensorType" as const,
        value: {
          elemType: TensorProto_DataType.FLOAT,
          shape: { dim: [{ value: { case: "dimParam" as const, value: "n" } }] },
        },
      },
    },
  });
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ domain: "", version: 17n }],
    graph: {
      name: "identity",
      node: [{ name: "/Identity", opType: "Identity", input: ["x"], output: ["y"] }],
      input: [declared("x")],
      output: [declared("y")],
    },
  });
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}
