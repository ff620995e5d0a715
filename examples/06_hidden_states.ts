// $ deno run --allow-read --allow-write --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/06_hidden_states.ts
// keys: hidden_states, attentions
// hidden_states: [2, 7, 32] [2, 7, 32] [2, 7, 32] [2, 7, 32]
// layer 1, head 3 looks from token 0 at: 0.12 0.08 0.14 0.12 0.18 0.13 0.24
// tapped: one session with 3 further outputs
// stopped early: 77 of 204 nodes run
// last tokens: [2, 32] [2, 32] [2, 32]
// written: 4 tensors

import { loadInputs, openModel, openSafetensors } from "@hookline/hookline";
import { outputCapture } from "@hookline/hookline/plugins/output-capture";

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const feeds = await loadInputs({ dir: folder.pathname }, model.inputs);
const shape = (value: { readonly shape: readonly number[] } | null) =>
  `[${value?.shape.join(", ")}]`;

// Two lines to every hidden state and all attention weights of an unmodified file.
const capture = outputCapture(model);
const { captures } = await capture.run(feeds, { hidden_states: true, attentions: [1] });

console.log(`keys: ${capture.keys.join(", ")}`);
console.log(`hidden_states: ${captures.hidden_states.map(shape).join(" ")}`);
// An ndarray view: batch 0, head 3, token 0.
const row = captures.attentions[1]?.view.pick(0, 3, 0, null);
const weights = Array.from({ length: 7 }, (_, token) => Number(row?.get(token)).toFixed(2));
console.log(`layer 1, head 3 looks from token 0 at: ${weights.join(" ")}`);

// Only the first layer is wanted: what lies behind it does not run.
const plan = await capture.explain({ hidden_states: [0, 1] }, { stop: true });
console.log(plan.split("\n")[0]);
console.log(`stopped early: ${/\d+ of \d+ nodes run/.exec(plan)?.[0]}`);
await capture.run(feeds, { hidden_states: [0, 1] }, { stop: true });

// Any module, any part of it.
const last = outputCapture(model, {
  keys: { last: { target: "encoder.layer.*", slice: { axis: 1, at: -1 } } },
});
const { captures: tokens } = await last.run(feeds, { last: true });
console.log(`last tokens: ${tokens.last.map(shape).join(" ")}`);

// Straight to a file, without holding the values.
const path = await Deno.makeTempFile({ suffix: ".safetensors" });
await capture.run(feeds, { hidden_states: true }, { to: path });
await using file = await openSafetensors(path);
console.log(`written: ${file.entries.length} tensors`);
await Deno.remove(path);
