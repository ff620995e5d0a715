// A model without hooks must cost what plain onnxruntime-node costs: a run of a 100 MB transformer, and
// a run of a model that does nothing.

import { float32 } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { race } from "./harness.ts";
import { openHooked, openPlain, requireSame, transformerFeeds } from "./subjects.ts";
import { identityBytes } from "./tiny_model.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const VERSUS = "onnxruntime-node session.run, same options";
/** Calls per sample of the smallest model: some milliseconds. */
const IDENTITY_REPEAT = 400;

/** `whole`: no hooks against plain onnxruntime-node. */
export const wholeBench: Bench = {
  name: "whole",
  description: "no hooks, against plain onnxruntime-node",
  async run(context) {
    return [
      await transformerRow(context, 16, 200),
      await transformerRow(context, 128, 60),
      await identityRow(context),
    ];
  },
};

async function transformerRow(
  { models, threads, rounds, log }: BenchContext,
  tokens: number,
  usual: number,
): Promise<BenchRow> {
  const { path } = models.transformer();
  log(`whole: ${tokens} tokens`);
  const feeds = transformerFeeds(tokens, DEFAULT_TRANSFORMER.width);
  await using plain = await openPlain(path, threads, feeds);
  await using model = await openHooked(path, threads);
  requireSame(await model.run(feeds), await plain.run(), { what: "whole", exact: true });
  const found = await race([
    { name: "plain", run: () => plain.run() },
    { name: "hookline", run: () => model.run(feeds) },
  ], { rounds: rounds(usual) });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: `whole.tokens${tokens}`,
    versus: VERSUS,
    unit: "ms",
    target: { field: "upper", limit: 1.02 },
  });
}

async function identityRow({ threads, rounds, log }: BenchContext): Promise<BenchRow> {
  log("whole: Identity");
  const feeds = { x: float32([4], [1, 2, 3, 4]) };
  await using plain = await openPlain(identityBytes(), threads, feeds);
  await using model = await openHooked(identityBytes(), threads);
  requireSame(await model.run(feeds), await plain.run(), { what: "identity", exact: true });
  const found = await race([
    { name: "plain", run: () => plain.run() },
    { name: "hookline", run: () => model.run(feeds) },
  ], { rounds: rounds(100), warmup: 10, repeat: IDENTITY_REPEAT });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: "whole.identity",
    versus: VERSUS,
    unit: "µs",
    target: { field: "overheadUpper", limit: 5 },
  });
}
