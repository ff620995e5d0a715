// The other half of the promise: what computes the same is called the same. 200 models that were
// rewritten without changing what they compute, which is checked bit by bit on ONNX Runtime alone.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSileroCopies } from "../../../demo/silero_copies.ts";
import { compareModels } from "../../../parity/compare/compare_models.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import {
  DATA_FILE,
  type RewrittenModel,
  rewrittenModels,
} from "../../support/harmless_rewrites.ts";
import { modelBytes } from "../../support/build_model.ts";
import { convertOpset, TARGET_OPSETS } from "../../support/opset_conversion.ts";
import { plainRun } from "../../support/plain_run.ts";
import { assertSameBits } from "../../support/run_model.ts";
import { decodeModel } from "../../support/subject_models.ts";

const COUNT = 200;

/** Writes the model, runs `check` on its path, removes it. */
async function withFile(
  { bytes, data }: RewrittenModel,
  check: (path: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-rewritten-"));
  try {
    const path = join(folder, "model.onnx");
    writeFileSync(path, bytes);
    if (data !== null) writeFileSync(join(folder, DATA_FILE), data);
    await check(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The tensors under other names, in the same order. */
function underNames(
  tensors: TensorMap,
  names: readonly string[],
  from: readonly string[],
): TensorMap {
  return Object.fromEntries(
    names.map((name, index) => {
      const value = tensors[from[index] as string];
      if (value === undefined) throw new Error(`no tensor "${from[index]}"`);
      return [name, value];
    }),
  );
}

Deno.test("rewrittenModels() makes 200 models that compute the same bits", async () => {
  const models = await rewrittenModels(COUNT);
  assert.ok(new Set(models.map(({ description }) => description)).size > 150);
  for (const model of models) {
    const { subject, description } = model;
    const { graph } = decodeModel(model.bytes);
    const inputs = graph?.input.map(({ name }) => name) ?? [];
    const outputs = graph?.output.map(({ name }) => name) ?? [];
    const { graph: plain } = subject.structure;
    await withFile(model, async (path) => {
      const found = await plainRun(path, underNames(subject.feeds, inputs, plain.inputs));
      const wanted = await plainRun(subject.bytes, subject.feeds);
      assert.notDeepEqual(model.bytes, subject.bytes, description);
      assertSameBits(underNames(found, plain.outputs, outputs), wanted);
    });
  }
});

Deno.test("convertOpset() gives a reduction its axes as an input, and compareModels() sees no difference", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-silero-"));
  try {
    const { original, feeds } = await writeSileroCopies(folder);
    for (const target of TARGET_OPSETS) {
      const model = decodeModel(readFileSync(original));
      convertOpset(model, target);
      const reduction = model.graph?.node.find(({ opType }) => opType === "ReduceMean");
      assert.deepEqual(reduction?.attribute.map(({ name }) => name), ["keepdims"]);
      const bytes = new Uint8Array(modelBytes(model));
      assertSameBits(await plainRun(bytes, feeds), await plainRun(original, feeds));
      const { status, introducedBy } = await compareModels(original, bytes, { feeds });
      assert.deepEqual([status, introducedBy], ["same", []], `opset ${target}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("compareModels() finds nothing in 200 harmless rewrites", async () => {
  const found: string[] = [];
  for (const model of await rewrittenModels(COUNT)) {
    const { subject, description } = model;
    await withFile(model, async (path) => {
      const { status, introducedBy, onlyReference } = await compareModels(subject.bytes, path, {
        feeds: subject.feeds,
        provider: "cpu",
      });
      const isWhole = onlyReference.length === 0 || !model.keepsNodeNames;
      if (status === "same" && introducedBy.length === 0 && isWhole) return;
      found.push(`${status}, ${introducedBy.map(({ module }) => module).join()}: ${description}`);
    });
  }
  for (const line of found) console.log(line);
  assert.deepEqual(found, []);
});
