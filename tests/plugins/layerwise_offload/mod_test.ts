import assert from "node:assert/strict";
import { join } from "node:path";
import {
  definePipeline,
  float32,
  type ForwardCall,
  HooklineError,
  ModelHook,
  openModel,
  openSessions,
  type OriginalForward,
  type Tensor,
  type TensorMap,
  withContext,
} from "@hookline/hookline";
import { layerwiseOffload } from "../../../plugins/layerwise_offload/mod.ts";
import { blocksModel, difference, tokens } from "../../pipeline/residency/_blocks_model.ts";
import { assertNear, offloaded, residentRun, STRATEGIES } from "./_offloaded.ts";

for (const strategy of STRATEGIES) {
  Deno.test(`layerwiseOffload() by ${strategy} computes what resident weights compute, again and again`, async () => {
    using file = blocksModel();
    const wanted = await residentRun(file.path, file.feeds);
    {
      const { model, handle } = await offloaded(file, { strategy });
      await using _model = model;
      for (let pass = 0; pass < 3; pass++) {
        assertNear(await model.run(file.feeds), wanted, strategy);
      }
      handle[Symbol.dispose]();
      const before = await openModel(file.path, { provider: "cpu", threads: 1 });
      await using plain = before;
      assert.equal(
        difference((await model.run(file.feeds))["y"], (await plain.run(file.feeds))["y"]),
        0,
      );
      assert.match(model.explain(), /^whole/);
    }
    assert.deepEqual(openSessions(), []);
  });

  Deno.test(`layerwiseOffload() by ${strategy} survives skipped, failing and cancelled blocks`, async () => {
    using file = blocksModel();
    const wanted = await residentRun(file.path, file.feeds);
    const { model } = await offloaded(file, { strategy, depth: 1 });
    await using _model = model;
    {
      using _skip = model.registry("blocks.1").register(new Skip());
      const skipped = await model.run(file.feeds);
      assert.ok(difference(skipped["y"], wanted["y"]) > 1e-3);
    }
    assertNear(await model.run(file.feeds), wanted, strategy, "after a skip");
    {
      using _fail = model.registry("blocks.2").register(new Fail());
      await assert.rejects(model.run(file.feeds), { code: "HOOK_THROWN" });
    }
    assertNear(await model.run(file.feeds), wanted, strategy, "after an error");
    {
      const controller = new AbortController();
      using _abort = model.registry("blocks.1").register(new Abort(controller));
      await assert.rejects(model.run(file.feeds, { signal: controller.signal }), /enough/);
    }
    assertNear(await model.run(file.feeds), wanted, strategy, "after a cancelled run");
    const wrong = { x: float32([1, 3, 8], new Float32Array(24)) };
    await assert.rejects(model.run(wrong), HooklineError);
    assertNear(await model.run(file.feeds), wanted, strategy, "after a wrong feed");
  });

  Deno.test(`layerwiseOffload() by ${strategy} serves runs at once and detaching in between`, async () => {
    using file = blocksModel();
    const feeds = [1, 2, 3, 4].map((seed) => tokens(32, seed));
    const wanted = [];
    for (const each of feeds) wanted.push(await residentRun(file.path, each));
    const { model, handle } = await offloaded(file, { strategy, depth: 1 });
    await using _model = model;
    const runs = feeds.map((each) => model.run(each));
    queueMicrotask(() => handle[Symbol.dispose]());
    const found = await Promise.all(runs);
    for (const [index, each] of found.entries()) {
      assertNear(each, wanted[index] ?? {}, strategy, `run ${index}`);
    }
    assert.match(model.explain(), /^whole/);
    for (const [index, each] of feeds.entries()) {
      const after = await model.run(each);
      assert.ok(difference(after["y"], wanted[index]?.["y"]) < 1e-5);
    }
  });

  Deno.test(`layerwiseOffload() by ${strategy} streams a single block and the whole model`, async () => {
    using file = blocksModel();
    const wanted = await residentRun(file.path, file.feeds);
    for (const blocks of ["blocks.2", ["blocks.0", "blocks.3"], ""]) {
      const { model } = await offloaded(file, { strategy, blocks });
      await using _model = model;
      const off = difference((await model.run(file.feeds))["y"], wanted["y"]);
      assert.ok(off < 1e-5, `${blocks}: off by ${off}`);
      assert.ok(difference((await model.run(file.feeds))["y"], wanted["y"]) < 1e-5);
    }
  });

  Deno.test(`layerwiseOffload() by ${strategy} works with hooks that watch, edit and replace inside blocks`, async () => {
    using file = blocksModel();
    const hooks = (): readonly [string, ModelHook][] => [
      ["blocks.0.attn", new Watch()],
      ["blocks.1", new Watch()],
      ["blocks.1.mlp", new Double()],
      ["blocks.2", new Twice()],
      ["blocks.[2-3]", new Through()],
    ];
    await using plain = await openModel(file.path, { provider: "cpu", threads: 1 });
    const { model } = await offloaded(file, { strategy, depth: 1 });
    await using _model = model;
    const seen: Tensor[][] = [];
    const outputs: TensorMap[] = [];
    for (const each of [plain, model]) {
      const watches: Watch[] = [];
      for (const [path, hook] of hooks()) {
        each.registry(path).register(hook);
        if (hook instanceof Watch) watches.push(hook);
      }
      await each.run(tokens(32, 9));
      outputs.push(await each.run(file.feeds));
      seen.push(watches.flatMap((watch) => watch.seen));
    }
    assert.ok(difference(outputs[0]?.["y"], outputs[1]?.["y"]) < 1e-5);
    assert.equal(seen[1]?.length, 4);
    // What a hook has seen is its own: it is not freed under its hands.
    for (const [index, tensor] of (seen[0] ?? []).entries()) {
      assert.ok(difference(tensor, seen[1]?.[index]) < 1e-5, `seen ${index}`);
    }
  });
}

Deno.test("layerwiseOffload() keeps blocks by count, list, stride and budget, and says which", async () => {
  using file = blocksModel();
  const stays = async (options: Parameters<typeof layerwiseOffload>[0]): Promise<string[]> => {
    const { model } = await offloaded(file, options ?? {});
    await using _model = model;
    await model.run(file.feeds);
    return (model.explainDocument().residency?.blocks ?? [])
      .filter((block) => block.placement === "resident").map((block) => block.module);
  };
  assert.deepEqual(await stays({ resident: 2 }), ["blocks.0", "blocks.1"]);
  assert.deepEqual(await stays({ resident: [0, -1] }), ["blocks.0", "blocks.3"]);
  assert.deepEqual(await stays({ resident: { stride: 2 } }), ["blocks.0", "blocks.2"]);
  const block = 12 * 32 * 32 * 4;
  assert.deepEqual(await stays({ budget: 3 * block + 2000, strategy: "mapped" }), [
    "blocks.0",
    "blocks.2",
  ]);
  assert.deepEqual(await stays({ budget: "1GB" }), [
    "blocks.0",
    "blocks.1",
    "blocks.2",
    "blocks.3",
  ]);
  await assert.rejects(stays({ budget: "1kB" }), { code: "RESIDENCY_BUDGET" });
});

Deno.test("layerwiseOffload() leaves a model alone whose weights all fit", async () => {
  using file = blocksModel();
  const { model } = await offloaded(file, { budget: "1GB" });
  await using _model = model;
  await model.run(file.feeds);
  assert.match(model.explain(), /^whole[^]*weights: all of them fit and stay in memory/);
  assert.equal(openSessions().length, 1);
});

Deno.test("layerwiseOffload() shares one session between all equal blocks by inputs", async () => {
  using file = blocksModel({ blocks: 6 });
  const { model } = await offloaded(file, { strategy: "inputs" });
  await using _model = model;
  await model.run(file.feeds);
  assert.equal(openSessions().length, 2); // the blocks' and the one behind them
});

Deno.test("layerwiseOffload() opens sessions for each call and keeps none", async () => {
  using file = blocksModel();
  const { model } = await offloaded(file, { strategy: "sessions" });
  await using _model = model;
  await model.run(file.feeds);
  assert.equal(openSessions().length, 1); // what comes behind the blocks
});

Deno.test("layerwiseOffload() moves the models of a pipeline one after another, in any context", async () => {
  using text = blocksModel({ blocks: 2 });
  using unet = blocksModel({ blocks: 3, seed: 7 });
  const wanted = [
    await residentRun(text.path, text.feeds),
    await residentRun(unet.path, unet.feeds),
  ];
  await using pipeline = await definePipeline({
    models: { text: text.path, unet: unet.path },
    provider: "cpu",
    threads: 1,
    plugins: [layerwiseOffload({ cacheFolder: join(text.folder, "cache") })],
  }).open();
  const { models } = pipeline;
  for (let step = 0; step < 2; step++) {
    assertNear(await models.text.run(text.feeds), wanted[0] ?? {}, "prepacked");
    const both = await Promise.all(
      ["cond", "uncond"].map((name) => withContext(name, () => models.unet.run(unet.feeds))),
    );
    for (const found of both) assertNear(found, wanted[1] ?? {}, "prepacked");
  }
});

Deno.test("layerwiseOffload() is refused a second time and on a model without files", async () => {
  using file = blocksModel();
  const { model } = await offloaded(file, {});
  await using _model = model;
  assert.throws(() => layerwiseOffload().attach(model, { modelName: "m" }), {
    code: "HOOK_NAME_DUPLICATE",
  });
  assert.throws(() => layerwiseOffload({ blocks: "decoder.*" }).attach(model, { modelName: "m" }), {
    code: "HOOK_MATCH_EMPTY",
  });
  await using bytes = await openModel(Deno.readFileSync(file.path), { provider: "cpu" });
  layerwiseOffload().attach(bytes, { modelName: "m" });
  await assert.rejects(bytes.run(file.feeds), { code: "RESIDENCY_IMPOSSIBLE" });
});

class Watch extends ModelHook {
  override readonly name = "watch";
  readonly seen: Tensor[] = [];
  override postForward(_call: ForwardCall, outputs: TensorMap): void {
    this.seen.push(...Object.values(outputs));
  }
}

class Double extends ModelHook {
  override readonly name = "double";
  override readonly access = "edit";
  override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap {
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { shape, data }]) => [
        name,
        float32(shape, (data as Float32Array).map((value) => value * 2)),
      ]),
    );
  }
}

/** Calls the block twice and keeps the second result. */
class Twice extends ModelHook {
  override readonly name = "twice";
  override readonly access = "replace";
  override readonly maxOriginalCalls = 2;
  override async newForward(
    _call: ForwardCall,
    inputs: TensorMap,
    original: OriginalForward,
  ): Promise<TensorMap> {
    await original(inputs);
    return await original();
  }
}

/** Stands around several blocks. */
class Through extends ModelHook {
  override readonly name = "through";
  override readonly access = "replace";
  override newForward(
    _call: ForwardCall,
    _inputs: TensorMap,
    original: OriginalForward,
  ): Promise<TensorMap> {
    return original();
  }
}

/** Puts the block's input out. */
class Skip extends ModelHook {
  override readonly name = "skip";
  override readonly access = "replace";
  override newForward(call: ForwardCall, inputs: TensorMap): TensorMap {
    const [input] = Object.values(inputs);
    return Object.fromEntries(call.outputNames.map((name) => [name, input as Tensor]));
  }
}

class Fail extends ModelHook {
  override readonly name = "fail";
  override postForward(): void {
    throw new Error("no");
  }
}

class Abort extends ModelHook {
  override readonly name = "abort";
  constructor(readonly controller: AbortController) {
    super();
  }
  override postForward(): void {
    this.controller.abort(new Error("enough"));
  }
}
