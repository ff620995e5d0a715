import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dispatch, ModuleDispatch } from "../../hooks/dispatch.ts";
import type { ModelHook } from "../../hooks/model_hook.ts";
import type { TensorMap } from "../../tensor/tensor.ts";
import { call, coded, editor, forward, hook, logger, order, valueOf, x, y } from "./_test_hook.ts";

/** A hook that writes its sign into a text before and after, as vLLM-Omni's own order test does. */
function writer(name: string, sign: string, text: string[], override?: string): ModelHook {
  return hook({
    name,
    access: override === undefined ? "edit" : "replace",
    preForward: () => void text.push(sign),
    postForward: () => void text.push(sign),
    ...(override === undefined ? {} : {
      newForward: () => {
        text.push(override);
        return y(0);
      },
    }),
  });
}

const echo = (text: string[]) => () => {
  text.push("ECHO");
  return y(0);
};

Deno.test("V13 dispatch() gives 123OVERRIDE321 with a replacing hook named between the others", async () => {
  const text: string[] = [];
  const hooks = [
    writer("c", "2", text),
    writer("b", "3", text, "OVERRIDE"),
    writer("a", "1", text),
  ];
  await dispatch(order(...hooks), call(), x(0), echo(text));
  assert.equal(text.join(""), "123OVERRIDE321");
});

Deno.test("V13 dispatch() gives 12ECHO21 without one, whatever was registered first", async () => {
  const text: string[] = [];
  await dispatch(order(writer("b", "2", text), writer("a", "1", text)), call(), x(0), echo(text));
  assert.equal(text.join(""), "12ECHO21");
});

Deno.test("V9 row 15 dispatch() without hooks hands the caller's own map to the original and its own back", async () => {
  const inputs = x(1);
  const outputs = y(2);
  const result = await dispatch(order(), call(), inputs, (given) => {
    assert.equal(given, inputs);
    return outputs;
  });
  assert.equal(result, outputs);
  const module = new ModuleDispatch(order(), call());
  assert.equal(module.enter(inputs), inputs);
  assert.equal(module.leave(outputs), outputs);
});

Deno.test("row 12 dispatch() runs post in the exact reverse of pre, shown by + and ×", async () => {
  const hooks = order(editor("add", (v) => v + 3), editor("mul", (v) => v * 5));
  let given = 0;
  const outputs = await dispatch(hooks, call(), x(1), (inputs) => {
    given = valueOf(inputs, "x");
    return y(10);
  });
  assert.deepEqual([given, valueOf(outputs, "y")], [(1 + 3) * 5, 10 * 5 + 3]);
});

Deno.test("dispatch() shows raw observers the values before all changes and final ones after", async () => {
  const seen: string[] = [];
  const observer = (name: string, observes: "raw" | "final") =>
    hook({
      name,
      observes,
      preForward: (_c, inputs) => void seen.push(`${name} in ${valueOf(inputs, "x")}`),
      postForward: (_c, outputs, inputs) =>
        void seen.push(`${name} ${valueOf(outputs, "y")} of ${valueOf(inputs ?? {}, "x")}`),
    });
  const made = order(observer("a", "final"), observer("z", "raw"), editor("m", (v) => v * 2));
  await dispatch(made, call(), x(1), forward());
  assert.deepEqual(seen, ["z in 1", "a in 2", "z 102 of 1", "a 204 of 2"]);
});

Deno.test("dispatch() keeps inputs from hooks that do not read them", async () => {
  const seen: unknown[] = [];
  const signal = hook({
    name: "signal",
    access: "residency",
    preForward: (_c, inputs) => void seen.push(Object.keys(inputs).length),
    postForward: (_c, _o, inputs) => void seen.push(inputs),
  });
  await dispatch(order(signal), call(), x(1), forward());
  assert.deepEqual(seen, [0, null]);
});

Deno.test("ModuleDispatch returns plain values as long as no hook is asynchronous", () => {
  const made = order(editor("a", (v) => v + 1), hook({ name: "o" }));
  const module = new ModuleDispatch(made, call());
  const inputs = module.enter(x(1));
  assert.ok(!(inputs instanceof Promise) && valueOf(inputs, "x") === 2);
  const outputs = module.leave(y(5));
  assert.ok(!(outputs instanceof Promise) && valueOf(outputs, "y") === 6);
});

Deno.test("ModuleDispatch awaits asynchronous hooks one after another, observers too", async () => {
  const log: string[] = [];
  const slow = (name: string, ms: number, access: "observe" | "edit") =>
    logger(name, log, {
      access,
      preForward: async () => {
        await sleep(ms);
        log.push(`pre ${name}`);
      },
      postForward: async () => {
        await sleep(ms);
        log.push(`post ${name}`);
      },
    });
  const made = order(
    slow("a", 3, "edit"),
    slow("b", 0, "edit"),
    slow("c", 3, "observe"),
    slow("d", 0, "observe"),
  );
  await dispatch(made, call(), x(1), forward(log));
  assert.equal(
    log.join(),
    "pre a,pre b,pre c,pre d,forward,post b,post a,post c,post d",
  );
});

Deno.test("dispatch() gives hooks maps that they cannot change", async () => {
  const rude = hook({
    name: "rude",
    preForward: (_c, inputs) => void ((inputs as Record<string, unknown>)["x"] = 1),
  });
  await assert.rejects(
    dispatch(order(rude), call(), x(1), forward()),
    coded("HOOK_THROWN", "rude"),
  );
});

const boom = () => {
  throw new Error("boom");
};

Deno.test("VD5 F8 FD10 dispatch() unwinds the first hook when the second pre throws, and names hook and module", async () => {
  const log: string[] = [];
  const made = order(logger("a", log), logger("b", log, { preForward: boom }), logger("c", log));
  await assert.rejects(
    dispatch(made, call({ runId: 7, callIndex: 2 }), x(1), forward(log)),
    (error: Error & { details: Record<string, unknown>; cause: Error }) => {
      coded("HOOK_THROWN", '"b"', "preForward", "encoder.layer.0", "boom")(error);
      assert.deepEqual(
        [
          error.details["phase"],
          error.details["runId"],
          error.details["callIndex"],
          error.cause.message,
        ],
        ["preForward", 7, 2, "boom"],
      );
      return true;
    },
  );
  assert.equal(log.join(), "pre a,unwind a");
});

Deno.test("dispatch() unwinds a hook after its own pre threw only when it asks for it", async () => {
  const log: string[] = [];
  const made = order(logger("a", log), logger("b", log, { preForward: boom, unwindSelf: true }));
  await assert.rejects(dispatch(made, call(), x(1), forward(log)));
  assert.equal(log.join(), "pre a,unwind b,unwind a");
});

Deno.test("V14 row 4 dispatch() gives every entered hook post or unwind exactly once, wherever it fails", async () => {
  const names = ["a", "b", "c", "o", "r"];
  for (const phase of ["preForward", "newForward", "postForward"] as const) {
    for (const failing of names) {
      for (const async of [false, true]) {
        if (phase === "newForward" && failing !== "r") continue;
        const log: string[] = [];
        const throwing = async ? () => sleep(0).then(boom) : boom;
        const made = order(...names.map((name) =>
          logger(name, log, {
            access: name === "r" ? "replace" : name === "o" ? "observe" : "edit",
            ...(name === "r" ? { newForward: () => y(0) } : {}),
            ...(name === failing ? { [phase]: throwing } : {}),
          })
        ));
        await assert.rejects(
          dispatch(made, call(), x(1), forward(log)),
          coded("HOOK_THROWN", failing),
        );
        const entered = names.filter((name) => log.includes(`pre ${name}`));
        for (const name of names) {
          const ends = log.filter((line) => line === `post ${name}` || line === `unwind ${name}`);
          const threwItself = name === failing && phase === "postForward";
          assert.equal(
            ends.length,
            entered.includes(name) && !threwItself ? 1 : 0,
            `${phase} ${name}: ${log}`,
          );
        }
      }
    }
  }
});

Deno.test("dispatch() unwinds all hooks in reverse when the forward fails, and throws its error as it is", async () => {
  const log: string[] = [];
  const failure = new Error("session");
  const made = order(logger("a", log), logger("b", log), logger("o", log, { access: "observe" }));
  await assert.rejects(
    dispatch(made, call(), x(1), () => Promise.reject(failure)),
    (error) => error === failure,
  );
  assert.equal(log.join(), "pre a,pre b,pre o,unwind o,unwind b,unwind a");
});

Deno.test("row 13 dispatch() throws an AggregateError of all failures, the primary first and as its cause", async () => {
  const failure = new Error("session");
  const log: string[] = [];
  const seen: unknown[] = [];
  const made = order(
    logger("a", log, { onUnwind: boom }),
    logger("b", log, { onUnwind: (_c, error) => void seen.push(error) }),
    logger("c", log, { onUnwind: () => sleep(0).then(boom) }),
  );
  await assert.rejects(dispatch(made, call(), x(1), () => Promise.reject(failure)), (error) => {
    assert.ok(error instanceof AggregateError);
    assert.deepEqual([error.cause, error.errors[0], error.errors.length], [failure, failure, 3]);
    coded("HOOK_THROWN", '"c"', "onUnwind")(error.errors[1]);
    coded("HOOK_THROWN", '"a"', "onUnwind")(error.errors[2]);
    return true;
  });
  assert.deepEqual(seen, [failure]);
});

Deno.test("ModuleDispatch.unwind() unwinds once, and nothing after a leave that went well", async () => {
  const log: string[] = [];
  const module = new ModuleDispatch(order(logger("a", log)), call());
  await module.enter(x(1));
  const error = new Error("outside");
  assert.equal(await module.unwind(error), error);
  assert.equal(await module.unwind(error), error);
  assert.equal(log.join(), "pre a,unwind a");
  const left = new ModuleDispatch(order(logger("b", log)), call());
  await left.leave(await left.enter(x(1)));
  await left.unwind(error);
  assert.equal(log.filter((line) => line === "unwind b").length, 0);
});

Deno.test("dispatch() checks the signal before each hook and throws its reason after unwinding", async () => {
  const log: string[] = [];
  const stop = new AbortController();
  const reason = new Error("stop");
  const made = order(
    logger("a", log),
    logger("b", log, { preForward: () => sleep(0).then(() => stop.abort(reason)) }),
    logger("c", log),
  );
  const run = dispatch(made, call({ signal: stop.signal }), x(1), forward(log));
  await assert.rejects(run, (error) => error === reason);
  assert.equal(log.join(), "pre a,unwind b,unwind a");
  log.length = 0;
  await assert.rejects(
    dispatch(made, call({ signal: stop.signal }), x(1), forward(log)),
    (e) => e === reason,
  );
  assert.equal(log.join(), "");
});

Deno.test("dispatch() stops before the forward when the last pre aborted, and before posts when the forward did", async () => {
  for (const inForward of [false, true]) {
    const log: string[] = [];
    const stop = new AbortController();
    const abort = () => void stop.abort();
    const made = order(logger("a", log, inForward ? {} : { preForward: abort }));
    const run = dispatch(made, call({ signal: stop.signal }), x(1), (inputs) => {
      abort();
      return forward(log)(inputs);
    });
    await assert.rejects(run, { name: "AbortError" });
    assert.equal(log.join(), inForward ? "pre a,forward,unwind a" : "unwind a");
  }
});

Deno.test("dispatch() hands the caller's own reason through when a hook throws it on", async () => {
  const stop = new AbortController();
  const made = order(hook({
    name: "a",
    preForward: (one) => {
      stop.abort("enough");
      one.signal?.throwIfAborted();
    },
  }));
  await assert.rejects(
    dispatch(made, call({ signal: stop.signal }), x(1), forward()),
    (e) => e === "enough",
  );
});

Deno.test("VD9 dispatch() runs chained replacing hooks inside one another, by name", async () => {
  const log: string[] = [];
  const chained = (name: string, change: (value: number) => number) =>
    hook({
      name,
      access: "replace",
      newForward: async (_c, inputs, original) => {
        log.push(name);
        const outputs = await original({ x: x(valueOf(inputs, "x") + 1)["x"] } as TensorMap);
        return y(change(valueOf(outputs, "y")));
      },
    });
  const made = order(chained("mul", (v) => v * 5), chained("add", (v) => v + 3));
  const outputs = await dispatch(made, call(), x(0), forward(log));
  assert.deepEqual(log, ["add", "mul", "forward"]);
  assert.equal(valueOf(outputs, "y"), (0 + 1 + 1 + 100) * 5 + 3);
});

Deno.test("V22 dispatch() runs the replacing hook's newForward whatever its name's place, and the original not at all", async () => {
  for (const name of ["a", "m", "z"]) {
    const log: string[] = [];
    const skip = hook({ name, access: "replace", newForward: () => y(-1) });
    const made = order(skip, logger("h", log));
    assert.equal(valueOf(await dispatch(made, call(), x(1), forward(log)), "y"), -1);
    assert.equal(log.join(), "pre h,post h");
  }
});

Deno.test("V18 VD8 dispatch() runs pre and post, in the same order, around any method beside forward", async () => {
  const decode = (latents: TensorMap): Promise<TensorMap> =>
    Promise.resolve(y(valueOf(latents, "x") * 10));
  const made = order(editor("add", (v) => v + 3), editor("mul", (v) => v * 5));
  assert.equal(valueOf(await dispatch(made, call(), x(1), decode), "y"), 200 * 5 + 3);
});

Deno.test("ModuleDispatch refuses to be entered twice or left before it was entered", () => {
  const module = new ModuleDispatch(order(editor("a", (v) => v)), call());
  assert.throws(() => module.leave(y(1)), coded("INTERNAL"));
  module.enter(x(1));
  assert.throws(() => module.enter(x(1)), coded("INTERNAL"));
  assert.throws(() => module.replace(x(1), forward()), coded("INTERNAL"));
});
