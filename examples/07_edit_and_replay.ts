// $ deno run --allow-read --allow-write --allow-ffi --allow-env=ORT_DISABLE_TELEMETRY examples/07_edit_and_replay.ts
// plain    0.6754
// edited   0.4142 (split: 3 segments)
// no steer 0.5983
// replayed 0.4142: the same bits
// saved: steer on encoder.layer.0, scale on encoder.layer.1

import { float32, loadInputs, openModel, tensorDigest, type TensorMap } from "@hookline/hookline";
import {
  HookFunction,
  loadEdits,
  OutputEditor,
  replayEdits,
  saveEdits,
  scale,
  steer,
} from "@hookline/hookline/plugins/output-edit";

const folder = new URL("../tests/fixtures/torch/bert/", import.meta.url);
await using model = await openModel(new URL("model.onnx", folder), { provider: "cpu" });
const feeds = await loadInputs({ dir: folder.pathname }, model.inputs);
const first = (outputs: TensorMap) =>
  (outputs["pooler_output"]?.data as Float32Array)[0]?.toFixed(4);
const digest = (outputs: TensorMap) => Object.values(outputs).map(tensorDigest).join();

console.log("plain   ", first(await model.run(feeds)));

// A direction for the first position of every text, and a damper on four units of the next layer.
const direction = float32([32], Float32Array.from({ length: 32 }, (_, unit) => Math.cos(unit)));
const editor = new OutputEditor(model);
editor.register(
  new HookFunction("encoder.layer.0", {
    expectedShape: [null, null, 32],
    editingFunction: steer(direction, { coefficient: 3, at: [{ axis: 1, end: 1 }] }),
  }),
  { groups: ["steer"] },
);
editor.register(
  new HookFunction("encoder.layer.1", {
    editingFunction: scale(0.5, { at: [{ axis: -1, indices: [3, 5, 8, 13] }] }),
  }),
);
const edited = await model.run(feeds);
console.log("edited  ", first(edited), `(${model.explain().split("\n")[0]})`);
console.log("no steer", first(await editor.run(feeds, { groups: "steer", complement: true })));

const place = await Deno.makeTempDir();
await saveEdits(`${place}/edits.json`, editor, { tensors: "file" });
editor.restore();

const edits = await loadEdits(`${place}/edits.json`);
replayEdits(editor, edits);
const replayed = await model.run(feeds);
const same = digest(replayed) === digest(edited) ? "the same bits" : "other bits";
console.log("replayed", `${first(replayed)}: ${same}`);
const saved = edits.entries.map(({ hook }) => `${hook.edit?.kind} on ${hook.moduleName}`);
console.log("saved:", saved.join(", "));
await Deno.remove(place, { recursive: true });
