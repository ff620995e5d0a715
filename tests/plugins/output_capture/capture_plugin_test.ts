import assert from "node:assert/strict";
import { definePipeline, openModel } from "../../../mod.ts";
import { outputCapture, outputCapturePlugin } from "../../../plugins/output_capture/mod.ts";
import { chainFeeds, chainModel } from "../../pipeline/_small_models.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { valueOf } from "./_models.ts";

Deno.test("outputCapturePlugin() gives every model of a pipeline its capture, until the pipeline closes", async () => {
  const plugin = outputCapturePlugin((model) => ({
    keys: { states: { target: model === "one" ? "layers.*" : "layers.0" } },
  }));
  const recipe = definePipeline({
    models: { one: chainModel(2), two: chainModel(3) },
    provider: "cpu",
    plugins: [plugin],
  });
  await expectCode("OPTION_INVALID", () => Promise.resolve(plugin.of("one")));
  {
    await using pipeline = await recipe.open();
    const { runs } = await plugin.of("one").collect(
      { states: true },
      () => pipeline.models.one.run(chainFeeds(1)),
    );
    assert.deepEqual(runs[0]?.captures["states"]?.map(valueOf), [3, 11]);
    assert.deepEqual(plugin.of("two").positions("states"), ["states/layers.0"]);
    await expectCode("OPTION_INVALID", () => Promise.resolve(plugin.of("three")));
  }
  await expectCode("OPTION_INVALID", () => Promise.resolve(plugin.of("one")));
});

Deno.test("outputCapture() refuses what is no model, and options that it does not have", async () => {
  await expectCode("OPTION_INVALID", () => outputCapture({} as never));
  await using model = await openModel(chainModel(), { provider: "cpu" });
  await expectCode("OPTION_INVALID", () => outputCapture(model, { key: {} } as never));
  await expectCode("OPTION_INVALID", () => outputCapture(model, { byteBudget: "a" as never }));
});
