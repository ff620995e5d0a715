// What the activation trace costs: a run with every block traced against plain onnxruntime-node, and the
// statistics of one tensor against a loop that only sums it, which is what reading the memory once costs.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { float32 } from "../mod.ts";
import { activationTrace } from "../plugins/activation_trace/mod.ts";
import { TensorStatistics, type TraceStatistic } from "../plugins/activation_trace/statistics.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { type OpenedContestants, race, raceReopened } from "./harness.ts";
import { blockPaths, openPair, requireSame, transformerFeeds } from "./subjects.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const { blocks, width } = DEFAULT_TRANSFORMER;
const OPENINGS = 8;
/** 16 MB: more than a core's own caches. */
const ELEMENTS = 4_194_304;
const SUMS: readonly TraceStatistic[] = ["abs_mean", "sum"];
const MOMENTS: readonly TraceStatistic[] = [
  ...SUMS,
  "min",
  "max",
  "mean",
  "std",
  "nan_count",
  "inf_count",
  "l2",
];

/** `trace`: the activation trace. */
export const traceBench: Bench = {
  name: "trace",
  description: "every block traced, and the statistics of one tensor against reading it",
  async run(context) {
    return [
      await blocksRow(context, 16, 200),
      await blocksRow(context, 128, 64),
      ...await statisticsRows(context),
    ];
  },
};

async function blocksRow(context: BenchContext, tokens: number, usual: number): Promise<BenchRow> {
  const { models, threads, rounds, log } = context;
  const { path: model } = models.transformer();
  log(`trace: ${tokens} tokens`);
  const output = join(models.path, "trace.jsonl");
  const feeds = transformerFeeds(tokens, width);
  const found = await raceReopened(async (opening): Promise<OpenedContestants> => {
    const pair = await openPair(opening, { model, feeds, threads });
    activationTrace({ select: blockPaths(blocks), stats: SUMS, output, mode: "new" })
      .attach(pair.model, { modelName: "bench" });
    requireSame(await pair.model.run(feeds), await pair.plain.run(), {
      what: "trace",
      exact: false,
    });
    return {
      contestants: [
        { name: "plain", run: () => pair.plain.run() },
        { name: "hookline", run: () => pair.model.run(feeds) },
      ],
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  }, { rounds: rounds(usual), openings: OPENINGS });
  rmSync(output);
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: `trace.tokens${tokens}`,
    versus: "onnxruntime-node session.run of the whole model, same options",
    unit: "ms",
    ...(tokens === 128 ? { target: { field: "upper" as const, limit: 1.06 } } : {}),
  });
}

async function statisticsRows({ rounds, log }: BenchContext): Promise<BenchRow[]> {
  log("trace: statistics of 16 MB");
  const data = Float32Array.from({ length: ELEMENTS }, (_, index) => Math.sin(index * 1.7) * 3);
  const value = float32([ELEMENTS], data);
  const cases = { sums: SUMS, moments: MOMENTS, percentiles: ["p01", "p50", "p99"] } as const;
  let sink = 0;
  const found = await race([
    { name: "plain", run: () => void (sink += plainSum(data)) },
    ...Object.entries(cases).map(([name, names]) => {
      const statistics = new TensorStatistics(names);
      return { name, run: () => void (sink += statistics.compute(value).length) };
    }),
  ], { rounds: rounds(40) });
  if (Number.isNaN(sink)) throw new Error("the sums are no numbers");
  return Object.keys(cases).map((name) =>
    compareContestants(found, { ours: name, peer: "plain" }, {
      name: `trace.${name}`,
      versus: "one loop that adds up the same 16 MB",
      unit: "ms",
    })
  );
}

function plainSum(data: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < data.length; index++) sum += data[index] as number;
  return sum;
}
