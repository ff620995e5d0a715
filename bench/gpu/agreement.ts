// Whole, tapped and split plans of one transformer on a device against the CPU, and what a split copies.

import { float32, type Model, ModelHook, openModel, type TensorMap } from "../../mod.ts";
import { deviceLedger } from "../../sessions/device_tensor.ts";
import { transformerBytes } from "../transformer_model.ts";
import type { GpuRow } from "./gpu_row.ts";

/** The largest difference allowed, relative to the largest element. */
const TOLERANCE = 1e-4;
const TOKENS = 16;

class Look extends ModelHook {
  override readonly name = "look";
  override postForward(): void {}
}

class Cut extends ModelHook {
  override readonly name = "cut";
  override readonly access = "residency";
}

/** What the comparison runs on. */
export interface AgreementOptions {
  readonly provider: "cuda" | "webgpu";
  readonly blocks: number;
  readonly width: number;
}

/** One row a plan: how far it is from the CPU; for the split also its copies. */
export async function measureAgreement(options: AgreementOptions): Promise<readonly GpuRow[]> {
  const { provider, blocks, width } = options;
  const bytes = transformerBytes({ blocks, width, heads: 4 });
  const x = float32(
    [1, TOKENS, width],
    Float32Array.from({ length: TOKENS * width }, (_, at) => Math.sin(at)),
  );
  await using cpu = await openModel(bytes, { provider: "cpu", engine: "native" });
  await using model = await openModel(bytes, { provider, engine: "native" });
  const wanted = await cpu.run({ x });
  const rows = [row("whole", await model.run({ x }), wanted)];
  for (
    const [plan, makeHook] of [["tapped", () => new Look()], ["split", () => new Cut()]] as const
  ) {
    const handles = model.repeatedBlocks.map((path) => model.registry(path).register(makeHook()));
    rows.push(row(plan, await model.run({ x }), wanted));
    if (plan === "split") rows.push(await copiesRow(model, { x }));
    for (const handle of handles) await handle.remove();
  }
  return rows;
}

function row(plan: string, found: TensorMap, wanted: TensorMap): GpuRow {
  let apart = 0;
  let largest = 0;
  for (const [name, { data }] of Object.entries(wanted)) {
    const numbers = found[name]?.data as Float32Array;
    for (const [index, value] of (data as Float32Array).entries()) {
      largest = Math.max(largest, Math.abs(value));
      apart = Math.max(apart, Math.abs(value - (numbers[index] ?? NaN)));
    }
  }
  const relative = apart / largest;
  return {
    name: `${plan}: largest difference to the CPU, relative`,
    found: relative,
    wanted: `≤ ${TOLERANCE}`,
    isMet: relative <= TOLERANCE,
  };
}

/** A split keeps activations on the device: one copy there, one back. */
async function copiesRow(model: Model, feeds: TensorMap): Promise<GpuRow> {
  const before = deviceLedger.copiesToHost + deviceLedger.copiesToDevice;
  await model.run(feeds);
  const copies = deviceLedger.copiesToHost + deviceLedger.copiesToDevice - before;
  return {
    name: "split: copies from and to the process",
    found: copies,
    wanted: "2",
    isMet: copies === 2,
  };
}
