// What a model does with its plans and sessions: which one it takes, what it opens, what it keeps.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import type { Model } from "../../pipeline/model.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import { segmentsOf } from "../../pipeline/plan.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, logger, mapped, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

async function withModel(
  test: (model: Model, spy: SpyEngine) => Promise<void>,
  options: OpenOptions = {},
): Promise<void> {
  const spy = new SpyEngine();
  const model = await openModel(chainModel(), { engine: spy, provider: "cpu", ...options });
  try {
    await test(model, spy);
  } finally {
    await model.close();
  }
  assert.equal(sessionLedger.count, 0);
}

function observer(name: string, seen: number[] = []) {
  return hook({
    name,
    postForward: (_call, outputs) => void seen.push(first(outputs, Object.keys(outputs)[0])),
  });
}

Deno.test("model.run() without hooks opens the untouched file and passes the feeds on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-"));
  try {
    const path = join(folder, "chain.onnx");
    writeFileSync(path, chainModel());
    const spy = new SpyEngine();
    await using model = await openModel(path, { engine: spy, provider: "cpu" });
    assert.equal(model.plan().kind, "whole");
    const feeds = chainFeeds(1);
    assert.equal(first(await model.run(feeds)), chainOutput(1));
    assert.equal(first(await model.run(feeds)), chainOutput(1));
    assert.equal(spy.opened.length, 1);
    assert.deepEqual(spy.opened[0]?.source, { kind: "file", path });
    assert.equal(spy.runs.length, 2);
    assert.ok(spy.runs.every((run) => run.feeds === feeds), "the very same object");
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.equal(sessionLedger.count, 0);
});

Deno.test("model.run() with observers runs one tapped session", async () => {
  await withModel(async (model, spy) => {
    const seen: number[] = [];
    model.registry("layers.0").register(observer("a", seen));
    model.registry("layers.1.scale").register(observer("b", seen));
    const plan = model.plan();
    assert.equal(plan.kind, "tapped");
    assert.deepEqual(segmentsOf(plan.steps).map((one) => [one.isWhole, one.taps]), [
      [true, ["h0", "s1"]],
    ]);
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
    assert.deepEqual(seen, [3, 9]);
    assert.equal(spy.opened.length, 1);
    assert.equal(spy.runs.length, 1);
  });
});

Deno.test("model.run() with one edit of outputs cuts once", async () => {
  await withModel(async (model, spy) => {
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    model.registry("layers.0").register(observer("a"));
    model.registry("layers.2.scale").register(observer("b"));
    const plan = model.plan();
    assert.equal(plan.kind, "split");
    assert.deepEqual(segmentsOf(plan.steps).map(({ nodes }) => nodes), [[0, 1, 2, 3], [4, 5]]);
    const wanted = chainOutput(1, 3, (layer, value) => layer === 1 ? value * 10 : value);
    assert.equal(first(await model.run(chainFeeds(1))), wanted);
    assert.equal(spy.sessions.length, 2);
    assert.equal(spy.runs.length, 2);
  });
});

Deno.test("model.plan() isolates a module whose inputs or forward change, and nothing else", async () => {
  await withModel(async (model) => {
    using _ = model.registry("layers.1").register(scaleInputs("ten", 10));
    const steps = (plan = model.plan()) =>
      plan.steps.map((step) => step.kind === "segment" ? step.nodes : step.kind);
    assert.deepEqual(steps(), [[0, 1], "module", [4, 5]]);
    assert.equal(first(await model.run(chainFeeds(1))), (30 * 3 + 2) * 4 + 3);
  });
  await withModel(async (model) => {
    model.registry("layers.1").register(hook({
      name: "skip",
      access: "replace",
      newForward: (_call, inputs) => ({ h1: mapped(inputs, (value) => value + 0.5)["h0"]! }),
    }));
    assert.equal(model.plan().steps[1]?.kind, "module");
    assert.equal(first(await model.run(chainFeeds(1))), 3.5 * 4 + 3);
  });
});

Deno.test("model.plan() runs the whole model in one piece where only the model's own border changes", async () => {
  await withModel(async (model, spy) => {
    model.registry("").register(scaleInputs("in", 2));
    model.registry("").register(scaleOutputs("out", 3));
    assert.deepEqual(segmentsOf(model.plan().steps).map(({ isWhole }) => isWhole), [true]);
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(2) * 3);
    assert.equal(spy.opened.length, 1, "no type is asked for");
  });
});

Deno.test("model.plan() hashes hooks and not the order of registering them", async () => {
  const hashes = new Set<string>();
  const register = [
    (model: Model) => model.registry("layers.0").register(scaleOutputs("a", 2)),
    (model: Model) => model.registry("layers.0").register(scaleOutputs("b", 2)),
    (model: Model) => model.registry("layers.2").register(observer("c")),
  ];
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    await withModel((model) => {
      const empty = model.plan().hash;
      for (const index of order) register[index]?.(model);
      hashes.add(model.plan().hash);
      assert.equal(model.plan().hash, model.plan().hash);
      assert.notEqual(model.plan().hash, empty);
      using _ = model.registry("layers.0").register(scaleOutputs("d", 2));
      assert.ok(!hashes.has(model.plan().hash));
      return Promise.resolve();
    });
  }
  assert.equal(hashes.size, 1);
});

Deno.test("model.plan() and explain() open nothing and say which hook asks for what", async () => {
  await withModel((model, spy) => {
    model.registry("layers.1").register(scaleOutputs("brighten", 10));
    model.registry("layers.0").register(observer("watch"));
    const before = sessionLedger.openedTotal;
    const text = model.explain();
    assert.match(text, /^split: 2 segments/);
    assert.match(text, /brighten edits the outputs of layers\.1: cut after it/);
    assert.match(text, /watch observes the outputs of layers\.0: tapped/);
    assert.equal(sessionLedger.openedTotal, before);
    assert.equal(spy.opened.length, 0);
    return Promise.resolve();
  });
});

Deno.test("model.run() returns to the same session when the hooks are gone", async () => {
  await withModel(async (model, spy) => {
    await model.run(chainFeeds(1));
    const handle = model.registry("layers.1").register(scaleOutputs("ten", 10));
    await model.run(chainFeeds(1));
    await handle.remove();
    assert.equal(model.plan().kind, "whole");
    const before = spy.opened.length;
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
    assert.equal(spy.opened.length, before);
    assert.equal(spy.runs.at(-1)?.session, spy.runs[0]?.session);
    // And back again.
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    await model.run(chainFeeds(1));
    assert.equal(spy.opened.length, before);
  });
});

Deno.test("model.run() closes idle sessions that exceed the byte budget", async () => {
  await withModel(async (model, spy) => {
    await model.run(chainFeeds(1));
    const handle = model.registry("layers.1").register(scaleOutputs("ten", 10));
    await model.run(chainFeeds(1));
    assert.equal(sessionLedger.count, 2, "the two segments");
    await handle.remove();
    await model.run(chainFeeds(1));
    assert.equal(sessionLedger.count, 1);
    assert.deepEqual(spy.sessions.map(({ session }) => session.released), [
      true,
      true,
      true,
      false,
    ]);
  }, { idleByteBudget: 0 });
});

Deno.test("model.run() shares segments that two plans have in common", async () => {
  await withModel(async (model, spy) => {
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    await model.run(chainFeeds(1));
    model.registry("layers.2").register(scaleOutputs("more", 2));
    await model.run(chainFeeds(1));
    assert.equal(spy.sessions.length, 2, "the second edit comes after the last node");
    model.registry("layers.0").register(scaleOutputs("first", 2));
    await model.run(chainFeeds(1));
    assert.equal(spy.sessions.length, 4, "layers.2 is known");
  });
});

Deno.test("model.run() that cannot open leaves nothing open, and the next one can", async () => {
  for (const failing of [1, 2]) {
    await withModel(async (model, spy) => {
      model.registry("layers.1").register(scaleOutputs("ten", 10));
      let count = 0;
      spy.onOpen = (settings) => {
        if (settings.label !== "type probe" && ++count === failing) throw new Error("no memory");
      };
      const runs = await Promise.allSettled([model.run(chainFeeds(1)), model.run(chainFeeds(1))]);
      assert.deepEqual(runs.map(({ status }) => status), ["rejected", "rejected"]);
      const wanted = chainOutput(1, 3, (layer, value) => layer === 1 ? value * 10 : value);
      assert.equal(first(await model.run(chainFeeds(1))), wanted);
      assert.equal(sessionLedger.count, 2);
    });
  }
});

Deno.test("model.run() refuses wrong feeds before it opens a session", async () => {
  await withModel(async (model, spy) => {
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    await expectCode("FEED_MISSING", () => model.run({}));
    assert.equal(spy.opened.length, 0);
  });
});

Deno.test("model.run() with a plan takes that plan, and refuses one made for other hooks", async () => {
  await withModel(async (model, spy) => {
    const plan = model.plan({ split: "layers.*" });
    assert.equal(first(await model.run(chainFeeds(1), { plan })), chainOutput(1));
    assert.equal(spy.runs.length, 3);
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    await expectCode("OPTION_INVALID", () => model.run(chainFeeds(1), { plan }));
    await using other = await openModel(chainModel(2), { provider: "cpu" });
    await expectCode("OPTION_INVALID", () => other.run(chainFeeds(1), { plan }));
  });
});

Deno.test("model.run() with outputs runs no node that they do not need", async () => {
  await withModel(async (model, spy) => {
    const seen: number[] = [];
    model.registry("layers.0").register(observer("a", seen));
    assert.deepEqual(Object.keys(await model.run(chainFeeds(1), { outputs: [] })), []);
    assert.deepEqual(seen, [3]);
    assert.deepEqual(
      model.plan({ outputs: [] }).steps.map((step) =>
        step.kind === "segment" ? step.nodes : step.kind
      ),
      ["enter", [0, 1], "leave"],
    );
    assert.match(model.explain({ outputs: [] }), /2 of 6 nodes run/);
    assert.equal(spy.runs.length, 1);
    await expectCode("FETCH_UNKNOWN", () => model.run(chainFeeds(1), { outputs: ["z"] }));
  });
  await withModel(async (model, spy) => {
    assert.deepEqual(Object.keys(await model.run(chainFeeds(1), { outputs: [] })), []);
    assert.equal(spy.runs.length, 0, "nothing is wanted");
    await expectCode("FETCH_UNKNOWN", () => model.run(chainFeeds(1), { outputs: ["z"] }));
  });
});

Deno.test("model.close() refuses everything afterwards, also through a registry from before", async () => {
  const model = await openModel(chainModel(), { provider: "cpu" });
  const registry = model.registry("layers.0");
  const log: string[] = [];
  registry.register(hook({
    name: "a",
    postForward: () => {},
    onDetach: () => void log.push("detached"),
  }));
  await model.run(chainFeeds(1));
  await Promise.all([model.close(), model.close()]);
  assert.deepEqual(log, ["detached"]);
  assert.equal(sessionLedger.count, 0);
  await expectCode("MODEL_CLOSED", () => model.run(chainFeeds(1)));
  await expectCode("MODEL_CLOSED", () => model.prepare());
  await expectCode("MODEL_CLOSED", () => model.registry("layers.1"));
  await expectCode("MODEL_CLOSED", () => registry.register(logger("b", log)));
  assert.deepEqual(registry.names, []);
});

Deno.test("model.prepare() opens what the first run needs", async () => {
  await withModel(async (model, spy) => {
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    await model.prepare();
    assert.equal(spy.sessions.length, 2);
    await model.run(chainFeeds(1));
    assert.equal(spy.sessions.length, 2);
  });
});

Deno.test("model.run() plans without hooks that do not take part, and goes back and forth for free", async () => {
  await withModel(async (model, spy) => {
    let isOn = false;
    const seen: number[] = [];
    model.registry("layers.1").register(hook({
      name: "sometimes",
      takesPart: () => isOn,
      postForward: (_call, outputs) => void seen.push(first(outputs, Object.keys(outputs)[0])),
    }));
    await model.run(chainFeeds(1));
    const [plain] = spy.runs;
    isOn = true;
    assert.equal(model.plan().kind, "tapped");
    await model.run(chainFeeds(1));
    isOn = false;
    assert.equal(model.plan().kind, "whole");
    await model.run(chainFeeds(1));
    isOn = true;
    await model.run(chainFeeds(1));
    assert.deepEqual(seen, [11, 11]);
    assert.equal(spy.sessions.length, 2);
    assert.equal(spy.runs[2]?.session, plain?.session);
    assert.equal(spy.runs[2]?.fetches, plain?.fetches);
  });
});

Deno.test("hooks cannot change the call that they share", async () => {
  await withModel(async (model) => {
    const failures: string[] = [];
    model.registry("layers.1").register(hook({
      name: "meddler",
      postForward: (call) => {
        const open = call as unknown as Record<string, unknown> & { outputNames: string[] };
        for (const key of ["signal", "callIndex", "context", "module"]) {
          try {
            open[key] = "changed";
          } catch {
            failures.push(key);
          }
        }
        assert.throws(() => open.outputNames.push("more"), TypeError);
        assert.throws(() => (open["module"] as { path: string }).path = "other", TypeError);
      },
    }));
    await model.run(chainFeeds(1));
    assert.deepEqual(failures, ["signal", "callIndex", "context", "module"]);
  });
});

Deno.test("model.run() takes a plan's own outputs, and refuses others beside it", async () => {
  await withModel(async (model) => {
    const outputs = Object.keys(await model.run(chainFeeds(1)));
    const none = model.plan({ outputs: [] });
    assert.deepEqual(Object.keys(await model.run(chainFeeds(1), { plan: none })), []);
    const tapped = model.plan({ tap: "layers.1" });
    assert.deepEqual(Object.keys(await model.run(chainFeeds(1), { plan: tapped })), outputs);
    await expectCode("OPTION_INVALID", () => model.run(chainFeeds(1), { plan: tapped, outputs }));
  });
});

Deno.test("HookRegistry.getOrCreate() on a model is model.registry(), with its errors", async () => {
  await withModel(async (model) => {
    const facts = { className: null, callCount: 1 };
    const registry = HookRegistry.getOrCreate(model, { ...facts, path: "layers.1" });
    assert.equal(model.registry("layers.1"), registry);
    let runs = 0;
    registry.register(hook({ name: "counts", postForward: () => void runs++ }));
    await model.run(chainFeeds(1));
    assert.equal(runs, 1);
    await expectCode(
      "MODULE_UNKNOWN",
      () => HookRegistry.getOrCreate(model, { ...facts, path: "nowhere" }),
    );
  });
});
