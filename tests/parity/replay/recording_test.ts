import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeSafetensors } from "../../../formats/safetensors.ts";
import {
  openRecording,
  RECORDING_KEY,
  type RecordingFacts,
  recordingMetadata,
  tensorName,
} from "../../../parity/replay/recording.ts";
import { float32, type TensorMap } from "../../../tensor/tensor.ts";
import { expectCode } from "../../sessions/expect_code.ts";

const FACTS: RecordingFacts = {
  model: "bert.onnx",
  structureHash: "0",
  module: "encoder",
  className: null,
  calls: [{ call: 0, inputs: ["x"], outputs: ["y"], digest: "1" }],
  engine: "napi",
  provider: "cpu",
  optimization: "disabled",
  threads: 1,
  versions: {},
};
const TENSORS: TensorMap = {
  [tensorName(0, "in", "x")]: float32([1], [1]),
  [tensorName(0, "out", "y")]: float32([1], [2]),
};

async function withFile(
  tensors: TensorMap,
  metadata: Readonly<Record<string, string>>,
  check: (path: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hookline-recording-"));
  try {
    const path = join(folder, "recording.safetensors");
    writeFileSync(path, encodeSafetensors(tensors, metadata));
    await check(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

Deno.test("openRecording() reads what was written", () =>
  withFile(TENSORS, recordingMetadata(FACTS), async (path) => {
    await using recording = await openRecording(path);
    const [call] = recording.facts.calls;
    assert.ok(call !== undefined);
    assert.deepEqual([...(await recording.inputs(call))["x"]?.data as Float32Array], [1]);
    assert.deepEqual([...(await recording.outputs(call))["y"]?.data as Float32Array], [2]);
  }));

const DAMAGED: readonly (readonly [string, TensorMap, Readonly<Record<string, string>>])[] = [
  ["something else", TENSORS, {}],
  ["damaged", TENSORS, { [RECORDING_KEY]: "{" }],
  ["the format 9", TENSORS, { [RECORDING_KEY]: `{"format":9}` }],
  ["incomplete", TENSORS, { [RECORDING_KEY]: `{"format":1,"calls":[{"call":"0"}]}` }],
  ["incomplete", TENSORS, { [RECORDING_KEY]: `{"format":1}` }],
  [`lacks the tensor "0/out/y"`, { "0/in/x": float32([1], [1]) }, recordingMetadata(FACTS)],
];

for (const [why, tensors, metadata] of DAMAGED) {
  Deno.test(`openRecording() refuses a file: ${why} ${Object.values(metadata).join()}`, () =>
    withFile(tensors, metadata, async (path) => {
      const { message } = await expectCode("RECORDING_INVALID", () => openRecording(path));
      assert.ok(message.includes(why), message);
    }));
}
