// $ deno run --allow-read --allow-write --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/09_all_together.ts
// step 0: 4 hidden states
// step 1: 2 hidden states
// split: 4 segments
// 78 trace records

import { definePipeline, loadInputs, traceStep } from "@hookline/hookline";
import { activationTrace } from "@hookline/hookline/plugins/activation-trace";
import { firstBlockCache } from "@hookline/hookline/plugins/first-block-cache";
import { nanGuard } from "@hookline/hookline/plugins/nan-guard";
import { outputCapturePlugin } from "@hookline/hookline/plugins/output-capture";
import { HookFunction, outputEdit, scale } from "@hookline/hookline/plugins/output-edit";

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
const path = await Deno.makeTempFile({ suffix: ".jsonl" });
const capture = outputCapturePlugin();
{
  await using pipeline = await definePipeline({
    models: { text: new URL("model.onnx", folder) },
    provider: "cpu",
    plugins: [
      activationTrace({ output: path, mode: "new" }),
      capture,
      firstBlockCache({ blocks: "encoder.layer.*", threshold: 0.05 }),
      nanGuard({ infinities: false }),
      outputEdit({
        setup: (editor) =>
          void editor.register(new HookFunction("embeddings", { editingFunction: scale(1.1) })),
      }),
    ],
  }).open();
  const { text } = pipeline.models;
  const feeds = await loadInputs({ dir: folder.pathname }, text.inputs);
  for (let step = 0; step < 2; step++) {
    const { captures } = await traceStep(
      step,
      () => capture.of("text").run(feeds, { hidden_states: true }),
    );
    console.log(
      `step ${step}: ${
        captures.hidden_states.filter((value) => value !== null).length
      } hidden states`,
    );
  }
  console.log(text.explain().split("\n")[0]);
}
const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
console.log(`${lines.length - 1} trace records`);
await Deno.remove(path);
