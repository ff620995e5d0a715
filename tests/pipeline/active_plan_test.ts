// Plans that change while runs are in flight: each run keeps the plan and the hooks it started with.

import assert from "node:assert/strict";
import type { Model } from "../../pipeline/model.ts";
import { openModel, type OpenOptions } from "../../pipeline/open_model.ts";
import type { HooklineError } from "../../errors/hookline_error.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, logger, scaleOutputs } from "./_hooks.ts";
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

const PLAIN = chainOutput(1);
const EDITED = chainOutput(1, 3, (layer, value) => layer === 1 ? value * 10 : value);

/** An observer that waits until `open` is called, the first time it runs. */
function gate(name: string) {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  let isFirst = true;
  return {
    hook: hook({
      name,
      postForward: async () => {
        if (!isFirst) return;
        isFirst = false;
        reached.resolve();
        await opened.promise;
      },
    }),
    reached: reached.promise,
    open: opened.resolve,
  };
}

Deno.test("a run in flight keeps its hooks while others come and go", async () => {
  for (const idleByteBudget of [0, 1e6]) {
    await withModel(async (model) => {
      const log: string[] = [];
      const wait = gate("wait");
      model.registry("layers.0").register(wait.hook);
      const leaving = model.registry("layers.2").register(logger("leaving", log, {
        onDetach: () => void log.push("leaving detached"),
      }));
      const slow = model.run(chainFeeds(1));
      await wait.reached;
      const removed = leaving.remove();
      model.registry("layers.1").register(scaleOutputs("ten", 10));
      model.registry("layers.2").register(logger("coming", log));
      // A run that starts now sees the new hooks.
      assert.equal(first(await model.run(chainFeeds(1))), EDITED);
      assert.deepEqual(log, ["coming pre layers.2#0", "coming post layers.2#0"]);
      log.length = 0;
      wait.open();
      assert.equal(first(await slow), PLAIN);
      await removed;
      assert.deepEqual(log, [
        "leaving pre layers.2#0",
        "leaving post layers.2#0",
        "leaving detached",
      ]);
    }, { idleByteBudget });
  }
});

Deno.test("a hook that registers and removes hooks changes the next run, not its own", async () => {
  await withModel(async (model) => {
    const log: string[] = [];
    const victim = model.registry("layers.2").register(logger("victim", log));
    model.registry("layers.0").register(hook({
      name: "once",
      postForward: async () => {
        if (model.registry("layers.1").size > 0) return;
        model.registry("layers.1").register(scaleOutputs("ten", 10));
        await victim.remove(); // resolves at once: its own run must end first
      },
    }));
    assert.equal(first(await model.run(chainFeeds(1))), PLAIN);
    assert.deepEqual(log, ["victim pre layers.2#0", "victim post layers.2#0"]);
    assert.equal(first(await model.run(chainFeeds(1))), EDITED);
    assert.equal(log.length, 2);
  });
});

Deno.test("runs that alternate between hooked and plain never mix", async () => {
  for (const idleByteBudget of [0, 1e6]) {
    await withModel(async (model) => {
      const runs: Promise<[number, number]>[] = [];
      for (let index = 0; index < 12; index++) {
        const isEdited = index % 2 === 1;
        const handle = isEdited
          ? model.registry("layers.1").register(scaleOutputs("ten", 10))
          : null;
        const run = model.run(chainFeeds(1)).then(first);
        runs.push(run.then((found) => [found, isEdited ? EDITED : PLAIN]));
        if (handle !== null) void handle.remove();
      }
      for (const [found, wanted] of await Promise.all(runs)) assert.equal(found, wanted);
    }, { idleByteBudget });
  }
});

Deno.test("model.close() waits for the runs in flight, in every kind of plan", async () => {
  for (const kind of ["tapped", "split", "forced"]) {
    const model = await openModel(chainModel(), { provider: "cpu" });
    const wait = gate("wait");
    const log: string[] = [];
    model.registry("layers.0").register(wait.hook);
    if (kind === "split") model.registry("layers.1").register(scaleOutputs("ten", 10));
    const run = kind === "forced"
      ? model.run(chainFeeds(1), { plan: model.plan({ split: "layers.*" }) })
      : model.run(chainFeeds(1));
    await wait.reached;
    const closed = model.close().then(() => log.push("closed"));
    await expectCode("MODEL_CLOSED", () => model.run(chainFeeds(1)));
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(log, []);
    wait.open();
    assert.equal(first(await run), kind === "split" ? EDITED : PLAIN);
    await closed;
    assert.equal(sessionLedger.count, 0);
  }
});

Deno.test("model.close() while sessions open leaves none", async () => {
  for (const delay of [0, 1, 2, 3, 5, 8, 20]) {
    const spy = new SpyEngine();
    const model = await openModel(chainModel(), {
      engine: spy,
      provider: "cpu",
      idleByteBudget: 0,
    });
    spy.onOpen = () => new Promise((resolve) => setTimeout(resolve, 1));
    model.registry("layers.1").register(scaleOutputs("ten", 10));
    const runs = [model.run(chainFeeds(1)), model.prepare()];
    model.registry("layers.0").register(scaleOutputs("one", 1));
    runs.push(model.run(chainFeeds(1)));
    const settled = Promise.allSettled(runs);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await model.close();
    assert.equal(sessionLedger.count, 0, `after ${delay} ms`);
    for (const result of await settled) {
      if (result.status === "rejected") {
        assert.equal((result.reason as HooklineError).code, "MODEL_CLOSED");
      }
    }
    assert.equal(sessionLedger.count, 0);
  }
});

Deno.test("model.close() from inside its own hook is refused, and works afterwards", async () => {
  await withModel(async (model) => {
    const handle = model.registry("layers.1").register(hook({
      name: "closer",
      postForward: () => model.close(),
    }));
    const error = await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
    assert.equal((error.cause as HooklineError).code, "HOOK_REENTRANT");
    await handle.remove();
    assert.equal(first(await model.run(chainFeeds(1))), PLAIN);
  });
});

Deno.test("model.run() keeps more plans than it lists at a time", async () => {
  await withModel(async (model, spy) => {
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 10; index++) {
        await using _ = model.registry(`layers.${index % 3}`).register(
          scaleOutputs(`h${index}`, 1),
        );
        assert.equal(first(await model.run(chainFeeds(1))), PLAIN);
      }
    }
    // Equal segments are one session, whatever the hooks are called: three cuts, two parts each,
    // the last with nothing behind it.
    assert.equal(spy.sessions.length, 5);
  });
});
