// $ deno run --allow-read --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/04_replace_a_module.ts
// plain    0.6754
// split: 3 segments
//   half-effect replaces the forward of encoder.layer.[1-2]: cut around it
//   segment 0: embeddings, encoder.layer.0
//   segment 1: encoder.layer.1, encoder.layer.2
//   segment 2: pooler
// replaced 0.6473

import {
  float32,
  type ForwardCall,
  loadInputs,
  ModelHook,
  openModel,
  type OriginalForward,
  type TensorMap,
} from "@hookline/hookline";

/** Runs the original module and keeps only half of its effect; a cache would not call it at all. */
class HalfEffect extends ModelHook {
  override readonly name = "half-effect";
  override readonly access = "replace";

  override async newForward(
    call: ForwardCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): Promise<TensorMap> {
    const outputs = await original();
    const [input, output] = [call.inputNames[0] ?? "", call.outputNames[0] ?? ""];
    const before = inputs[input]?.data as Float32Array;
    const after = outputs[output]?.data as Float32Array;
    const mixed = after.map((value, index) => (value + (before[index] ?? 0)) / 2);
    return { [output]: float32(outputs[output]?.shape ?? [], mixed) };
  }
}

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const feeds = await loadInputs({ dir: folder.pathname }, model.inputs);
const first = (outputs: TensorMap) =>
  (outputs["pooler_output"]?.data as Float32Array)[0]?.toFixed(4);

console.log("plain   ", first(await model.run(feeds)));
// A span of blocks is a module like any other: one hook replaces two layers.
using _handle = model.registry("encoder.layer.[1-2]").register(new HalfEffect());
console.log(model.explain().split("\n").slice(0, 5).join("\n"));
console.log("replaced", first(await model.run(feeds)));
