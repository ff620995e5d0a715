import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { buildModel } from "../../testing/build_model.ts";
import { fakeEngine } from "../../testing/fake_engine.ts";

Deno.test("buildModel() names its modules and gives the same bytes each time", async () => {
  assert.deepEqual(buildModel(), buildModel());
  assert.notDeepEqual(buildModel(), buildModel({ layers: 2 }));
  await using model = await openModel(buildModel({ layers: 2, width: 3 }), {
    engine: fakeEngine(),
    provider: "cpu",
  });
  assert.deepEqual(model.modules.map(({ path }) => path), [
    "",
    "layers",
    "layers.0",
    "layers.0.linear",
    "layers.0.activation",
    "layers.1",
    "layers.1.linear",
    "layers.1.activation",
  ]);
  assert.deepEqual(model.inputs[0]?.shape, ["batch", 3]);
});

Deno.test("buildModel() refuses sizes below 1", () => {
  for (const options of [{ layers: 0 }, { width: 1.5 }]) {
    assert.throws(() => buildModel(options), { code: "OPTION_INVALID" });
  }
});
