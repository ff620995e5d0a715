// $ deno run --allow-read --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/01_list_modules.ts
// encoder.layer.1 62 nodes, 16 weights
// encoder.layer.1.attention 51 nodes, 10 weights
// encoder.layer.1.attention.self 47 nodes, 6 weights
// encoder.layer.1.attention.self.query 2 nodes, 2 weights
// encoder.layer.1.attention.self.key 2 nodes, 2 weights
// encoder.layer.1.attention.self.value 2 nodes, 2 weights
// encoder.layer.1.attention.output 4 nodes, 4 weights
// encoder.layer.1.attention.output.dense 2 nodes, 2 weights
// encoder.layer.1.attention.output.LayerNorm 1 nodes, 2 weights
// encoder.layer.1.intermediate 7 nodes, 2 weights
// encoder.layer.1.intermediate.dense 2 nodes, 2 weights
// encoder.layer.1.intermediate.intermediate_act_fn 5 nodes, 0 weights
// encoder.layer.1.output 4 nodes, 4 weights
// encoder.layer.1.output.dense 2 nodes, 2 weights
// encoder.layer.1.output.LayerNorm 1 nodes, 2 weights

import { openModel } from "@hookline/hookline";

const path = new URL("../tests/fixtures/torch/bert/model.onnx", import.meta.url);
await using model = await openModel(path, { provider: "cpu" });

for (const module of model.select(["encoder.layer.1", "encoder.layer.1.**"])) {
  const [call] = module.calls;
  console.log(module.path, `${call?.nodes.length} nodes, ${module.parameters.length} weights`);
}
