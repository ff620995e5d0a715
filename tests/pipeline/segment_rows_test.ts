import assert from "node:assert/strict";
import type { PlanStep, SegmentStep } from "../../pipeline/plan.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { type RowRequest, segmentRows } from "../../pipeline/segment_rows.ts";
import type {
  ChainLink,
  Engine,
  EngineSession,
  SessionChain,
  SessionSettings,
  SessionSource,
} from "../../sessions/engine.ts";
import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { skippable } from "../skippable.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { hook, logger, scaleOutputs } from "./_hooks.ts";
import { blocksModel } from "./residency/_blocks_model.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";

function segment(index: number, inputs: string, outputs: string, isWhole = false): SegmentStep {
  const names = (text: string) => text.split(" ").filter((name) => name !== "");
  return {
    kind: "segment",
    index,
    nodes: [index],
    isWhole,
    inputs: names(inputs),
    outputs: names(outputs),
    taps: [],
  };
}

function event(...values: readonly string[]): PlanStep {
  return { kind: "leave", module: "m", callIndex: 0, values };
}

Deno.test("segmentRows() joins what nothing parts, and says what is seen of it", () => {
  const steps: PlanStep[] = [
    segment(0, "x", "a b"),
    segment(1, "a x", "c"),
    segment(2, "c w", "d"),
    event("b", "d"),
    segment(3, "d", "e"),
    event("e"),
    {
      kind: "module",
      module: "m",
      callIndex: 0,
      because: "replace",
      inputs: ["e"],
      outputs: ["g"],
      steps: [segment(4, "e", "f"), segment(5, "f", "g")],
    },
    segment(6, "g", "h"),
    segment(7, "h c", "i j"),
  ];
  const rows = shown({ steps, wanted: ["j"], comesByItself: () => false });
  assert.deepEqual(rows, [
    { segments: [0, 1, 2], inputs: ["x", "w"], outputs: ["b", "c", "d"] },
    { segments: [4, 5], inputs: ["e"], outputs: ["g"] },
    { segments: [6, 7], inputs: ["g", "c"], outputs: ["j"] },
  ]);
  const whole = [segment(0, "x", "a", true), segment(1, "a", "b")];
  assert.deepEqual(shown({ steps: whole, wanted: ["b"], comesByItself: () => false }), []);
});

function shown(request: RowRequest) {
  return [...segmentRows(request).values()].map(({ segments, inputs, outputs }) => ({
    segments: segments.map(({ index }) => index),
    inputs,
    outputs,
  }));
}

Deno.test("segmentRows() takes modules along whose weights come by themselves", () => {
  const module = (name: string, steps: readonly SegmentStep[]): PlanStep => ({
    kind: "module",
    module: name,
    callIndex: 0,
    because: "residency",
    inputs: steps[0]?.inputs ?? [],
    outputs: steps.at(-1)?.outputs ?? [],
    steps,
  });
  const steps = [
    segment(0, "x", "a"),
    module("m.0", [segment(1, "a", "b")]),
    module("m.1", [segment(2, "b", "c")]),
    module("m.2", [segment(3, "c", "d"), segment(4, "d", "e")]), // two segments of its own
    module("m.3", [segment(5, "e", "f")]), // not streamed
    module("m.4", [segment(6, "f", "g")]),
    segment(7, "g", "h"),
  ];
  const request: RowRequest = {
    steps,
    wanted: ["h"],
    comesByItself: ({ module }) => module !== "m.3",
  };
  assert.deepEqual(shown(request), [
    { segments: [0, 1, 2], inputs: ["x"], outputs: ["c"] },
    { segments: [3, 4], inputs: ["c"], outputs: ["e"] },
    { segments: [6, 7], inputs: ["f"], outputs: ["h"] },
  ]);
  const [first] = segmentRows(request).values();
  assert.deepEqual(first?.modules, [null, "m.0", "m.1"]);
});

/** The native engine with a count of the calls that go through a session, and of chains. */
class CountingEngine implements Engine {
  readonly name = "native";
  readonly runs: string[] = [];
  readonly chained: number[] = [];
  /** Chains that may hold something native. */
  readonly holding = new Set<SessionChain>();
  readonly #engine = new NativeEngine();

  version(): Promise<string> {
    return this.#engine.version();
  }

  async open(source: SessionSource, settings: SessionSettings): Promise<EngineSession> {
    const session = await this.#engine.open(source, settings);
    const run = session.run.bind(session);
    session.run = (...given) => {
      this.runs.push(settings.label);
      return run(...given);
    };
    return session;
  }

  chain(links: readonly ChainLink[], wanted: readonly string[]): SessionChain | null {
    const chain = this.#engine.chain(links, wanted);
    if (chain === null) return null;
    this.chained.push(links.length);
    return {
      run: (...given) => {
        this.holding.add(chain);
        return chain.run(...given);
      },
      rest: () => chain.rest(),
      release: () => {
        this.holding.delete(chain);
        chain.release();
      },
    };
  }
}

const LAYERS = ["layers.0", "layers.1", "layers.2", "layers.3"];

Deno.test("a split plan runs its rows as one, from the second run on, with the same numbers", async () => {
  const engine = new CountingEngine();
  {
    await using model = await openModel(chainModel(5), { engine, provider: "cpu" });
    const plan = model.plan({ split: LAYERS });
    for (const x of [1, 2, 3, 4]) {
      assert.equal(first(await model.run(chainFeeds(x), { plan })), chainOutput(x, 5));
    }
    assert.deepEqual(engine.chained, [5]);
    const runs = engine.runs.length;
    const rows: TensorMap = { x: float32([2, 2], [1, 2, 3, 4]) };
    const { y } = await model.run(rows, { plan }); // another shape is learned anew
    assert.deepEqual(y?.shape, [2, 2]);
    assert.equal(engine.runs.length, runs + 5);
    for (const x of [5, 6]) {
      assert.equal(first(await model.run(chainFeeds(x), { plan })), chainOutput(x, 5));
    }
    assert.equal(engine.runs.length, runs + 5, "a known shape went session by session");
  }
  assert.equal(engine.holding.size, 0);
  assert.equal(sessionLedger.count, 0);
});

Deno.test("hooks between segments part a row; every one is called in every run", async () => {
  const engine = new CountingEngine();
  await using model = await openModel(chainModel(5), { engine, provider: "cpu" });
  const log: string[] = [];
  model.registry("layers.2").register(scaleOutputs("double", 2));
  model.registry("layers.2").register(logger("seen", log));
  const plan = model.plan({ split: LAYERS });
  const wanted = (x: number) =>
    chainOutput(x, 5, (layer, value) => layer === 2 ? value * 2 : value);
  for (const x of [1, 2, 3, 4]) {
    log.length = 0;
    assert.equal(first(await model.run(chainFeeds(x), { plan })), wanted(x));
    assert.ok(log.length > 0, "the observer was not called");
  }
  assert.deepEqual(engine.chained, [2, 2]);
});

for (const idleByteBudget of [Infinity, 0]) {
  const keeps = idleByteBudget > 0;
  Deno.test(`plans that take turns ${keeps ? "keep" : "make anew"} their chains with their sessions`, async () => {
    const engine = new CountingEngine();
    {
      await using model = await openModel(chainModel(5), {
        engine,
        provider: "cpu",
        idleByteBudget,
      });
      const plans = [model.plan({ split: LAYERS }), model.plan({ split: LAYERS.slice(0, 2) })];
      const whole = () => model.run(chainFeeds(1));
      for (let round = 0; round < 4; round++) {
        await whole();
        for (const plan of plans) {
          const runs = [1, 2, 3].map((x) => model.run(chainFeeds(x), { plan }));
          const found = (await Promise.all(runs)).map((outputs) => first(outputs));
          assert.deepEqual(found, [1, 2, 3].map((x) => chainOutput(x, 5)));
        }
      }
      if (keeps) assert.deepEqual(engine.chained, [5, 3]);
      else assert.equal(engine.chained.length, 8);
    }
    assert.equal(engine.holding.size, 0);
    assert.equal(sessionLedger.count, 0);
  });
}

Deno.test("a model forgets the chains of plans that were left long ago", async () => {
  const engine = new CountingEngine();
  await using model = await openModel(chainModel(8), { engine, provider: "cpu" });
  const layers = [0, 1, 2, 3, 4, 5, 6].map((index) => `layers.${index}`);
  for (let mask = 1; mask < 100; mask += 3) {
    const split = layers.filter((_, index) => (mask >> index) % 2 === 1);
    const plan = model.plan({ split });
    for (const x of [1, 2, 3]) await model.run(chainFeeds(x), { plan });
  }
  assert.ok(engine.chained.length > 30);
  assert.ok(engine.holding.size <= 9, `${engine.holding.size} chains hold memory`);
});

const NOT_LINUX = Deno.build.os === "linux" ? undefined : "memory is steered on Linux";

Deno.test({
  ...skippable(
    "a row of streamed modules ends where a hook looks, and begins again behind it",
    NOT_LINUX,
  ),
  fn: () => rowsAroundHook(),
});

async function rowsAroundHook(): Promise<void> {
  using file = blocksModel({ blocks: 6 });
  const engine = new CountingEngine();
  await using model = await openModel(file.path, { engine, provider: "cpu" });
  for (const path of model.repeatedBlocks) {
    model.registry(path).register(hook({
      name: "stream",
      access: "residency",
      residency: { placement: "streamed", strategy: "mapped" },
    }));
  }
  const plain: TensorMap[] = [];
  for (let run = 0; run < 3; run++) plain.push(await model.run(file.feeds));
  assert.deepEqual(engine.chained, [7]);
  const log: string[] = [];
  const handle = model.registry("blocks.3").register(logger("seen", log));
  for (let run = 0; run < 3; run++) assert.deepEqual(await model.run(file.feeds), plain[0]);
  assert.deepEqual(engine.chained, [7, 3, 3], "blocks 0 to 2; blocks 4 and 5, and what follows");
  assert.equal(engine.holding.size, 2, "both of them run");
  assert.deepEqual(log.slice(-2), ["seen pre blocks.3#0", "seen post blocks.3#0"]);
  assert.equal(log.length, 6);
  await handle.remove();
  assert.deepEqual(await model.run(file.feeds), plain[0]);
  assert.deepEqual(engine.chained, [7, 3, 3]);
}
