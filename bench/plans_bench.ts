// What a plan costs over plain onnxruntime-node running the untouched file: every block observed (taps),
// and the graph cut after every block, each segment a session of its own.

import type { Model, Plan, TensorMap } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { race } from "./harness.ts";
import {
  blockPaths,
  observe,
  openHooked,
  openPlain,
  requireSame,
  transformerFeeds,
} from "./subjects.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const VERSUS = "onnxruntime-node session.run of the whole model, same options";
const { blocks, width } = DEFAULT_TRANSFORMER;

interface Case {
  readonly bench: string;
  readonly tokens: number;
  readonly rounds: number;
  readonly limit: number;
  /** Registers hooks or makes a plan, and says how to run it. */
  prepare(model: Model, feeds: TensorMap): () => Promise<TensorMap>;
  /** The kind of plan that must come of it. */
  readonly kind: Plan["kind"];
}

/** `tapped`: all block outputs observed. */
export const tappedBench: Bench = {
  name: "tapped",
  description: "every block's outputs observed, against the plain whole model",
  run: (context) => runCases(context, [tapped(16, 200), tapped(128, 60)]),
};

/** `split`: cut after every block. */
export const splitBench: Bench = {
  name: "split",
  description: "cut after every block, against the plain whole model",
  run: (context) => runCases(context, [split(16, 200, 1.1), split(128, 60, 1.05)]),
};

function tapped(tokens: number, rounds: number): Case {
  return {
    bench: "tapped",
    tokens,
    rounds,
    limit: 1.06,
    kind: "tapped",
    prepare(model, feeds) {
      observe(model, blockPaths(blocks));
      return () => model.run(feeds);
    },
  };
}

function split(tokens: number, rounds: number, limit: number): Case {
  return {
    bench: "split",
    tokens,
    rounds,
    limit,
    kind: "split",
    prepare(model, feeds) {
      const plan = model.plan({ split: blockPaths(blocks) });
      return () => model.run(feeds, { plan });
    },
  };
}

async function runCases(context: BenchContext, cases: readonly Case[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const given of cases) rows.push(await runCase(context, given));
  return rows;
}

async function runCase(context: BenchContext, given: Case): Promise<BenchRow> {
  const { bench, tokens, limit, kind } = given;
  const { path } = context.models.transformer();
  context.log(`${bench}: ${tokens} tokens`);
  const feeds = transformerFeeds(tokens, width);
  await using plain = await openPlain(path, context.threads, feeds);
  await using model = await openHooked(path, context.threads);
  const run = given.prepare(model, feeds);
  const planned = kind === "split" ? model.plan({ split: blockPaths(blocks) }) : model.plan();
  if (planned.kind !== kind) throw new Error(`${bench}: the plan is ${planned.kind}, not ${kind}`);
  const outputs = await run();
  requireSame(outputs, await plain.run(), { what: bench, exact: false });
  const found = await race([
    { name: "plain", run: () => plain.run() },
    { name: "hookline", run },
  ], { rounds: context.rounds(given.rounds) });
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: `${bench}.tokens${tokens}`,
    versus: VERSUS,
    unit: "ms",
    target: { field: "upper", limit },
  });
}
