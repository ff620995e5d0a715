import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  attachPlugins,
  float32,
  grantRequested,
  loadPlugin,
  openModel,
  readManifest,
} from "@hookline/hookline";
import { buildModel, fakeEngine, pluginConformance } from "@hookline/hookline/testing";
import { addValues, emptyHistogram } from "./histogram.ts";

const ROOT = import.meta.dirname ?? "";

for (const one of pluginConformance(ROOT, { outputFolder: await Deno.makeTempDir() })) {
  Deno.test(one.name, one.run);
}

Deno.test("addValues() sorts magnitudes by the power of two below them", () => {
  const histogram = emptyHistogram();
  addValues(histogram, [1, 1.999, 2, -0.5, 2 ** 29 - 1, 2 ** -149, 0, -0, NaN, -Infinity]);
  assert.deepEqual(histogram.counts, { "0": 2, "1": 1, "-1": 1, "28": 1, "-149": 1 });
  assert.deepEqual([histogram.zeros, histogram.notFinite, histogram.total], [2, 2, 10]);
});

Deno.test("value-histogram writes what it counted when it ends", async () => {
  const outputFolder = await Deno.makeTempDir();
  try {
    const grants = grantRequested(readManifest(ROOT));
    await using plugin = await loadPlugin(ROOT, { grants, outputFolder, modules: "layers.0" });
    await using model = await openModel(buildModel({ layers: 2 }), {
      engine: fakeEngine(),
      provider: "cpu",
    });
    {
      await using _attached = await attachPlugins(model, [plugin]);
      await model.run({ x: float32([3, 4], new Array(12).fill(0.25)) });
    }
    const text = readFileSync(join(outputFolder, "value_histogram.json"), "utf8");
    const written = JSON.parse(text) as Record<string, { total: number }>;
    assert.deepEqual(Object.keys(written), ["layers.0"]);
    assert.equal(written["layers.0"]?.total, 12);
  } finally {
    await Deno.remove(outputFolder, { recursive: true });
  }
});
