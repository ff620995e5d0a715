// What a plan costs over plain onnxruntime-node running the untouched file: every block observed (taps),
// and the graph cut after every block, each segment a session of its own.

import type { Model, Plan, TensorMap } from "../mod.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants } from "./bench_row.ts";
import { type OpenedContestants, raceReopened } from "./harness.ts";
import {
  blockPaths,
  IdleEditor,
  observe,
  openPair,
  type Pair,
  requireSame,
  transformerFeeds,
} from "./subjects.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

const VERSUS = "onnxruntime-node session.run of the whole model, same options";
/** How often the sessions are opened anew. */
const OPENINGS = 8;
const { blocks, width } = DEFAULT_TRANSFORMER;

/** How the model runs now, and by which plan. */
interface Prepared {
  readonly plan: Plan;
  run(): Promise<TensorMap>;
}

interface Case {
  readonly bench: string;
  readonly tokens: number;
  readonly rounds: number;
  /** What it may cost; null where nothing was promised. */
  readonly limit: number | null;
  /** Registers hooks or makes a plan. */
  prepare(model: Model, feeds: TensorMap): Prepared;
  /** The kind of plan that must come of it. */
  readonly kind: Plan["kind"];
}

/** `tapped`: all block outputs observed. */
export const tappedBench: Bench = {
  name: "tapped",
  description: "every block's outputs observed, against the plain whole model",
  run: (context) => runCases(context, [tapped(16, 200), tapped(128, 64)]),
};

/** `split`: cut after every block. */
export const splitBench: Bench = {
  name: "split",
  description: "cut after every block, against the plain whole model",
  run: (context) => runCases(context, [split(16, 200, 1.1), split(128, 64, 1.05)]),
};

/** `edited`: cut after every block by a hook that may change its output. */
export const editedBench: Bench = {
  name: "edited",
  description: "an edit hook on every block, against the plain whole model",
  run: (context) => runCases(context, [edited(16, 200), edited(128, 64)]),
};

function edited(tokens: number, rounds: number): Case {
  return {
    bench: "edited",
    tokens,
    rounds,
    limit: null,
    kind: "split",
    prepare(model, feeds) {
      for (const path of blockPaths(blocks)) model.registry(path).register(new IdleEditor());
      return { plan: model.plan(), run: () => model.run(feeds) };
    },
  };
}

function tapped(tokens: number, rounds: number): Case {
  return {
    bench: "tapped",
    tokens,
    rounds,
    limit: 1.06,
    kind: "tapped",
    prepare(model, feeds) {
      observe(model, blockPaths(blocks));
      return { plan: model.plan(), run: () => model.run(feeds) };
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
      return { plan, run: () => model.run(feeds, { plan }) };
    },
  };
}

async function runCases(context: BenchContext, cases: readonly Case[]): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const given of cases) rows.push(await runCase(context, given));
  return rows;
}

async function runCase(context: BenchContext, given: Case): Promise<BenchRow> {
  const { bench, tokens, limit } = given;
  const { path: model } = context.models.transformer();
  context.log(`${bench}: ${tokens} tokens`);
  const feeds = transformerFeeds(tokens, width);
  const { threads } = context;
  const found = await raceReopened(
    async (opening) =>
      await openCase(given, await openPair(opening, { model, feeds, threads }), feeds),
    { rounds: context.rounds(given.rounds), openings: OPENINGS },
  );
  return compareContestants(found, { ours: "hookline", peer: "plain" }, {
    name: `${bench}.tokens${tokens}`,
    versus: VERSUS,
    unit: "ms",
    ...(limit === null ? {} : { target: { field: "upper" as const, limit } }),
  });
}

async function openCase(given: Case, pair: Pair, feeds: TensorMap): Promise<OpenedContestants> {
  const { bench, kind } = given;
  const { plan, run } = given.prepare(pair.model, feeds);
  if (plan.kind !== kind) throw new Error(`${bench}: the plan is ${plan.kind}, not ${kind}`);
  requireSame(await run(), await pair.plain.run(), { what: bench, exact: false });
  return {
    contestants: [
      { name: "plain", run: () => pair.plain.run() },
      { name: "hookline", run },
    ],
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  };
}
