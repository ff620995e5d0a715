// What one more hook on a module costs in a run, by the difference between a hundred hooks and one in
// the same plan; beside it the smallest run that onnxruntime-node has.

import { float32, type Model, type ModelHook } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareSamples } from "./bench_row.ts";
import { race } from "./harness.ts";
import {
  CountingObserver,
  IdleEditor,
  openHooked,
  openPlain,
  transformerFeeds,
} from "./subjects.ts";
import { identityBytes } from "./tiny_model.ts";
import { transformerBytes } from "./transformer_model.ts";

const HOOKED = "blocks.0";
const HOOK_COUNT = 101;
const REPEAT = 50;
const SMALL = { blocks: 2, width: 8, heads: 2 };

/** `dispatch`: µs per hook. */
export const dispatchBench: Bench = {
  name: "dispatch",
  description: "one more hook on a module, in microseconds a run",
  async run(context) {
    return [
      await hookRow(context, "dispatch.observe", (name) => new CountingObserver(name)),
      await hookRow(context, "dispatch.edit", (name) => new IdleEditor(name)),
    ];
  },
};

async function hookRow(
  { threads, rounds, log }: BenchContext,
  name: string,
  make: (name: string) => ModelHook,
): Promise<BenchRow> {
  log(name);
  const bytes = transformerBytes(SMALL);
  const feeds = transformerFeeds(1, SMALL.width);
  await using few = await hooked(bytes, threads, [make("hook-0")]);
  const hooks = Array.from({ length: HOOK_COUNT }, (_, index) => make(`hook-${index}`));
  await using many = await hooked(bytes, threads, hooks);
  const tiny = { x: float32([4], [1, 2, 3, 4]) };
  await using plain = await openPlain(identityBytes(), threads, tiny);
  const found = await race([
    { name: "one", run: () => few.run(feeds) },
    { name: "many", run: () => many.run(feeds) },
    { name: "plain", run: () => plain.run() },
  ], { rounds: rounds(100), warmup: 10, repeat: REPEAT });
  return compareSamples({
    name,
    versus: "onnxruntime-node session.run of one Identity node",
    unit: "µs",
    ours: found.series(["many", "one"], (more = NaN, one = NaN) => (more - one) / (HOOK_COUNT - 1)),
    peer: found.samples("plain"),
  });
}

async function hooked(
  bytes: Uint8Array,
  threads: number,
  hooks: readonly ModelHook[],
): Promise<Model> {
  const model = await openHooked(bytes, threads);
  for (const hook of hooks) model.registry(HOOKED).register(hook);
  await model.prepare();
  return model;
}
