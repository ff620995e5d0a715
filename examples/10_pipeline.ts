// $ deno run --allow-read --allow-write --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/10_pipeline.ts
// split: 5 segments
// weights: 3 of 3 blocks are streamed, 0.098 MB a run
// step 0: 4 hidden states
// step 1: 4 hidden states
// 108 trace records

import { definePipeline, loadInputs, traceStep } from "@hookline/hookline";
import { activationTrace } from "@hookline/hookline/plugins/activation-trace";
import { layerwiseOffload } from "@hookline/hookline/plugins/layerwise-offload";
import { outputCapturePlugin } from "@hookline/hookline/plugins/output-capture";

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
const path = await Deno.makeTempFile({ suffix: ".jsonl" });
const capture = outputCapturePlugin();
{
  await using pipeline = await definePipeline({
    models: { text: new URL("model.onnx", folder) },
    provider: "auto", // CUDA where it is found
    plugins: [
      layerwiseOffload({ depth: 1 }),
      activationTrace({ output: path, mode: "new" }),
      capture,
    ],
  }).open();
  const { text } = pipeline.models;
  const lines = text.explain().split("\n").map((line) => line.trim());
  console.log(lines[0]);
  console.log(lines.find((line) => line.startsWith("weights:")));
  const feeds = await loadInputs({ dir: folder.pathname }, text.inputs);
  for (let step = 0; step < 2; step++) {
    const { captures } = await traceStep(
      step,
      () => capture.of("text").run(feeds, { hidden_states: true }),
    );
    console.log(`step ${step}: ${captures.hidden_states.length} hidden states`);
  }
}
const records = (await Deno.readTextFile(path)).trimEnd().split("\n").length - 1;
console.log(`${records} trace records`);
await Deno.remove(path);
