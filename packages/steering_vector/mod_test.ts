import assert from "node:assert/strict";
import {
  attachPlugins,
  float32,
  grantRequested,
  loadPlugin,
  openModel,
  type PluginOptions,
  readManifest,
} from "@hookline/hookline";
import { buildModel, fakeEngine, pluginConformance } from "@hookline/hookline/testing";

const ROOT = import.meta.dirname ?? "";
const FEEDS = { x: float32([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]) };
const OPTIONS = { vector: [1, 0, -1, 0.5], scale: 2 };

for (const one of pluginConformance(ROOT, { options: OPTIONS, modules: "layers.0" })) {
  Deno.test(one.name, one.run);
}

async function steered(options: PluginOptions): Promise<number[]> {
  const grants = grantRequested(readManifest(ROOT));
  await using model = await openModel(buildModel({ layers: 2 }), {
    engine: fakeEngine(),
    provider: "cpu",
  });
  await using plugin = await loadPlugin(ROOT, { grants, options, modules: "layers.0" });
  await using _attached = await attachPlugins(model, [plugin]);
  return [...(await model.run(FEEDS))["y"]?.data as Float32Array];
}

Deno.test("steering-vector changes what comes after the module, and nothing with a vector of zeros", async () => {
  const plain = await steered(null);
  assert.deepEqual(await steered({ vector: [0, 0, 0, 0] }), plain);
  const moved = await steered(OPTIONS);
  assert.equal(moved.length, plain.length);
  assert.notDeepEqual(moved, plain);
  // Another width is left alone.
  assert.deepEqual(await steered({ vector: [1, 2] }), plain);
});

Deno.test("steering-vector refuses options that are no vector", async () => {
  for (const options of [{}, { vector: "1" }, { vector: [1], scale: "2" }]) {
    await assert.rejects(steered(options), { code: "PLUGIN_MODULE", message: /wants \{ vector/ });
  }
});
