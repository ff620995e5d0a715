import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeNodes } from "../../../parity/compare/part_run.ts";
import { moduleDigest } from "../../../parity/replay/module_digest.ts";
import { externalFloats, floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { hostOf } from "../repro/_call_sides.ts";

const SIZE = 48;

function digestOf(path: string): Promise<string> {
  return encodeNodes(hostOf(path), { nodes: [0], outputs: ["y"] }).then(moduleDigest);
}

Deno.test("moduleDigest() counts every element of the weights, and not where they lie", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-digest-"));
  try {
    const write = (name: string, weight: ReturnType<typeof floats>, op = "MatMul"): string => {
      const path = join(folder, name);
      const bytes = modelBytes({
        nodes: [node(op, ["x", "w"], ["y"])],
        inputs: [valueInfo("x", "float32", [SIZE, SIZE])],
        outputs: [valueInfo("y", "float32", [SIZE, SIZE])],
        initializers: [weight],
      });
      writeFileSync(path, bytes);
      return path;
    };
    const weight = floats("w", [SIZE, SIZE]);
    const altered = floats("w", [SIZE, SIZE]);
    altered.rawData[altered.rawData.length - 1] = 0x40;
    writeFileSync(join(folder, "w.data"), new Uint8Array([1, 2, 3, ...weight.rawData]));
    const entries = { location: "w.data", offset: "3", length: String(weight.rawData.length) };
    const digest = await digestOf(write("inline.onnx", weight));
    const external = externalFloats("w", [SIZE, SIZE], entries);
    assert.equal(await digestOf(write("external.onnx", external)), digest);
    assert.notEqual(await digestOf(write("altered.onnx", altered)), digest);
    assert.notEqual(await digestOf(write("other.onnx", weight, "Mul")), digest);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
