// A real pair: the Silero detector against its float16 and its int8 copy. The report must name the modules
// where precision costs most; how much it costs in each is measured here without the comparison: the
// module is cut out of the original, copied to the lower precision alone, and run on ONNX Runtime.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { halfCopy } from "../../../demo/half_copy.ts";
import { int8Copy } from "../../../demo/int8_copy.ts";
import { type SileroCopies, writeSileroCopies } from "../../../demo/silero_copies.ts";
import type { ModuleCall } from "../../../graph/graph_module.ts";
import { compareModels } from "../../../parity/compare/compare_models.ts";
import type { CompareReport } from "../../../parity/compare/compare_report.ts";
import type { Tensor, TensorMap } from "../../../tensor/tensor.ts";
import { cutModule } from "../../support/module_effect.ts";
import { plainRun } from "../../support/plain_run.ts";
import { decodeModel, type SubjectModel, subjectOf } from "../../support/subject_models.ts";

/** The modules that hold a Conv: what quantisation changes. */
const PRODUCTS = [
  "model.stft",
  "model.encoder.0.reparam_conv",
  "model.encoder.1.reparam_conv",
  "model.encoder.2.reparam_conv",
  "model.encoder.3.reparam_conv",
  "model.decoder.decoder.2",
];

/** A way to a lower precision: for a model, and for what it is fed. */
interface PrecisionCopy {
  model(bytes: Uint8Array): Uint8Array;
  feeds(feeds: TensorMap): TensorMap;
}

const INT8: PrecisionCopy = { model: int8Copy, feeds: (feeds) => feeds };

/** Half at the edges too: ONNX Runtime takes out a pair of casts, and with it the rounding. */
const HALF: PrecisionCopy = {
  model: (bytes) => halfCopy(bytes, "float16"),
  feeds: (feeds) =>
    Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => [name, halfTensor(tensor)]),
    ),
};

function halfTensor(tensor: Tensor): Tensor {
  if (tensor.dtype !== "float32") return tensor;
  const data = Float16Array.from(tensor.data as Float32Array);
  return { dtype: "float16", shape: tensor.shape, data };
}

async function withSilero(
  check: (copies: SileroCopies, subject: SubjectModel) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-silero-"));
  try {
    const copies = await writeSileroCopies(folder);
    const bytes = new Uint8Array(readFileSync(copies.original));
    await check(copies, await subjectOf("silero", bytes, copies.feeds));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Signal over noise of one module in another precision, in decibels, on ONNX Runtime alone. */
async function plainSqnr(
  subject: SubjectModel,
  path: string,
  copy: PrecisionCopy,
): Promise<number> {
  const call = subject.structure.tree.get(path)?.calls[0] as ModuleCall;
  const alone = cutModule(decodeModel(subject.bytes), subject, { call });
  const feeds = Object.fromEntries(
    call.inputs.map((name) => [name, subject.values[name] as Tensor]),
  );
  const wanted = await plainRun(alone, feeds);
  const found = await plainRun(copy.model(alone), copy.feeds(feeds));
  const name = call.outputs[0] as string;
  const reference = wanted[name]?.data as Float32Array;
  const other = found[name]?.data as Float32Array;
  let signal = 0;
  let noise = 0;
  for (const [index, value] of reference.entries()) {
    signal += value * value;
    noise += (value - (other[index] as number)) ** 2;
  }
  return 10 * Math.log10(signal / noise);
}

/** The local error of each product's module, in decibels, is what the module alone shows. */
async function assertLocalErrors(
  { modules }: CompareReport,
  subject: SubjectModel,
  copy: PrecisionCopy,
): Promise<void> {
  for (const path of PRODUCTS) {
    const row = modules.find(({ module }) => module === path);
    const plain = await plainSqnr(subject, path, copy);
    const local = row?.local?.sqnrDb ?? NaN;
    assert.ok(Math.abs(local - plain) < 0.5, `${path}: ${local} dB, alone ${plain} dB`);
  }
}

Deno.test("compareModels() names where int8 costs most in a real network, and no activation", async () => {
  await withSilero(async ({ original, int8, feeds }, subject) => {
    const report = await compareModels(original, int8, { feeds });
    assert.equal(report.status, "diverged");
    await assertLocalErrors(report, subject, INT8);
    const named = report.introducedBy.map(({ module }) => module);
    assert.deepEqual([...named].sort(), [...PRODUCTS].sort());
    for (const { module, local } of report.introducedBy) {
      assert.ok(Number.isFinite(local.ratio), module);
    }
    const ratios = report.introducedBy.map(({ local }) => local.ratio);
    assert.deepEqual(ratios, ratios.toSorted((left, right) => right - left));
    // What comes in passes through: the state is off by more than any module alone.
    const state = report.modules.find(({ module, tensor }) => module === "" && tensor === "stateN");
    assert.ok((state?.inherited?.sqnrDb ?? NaN) < 20);
  });
});

Deno.test("compareModels() names where float16 costs most in a real network", async () => {
  await withSilero(async ({ original, half, feeds }, subject) => {
    const report = await compareModels(original, half, {
      feeds,
      optimization: "disabled",
      rtol: 3e-4,
      atol: 1e-6,
    });
    assert.equal(report.status, "diverged");
    await assertLocalErrors(report, subject, HALF);
    const worst = report.introducedBy.map(({ module }) => module);
    assert.equal(worst[0], "model.encoder.3.reparam_conv");
    const plain = await compareModels(original, half, { feeds });
    const rows = plain.modules.filter(({ module, local }) =>
      module !== "" && (local?.ratio ?? 0) > 1
    );
    assert.deepEqual(rows, [], "no module is further off than half precision explains");
  });
});
