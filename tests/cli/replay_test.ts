import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordModule } from "../../parity/replay/record_module.ts";
import { floats, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { rampTensor } from "../support/run_model.ts";
import { called, documentOf, errorOf, hookline } from "./_hookline.ts";

const FEEDS = { x: rampTensor([2, 8]) };

function model(scale: number): Uint8Array<ArrayBuffer> {
  return modelBytes({
    nodes: [
      node("MatMul", ["x", "w"], ["a"], { name: "/dense/MatMul" }),
      node("Relu", ["a"], ["y"], { name: "/act/Relu" }),
    ],
    inputs: [valueInfo("x", "float32", ["n", 8])],
    outputs: [valueInfo("y", "float32", ["n", 8])],
    initializers: [floats("w", [8, 8], (index) => scale * index / 64)],
  });
}

Deno.test("hookline replay ends with 0 on the same bits, 1 on others, 2 on another model", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-cli-replay-"));
  try {
    const [own, other] = [join(folder, "own.onnx"), join(folder, "other.onnx")];
    const path = join(folder, "dense.safetensors");
    writeFileSync(own, model(1));
    writeFileSync(other, model(2));
    await recordModule(own, path, { engine: "napi", module: "dense", feeds: FEEDS });
    const same = await hookline(["replay", own, path, "--engine", "napi", "--json"]);
    assert.equal(same.code, 0, same.stderr);
    const document = documentOf(same);
    assert.equal(document["status"], "exact");
    assert.equal(document["optimization"], "disabled", "as it was recorded");
    const level = await called([
      ...["replay", own, path, "--engine", "napi", "--optimization", "all", "--json"],
    ]);
    assert.equal(documentOf(level)["optimization"], "all");
    const refused = await called(["replay", other, path, "--engine", "napi", "--json"]);
    assert.equal(refused.code, 2);
    assert.equal(errorOf(refused)["code"], "RECORDING_MISMATCH");
    const differs = await called(["replay", other, path, "--engine", "napi", "--other-model"]);
    assert.equal(differs.code, 1);
    assert.match(differs.stdout, /differs {3}call 0, a: \d+ elements off by at most/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
