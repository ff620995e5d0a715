// A model of two nodes in two modules, run whole, tapped and split: the shortest way through graph,
// planner and engine.

import { create, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { type VerifyDocument, verifyModel } from "../pipeline/verify.ts";
import { float32 } from "../tensor/tensor.ts";

/** Verifies the tiny model. */
export function selfTest(): Promise<VerifyDocument> {
  return verifyModel(tinyModel(), {
    feeds: { x: float32([2], [-1.5, 2]) },
    provider: "cpu",
    threads: 1,
    rounds: 1,
  });
}

function tinyModel(): Uint8Array {
  const value = (name: string) => ({
    name,
    type: {
      value: {
        case: "tensorType" as const,
        value: {
          elemType: 1,
          shape: { dim: [{ value: { case: "dimValue" as const, value: 2n } }] },
        },
      },
    },
  });
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: "", version: 13n }],
      graph: {
        name: "self-test",
        node: [
          { opType: "Neg", name: "/first/Neg", input: ["x"], output: ["/first/Neg_output_0"] },
          { opType: "Exp", name: "/second/Exp", input: ["/first/Neg_output_0"], output: ["y"] },
        ],
        input: [value("x")],
        output: [value("y")],
      },
    }),
  );
}
