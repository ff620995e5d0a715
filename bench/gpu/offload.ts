// Layerwise offload of a large model against what bounds it: the rate at which values go to the device, and
// the same model resident there. All in one process, turn by turn.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32, type Model, openModel, type TensorMap } from "../../mod.ts";
import { layerwiseOffload } from "../../plugins/layerwise_offload/mod.ts";
import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { median } from "../statistics.ts";
import { identityBytes } from "../tiny_model.ts";
import { writeTransformer } from "../transformer_model.ts";
import type { GpuRow } from "./gpu_row.ts";

/** Of what bounds it, the part that offload is to reach. */
const WANTED = 0.8;
const TOKENS = 128;
const COPY_BYTES = 268_435_456;
const COPIES = 3;

/** What is offloaded, and where to. */
export interface OffloadOptions {
  readonly provider: "cuda" | "webgpu";
  /** Bytes of weights, about. */
  readonly byteLength: number;
  readonly rounds: number;
}

/** Copy rate, resident speed, speed under offload, and its part of the smaller of the first two. */
export async function measureOffload(options: OffloadOptions): Promise<readonly GpuRow[]> {
  const { provider, byteLength, rounds } = options;
  const width = byteLength >= 2 ** 30 ? 2048 : 256;
  const blocks = Math.max(4, Math.round(byteLength / (12 * width * width * 4)));
  const folder = mkdtempSync(join(tmpdir(), "hookline-gpu-"));
  try {
    const path = join(folder, "model.onnx");
    const { weightByteLength } = writeTransformer(path, { blocks, width, weights: "external" });
    const x = float32([1, TOKENS, width], new Float32Array(TOKENS * width).fill(0.5));
    await using resident = await openModel(path, { provider, engine: "native" });
    await using offloaded = await openModel(path, { provider, engine: "native" });
    const plugin = layerwiseOffload({ hostBudget: 2 * byteLength }).attach(offloaded, {
      modelName: "model",
    });
    using _plugin = plugin as Disposable;
    const samples = { copy: [] as number[], resident: [] as number[], offloaded: [] as number[] };
    for (let round = -1; round < rounds; round++) {
      const copy = await copyRate(provider);
      const near = await runRate(resident, { x }, weightByteLength);
      const far = await runRate(offloaded, { x }, weightByteLength);
      if (round < 0) continue; // shaders, arenas, page cache
      samples.copy.push(copy);
      samples.resident.push(near);
      samples.offloaded.push(far);
    }
    return rowsOf(samples);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function rowsOf(
  samples: Readonly<Record<"copy" | "resident" | "offloaded", readonly number[]>>,
): readonly GpuRow[] {
  const part = median(
    samples.offloaded.map((rate, index) =>
      rate / Math.min(samples.copy[index] as number, samples.resident[index] as number)
    ),
  );
  const figure = (name: string, found: number): GpuRow => ({
    name,
    found,
    wanted: null,
    isMet: null,
  });
  return [
    figure("copies to the device, GB/s", median(samples.copy)),
    figure("resident, GB of weights/s", median(samples.resident)),
    figure("offloaded, GB of weights/s", median(samples.offloaded)),
    {
      name: "offloaded, part of the smaller of both",
      found: part,
      wanted: `≥ ${WANTED}`,
      isMet: part >= WANTED,
    },
  ];
}

async function runRate(model: Model, feeds: TensorMap, byteLength: number): Promise<number> {
  const startMs = performance.now();
  await model.run(feeds);
  return byteLength / 1e6 / (performance.now() - startMs);
}

/** The rate of one large copy, from memory like that which offload copies from. */
async function copyRate(provider: "cuda" | "webgpu"): Promise<number> {
  const source = { kind: "bytes", bytes: identityBytes(), weightFolder: null } as const;
  await using session = await new NativeEngine().open(source, {
    provider,
    optimization: "disabled",
    threads: 1,
    prepacking: true,
    label: "copy",
  });
  const { uploads } = session;
  if (uploads === null) throw new Error(`${provider} has no device`);
  const stage = uploads.stage(COPY_BYTES);
  stage.bytes.fill(1); // pages that nobody touched are not there yet
  const [to] = await uploads.allocate([{ dtype: "float32", shape: [COPY_BYTES / 4] }]);
  if (to === undefined) throw new Error("nothing was made");
  const rates: number[] = [];
  for (let round = 0; round < COPIES; round++) {
    const startMs = performance.now();
    await uploads.copy(stage, [{ byteOffset: 0, to }]);
    rates.push(COPY_BYTES / 1e6 / (performance.now() - startMs));
  }
  to.release();
  return Math.max(...rates);
}
