import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { OptimizationLevel } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { availableCores } from "../../../sessions/thread_budget.ts";
import { fixtureInputs, TORCH_FIXTURES } from "../../pipeline/_fixtures.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { assertSameBits } from "../../support/run_model.ts";

const EXPORTS = [
  "dynamo_bert",
  "dynamo_control_flow",
  "dynamo_gpt2_past",
  "dynamo_loops",
  "dynamo_unet",
  "dynamo_vit",
  "torchscript_bert_external",
  "torchscript_control_flow",
];
const FOLDERS: readonly (readonly string[])[] = [
  ...TORCH_FIXTURES.map((name) => ["torch", name]),
  ...EXPORTS.map((name) => ["exports", name]),
];

for (const folder of FOLDERS) {
  Deno.test(`the native engine gives the addon's bits for ${folder.join("/")}, run after run`, async () => {
    const path = join(fixturePath(...folder), "model.onnx");
    assert.ok(existsSync(path), path);
    const source = { kind: "file", path } as const;
    const feeds = fixtureInputs(...folder);
    const levels: readonly OptimizationLevel[] = ["all", "disabled"];
    for (const optimization of levels) {
      for (const threads of [...new Set([1, availableCores(), availableCores() + 1])]) {
        const settings = { provider: "cpu", optimization, threads, prepacking: true, label: "m" };
        await using native = await new NativeEngine().open(source, settings as never);
        await using napi = await new NapiEngine().open(source, settings as never);
        assert.deepEqual(native.inputs, napi.inputs);
        assert.deepEqual(native.outputs, napi.outputs);
        const given = Object.fromEntries(
          native.inputs.map(({ name }) => [name, feeds[name]]),
        ) as typeof feeds;
        const wanted = await napi.run(given);
        for (let run = 0; run < 3; run++) assertSameBits(await native.run(given), wanted);
      }
    }
  });
}
