// A live comparison of the bert fixture with a copy of which one bias was altered.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type TensorProto } from "onnx-buf";
import { loadInputs } from "../../../formats/tensor_inputs.ts";
import { compareModels } from "../../../parity/compare/compare_models.ts";
import type { CompareReport } from "../../../parity/compare/compare_report.ts";
import { fixturePath, readFixture } from "../../support/fixture_path.ts";

/** The module whose bias is altered in {@linkcode faultyBertReport}. */
export const FAULTY_MODULE = "encoder.layer.1.intermediate.dense";

/** The report of a comparison of bert with itself, one bias altered. */
export function faultyBertReport(): Promise<CompareReport> {
  const bytes = readFixture("torch", "bert", "model.onnx");
  const model = fromBinary(ModelProtoSchema, bytes);
  const bias = model.graph?.initializer.find(({ name }) => name === `${FAULTY_MODULE}.bias`);
  if (bias === undefined) throw new Error(`bert has no bias of ${FAULTY_MODULE}`);
  addToFirst(bias, 0.25);
  return compareModels(bytes, new Uint8Array(toBinary(ModelProtoSchema, model)), {
    feeds: (inputs) => loadInputs({ dir: fixturePath("torch", "bert") }, inputs),
    provider: "cpu",
  });
}

function addToFirst(tensor: TensorProto, amount: number): void {
  const bytes = tensor.rawData.slice();
  const view = new DataView(bytes.buffer);
  view.setFloat32(0, view.getFloat32(0, true) + amount, true);
  tensor.rawData = bytes;
}
