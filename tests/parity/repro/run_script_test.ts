// What the script of a repro does with what it finds; that it runs at all is seen in call_repro_test.ts.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeNpy } from "../../../formats/npy.ts";
import { RUN_SCRIPT } from "../../../parity/repro/run_script.ts";
import type { DType } from "../../../tensor/dtype.ts";
import { allocate, type Tensor } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { noNode, runRepro } from "../../support/run_repro.ts";

const SESSION = { executionProviders: ["cpu"], graphOptimizationLevel: "all" };

/** A repro of `y = Identity(x)` in a dtype, whose reference gave `expected`. */
function writeIdentity(folder: string, x: Tensor, expected: Tensor): void {
  const { dtype, shape } = x;
  const model = modelBytes({
    nodes: [node("Identity", ["x"], ["y"])],
    inputs: [valueInfo("x", dtype, shape)],
    outputs: [valueInfo("y", dtype, shape)],
  });
  const candidate = { file: "candidate.onnx", inputs: [{ name: "x", file: "x.npy" }] };
  const output = {
    candidate: "y",
    reference: "y",
    expected: "y.npy",
    tolerance: { rtol: 1e-5, atol: 1e-5 },
  };
  writeFileSync(join(folder, "candidate.onnx"), model);
  writeFileSync(join(folder, "x.npy"), encodeNpy(x));
  writeFileSync(join(folder, "y.npy"), encodeNpy(expected));
  writeFileSync(
    join(folder, "repro.json"),
    JSON.stringify({
      problem: null,
      candidate,
      reference: null,
      outputs: [output],
      sessionOptions: SESSION,
    }),
  );
  writeFileSync(join(folder, "run.mjs"), RUN_SCRIPT);
}

function inFolder(check: (folder: string) => void): () => void {
  return () => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-run-"));
    try {
      check(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const DTYPES: readonly DType[] = [
  "float32",
  "float64",
  "float16",
  "int64",
  "uint64",
  "int32",
  "uint32",
  "int16",
  "uint16",
  "int8",
  "uint8",
  "bool",
];

Deno.test({
  ...skippable("run.mjs reads every dtype that ONNX Runtime takes, and tells 0 from 1", noNode()),
  fn: inFolder((folder) => {
    for (const dtype of DTYPES) {
      const ones = allocate(dtype, 6) as Float32Array;
      const isBig = dtype.endsWith("64") && dtype !== "float64";
      for (let index = 0; index < 6; index++) ones[index] = (isBig ? 1n : 1) as number;
      const x: Tensor = { dtype, shape: [2, 3], data: ones };
      writeIdentity(folder, x, x);
      assert.deepEqual([dtype, runRepro(folder).status], [dtype, 0]);
      writeIdentity(folder, x, { dtype, shape: [2, 3], data: allocate(dtype, 6) });
      assert.deepEqual([dtype, runRepro(folder).status], [dtype, 1]);
    }
  }),
});

Deno.test({
  ...skippable("run.mjs tells a NaN, another shape, and a model that it cannot open", noNode()),
  fn: inFolder((folder) => {
    const x: Tensor = { dtype: "float32", shape: [2], data: Float32Array.of(NaN, 1) };
    writeIdentity(folder, x, x);
    assert.equal(runRepro(folder).status, 0, "NaN where the reference has NaN");
    writeIdentity(folder, x, { ...x, data: Float32Array.of(0, 1) });
    assert.equal(runRepro(folder).status, 1);
    writeIdentity(folder, x, { ...x, shape: [2, 1] });
    const { status, text } = runRepro(folder);
    assert.equal(status, 1);
    assert.match(text, /the shape is another one/);
    writeFileSync(join(folder, "candidate.onnx"), "no model");
    assert.equal(runRepro(folder).status, 2);
  }),
});

Deno.test({
  ...skippable("run.mjs says what is missing where onnxruntime-node is not installed", noNode()),
  fn: inFolder((folder) => {
    const x: Tensor = { dtype: "float32", shape: [1], data: Float32Array.of(1) };
    writeIdentity(folder, x, x);
    assert.equal(runRepro(folder).status, 0);
    const bare = join(folder, "bare");
    for (const name of ["candidate.onnx", "repro.json", "run.mjs", "x.npy", "y.npy"]) {
      cpSync(join(folder, name), join(bare, name));
    }
    rmSync(join(folder, "node_modules"), { recursive: true });
    const { status, text } = runRepro(bare, { installs: false });
    assert.equal(status, 2);
    assert.match(text, /run npm install --ignore-scripts first/);
    assert.ok(readFileSync(join(bare, "run.mjs"), "utf8").includes("npm install"));
  }),
});
