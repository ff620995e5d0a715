import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readInitializer } from "../../graph/read_initializer.ts";
import { openSkeleton } from "../../graph/skeleton.ts";
import { float32 } from "../../tensor/tensor.ts";
import { externalFloats, floats, modelBytes, node } from "../support/build_model.ts";
import { fixturePath, readFixture } from "../support/fixture_path.ts";

const NAME = "encoder.layer.0.output.dense.bias";

Deno.test("readInitializer() reads the same from a file and from its bytes", () => {
  const byPath = readInitializer(openSkeleton(fixturePath("torch", "bert", "model.onnx")), NAME);
  const byBytes = readInitializer(openSkeleton(readFixture("torch", "bert", "model.onnx")), NAME);
  assert.deepEqual(byPath, byBytes);
  assert.deepEqual(byPath.shape, [32]);
});

Deno.test("readInitializer() reads large weights that the skeleton left in the file", () => {
  const values = (index: number): number => Math.sin(index);
  const bytes = modelBytes({
    nodes: [node("Add", ["x", "w"], ["y"])],
    initializers: [floats("w", [600], values)],
    inputs: ["x"],
    outputs: ["y"],
  });
  const path = join(mkdtempSync(join(tmpdir(), "hookline-")), "model.onnx");
  Deno.writeFileSync(path, bytes);
  const expected = float32([600], Float32Array.from({ length: 600 }, (_, index) => values(index)));
  assert.deepEqual(readInitializer(openSkeleton(path), "w"), expected);
  rmSync(path);
});

Deno.test("readInitializer() reads external weights with their offsets", () => {
  const inline = readInitializer(openSkeleton(fixturePath("torch", "bert", "model.onnx")), NAME);
  assert.equal(inline.dtype, "float32");
  const folder = fixturePath("exports", "torchscript_bert_external");
  const skeleton = openSkeleton(join(folder, "model.onnx"));
  const weight = readInitializer(skeleton, "embeddings.word_embeddings.weight");
  assert.equal(weight.shape.length, 2);
  assert.ok((weight.data as Float32Array).every(Number.isFinite));
});

Deno.test("readInitializer() names what is wrong: the name, the file, its size, its place", () => {
  const skeleton = openSkeleton(fixturePath("torch", "bert", "model.onnx"));
  assert.throws(() => readInitializer(skeleton, "encoder.layer.0.output.dense.bia"), {
    code: "OPTION_INVALID",
    fix: /encoder\.layer\.0\.output\.dense\.bias/,
  });
  assert.throws(() => readInitializer({ ...skeleton, model: undefined } as never, NAME), {
    code: "OPTION_INVALID",
  });
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  const path = join(folder, "model.onnx");
  Deno.writeFileSync(
    path,
    modelBytes({
      nodes: [node("Add", ["x", "w"], ["y"])],
      initializers: [externalFloats("w", [4], { location: "w.bin", offset: "0", length: "16" })],
      inputs: ["x"],
      outputs: ["y"],
    }),
  );
  const open = (): unknown => readInitializer(openSkeleton(path), "w");
  assert.throws(open, { code: "MODEL_EXTERNAL_MISSING" });
  const outside = join(tmpdir(), `hookline-outside-${Deno.pid}.bin`);
  copyFileSync(path, outside);
  symlinkSync(outside, join(folder, "w.bin"));
  assert.throws(open, { code: "MODEL_EXTERNAL_OUTSIDE" });
  rmSync(join(folder, "w.bin"));
  copyFileSync(outside, join(folder, "w.bin"));
  truncateSync(join(folder, "w.bin"), 8);
  assert.throws(open, { code: "MODEL_EXTERNAL_RANGE" });
  rmSync(folder, { recursive: true });
  rmSync(outside);
});
