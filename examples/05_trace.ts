// $ deno run --allow-read --allow-write=/tmp --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/05_trace.ts
// tapped: one session with 2 further outputs
// header: 2 modules, tapped
// step 0 mid.a [ 1, 8, 4, 4 ] 0.6820
// step 0 mid.b [ 1, 8, 4, 4 ] 0.8437
// step 1 mid.a [ 1, 8, 4, 4 ] 0.6252
// step 1 mid.b [ 1, 8, 4, 4 ] 0.8942
// step 2 mid.a [ 1, 8, 4, 4 ] 0.6451
// step 2 mid.b [ 1, 8, 4, 4 ] 0.9939

import { readFileSync } from "node:fs";
import { float32, loadInputs, openModel, traceStep } from "@hookline/hookline";
import { activationTrace } from "@hookline/hookline/plugins/activation-trace";

const folder = new URL("../tests/fixtures/torch/unet/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const plugin = activationTrace({
  layers: "^mid\\.[ab]$",
  stats: ["abs_mean", "max", "shape"],
  output: "/tmp/hookline_example_<pid>.jsonl",
  mode: "new",
});
const trace = plugin.attach(model, { modelName: "unet" });
console.log(model.explain().split("\n")[0]);

// Three denoise steps; the pipeline's own code stays as it is but for traceStep around each.
let { x } = await loadInputs({ dir: folder.pathname }, model.inputs);
for (let step = 0; x !== undefined && step < 3; step++) {
  const feeds = { x, t: float32([1], [1 - step / 3]) };
  const { y } = await traceStep(step, () => model.run(feeds));
  const noise = y?.data as Float32Array;
  const before = x.data as Float32Array;
  x = float32(x.shape, before.map((value, index) => value - 0.1 * (noise[index] ?? 0)));
}
await trace?.detach();

for (const line of readFileSync(trace?.path ?? "", "utf8").trimEnd().split("\n")) {
  const record = JSON.parse(line);
  if (record.type === "header") console.log(`header: ${record.modules} modules, ${record.plan}`);
  else console.log(`step ${record.step} ${record.module}`, record.shape, record.max.toFixed(4));
}
