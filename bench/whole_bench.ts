// A model without hooks must cost what plain onnxruntime-node costs: a run of a 100 MB transformer, and
// a run of a model that does nothing.

import { float32 } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { type Race, type RaceOptions, raceReopened } from "./harness.ts";
import {
  openPair,
  openPlain,
  type PairOptions,
  requireSame,
  transformerFeeds,
} from "./subjects.ts";
import { identityBytes } from "./tiny_model.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const VERSUS = "onnxruntime-node session.run, same options";
/** How often the sessions are opened anew. */
const OPENINGS = 8;
/** Calls per sample of the smallest model: some milliseconds. */
const IDENTITY_REPEAT = 400;

/** `whole`: no hooks against plain onnxruntime-node. */
export const wholeBench: Bench = {
  name: "whole",
  description: "no hooks, against plain onnxruntime-node",
  async run(context) {
    return [
      await nullRow(context),
      await transformerRow(context, 16, 200),
      await transformerRow(context, 128, 64),
      await identityRow(context),
    ];
  },
};

/** Two plain sessions of one model: how far from 1 equals come out on this machine, now. */
async function nullRow({ models, threads, rounds, log }: BenchContext): Promise<BenchRow> {
  const { path } = models.transformer();
  log("whole: plain against plain");
  const feeds = transformerFeeds(16, DEFAULT_TRANSFORMER.width);
  const found = await raceReopened(async () => {
    await using stack = new AsyncDisposableStack();
    const first = stack.use(await openPlain(path, threads, feeds));
    const second = stack.use(await openPlain(path, threads, feeds));
    const opened = stack.move();
    return {
      contestants: [
        { name: "first", run: () => first.run() },
        { name: "second", run: () => second.run() },
      ],
      [Symbol.asyncDispose]: () => opened.disposeAsync(),
    };
  }, { rounds: rounds(200), openings: OPENINGS });
  return compareContestants(found, { ours: "second", peer: "first" }, {
    name: "whole.null",
    versus: "onnxruntime-node against itself: what equal looks like here",
    unit: "ms",
  });
}

async function transformerRow(
  { models, threads, rounds, log }: BenchContext,
  tokens: number,
  usual: number,
): Promise<BenchRow> {
  const { path: model } = models.transformer();
  log(`whole: ${tokens} tokens`);
  const feeds = transformerFeeds(tokens, DEFAULT_TRANSFORMER.width);
  const found = await raceWhole({ model, feeds, threads }, { rounds: rounds(usual) });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: `whole.tokens${tokens}`,
    versus: VERSUS,
    unit: "ms",
    target: { field: "upper", limit: 1.02 },
  });
}

async function identityRow({ threads, rounds, log }: BenchContext): Promise<BenchRow> {
  log("whole: Identity");
  const pair = { model: identityBytes(), feeds: { x: float32([4], [1, 2, 3, 4]) }, threads };
  const found = await raceWhole(pair, { rounds: rounds(104), warmup: 10, repeat: IDENTITY_REPEAT });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: "whole.identity",
    versus: VERSUS,
    unit: "µs",
    target: { field: "overheadUpper", limit: 5 },
  });
}

function raceWhole(pair: PairOptions, options: RaceOptions): Promise<Race> {
  return raceReopened(async (opening) => {
    const opened = await openPair(opening, pair);
    const { model, plain } = opened;
    const outputs = await model.run(pair.feeds);
    requireSame(outputs, await plain.run(), { what: "whole", exact: true });
    return {
      contestants: [
        { name: "plain", run: () => plain.run() },
        { name: "hookline", run: () => model.run(pair.feeds) },
      ],
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  }, { ...options, openings: OPENINGS });
}
