// $ deno run --allow-read --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/08_step_cache.ts
// threshold 0: 0 of 10 skipped [], error 0.0000
// threshold 0.1: 5 of 10 skipped [1,3,5,7,9], error 0.0091
// threshold 0.3: 8 of 10 skipped [1,2,3,4,5,7,8,9], error 0.0379

import { float32, loadInputs, type Model, openModel, traceStep } from "@hookline/hookline";
import { teaCache } from "@hookline/hookline/plugins/tea-cache";

const folder = new URL("../tests/fixtures/torch/unet/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const { x, t } = await loadInputs({ dir: folder.pathname }, model.inputs);

/** Ten denoising steps; returns the sample. */
async function denoise(model: Model, steps = 10): Promise<Float32Array> {
  let sample = x?.data as Float32Array;
  for (let step = 0; step < steps; step++) {
    const time = float32(
      t?.shape ?? [],
      new Float32Array(t?.data.length ?? 0).fill(1 - step / steps),
    );
    const { y } = await traceStep(
      step,
      () => model.run({ x: float32(x?.shape ?? [], sample), t: time }),
    );
    sample = sample.map((value, index) => value - 0.1 * ((y?.data as Float32Array)[index] ?? 0));
  }
  return sample;
}

const plain = await denoise(model);
for (const threshold of [0, 0.1, 0.3]) {
  const cache = teaCache({ blocks: "mid.{a,b}", threshold });
  using _attached = cache.attach(model, { modelName: "unet" }) as Disposable;
  const sample = await denoise(model);
  const error = Math.max(...sample.map((value, index) => Math.abs(value - (plain[index] ?? 0))));
  const { skipped, skippedSteps } = cache.statistics() ?? { skipped: 0, skippedSteps: [] };
  console.log(
    `threshold ${threshold}: ${skipped} of 10 skipped [${skippedSteps}], error ${error.toFixed(4)}`,
  );
}
