// What the native engine is for: quick calls, cheap cuts, and an event loop that stays free. Each against
// the addon, or against the whole model on the same engine.

import { float32, openModel } from "../mod.ts";
import type { EngineSession, SessionSettings } from "../sessions/engine.ts";
import { NapiEngine } from "../sessions/napi_engine.ts";
import { NativeEngine } from "../sessions/native/native_engine.ts";
import type { Bench, BenchContext } from "./bench.ts";
import { type BenchRow, compareContestants, makeRow } from "./bench_row.ts";
import { raceReopened } from "./harness.ts";
import { blockPaths, transformerFeeds } from "./subjects.ts";
import { identityBytes } from "./tiny_model.ts";
import { DEFAULT_TRANSFORMER } from "./transformer_model.ts";

/** How often the sessions are opened anew. */
const OPENINGS = 8;
/** Calls per sample of the smallest model: some milliseconds. */
const IDENTITY_REPEAT = 400;
/** Runs per sample of the transformer at one token. */
const TOKEN_REPEAT = 4;
const { blocks, width } = DEFAULT_TRANSFORMER;

/** `native`: the native engine against the addon. */
export const nativeBench: Bench = {
  name: "native",
  description: "the native engine: a tiny call, a split at one token, the event loop during a run",
  async run(context) {
    return [
      await callRow(context, 4, 0.6),
      await callRow(context, 1_048_576, null),
      await splitRow(context),
      await eventLoopRow(context),
    ];
  },
};

/** Both engines' session of one model. */
interface EnginePair extends AsyncDisposable {
  readonly native: EngineSession;
  readonly napi: EngineSession;
}

async function openEngines(
  source: string | Uint8Array,
  threads: number,
): Promise<EnginePair> {
  const settings: SessionSettings = {
    provider: "cpu",
    optimization: "all",
    threads,
    prepacking: true,
    label: "bench",
  };
  const from = typeof source === "string"
    ? { kind: "file", path: source } as const
    : { kind: "bytes", bytes: source, weightFolder: null } as const;
  await using stack = new AsyncDisposableStack();
  const native = stack.use(await new NativeEngine().open(from, settings));
  const napi = stack.use(await new NapiEngine().open(from, settings));
  const opened = stack.move();
  return { native, napi, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function callRow(
  { threads, rounds, log }: BenchContext,
  elements: number,
  limit: number | null,
): Promise<BenchRow> {
  log(`native: Identity of ${elements} floats`);
  const feeds = { x: float32([elements], new Float32Array(elements).fill(1)) };
  const found = await raceReopened(async () => {
    const pair = await openEngines(identityBytes(), threads);
    return {
      contestants: [
        { name: "napi", run: () => pair.napi.run(feeds) },
        { name: "native", run: () => pair.native.run(feeds) },
      ],
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  }, {
    rounds: rounds(104),
    warmup: 10,
    openings: OPENINGS,
    repeat: elements < 1000 ? IDENTITY_REPEAT : 10,
  });
  return compareContestants(found, { ours: "native", peer: "napi" }, {
    name: `native.identity${elements}`,
    versus: "the same call of the addon, through the same checks",
    unit: "µs",
    ...(limit === null ? {} : { target: { field: "ratio", limit } }),
  });
}

async function splitRow({ models, threads, rounds, log }: BenchContext): Promise<BenchRow> {
  log(`native: ${blocks} segments at one token`);
  const { path } = models.transformer();
  const feeds = transformerFeeds(1, width);
  const found = await raceReopened(async () => {
    const model = await openModel(path, { engine: "native", provider: "cpu", threads });
    const plan = model.plan({ split: blockPaths(blocks) });
    return {
      contestants: [
        { name: "whole", run: () => model.run(feeds) },
        { name: "split", run: () => model.run(feeds, { plan }) },
      ],
      [Symbol.asyncDispose]: () => model.close(),
    };
  }, { rounds: rounds(200), openings: OPENINGS, repeat: TOKEN_REPEAT });
  return compareContestants(found, { ours: "split", peer: "whole" }, {
    name: "native.split.tokens1",
    versus: "the whole model on the native engine",
    unit: "ms",
    target: { field: "ratio", limit: 1.05 },
  });
}

async function eventLoopRow({ models, threads, rounds, log }: BenchContext): Promise<BenchRow> {
  log("native: the event loop during a run of 128 tokens");
  await using pair = await openEngines(models.transformer().path, threads);
  const feeds = transformerFeeds(128, width);
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = -2; round < rounds(40); round++) {
    const native = await longestWait(() => pair.native.run(feeds));
    const napi = await longestWait(() => pair.napi.run(feeds));
    if (round < 0) continue;
    ours.push(native);
    peer.push(napi);
  }
  return makeRow({
    name: "native.event_loop",
    versus: "the longest wait of the event loop during the addon's run",
    unit: "ms",
    ours,
    peer,
    target: { field: "value", limit: 5 },
  });
}

/** The longest time between two turns of the event loop while `run` is under way. */
async function longestWait(run: () => Promise<unknown>): Promise<number> {
  let isOver = false;
  let longest = 0;
  const running = run().finally(() => isOver = true);
  let last = performance.now();
  while (!isOver) {
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  await running;
  return longest;
}
