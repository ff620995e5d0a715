import assert from "node:assert/strict";
import type { SessionSettings } from "../../sessions/engine.ts";
import { NO_WEIGHT_FOLDER, ortSessionOptions } from "../../sessions/session_options.ts";
import { expectCode } from "./expect_code.ts";

const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 2,
  prepacking: true,
  label: "whole model",
};

Deno.test("ortSessionOptions() of a file differs from a plain session in spinning alone", () => {
  assert.deepEqual(ortSessionOptions(SETTINGS, null), {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    intraOpNumThreads: 2,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    logId: "whole model",
    extra: { session: { intra_op: { allow_spinning: "0" } } },
  });
});

Deno.test("ortSessionOptions() spells every session entry as a string", () => {
  const { extra } = ortSessionOptions(
    { ...SETTINGS, prepacking: false, provider: "cuda" },
    "/models/bert",
  );
  assert.deepEqual(extra.session, {
    intra_op: { allow_spinning: "0" },
    disable_prepacking: "1",
    model_external_initializers_file_folder_path: "/models/bert",
  });
});

Deno.test("ortSessionOptions() leaves the arena to ONNX Runtime unless it is refused", () => {
  assert.equal("enableCpuMemArena" in ortSessionOptions({ ...SETTINGS, arena: true }, null), false);
  assert.equal(ortSessionOptions({ ...SETTINGS, arena: false }, null).enableCpuMemArena, false);
});

Deno.test("ortSessionOptions() names one provider and never a fallback list", () => {
  for (const provider of ["cpu", "cuda", "webgpu"] as const) {
    const { executionProviders } = ortSessionOptions(
      { ...SETTINGS, provider },
      NO_WEIGHT_FOLDER,
    );
    assert.equal(executionProviders.length, 1);
  }
});

Deno.test("ortSessionOptions() refuses what is outside the allowed values", async () => {
  const wrong: readonly Partial<Record<keyof SessionSettings, unknown>>[] = [
    { provider: "auto" },
    { provider: "toString" },
    { optimization: "2" },
    { threads: 0 },
    { threads: NaN },
    { threads: 2000 },
  ];
  for (const change of wrong) {
    const settings = { ...SETTINGS, ...change } as SessionSettings;
    const error = await expectCode(
      "OPTION_INVALID",
      () => ortSessionOptions(settings, null),
    );
    assert.equal(error.details["option"], Object.keys(change)[0]);
  }
  await expectCode("OPTION_INVALID", () => ortSessionOptions(SETTINGS, "here"));
});

Deno.test("ortSessionOptions() takes activations from the shared arena, or the heap where there is none", () => {
  const options = ortSessionOptions({ ...SETTINGS, arena: "shared" }, null);
  assert.equal(options.enableCpuMemArena, false);
  assert.equal(options.extra.session.use_env_allocators, "1");
  const own = ortSessionOptions({ ...SETTINGS, arena: false }, null);
  assert.equal("use_env_allocators" in own.extra.session, false);
});

Deno.test("ortSessionOptions() writes prepacked weights to plain places alone", async () => {
  const savePrepacked = { modelPath: "/cache/block.onnx", dataName: "block.bin" };
  const prepacking = { ...SETTINGS, prepacking: true };
  const options = ortSessionOptions({ ...prepacking, savePrepacked }, null);
  assert.equal(options.optimizedModelFilePath, "/cache/block.onnx");
  const { session } = options.extra;
  assert.equal(session.optimized_model_external_initializers_file_name, "block.bin");
  assert.equal(session.save_external_prepacked_constant_initializers, "1");
  assert.equal("optimizedModelFilePath" in ortSessionOptions(prepacking, null), false);
  for (
    const wrong of [
      { ...prepacking, savePrepacked: { ...savePrepacked, modelPath: "block.onnx" } },
      { ...prepacking, savePrepacked: { ...savePrepacked, dataName: "../block.bin" } },
      { ...prepacking, savePrepacked: { ...savePrepacked, dataName: ".hidden" } },
      { ...prepacking, prepacking: false, savePrepacked },
    ]
  ) {
    await expectCode("OPTION_INVALID", () => ortSessionOptions(wrong, null));
  }
});
