// Opens models as the two sides of a comparison, on the CPU without optimisation.

import { castTensor } from "../../../parity/compare/cast_tensor.ts";
import type { PartHost } from "../../../parity/compare/part_run.ts";
import { type ModelSource, ModelStructure } from "../../../pipeline/model_structure.ts";
import { ValueTypes } from "../../../pipeline/value_types.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import type { Tensor, TensorMap } from "../../../tensor/tensor.ts";
import { inputSource, loadInputs } from "../../../formats/tensor_inputs.ts";
import { fixturePath } from "../../support/fixture_path.ts";

const engine = new NapiEngine();

/** A model open for parts. */
export function hostOf(source: ModelSource): PartHost {
  const structure = new ModelStructure(source);
  return {
    structure,
    engine,
    types: new ValueTypes(structure, engine),
    settings: { provider: "cpu", optimization: "disabled", threads: 1 },
  };
}

/** The inputs that lie beside a fixture's model. */
export async function fixtureFeeds(...parts: readonly string[]): Promise<TensorMap> {
  const folder = fixturePath(...parts);
  const { inputs } = new ModelStructure(`${folder}/model.onnx`);
  return await loadInputs(
    await inputSource(folder),
    inputs.map(({ name, dtype, shape }) => {
      if (dtype === null) throw new Error(`input ${name} is no tensor`);
      return { name, dtype, shape };
    }),
  );
}

/** A float tensor as half floats. */
export function halfTensor(value: Tensor): Tensor {
  const half = castTensor(value, "float16");
  if (half === null) throw new Error("no float");
  return half;
}
