// From two model files to a repro, through the whole comparison.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSileroCopies } from "../../../demo/silero_copies.ts";
import { compareWithEvidence } from "../../../parity/compare/compare_models.ts";
import type { CompareReport } from "../../../parity/compare/compare_report.ts";
import type { Repro } from "../../../parity/repro/call_repro.ts";
import { writeRepro } from "../../../parity/repro/repro.ts";
import type { ModelSource } from "../../../pipeline/model_structure.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { noNode, runRepro } from "../../support/run_repro.ts";
import { seededFaults } from "../../support/seeded_faults.ts";

async function compareAndWrite(
  [reference, candidate]: readonly [ModelSource, ModelSource],
  feeds: TensorMap,
  directory: string,
): Promise<{ readonly report: CompareReport; readonly repro: Repro }> {
  let repro: Repro | null = null;
  const report = await compareWithEvidence(reference, candidate, {
    feeds,
    provider: "cpu",
    engine: "napi",
    evidence: async (evidence) => void (repro = await writeRepro(evidence, directory)),
  });
  return { report, repro: repro as unknown as Repro };
}

async function inFolder(check: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-repro-"));
  try {
    await check(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test({
  ...skippable("writeRepro() takes apart the module that a comparison names", noNode()),
  fn: () =>
    inFolder(async (folder) => {
      for (const [index, fault] of (await seededFaults(10)).entries()) {
        const directory = join(folder, String(index));
        const { subject, bytes, owner, description } = fault;
        const { report, repro } = await compareAndWrite(
          [subject.bytes, bytes],
          subject.feeds,
          directory,
        );
        assert.equal(report.introducedBy[0]?.module, owner.module.path, description);
        assert.equal(repro.module, owner.module.path, description);
        assert.ok(repro.nodes <= 3 || repro.nodes < 0.05 * repro.nodesOfModel, description);
        const { status, text } = runRepro(directory);
        assert.equal(status, 1, `${description}\n${text}`);
      }
    }),
});

Deno.test({
  ...skippable("writeRepro() cuts one quantised operator out of an int8 model", noNode()),
  fn: () =>
    inFolder(async (folder) => {
      const { original, int8, feeds } = await writeSileroCopies(join(folder, "models"));
      const directory = join(folder, "repro");
      const { repro } = await compareAndWrite([original, int8], feeds, directory);
      assert.match(repro.operators.join(" "), /DynamicQuantizeLinear (ConvInteger|MatMulInteger)/);
      assert.ok(repro.nodes < 0.05 * repro.nodesOfModel, `${repro.nodes} nodes`);
      assert.ok(repro.error !== null && repro.error.ratio > 1 && repro.error.ratio < Infinity);
      assert.equal(runRepro(directory).status, 1);
    }),
});

Deno.test("writeRepro() refuses two models that agree", () =>
  inFolder(async (folder) => {
    const [fault] = await seededFaults(1);
    const { bytes, feeds } = fault?.subject as NonNullable<typeof fault>["subject"];
    await expectCode(
      "REPRO_NOT_SHOWN",
      () => compareAndWrite([bytes, bytes.slice()], feeds, join(folder, "repro")),
    );
  }));
