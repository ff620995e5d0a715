import assert from "node:assert/strict";
import { ActivationView } from "../../manifest/activation_view.ts";
import { parseManifest } from "../../manifest/read_manifest.ts";
import { float32, tensor, type TensorMap } from "../../tensor/tensor.ts";
import { rightsWith } from "./_guards.ts";
import { keptAudit, manifestFields } from "./_plugin_folders.ts";

function view(level: "inline" | "worker"): ActivationView {
  return new ActivationView({
    manifest: parseManifest(manifestFields(), "test"),
    rights: rightsWith(),
    module: { path: "layer", className: null, callCount: 1 },
    level,
    audit: keptAudit().audit,
    modelInputs: [],
    modelOutputs: ["secret"],
  });
}

const MAP: TensorMap = { y: float32([2], [1, 2]), secret: float32([1], [3]) };

Deno.test("ActivationView copies in the plugin's own isolate and leaves the copying to a transport", () => {
  const inline = view("inline").of(MAP, "outputs");
  assert.deepEqual(inline["y"], MAP["y"]);
  assert.notEqual(inline["y"]?.data, MAP["y"]?.data);
  assert.equal(view("worker").of(MAP, "outputs")["y"], MAP["y"]);
});

Deno.test("ActivationView shows and hides every tensor exactly once", () => {
  const found = view("inline");
  assert.deepEqual(Object.keys(found.of(MAP, "outputs")), ["y"]);
  assert.deepEqual(Object.keys(found.hidden(MAP, "outputs")), ["secret"]);
});

Deno.test("ActivationView finds what was written into, by bits", () => {
  const found = view("inline");
  const map = {
    nan: float32([1], [NaN]),
    text: tensor("string", [1], ["a"]),
    y: float32([1], [0]),
  };
  const seen = found.of(map, "outputs");
  assert.deepEqual(found.writtenInto(map, seen), []);
  (seen["y"]?.data as Float32Array)[0] = -0;
  (seen["text"]?.data as string[])[0] = "b";
  assert.deepEqual(found.writtenInto(map, seen), ["text", "y"]);
});
