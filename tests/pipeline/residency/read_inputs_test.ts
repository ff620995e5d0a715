import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FedSegment } from "../../../pipeline/residency/input_stream.ts";
import { readInputs } from "../../../pipeline/residency/read_inputs.ts";
import type { EngineSession } from "../../../sessions/engine.ts";
import { float32, type TensorMap } from "../../../tensor/tensor.ts";
import { blocksModel } from "./_blocks_model.ts";

Deno.test("readInputs() feeds a session the weights of its own segment, while they are in memory", async () => {
  using file = blocksModel();
  const path = join(file.folder, "weights.bin");
  writeFileSync(path, new Uint8Array(Float32Array.of(1, 2, 3).buffer));
  const segment = (module: string, at: number): FedSegment => ({
    module,
    part: { bytes: new Uint8Array(), inputNames: new Map(), outputNames: new Map(), weights: [] },
    kept: {},
    files: [{
      name: "w",
      dtype: "float32",
      shape: [1],
      range: { path, byteOffset: 4 * at, byteLength: 4 },
    }],
  });
  const segments = [segment("a", 0), segment("b", 1), segment("b", 2)] as const;
  const session = {
    run: (feeds: TensorMap) => Promise.resolve(feeds),
  } as unknown as EngineSession; // what it is fed comes out
  const supply = readInputs(segments);
  const fed = async (index: 0 | 1 | 2): Promise<(number | undefined)[]> => {
    const x = float32([1], Float32Array.of(9));
    const made = await supply.run({ fed: segments[index], session }, { x });
    return ["x", "w"].map((name) => made[name]?.data[0] as number | undefined);
  };
  await supply.fetch("b");
  assert.deepEqual(await fed(0), [9, undefined]);
  assert.deepEqual(await fed(1), [9, 2]);
  assert.deepEqual(await fed(2), [9, 3]);
  await supply.release("b");
  assert.deepEqual(await fed(1), [9, undefined]);
  await supply.fetch("a");
  assert.deepEqual(await fed(0), [9, 1]);
  await supply.close();
});
