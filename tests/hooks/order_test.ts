import assert from "node:assert/strict";
import fc from "fast-check";
import { admitHook } from "../../hooks/admission.ts";
import { dispatch } from "../../hooks/dispatch.ts";
import { hookOrder } from "../../hooks/order.ts";
import {
  call,
  coded,
  editor,
  forward,
  hook,
  type HookInit,
  logger,
  order,
  permutations,
  valueOf,
  x,
  y,
} from "./_test_hook.ts";

const names = (list: readonly { name: string }[]) => list.map((one) => one.name).join(" ");
const edit = (name: string, more: Partial<HookInit> = {}) =>
  hook({ name, access: "edit", ...more });
const replacer = (name: string, more: Partial<HookInit> = {}) =>
  hook({ name, access: "replace", newForward: () => y(0), ...more });

Deno.test("V12 V13 hookOrder() sorts by name and puts the replacing hook last, its post first", () => {
  const made = order(edit("c"), replacer("b"), edit("a"));
  assert.equal(names(made.entering), "a c b");
  assert.equal(names(made.leaving), "b c a");
});

Deno.test("F3 hookOrder() ignores the order of registering, unlike FastVideo", () => {
  assert.equal(names(order(edit("b"), edit("a")).entering), "a b");
  assert.equal(names(order(edit("a"), edit("b")).entering), "a b");
});

Deno.test("hookOrder() compares by code unit and not by a locale", () => {
  assert.equal(
    names(order(...["b", "a_x", "a-x", "a.x", "ax", "0"].map((n) => edit(n))).entering),
    "0 a-x a.x a_x ax b",
  );
});

Deno.test("hookOrder() takes the smallest topological order", () => {
  const made = order(
    edit("a", { after: ["d"] }),
    edit("b"),
    edit("c", { before: ["b"] }),
    edit("d"),
  );
  assert.equal(names(made.entering), "c b d a");
});

Deno.test("hookOrder() gives one order, key and result for all permutations of registering", async () => {
  const hooks = [
    editor("add", (value) => value + 3, { after: ["mul"] }),
    editor("mul", (value) => value * 5),
    editor("neg", (value) => -value, { before: ["mul"] }),
    editor("half", (value) => value / 2 + 1),
    hook({ name: "see" }),
  ];
  const results = new Set<string>();
  for (const list of permutations(hooks)) {
    const made = order(...list);
    const outputs = await dispatch(made, call(), x(1), forward());
    results.add(`${names(made.entering)} ${made.key} ${valueOf(outputs, "y")}`);
  }
  assert.equal(results.size, 1);
  // Entering half, neg, mul, add on 1: 1.5, -1.5, -7.5, -4.5; the forward gives 95.5; back: 98.5, 492.5, …
  const outputs = await dispatch(order(...hooks), call(), x(1), forward());
  assert.equal(valueOf(outputs, "y"), -492.5 / 2 + 1);
});

Deno.test("hookOrder() is the smallest of all orders that keep the edges, by trying them all", () => {
  const nodes = ["a", "b", "c", "d", "e"];
  const all = permutations(nodes);
  const pairs = fc.array(fc.tuple(fc.nat(4), fc.nat(4)).filter(([i, j]) => i < j), {
    maxLength: 6,
  });
  const ranking = fc.shuffledSubarray(nodes, { minLength: 5 });
  fc.assert(
    fc.property(pairs, ranking, (edges, rank) => {
      // Edges run along a hidden ranking, so that they never close a circle.
      const named = edges.map(([i, j]) => [rank[i] ?? "", rank[j] ?? ""] as const);
      const made = order(
        ...nodes.map((name) =>
          edit(name, { before: named.filter(([from]) => from === name).map(([, to]) => to) })
        ),
      );
      const allowed = all
        .filter((list) => named.every(([from, to]) => list.indexOf(from) < list.indexOf(to)))
        .map((list) => list.join(" ")).sort();
      assert.equal(names(made.entering), allowed[0]);
    }),
    { numRuns: 200 },
  );
});

Deno.test("row 5 hookOrder() and dispatch() give one event list for all registration orders around a replacer", async () => {
  const lists = new Set<string>();
  const log: string[] = [];
  const hooks = [
    logger("a", log),
    logger("b", log, {
      access: "replace",
      newForward: (_c, _i, original) => (log.push("new b"), original()),
    }),
    logger("c", log),
  ];
  for (const list of permutations(hooks)) {
    log.length = 0;
    await dispatch(order(...list), call(), x(0), forward(log));
    lists.add(log.join());
  }
  assert.deepEqual([...lists], ["pre a,pre c,pre b,new b,forward,post b,post c,post a"]);
});

Deno.test("hookOrder() reports a circle with its edges and their owners", () => {
  const hooks = [
    edit("z"),
    edit("b", { after: ["a"], before: ["c"] }),
    edit("a", { after: ["c"] }),
    edit("c"),
  ];
  for (const list of permutations(hooks)) {
    assert.throws(
      () => order(...list),
      coded("HOOK_ORDER_CYCLE", "a -> b -> c -> a", "b.after", "b.before", "a.after"),
    );
  }
  assert.throws(() => order(edit("a", { before: ["a"] })), coded("HOOK_ORDER_CYCLE", "a -> a"));
});

Deno.test("hookOrder() refuses an edge that would put a transformer inside the replacing hook", () => {
  const innermost = "innermost";
  assert.throws(
    () => order(replacer("r"), edit("e", { after: ["r"] })),
    coded("HOOK_ORDER_CYCLE", "e.after", innermost),
  );
  assert.throws(
    () => order(replacer("r", { before: ["e"] }), edit("e")),
    coded("HOOK_ORDER_CYCLE", "r.before", innermost),
  );
  assert.equal(
    names(order(replacer("a", { after: ["e"] }), edit("e", { before: ["a"] })).entering),
    "e a",
  );
});

Deno.test("row 14 hookOrder() lets an unknown edge change nothing and lists it", () => {
  const made = order(edit("b", { before: ["gone"] }), edit("a"), edit("c", { after: ["lost"] }));
  assert.equal(names(made.entering), "a b c");
  const ignored = made.lines.filter((line) => line.place === "ignored");
  assert.deepEqual(ignored.map((line) => line.because), [
    'b.before names "gone", which is not registered here',
    'c.after names "lost", which is not registered here',
  ]);
});

Deno.test("hookOrder() keeps observers outside the onion, raw ones before and final ones after", () => {
  const made = order(
    hook({ name: "a-final" }),
    edit("m", { before: ["a-final"] }),
    hook({ name: "z-raw", observes: "raw", after: ["m"] }),
    hook({ name: "weights", access: "residency" }),
  );
  assert.equal(names(made.entering), "z-raw m weights a-final");
  assert.equal(names(made.leaving), "z-raw weights m a-final");
  assert.equal(made.lines.filter((line) => line.place === "ignored").length, 2);
  assert.deepEqual(made.accesses, ["edit", "observe", "residency"]);
});

Deno.test("hookOrder() tells what must be fetched and kept", () => {
  const pre = { preForward: () => undefined };
  const flags = (...inits: Partial<HookInit>[]) => {
    const made = order(...inits.map((init, index) => hook({ name: `h${index}`, ...init })));
    return [made.readsInputs, made.keepsInputs];
  };
  assert.deepEqual(flags({}), [false, false]);
  assert.deepEqual(flags({ ...pre }), [true, false]);
  assert.deepEqual(flags({ postForward: () => undefined, readsInputs: true }), [true, true]);
});

Deno.test("hookOrder() lists absent requirements without throwing, and is frozen", () => {
  const made = order(edit("a", { requires: ["b"] }));
  assert.deepEqual(made.missing, [{ hook: "a", name: "b" }]);
  assert.ok(Object.isFrozen(made) && Object.isFrozen(made.entering) && Object.isFrozen(made.lines));
  assert.equal(hookOrder([admitHook(edit("a"), "m")], "m").module, "m");
});
