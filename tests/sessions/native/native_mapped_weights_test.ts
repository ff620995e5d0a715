import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileWeight, SessionSettings } from "../../../sessions/engine.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { mappingRefusal } from "../../../sessions/native/mapped_file.ts";
import { NativeEngine } from "../../../sessions/native/native_engine.ts";
import { float32 } from "../../../tensor/tensor.ts";
import { skippable } from "../../skippable.ts";
import { expectCode } from "../expect_code.ts";
import { buildModel } from "../tiny_models.ts";

const SETTINGS: SessionSettings = {
  provider: "cpu",
  optimization: "all",
  threads: 1,
  prepacking: true,
  label: "block",
};
const WEIGHTS = [Float32Array.of(1, 2), Float32Array.of(30, 40)] as const;
const X = float32([2], Float32Array.of(0.5, 0.25));

/** `y = x + w`. */
function source() {
  const bytes = buildModel({
    inputs: ["x", "w"].map((name) => ({ name, dtype: "float32", shape: [2] })),
    outputs: [{ name: "y", dtype: "float32", shape: [2] }],
    nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
  });
  return { kind: "bytes", bytes, weightFolder: null } as const;
}

/** A test with both weights in a file, the second at an odd place. */
function withFile(name: string, body: (path: string) => Promise<void>): void {
  Deno.test({
    ...skippable(name, mappingRefusal() ?? undefined),
    async fn() {
      const folder = mkdtempSync(join(tmpdir(), "hookline-mapped-"));
      try {
        const path = join(folder, "weights.bin");
        const bytes = new Uint8Array(17);
        bytes.set(new Uint8Array(WEIGHTS[0].buffer), 0);
        bytes.set(new Uint8Array(WEIGHTS[1].buffer), 9);
        writeFileSync(path, bytes);
        await body(path);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  });
}

function weightAt(path: string, byteOffset: number): FileWeight {
  return { name: "w", dtype: "float32", shape: [2], range: { path, byteOffset, byteLength: 8 } };
}

function mappingsOf(path: string): number {
  return readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes(path))
    .length;
}

withFile(
  "engine.mapWeights() lets one session read each block's weights in the file",
  async (path) => {
    const engine = new NativeEngine();
    await using session = await engine.open(source(), SETTINGS);
    using weights = engine.mapWeights();
    assert.ok(weights !== null);
    const blocks = [0, 9].map((byteOffset) => weights.bind(session, [weightAt(path, byteOffset)]));
    for (let round = 0; round < 2; round++) {
      const outputs = await Promise.all(blocks.map((block) => block.run({ x: X })));
      assert.deepEqual(
        outputs.map(({ y }) => y?.data),
        [Float32Array.of(1.5, 2.25), Float32Array.of(30.5, 40.25)],
      );
    }
    if (Deno.build.os === "linux") assert.equal(mappingsOf(path), 1);
    weights[Symbol.dispose]();
    if (Deno.build.os === "linux") assert.equal(mappingsOf(path), 0);
    await assert.rejects(blocks[0]?.run({ x: X }) ?? Promise.resolve(), {
      code: "SESSION_RELEASED",
    });
  },
);

withFile(
  "engine.mapWeights() refuses a file that is too short, and sessions of another engine",
  async (path) => {
    const engine = new NativeEngine();
    await using session = await engine.open(source(), SETTINGS);
    await using foreign = await new NapiEngine().open(source(), SETTINGS);
    using weights = engine.mapWeights();
    await expectCode("INTERNAL", async () => {
      await weights?.bind(foreign, [weightAt(path, 0)]).run({ x: X });
    });
    truncateSync(path, 16);
    await expectCode("MODEL_EXTERNAL_RANGE", async () => {
      await weights?.bind(session, [weightAt(path, 9)]).run({ x: X });
    });
  },
);
