// $ deno run --allow-read --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/02_observe.ts
// tapped: one session with 2 further outputs
// encoder.layer.0 [2, 7, 32] peak 3.0243
// encoder.layer.1 [2, 7, 32] peak 2.6980
// encoder.layer.2 [2, 7, 32] peak 2.7023

import {
  type ForwardCall,
  loadInputs,
  ModelHook,
  openModel,
  type TensorMap,
} from "@hookline/hookline";

/** Prints the shape and the largest magnitude of what a module puts out. */
class Peak extends ModelHook {
  override readonly name = "peak";

  override postForward(call: ForwardCall, outputs: TensorMap): void {
    for (const { shape, data } of Object.values(outputs)) {
      const peak = (data as Float32Array).reduce(
        (most, value) => Math.max(most, Math.abs(value)),
        0,
      );
      console.log(`${call.module.path} [${shape.join(", ")}] peak ${peak.toFixed(4)}`);
    }
  }
}

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
for (const { path } of model.select("encoder.layer.*")) model.registry(path).register(new Peak());

console.log(model.explain().split("\n")[0]);
await model.run(await loadInputs({ dir: folder.pathname }, model.inputs));
