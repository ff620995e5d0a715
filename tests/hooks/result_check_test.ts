import assert from "node:assert/strict";
import { dispatch, type DispatchOptions, ModuleDispatch } from "../../hooks/dispatch.ts";
import { float32, type Tensor, tensor, type TensorMap } from "../../tensor/tensor.ts";
import {
  call,
  coded,
  forward,
  hook,
  type HookInit,
  logger,
  order,
  valueOf,
  x,
  y,
} from "./_test_hook.ts";

const matrix: TensorMap = { x: float32([2, 2], [1, 2, 3, 4]) };

function preWith(result: unknown, more: Partial<HookInit> = {}) {
  const bad = hook({ name: "bad", access: "edit", preForward: () => result as TensorMap, ...more });
  return dispatch(order(bad), call(), matrix, () => y(0));
}

Deno.test("dispatch() refuses a result that is no map of the module's tensors", async () => {
  const t = float32([2, 2], [0, 0, 0, 0]);
  for (
    const [result, text] of [
      [null, "null"],
      [3, "number"],
      [[t], "array"],
      [new Map([["x", t]]), "Map"],
      [t, "bare tensor"],
      [{ y: t }, '"y"'],
      [{ x: t, q: t }, '"q"'],
      [{ x: undefined }, "is not a tensor"],
      [{ x: { ...t, data: new Float32Array(3) } }, "3 elements"],
      [{ x: { ...t, dtype: "float31" } }, "float31"],
    ] as const
  ) {
    await assert.rejects(preWith(result), coded("HOOK_RESULT", "bad", "encoder.layer.0", text));
  }
});

Deno.test("dispatch() refuses another dtype, rank or shape, and another shape passes only when declared", async () => {
  const double = tensor("float64", [2, 2], new Float64Array(4));
  const flat = float32([4], [0, 0, 0, 0]);
  const wide = float32([1, 4], [0, 0, 0, 0]);
  await assert.rejects(preWith({ x: double }), coded("HOOK_SHAPE", "float64", "float32"));
  await assert.rejects(preWith({ x: flat }), coded("HOOK_SHAPE", "[4]", "[2, 2]"));
  await assert.rejects(preWith({ x: wide }), coded("HOOK_SHAPE", "[1, 4]"));
  await assert.rejects(preWith({ x: flat }, { changesShape: true }), coded("HOOK_SHAPE", "[4]"));
  assert.equal(valueOf(await preWith({ x: wide }, { changesShape: true }), "y"), 0);
});

Deno.test("dispatch() refuses anything that an observer or a residency hook returns", async () => {
  for (const access of ["observe", "residency"] as const) {
    for (const phase of ["preForward", "postForward"] as const) {
      const log: string[] = [];
      const returning = hook({ name: "b", access, [phase]: (_c: unknown, map: TensorMap) => map });
      const made = order(logger("a", log), returning);
      await assert.rejects(
        dispatch(made, call(), x(1), forward()),
        coded("HOOK_ACCESS", access, phase),
      );
      assert.equal(log.filter((line) => line === "unwind a" || line === "post a").length, 1);
    }
  }
});

Deno.test("dispatch() unwinds a hook whose result was refused, because its pre had run", async () => {
  const log: string[] = [];
  await assert.rejects(preWith({ q: x(1)["x"] }, { onUnwind: () => void log.push("unwind") }));
  assert.deepEqual(log, ["unwind"]);
});

Deno.test("dispatch() changes only the tensors that a partial map names", async () => {
  const both = call({ inputNames: ["x", "y"] });
  const partial = hook({ name: "p", access: "edit", preForward: () => x(9) });
  let given: TensorMap = {};
  await dispatch(order(partial), both, { ...x(1), ...y(2) }, (inputs) => {
    given = inputs;
    return y(0);
  });
  assert.deepEqual([valueOf(given, "x"), valueOf(given, "y")], [9, 2]);
});

Deno.test("dispatch() lets a tensor be named __proto__", async () => {
  const named = { inputNames: ["__proto__"] };
  const map = (value: number) => Object.fromEntries([["__proto__", float32([1], [value])]]);
  const edit = hook({ name: "e", access: "edit", preForward: () => map(2) });
  await dispatch(order(edit), call(named), map(1), (inputs) => {
    assert.deepEqual(Object.keys(inputs), ["__proto__"]);
    assert.equal((inputs["__proto__"] as Tensor).data[0], 2);
    return y(0);
  });
});

function replaced(result: TensorMap, options: DispatchOptions = {}) {
  const replacer = hook({ name: "r", access: "replace", newForward: () => result });
  return new ModuleDispatch(order(replacer), call({ outputNames: ["y", "z"] }), options).replace(
    x(1),
    forward(),
  );
}

Deno.test("ModuleDispatch.replace() wants every output, of the declared type where it is known", () => {
  assert.throws(() => replaced(y(1)), coded("HOOK_RESULT", 'lacks "z"'));
  const full = { ...y(1), z: float32([2], [1, 2]) };
  assert.deepEqual(Object.keys(replaced(full)), ["y", "z"]);
  const types = { z: { dtype: "float32", shape: [null] } } as const;
  assert.deepEqual(Object.keys(replaced(full, { outputTypes: types })), ["y", "z"]);
  const fixed = { z: { dtype: "float32", shape: [3] } } as const;
  assert.throws(() => replaced(full, { outputTypes: fixed }), coded("HOOK_SHAPE", "[3]"));
});

Deno.test("ModuleDispatch.replace() holds the result to what original returned", async () => {
  const replacer = hook({
    name: "r",
    access: "replace",
    newForward: async (_c, _i, original) => {
      await original();
      return { y: float32([2], [1, 2]) };
    },
  });
  await assert.rejects(
    dispatch(order(replacer), call(), x(1), forward()),
    coded("HOOK_SHAPE", "[2]", "[1]"),
  );
});

Deno.test("dispatch() blames the hook for a result that throws while it is read", async () => {
  const fail = (): never => {
    throw new Error("trap");
  };
  const t = float32([2, 2], [0, 0, 0, 0]);
  for (
    const result of [
      {
        get x() {
          return fail();
        },
      },
      {
        x: {
          ...t,
          get data() {
            return fail();
          },
        },
      },
      new Proxy({ x: t }, { ownKeys: fail }),
      new Proxy({ x: t }, { getPrototypeOf: fail }),
      new Proxy({ x: t }, { has: fail }),
    ]
  ) {
    await assert.rejects(preWith(result), (error) => {
      coded("HOOK_RESULT", "bad", "encoder.layer.0", "trap")(error);
      return (error as Error).cause instanceof Error;
    });
  }
  const thenable = new Proxy({ x: t }, { get: fail });
  await assert.rejects(preWith(thenable), coded("HOOK_THROWN", "bad", "trap"));
});

Deno.test("dispatch() reads a returned tensor once: what was checked is what runs", async () => {
  let reads = 0;
  const sound = float32([2, 2], [5, 0, 0, 0]);
  const changing = {
    get x() {
      return reads++ === 0 ? sound : null;
    },
  };
  const bad = hook({ name: "bad", access: "edit", preForward: () => changing as TensorMap });
  const found = await dispatch(
    order(bad),
    call(),
    matrix,
    (inputs) => ({ y: inputs["x"] as Tensor }),
  );
  assert.equal(found["y"], sound);
});
