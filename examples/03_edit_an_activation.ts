// $ deno run --allow-read --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/03_edit_an_activation.ts
// plain   0.6754
// steered 0.6817
// split: 2 segments
//   steer edits the outputs of encoder.layer.1: cut after it
//   segment 0: embeddings, encoder.layer.0, encoder.layer.1
//   segment 1: encoder.layer.2, pooler
// plain   0.6754

import {
  float32,
  type ForwardCall,
  loadInputs,
  ModelHook,
  openModel,
  type TensorMap,
} from "@hookline/hookline";

/** Adds a vector to every token's hidden state: steering, in one line of arithmetic. */
class Steer extends ModelHook {
  override readonly name = "steer";
  override readonly access = "edit";

  constructor(readonly vector: Float32Array) {
    super();
  }

  override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap {
    const width = this.vector.length;
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { shape, data }]) => {
        const steered = (data as Float32Array).map((value, index) =>
          value + (this.vector[index % width] ?? 0)
        );
        return [name, float32(shape, steered)];
      }),
    );
  }
}

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const feeds = await loadInputs({ dir: folder.pathname }, model.inputs);
const first = (outputs: TensorMap) =>
  (outputs["pooler_output"]?.data as Float32Array)[0]?.toFixed(4);

console.log("plain  ", first(await model.run(feeds)));
{
  await using _handle = model.registry("encoder.layer.1").register(
    new Steer(new Float32Array(32).fill(0.5)),
  );
  console.log("steered", first(await model.run(feeds)));
  console.log(model.explain().split("\n").slice(0, 4).join("\n"));
}
console.log("plain  ", first(await model.run(feeds)));
