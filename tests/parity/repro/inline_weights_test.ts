import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { walkTensors } from "../../../graph/walk_tensors.ts";
import { encodeNodes } from "../../../parity/compare/part_run.ts";
import { inlineWeights } from "../../../parity/repro/inline_weights.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import {
  externalFloats,
  floats,
  modelBytes,
  type ModelParts,
  node,
  valueInfo,
} from "../../support/build_model.ts";
import { assertSameBits, rampTensor, runModel } from "../../support/run_model.ts";
import { hostOf } from "./_call_sides.ts";

const SIZE = 48;
const WEIGHT = floats("w", [SIZE, SIZE]);

function modelWith(weight: ModelParts["initializers"]): ModelParts {
  return {
    nodes: [node("MatMul", ["x", "w"], ["y"])],
    inputs: [valueInfo("x", "float32", [2, SIZE])],
    outputs: [valueInfo("y", "float32", [2, SIZE])],
    initializers: weight ?? [],
  };
}

/** A model file with its weight inside, and one with its weight in another file. */
function withFiles(check: (inline: string, external: string) => Promise<void>) {
  return async (): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), "hookline-inline-"));
    try {
      const [inline, external] = [join(folder, "inline.onnx"), join(folder, "external.onnx")];
      writeFileSync(inline, modelBytes(modelWith([WEIGHT])));
      writeFileSync(join(folder, "w.data"), new Uint8Array([...Array(8), ...WEIGHT.rawData]));
      const length = String(WEIGHT.rawData.length);
      const entries = { location: "w.data", offset: "8", length };
      writeFileSync(
        external,
        modelBytes(modelWith([externalFloats("w", [SIZE, SIZE], entries)])),
      );
      await check(inline, external);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const CHOICE = { nodes: [0], outputs: ["y"] };

Deno.test(
  "inlineWeights() makes a model that needs no other file and computes the same bits",
  withFiles(async (inline, external) => {
    const feeds = { x: rampTensor([2, SIZE]) };
    const expected = await runModel(modelBytes(modelWith([WEIGHT])), feeds);
    for (const path of [inline, external]) {
      const part = await encodeNodes(hostOf(path), CHOICE);
      assert.ok(part.bytes.length < 1000, "the part itself only refers to its weights");
      const { bytes, operators } = inlineWeights(part);
      assert.deepEqual(operators, ["MatMul"]);
      for (const { dataLocation } of walkTensors(fromBinary(ModelProtoSchema, bytes))) {
        assert.equal(dataLocation, 0);
      }
      assertSameBits(await runModel(bytes, feeds), expected);
    }
  }),
);

Deno.test(
  "inlineWeights() lets a weight be changed on its way",
  withFiles(async (inline) => {
    const { bytes } = inlineWeights(await encodeNodes(hostOf(inline), CHOICE), {
      change: (tensor) => void (tensor.rawData = new Uint8Array(tensor.rawData.length)),
    });
    const { y } = await runModel(bytes, { x: rampTensor([2, SIZE]) });
    assert.ok((y?.data as Float32Array).every((value) => value === 0));
  }),
);

Deno.test(
  "inlineWeights() refuses weights beyond its limit before it reads them",
  withFiles(async (inline) => {
    const part = await encodeNodes(hostOf(inline), CHOICE);
    const error = await expectCode(
      "REPRO_TOO_LARGE",
      () => inlineWeights(part, { byteLimit: 9000 }),
    );
    assert.deepEqual(error.details, { byteLength: SIZE * SIZE * 4, byteLimit: 9000 });
  }),
);

Deno.test(
  "inlineWeights() says which weight file is gone, too short, or not the model's",
  withFiles(async (_inline, external) => {
    const part = await encodeNodes(hostOf(external), CHOICE);
    const folder = part.weightFolder as string;
    await expectCode(
      "MODEL_EXTERNAL_MISSING",
      () => inlineWeights({ ...part, weightFolder: null }),
    );
    writeFileSync(join(folder, "..", "hookline-outside.data"), "outside");
    const away = [externalFloats("w", [1], { location: "../hookline-outside.data" })];
    await expectCode(
      "MODEL_EXTERNAL_OUTSIDE",
      () => inlineWeights({ ...part, bytes: modelBytes(modelWith(away)) }),
    );
    rmSync(join(folder, "..", "hookline-outside.data"));
    truncateSync(join(folder, "w.data"), 100);
    await expectCode("MODEL_EXTERNAL_RANGE", () => inlineWeights(part));
    rmSync(join(folder, "w.data"));
    await expectCode("MODEL_EXTERNAL_MISSING", () => inlineWeights(part));
  }),
);
