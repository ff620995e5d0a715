// What capturing every block's output to memory costs, and what it costs to have a capture that is asked
// for nothing, against plain onnxruntime-node.

import { outputCapture } from "../plugins/output_capture/mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { type OpenedContestants, raceReopened } from "./harness.ts";
import { blockPaths, openPair, requireSame, transformerFeeds } from "./subjects.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const { blocks, width } = DEFAULT_TRANSFORMER;
const OPENINGS = 8;

/** `capture`: output capture. */
export const captureBench: Bench = {
  name: "capture",
  description: "every block's output captured to memory, and nothing captured",
  async run(context) {
    return [...await captureRows(context, 16, 200), ...await captureRows(context, 128, 64)];
  },
};

async function captureRows(
  context: BenchContext,
  tokens: number,
  usual: number,
): Promise<BenchRow[]> {
  const { models, threads, rounds, log } = context;
  const { path: model } = models.transformer();
  log(`capture: ${tokens} tokens`);
  const feeds = transformerFeeds(tokens, width);
  const found = await raceReopened(async (opening): Promise<OpenedContestants> => {
    const pair = await openPair(opening, { model, feeds, threads });
    const capture = outputCapture(pair.model, { keys: { blocks: { target: blockPaths(blocks) } } });
    const { outputs, captures } = await capture.run(feeds, { blocks: true });
    requireSame(outputs, await pair.plain.run(), { what: "capture", exact: false });
    if (captures.blocks.some((value) => value === null)) throw new Error("capture: a hole");
    return {
      contestants: [
        { name: "plain", run: () => pair.plain.run() },
        { name: "captured", run: () => capture.run(feeds, { blocks: true }) },
      ],
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  }, { rounds: rounds(usual), openings: OPENINGS });
  return [compareContestants(found, { ours: "captured", peer: "plain" }, {
    name: `capture.tokens${tokens}`,
    versus: "onnxruntime-node session.run of the whole model, same options",
    unit: "ms",
    ...(tokens === 128 ? { target: { field: "upper" as const, limit: 1.05 } } : {}),
  })];
}
