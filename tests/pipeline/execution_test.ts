// What happens inside one run, and between runs that interleave: who is called, who is unwound, what an
// error says, what is refused.

import assert from "node:assert/strict";
import { withContext } from "../../hooks/forward_context.ts";
import { traceStep } from "../../hooks/forward_context.ts";
import type { ModelHook } from "../../hooks/model_hook.ts";
import { StateManager } from "../../hooks/state_manager.ts";
import type { HooklineError } from "../../errors/hookline_error.ts";
import type { Model } from "../../pipeline/model.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { emptyTensorMap, float32, tensor, type TensorMap } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { callMapOf, FixedStructure, openStructure } from "./_fixed_structure.ts";
import { hook, logger, mapped, scaleOutputs } from "./_hooks.ts";
import {
  callsOf,
  modelOfProgram,
  operationsOf,
  type Program,
  Random,
  randomProgram,
  SHAPES,
} from "./_program.ts";
import { tensorsOf, valuesOf } from "./_random_hooks.ts";
import { digest, runReference } from "./_reference.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { SpyEngine } from "./_spy_engine.ts";

async function withModel(test: (model: Model, spy: SpyEngine) => Promise<void>): Promise<void> {
  const spy = new SpyEngine();
  const model = await openModel(chainModel(), { engine: spy, provider: "cpu" });
  try {
    await test(model, spy);
  } finally {
    await model.close();
  }
  assert.equal(sessionLedger.count, 0);
}

/** Plans of every kind, made by one more hook. */
const PLAN_KINDS: Readonly<Record<string, (model: Model) => void>> = {
  "in a plan without other cuts": () => {},
  "in a plan cut before": (model) =>
    void model.registry("layers.0").register(scaleOutputs("cut", 1)),
  "in a plan cut after": (model) =>
    void model.registry("layers.2.scale").register(scaleOutputs("cut", 1)),
  "inside an isolated module": (model) =>
    void model.registry("").register(hook({
      name: "cut",
      access: "replace",
      newForward: (_call, _inputs, original) => original(),
    })),
};

const FAILURE = new Error("broken");
const fails: Readonly<Record<string, () => never | Promise<never>>> = {
  "throws": () => {
    throw FAILURE;
  },
  "rejects": () => Promise.reject(FAILURE),
};

for (const [kind, cut] of Object.entries(PLAN_KINDS)) {
  for (const [how, fail] of Object.entries(fails)) {
    Deno.test(`a hook that ${how} ${kind} unwinds every entered hook once, last entered first`, async () => {
      const phases: Record<string, ModelHook> = {
        preForward: hook({ name: "m", access: "edit", preForward: fail }),
        newForward: hook({ name: "m", access: "replace", newForward: fail }),
        postForward: hook({ name: "m", access: "edit", postForward: fail }),
      };
      for (const [phase, broken] of Object.entries(phases)) {
        await withModel(async (model) => {
          cut(model);
          const log: string[] = [];
          for (const path of ["layers.1", "layers.1.scale"]) {
            for (const name of ["a", "z"]) {
              model.registry(path).register(logger(name, log, { access: "edit" }));
            }
          }
          const handle = model.registry("layers.1").register(broken, { plugin: "tester" });
          const error = await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
          assert.equal(error.cause, FAILURE);
          assert.equal(error.details["plugin"], "tester");
          assert.equal(error.details["hook"], "m");
          assert.equal(error.details["module"], "layers.1");
          assert.equal(error.details["phase"], phase);
          assert.equal(error.details["callIndex"], 0);
          assertBalanced(log);
          assert.ok(log.some((line) => line.includes("unwind")));
          // The next run is a good one.
          await handle.remove();
          log.length = 0;
          assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
          assertBalanced(log);
          assert.ok(!log.some((line) => line.includes("unwind")));
        });
      }
    });
  }
}

Deno.test("an observer that throws in a tapped plan unwinds the others once", async () => {
  for (const phase of ["preForward", "postForward"] as const) {
    await withModel(async (model) => {
      const log: string[] = [];
      model.registry("").register(logger("root", log));
      model.registry("layers.1").register(logger("a", log));
      model.registry("layers.1").register(hook({ name: "m", [phase]: () => fails["throws"]?.() }));
      model.registry("layers.1").register(logger("z", log));
      assert.equal(model.plan().kind, "tapped");
      const error = await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
      assert.equal(error.details["phase"], phase);
      const isPre = phase === "preForward";
      assert.deepEqual(log, [
        "root pre #0",
        "a pre layers.1#0",
        ...(isPre ? ["a unwind layers.1#0"] : [
          "z pre layers.1#0",
          "a post layers.1#0",
          "z unwind layers.1#0",
        ]),
        "root unwind #0",
      ]);
    });
  }
});

/** Each pre is closed by one post or unwind of its own, as brackets are. */
function assertBalanced(log: readonly string[]): void {
  const open: string[] = [];
  for (const line of log) {
    const [name, phase, call] = line.split(" ") as [string, string, string];
    if (phase === "pre") open.push(`${name} ${call}`);
    else assert.equal(open.pop(), `${name} ${call}`, log.join(", "));
  }
  assert.deepEqual(open, [], log.join(", "));
}

Deno.test("a failing hook at any place of any program leaves nothing open and the next run whole", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const program = randomProgram(random);
    const structure = new FixedStructure(
      modelOfProgram(program, operationsOf(program.body)),
      callMapOf(program),
    );
    await using model = await openStructure(structure);
    const state = { log: [] as string[], calls: 0, failAt: Infinity };
    for (const path of new Set(callsOf(program).map((call) => call.path))) {
      if (!random.chance(0.6)) continue;
      const isReplacing = random.chance(0.3);
      model.registry(path).register(
        bracketHook(program, state, { isReplacing, forgives: random.chance(0.5) }),
      );
    }
    const feeds = {
      flag: Int32Array.of(1),
      x0: new Int32Array(16).fill(3),
      x1: new Int32Array(16).fill(-2),
      x2: new Int32Array(8).fill(5),
      unused: new Int32Array(16),
    };
    const good = async (): Promise<string> => {
      state.log.length = state.calls = 0;
      state.failAt = Infinity;
      const outputs = await model.run(tensorsOf(program, feeds));
      assertBalanced(state.log);
      assert.ok(!state.log.some((line) => line.includes("unwind")));
      return digest(valuesOf(outputs));
    };
    const wanted = digest(runReference(program, feeds, new Map(), []));
    assert.equal(await good(), wanted);
    const total = state.calls;
    for (let attempt = 0; attempt < 4 && total > 0; attempt++) {
      state.log.length = state.calls = 0;
      state.failAt = 1 + random.below(total);
      await model.run(tensorsOf(program, feeds)).catch((error: unknown) => {
        assert.equal((error as HooklineError).code, "HOOK_THROWN", `seed ${seed}: ${error}`);
      });
      assertBalanced(state.log);
    }
    assert.equal(await good(), wanted, `seed ${seed}`);
  }
  assert.equal(sessionLedger.count, 0);
});

/** An editing or replacing hook that changes nothing, notes everything, and fails at the n-th phase. */
function bracketHook(
  program: Program,
  state: { readonly log: string[]; calls: number; failAt: number },
  { isReplacing, forgives }: { readonly isReplacing: boolean; readonly forgives: boolean },
): ModelHook {
  const step = (): void => {
    if (++state.calls === state.failAt) throw FAILURE;
  };
  const noted = logger("h", state.log);
  return hook({
    name: "h",
    access: isReplacing ? "replace" : "edit",
    preForward: (call, inputs) => {
      step();
      noted.preForward?.(call, inputs);
    },
    postForward: (call, outputs) => {
      noted.postForward?.(call, outputs, null);
      step();
    },
    onUnwind: (call, error) => noted.onUnwind?.(call, error),
    ...(isReplacing
      ? {
        newForward: async (call, _inputs, original): Promise<TensorMap> => {
          step();
          try {
            return await original();
          } catch (error) {
            if (!forgives) throw error;
            const made = emptyTensorMap();
            for (const name of call.outputNames) {
              const shape = SHAPES[program.kinds.get(name) ?? "full"];
              made[name] = tensor("int32", shape, new Int32Array((shape[0] as number) * 4));
            }
            return made;
          }
        },
      }
      : {}),
  });
}

Deno.test("a replacing hook may call the original again after it failed", async () => {
  await withModel(async (model) => {
    const log: string[] = [];
    let isBroken = true;
    model.registry("layers.1").register(hook({
      name: "again",
      access: "replace",
      maxOriginalCalls: 2,
      newForward: (_call, _inputs, original) => original().catch(() => original()),
    }));
    model.registry("layers.1.scale").register(logger("in", log, {
      postForward: () => {
        if (isBroken) {
          isBroken = false;
          throw FAILURE;
        }
        log.push("in post layers.1.scale#0");
      },
    }));
    model.registry("layers.1.scale").register(logger("out", log));
    assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
    assert.deepEqual(log, [
      "in pre layers.1.scale#0",
      "out pre layers.1.scale#0",
      "out unwind layers.1.scale#0",
      "in pre layers.1.scale#0",
      "out pre layers.1.scale#0",
      "in post layers.1.scale#0",
      "out post layers.1.scale#0",
    ]);
  });
});

Deno.test("an abort between segments rejects with the reason and unwinds once", async () => {
  await withModel(async (model, spy) => {
    const log: string[] = [];
    model.registry("").register(logger("root", log));
    model.registry("layers.0").register(scaleOutputs("cut", 1));
    model.registry("layers.1").register(scaleOutputs("cut", 1));
    const reason = new Error("enough");
    for (const at of [1, 2, 3]) {
      const controller = new AbortController();
      let runs = 0;
      spy.onRun = () => {
        if (++runs === at) controller.abort(reason);
      };
      log.length = 0;
      const run = model.run(chainFeeds(1), { signal: controller.signal });
      await assert.rejects(run, (error) => error === reason);
      assert.equal(runs, at);
      assert.deepEqual(log, ["root pre #0", "root unwind #0"]);
    }
    spy.onRun = () => {};
    const { signal } = new AbortController();
    assert.equal(first(await model.run(chainFeeds(1), { signal })), chainOutput(1));
  });
});

Deno.test("an abort before the start runs nothing, whatever the plan", async () => {
  for (const cut of [() => {}, ...Object.values(PLAN_KINDS)]) {
    await withModel(async (model, spy) => {
      cut(model);
      const reason = new Error("never");
      const run = model.run(chainFeeds(1), { signal: AbortSignal.abort(reason) });
      await assert.rejects(run, (error) => error === reason);
      assert.equal(spy.opened.length, 0);
    });
  }
});

Deno.test("an abort during the only session of a whole plan rejects with the reason", async () => {
  await withModel(async (model, spy) => {
    const controller = new AbortController();
    const reason = new Error("late");
    spy.onRun = () => controller.abort(reason);
    const run = model.run(chainFeeds(1), { signal: controller.signal });
    await assert.rejects(run, (error) => error === reason);
  });
});

Deno.test("model.run() from inside its own hook is refused, another model's is not", async () => {
  for (const cut of Object.values(PLAN_KINDS)) {
    await withModel(async (model, spy) => {
      cut(model);
      const log: string[] = [];
      model.registry("layers.0.scale").register(logger("before", log));
      let inner = 0;
      const handle = model.registry("layers.1").register(hook({
        name: "caller",
        postForward: async () => {
          inner++;
          await model.run(chainFeeds(2));
        },
      }));
      const error = await expectCode("HOOK_THROWN", () => model.run(chainFeeds(1)));
      assert.equal((error.cause as HooklineError).code, "HOOK_REENTRANT");
      assert.equal(inner, 1);
      assertBalanced(log);
      assert.equal(log.filter((line) => line.includes("pre")).length, 1, "nothing began twice");
      await handle.remove();
      const seen: number[] = [];
      await using other = await openModel(chainModel(1), { engine: spy, provider: "cpu" });
      other.registry("layers.0").register(logger("other", log));
      model.registry("layers.1").register(hook({
        name: "caller",
        postForward: async () => void seen.push(first(await other.run(chainFeeds(5)))),
      }));
      assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
      assert.deepEqual(seen, [11]);
    });
  }
});

Deno.test("what an edit returns is checked before anything uses it", async () => {
  const good = float32([1, 2], [1, 2]);
  const results: readonly [string, unknown, string][] = [
    ["another dtype", { h1: tensor("int32", [1, 2], new Int32Array(2)) }, "HOOK_SHAPE"],
    ["another rank", { h1: float32([2], [1, 2]) }, "HOOK_SHAPE"],
    ["another size", { h1: float32([2, 2], [1, 2, 3, 4]) }, "HOOK_SHAPE"],
    ["an unknown name", { h2: good }, "HOOK_RESULT"],
    ["too few numbers", { h1: { ...good, data: new Float32Array(1) } }, "HOOK_RESULT"],
    ["a bare tensor", good, "HOOK_RESULT"],
    ["null", null, "HOOK_RESULT"],
  ];
  for (const [what, result, code] of results) {
    for (const access of ["edit", "replace"] as const) {
      await withModel(async (model, spy) => {
        const give = () => result as TensorMap;
        model.registry("layers.1").register(hook({
          name: "bad",
          access,
          ...(access === "edit" ? { postForward: give } : { newForward: give }),
        }));
        const failure = await model.run(chainFeeds(1)).then(() => null, (error) => error);
        // A replacement may change a size that the model leaves open: no original was there before it.
        const isOpenSize = access === "replace" && what === "another size";
        assert.equal((failure as HooklineError | null)?.code, isOpenSize ? undefined : code, what);
        assert.equal(spy.runs.some(({ feeds }) => feeds["h1"] !== undefined), isOpenSize, what);
      });
    }
  }
});

Deno.test("an edit that declares changesShape may change sizes that the model leaves open", async () => {
  await withModel(async (model) => {
    const doubled = (outputs: TensorMap): TensorMap => {
      const { data } = outputs["h0"] as { data: Float32Array };
      return { h0: float32([2, 2], [...data, ...data]) };
    };
    model.registry("layers.0").register(hook({
      name: "twice",
      access: "edit",
      changesShape: true,
      postForward: (_call, outputs) => doubled(outputs),
    }));
    const seen: (readonly number[])[] = [];
    model.registry("layers.2").register(hook({
      name: "watch",
      preForward: (_call, inputs) => void seen.push(inputs["h1"]?.shape ?? []),
    }));
    const { y } = await model.run(chainFeeds(1));
    assert.deepEqual(y?.shape, [2, 2]);
    assert.deepEqual(seen, [[2, 2]]);
  });
});

Deno.test("64 interleaved runs keep step, context and state apart", async () => {
  for (const cut of Object.values(PLAN_KINDS)) {
    await withModel(async (model) => {
      cut(model);
      const states = new StateManager((context) => ({ context, seen: [] as number[] }));
      const pause = () => new Promise<void>((resolve) => queueMicrotask(resolve));
      const check = async (call: { step: number | null; context: string }, value: number) => {
        states.get().seen.push(value);
        await pause();
        assert.equal(states.get().context, call.context);
        assert.equal(call.context, `context ${call.step}`);
      };
      model.registry("layers.0").register(hook({
        name: "a",
        postForward: (call, outputs) => check(call, first(outputs, "h0")),
      }));
      model.registry("layers.1").register(hook({
        name: "b",
        access: "edit",
        postForward: async (call, outputs) => {
          await check(call, first(outputs, "h1"));
          return mapped(outputs, (value) => value + (call.step ?? NaN));
        },
      }));
      const runs = Array.from(
        { length: 64 },
        (_, index) =>
          withContext(
            `context ${index}`,
            () => traceStep(index, () => model.run(chainFeeds(index))),
          ),
      );
      const outputs = await Promise.all(runs);
      for (const [index, made] of outputs.entries()) {
        const edit = (layer: number, value: number) => layer === 1 ? value + index : value;
        assert.equal(first(made), chainOutput(index, 3, edit));
        const [h0, h1] = [index * 2 + 1, (index * 2 + 1) * 3 + 2];
        withContext(`context ${index}`, () => assert.deepEqual(states.get().seen, [h0, h1]));
      }
      assert.equal(states.size, 64);
    });
  }
});
