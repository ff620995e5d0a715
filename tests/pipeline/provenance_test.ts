// Where a model's numbers come from.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HOOKLINE_VERSION, runtimeVersion } from "../../host/versions.ts";
import { ModelHook, openModel } from "../../mod.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { fixturePath } from "../support/fixture_path.ts";

const PATH = fixturePath("torch/vit/model.onnx");

class Watch extends ModelHook {
  override readonly name = "watch";
  override postForward(): void {}
}

Deno.test("model.provenance() tells model, plan, versions and settings", async () => {
  await using model = await openModel(PATH, { provider: "cpu", optimization: "basic", threads: 1 });
  const { versions, ...facts } = await model.provenance();
  assert.deepEqual(facts, {
    model: "model.onnx",
    structureHash: model.structureHash,
    planHash: model.plan().hash,
    plan: "whole",
    provider: "cpu",
    engine: "native",
    optimization: "basic",
    threads: 1,
  });
  assert.equal(versions.hookline, HOOKLINE_VERSION);
  assert.equal(versions.runtime, runtimeVersion());
  assert.match(versions.onnxruntime, /^1\.\d+\.\d+/);
  using _hook = model.registry("conv_proj").register(new Watch());
  const hooked = await model.provenance();
  assert.equal(hooked.plan, "tapped");
  assert.notEqual(hooked.planHash, facts.planHash);
});

Deno.test("model.provenance() hashes the whole file on request, given as a path or as bytes", async () => {
  const bytes = new Uint8Array(readFileSync(PATH));
  const expected = createHash("sha256").update(bytes).digest("hex");
  for (const source of [PATH, bytes]) {
    await using model = await openModel(source, { provider: "cpu" });
    assert.equal((await model.provenance({ fileHash: true })).fileSha256, expected);
  }
});

Deno.test("model.provenance() fails with FILE_READ when the file to hash is gone", async () => {
  const folder = mkdtempSync(join(Deno.makeTempDirSync(), "provenance-"));
  try {
    const path = join(folder, "gone.onnx");
    copyFileSync(PATH, path);
    await using model = await openModel(path, { provider: "cpu" });
    rmSync(path);
    await expectCode("FILE_READ", () => model.provenance({ fileHash: true }));
  } finally {
    rmSync(join(folder, ".."), { recursive: true });
  }
});
