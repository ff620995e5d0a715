// Models with layerwise offload, by every strategy, beside the same model with its weights in memory.

import assert from "node:assert/strict";
import { join } from "node:path";
import { type Model, openModel, type TensorMap } from "@hookline/hookline";
import {
  layerwiseOffload,
  type LayerwiseOffloadOptions,
} from "../../../plugins/layerwise_offload/mod.ts";
import { type BlocksModel, difference } from "../../pipeline/residency/_blocks_model.ts";

/** Every strategy. */
export const STRATEGIES = ["mapped", "prepacked", "inputs", "sessions"] as const;

/** How far numbers may be from those of resident weights. */
export const TOLERANCE: Readonly<Record<string, number>> = {
  mapped: 1e-5,
  prepacked: 0,
  inputs: 1e-5,
  sessions: 0,
};

/** Opens a model and attaches offload. */
export async function offloaded(
  { path, folder }: BlocksModel,
  options: LayerwiseOffloadOptions,
  engine: "auto" | "napi" = "auto",
): Promise<{ readonly model: Model; readonly handle: Disposable }> {
  const model = await openModel(path, { provider: "cpu", threads: 1, engine });
  const cache = options.strategy === "prepacked" ? { cacheFolder: join(folder, "cache") } : {};
  const handle = layerwiseOffload({ ...cache, ...options })
    .attach(model, { modelName: "m" }) as Disposable;
  return { model, handle };
}

/** What the model computes when it is cut at its blocks and all weights stay. */
export async function residentRun(path: string, feeds: TensorMap): Promise<TensorMap> {
  await using model = await openModel(path, { provider: "cpu", threads: 1 });
  return await model.run(feeds, { plan: model.plan({ split: "blocks.*" }) });
}

/** Fails when numbers are farther apart than the strategy allows. */
export function assertNear(
  found: TensorMap,
  wanted: TensorMap,
  strategy: string,
  message: string = strategy,
): void {
  const distance = difference(found["y"], wanted["y"]);
  assert.ok(distance <= (TOLERANCE[strategy] ?? 0), `${message}: off by ${distance}`);
}
