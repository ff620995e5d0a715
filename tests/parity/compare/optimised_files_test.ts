// Files that ONNX Runtime itself optimised, held against what they were made of. Its fusions move the
// borders of modules: a bias goes into the activation behind it, a normalization into the convolution
// before it. The outputs are the same bits, so no module may be named; and where one is altered, it must be.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareModels } from "../../../parity/compare/compare_models.ts";
import type { CompareReport } from "../../../parity/compare/compare_report.ts";
import { randomInputs } from "../../../formats/random_inputs.ts";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { ortSessionOptions } from "../../../sessions/session_options.ts";
import { loadOrt } from "../../../sessions/ort_loader.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { modelBytes } from "../../support/build_model.ts";
import { decodeModel, subjectModel } from "../../support/subject_models.ts";
import { npmModels, type SuiteModel } from "../../verify/suite_models.ts";
import { fixtureFeeds } from "./_sides.ts";

type Level = "basic" | "extended" | "all";

/** The file that ONNX Runtime writes of a model, and the model itself. */
async function withOptimised(
  path: string,
  level: Level,
  check: (optimised: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-optimised-"));
  try {
    const optimised = join(folder, "optimised.onnx");
    const { module: { InferenceSession } } = await loadOrt();
    const settings = { provider: "cpu", threads: 1, prepacking: true, label: "optimised" } as const;
    const options = ortSessionOptions({ ...settings, optimization: level }, null);
    const session = await InferenceSession.create(path, {
      ...options,
      optimizedModelFilePath: optimised,
    });
    await session.release();
    await check(optimised);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function said({ status, introducedBy }: CompareReport): unknown[] {
  return [status, introducedBy.map(({ module }) => module)];
}

async function isSameBothWays(path: string, level: Level, feeds: TensorMap): Promise<void> {
  await withOptimised(path, level, async (optimised) => {
    const options = { feeds, provider: "cpu", threads: 1 } as const;
    for (const [reference, candidate] of [[path, optimised], [optimised, path]] as const) {
      const report = await compareModels(reference, candidate, options);
      assert.deepEqual(said(report), ["same", []]);
      assert.ok(report.modules.some(({ local }) => local !== null));
    }
  });
}

const FIXTURES: readonly (readonly [string, string, Level])[] = [
  ["torch", "bert", "extended"],
  ["torch", "gpt2_past", "extended"],
  ["torch", "unet", "all"],
  ["torch", "vit", "all"],
  ["exports", "dynamo_bert", "extended"],
  ["exports", "dynamo_unet", "extended"],
  ["exports", "functions", "basic"],
  ["exports", "unnamed", "basic"],
];

for (const [group, name, level] of FIXTURES) {
  Deno.test(`${name} and its copy optimised at ${level} are the same`, async () => {
    const path = fixturePath(group, name, "model.onnx");
    await isSameBothWays(path, level, await fixtureFeeds(group, name));
  });
}

/** Made-up inputs; the detector knows two sample rates and no other number. */
function madeUp({ path, dims = {} }: SuiteModel): TensorMap {
  const inputs = new ModelStructure(path).inputs.map(({ name, dtype, shape }) => ({
    name,
    dtype: dtype ?? "float32" as const,
    shape,
  }));
  const known = new Set(
    inputs.flatMap(({ name, shape }) =>
      (shape ?? []).map((size, axis) => size === null ? `${name}[${axis}]` : String(size))
    ),
  );
  const sizes = Object.fromEntries(Object.entries(dims).filter(([name]) => known.has(name)));
  const made = randomInputs(1, inputs, sizes);
  const rate = made["sr"];
  return rate === undefined
    ? made
    : { ...made, sr: { ...rate, data: BigInt64Array.of(16000n) } as typeof rate };
}

for (const model of npmModels()) {
  if (/half|op15|rec_infer/.test(model.name)) continue; // like one of the others
  Deno.test(`${model.name} and its copy optimised at extended are the same`, async () => {
    await isSameBothWays(model.path, "extended", madeUp(model));
  });
}

Deno.test("an altered module is named in a file that was optimised afterwards", async () => {
  const { bytes, feeds } = await subjectModel("bert");
  const weight = "encoder.layer.1.attention.output.LayerNorm.weight";
  const model = decodeModel(bytes);
  const tensor = model.graph?.initializer.find(({ name }) => name === weight);
  assert.ok(tensor !== undefined);
  tensor.rawData = new Uint8Array(
    new Float32Array(tensor.rawData.slice().buffer).map((value) => value * 1.25).buffer,
  );
  const folder = mkdtempSync(join(tmpdir(), "hookline-altered-"));
  try {
    const altered = join(folder, "altered.onnx");
    writeFileSync(altered, modelBytes(model));
    await withOptimised(altered, "extended", async (optimised) => {
      const report = await compareModels(bytes, optimised, { feeds, provider: "cpu", threads: 1 });
      assert.deepEqual(said(report), ["diverged", ["encoder.layer.1.attention.output.LayerNorm"]]);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("a branch that is not taken may contradict the sizes of what is fed", async () => {
  const model = npmModels().find(({ name }) => name.endsWith("/silero_vad.onnx"));
  assert.ok(model !== undefined);
  const report = await compareModels(model.path, null, {
    feeds: madeUp(model),
    provider: "cpu",
    threads: 1,
    optimization: "disabled",
    candidateOptimization: "all",
  });
  assert.deepEqual(said(report), ["same", []]);
  assert.deepEqual(report.modules.filter(({ problem }) => problem !== undefined), []);
});
