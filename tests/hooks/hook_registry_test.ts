import assert from "node:assert/strict";
import fc from "fast-check";
import { dispatch } from "../../hooks/dispatch.ts";
import { HookRegistry } from "../../hooks/hook_registry.ts";
import type { ModelHook } from "../../hooks/model_hook.ts";
import { call, coded, editor, forward, hook, logger, MODULE, valueOf, x, y } from "./_test_hook.ts";

const replacer = (name: string, value: number, log: string[] = []) =>
  logger(name, log, { access: "replace", newForward: () => y(value) });

/** Everything that a refused change must leave as it was. */
const face = (registry: HookRegistry) =>
  JSON.stringify([registry.explain(), registry.names, registry.version, registry.snapshot().key]);

async function run(registry: HookRegistry, log: string[] = []): Promise<number> {
  using lease = registry.acquire();
  return valueOf(await dispatch(lease.order, call(), x(1), forward(log)), "y");
}

Deno.test("V7 V8 F2 HookRegistry.getOrCreate() gives one registry per owner and path", () => {
  const owner = {};
  const made = HookRegistry.getOrCreate(owner, MODULE);
  assert.equal(HookRegistry.getOrCreate(owner, { ...MODULE, callCount: 9 }), made);
  assert.equal(HookRegistry.find(owner, MODULE.path), made);
  assert.equal(HookRegistry.find({}, MODULE.path), undefined);
  assert.notEqual(HookRegistry.getOrCreate({}, MODULE), made);
  HookRegistry.getOrCreate(owner, { ...MODULE, path: "a" });
  assert.deepEqual(HookRegistry.all(owner).map((one) => one.module.path), ["a", MODULE.path]);
  assert.deepEqual(HookRegistry.all({}), []);
});

Deno.test("HookRegistry.getOrCreate() asks an owner that claims its registries, and makes none behind its back", () => {
  const owner = {};
  HookRegistry.claim(
    owner,
    (path) => HookRegistry.create(owner, { ...MODULE, path, callCount: 3 }),
  );
  const made = HookRegistry.getOrCreate(owner, { ...MODULE, callCount: 1 });
  assert.equal(made.module.callCount, 3);
  assert.equal(HookRegistry.getOrCreate(owner, MODULE), made);
});

Deno.test("V1 register() runs onAttach once, with the module's facts", () => {
  const seen: unknown[] = [];
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "a", onAttach: (module) => void seen.push(module) }));
  assert.deepEqual(seen, [MODULE]);
});

Deno.test("V10 VD6 F4 register() refuses a duplicate name and keeps the first hook", () => {
  const registry = new HookRegistry(MODULE);
  const first = hook({ name: "a" });
  registry.register(first);
  const before = face(registry);
  assert.throws(() => registry.register(hook({ name: "a" })), coded("HOOK_NAME_DUPLICATE", '"a"'));
  assert.equal(face(registry), before);
  assert.equal(registry.get("a"), first);
});

Deno.test("V11 register() takes the name from the hook alone", () => {
  const registry = new HookRegistry(MODULE);
  assert.equal(registry.register(hook({ name: "own" })).name, "own");
});

Deno.test("VD1 row 1 register() of a second replacing hook fails and never appears, also not after later changes", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(replacer("a", 1));
  const before = face(registry);
  assert.throws(() => registry.register(replacer("b", 2, log)), coded("HOOK_REPLACE_CONFLICT"));
  assert.equal(face(registry), before);
  registry.register(hook({ name: "c" }));
  await registry.remove("c");
  assert.deepEqual([registry.names, await run(registry), log], [["a"], 1, []]);
});

Deno.test("row 7 register() names both replacing hooks and the module in its refusal", () => {
  const registry = new HookRegistry(MODULE);
  registry.register(replacer("a", 1));
  assert.throws(
    () => registry.register(replacer("b", 2)),
    coded("HOOK_REPLACE_CONFLICT", '"a"', '"b"', MODULE.path),
  );
});

Deno.test("VD2 row 2 register() with replace swaps a replacing hook atomically, and removal brings the original back", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  const old = registry.register(replacer("a", 1, log));
  const handle = registry.register(replacer("a", 2, log), { replace: true });
  assert.deepEqual([log, registry.size, old.active, handle.active], [
    ["attach a", "attach a", "detach a"],
    1,
    false,
    true,
  ]);
  assert.equal(await run(registry), 2);
  old[Symbol.dispose]();
  assert.equal(registry.size, 1);
  registry.register(hook({ name: "a" }), { replace: true });
  assert.equal(await run(registry), 101);
  await registry.remove("a");
  assert.deepEqual([await run(registry), registry.size], [101, 0]);
});

Deno.test("VD3 register() does not call onAttach of a hook that it refuses", () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(replacer("a", 1));
  registry.register(hook({ name: "e", access: "edit", before: ["f"] }));
  const refused: [ModelHook, string][] = [
    [logger("a", log), "HOOK_NAME_DUPLICATE"],
    [replacer("b", 2, log), "HOOK_REPLACE_CONFLICT"],
    [logger("B", log), "HOOK_NAME_INVALID"],
    [logger("c", log, { access: "observe", newForward: () => y(0) }), "HOOK_ACCESS"],
    [logger("d", log, { after: ["a"] }), "HOOK_ORDER_CYCLE"],
    [logger("f", log, { before: ["e"] }), "HOOK_ORDER_CYCLE"],
  ];
  const before = face(registry);
  for (const [bad, code] of refused) assert.throws(() => registry.register(bad), coded(code));
  assert.throws(
    () => registry.register(logger("g", log), { replace: "gone" }),
    coded("HOOK_UNKNOWN"),
  );
  assert.deepEqual([face(registry), log], [before, []]);
});

Deno.test("VD4 FD13 V13 a call keeps the hooks that it started with when others come and go", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("a", log, {
    preForward: () => {
      log.push("pre a");
      if (!registry.has("b")) return;
      registry.remove("b").catch(assert.ifError);
      registry.register(logger("c", log));
    },
  }));
  registry.register(logger("b", log));
  log.length = 0;
  await run(registry, log);
  assert.equal(log.join(), "pre a,attach c,pre b,forward,post b,post a,detach b");
  log.length = 0;
  await run(registry, log);
  assert.equal(log.join(), "pre a,pre c,forward,post c,post a");
});

Deno.test("VD9 register() lets replacing hooks share a module only when all of them chain", async () => {
  const registry = new HookRegistry(MODULE);
  const inner = (name: string, change: (value: number) => number) =>
    hook({
      name,
      access: "replace",
      newForward: async (_c, _i, original) => y(change(valueOf(await original(), "y"))),
    });
  registry.register(inner("b", (v) => v * 2), { chain: true });
  assert.throws(() => registry.register(inner("a", (v) => v + 1)), coded("HOOK_REPLACE_CONFLICT"));
  registry.register(inner("a", (v) => v + 1), { chain: true });
  assert.equal(await run(registry), 101 * 2 + 1);
});

Deno.test("FD10 register() leaves the module unhooked when onAttach throws or is asynchronous", () => {
  const registry = new HookRegistry(MODULE);
  const before = face(registry);
  const throwing = hook({ name: "a", onAttach: () => assert.fail("no device") });
  assert.throws(() => registry.register(throwing), coded("HOOK_ATTACH", "no device"));
  const later = hook({
    name: "a",
    onAttach: () => Promise.reject(new Error("late")) as unknown as void,
  });
  assert.throws(() => registry.register(later), coded("HOOK_ATTACH", "promise"));
  assert.equal(face(registry), before);
});

Deno.test("FD10 register() with a failing onAttach keeps the hook that it was to replace", () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("a", log));
  const failing = hook({ name: "a", onAttach: () => assert.fail("no") });
  assert.throws(() => registry.register(failing, { replace: true }), coded("HOOK_ATTACH"));
  assert.deepEqual([registry.names, log], [["a"], ["attach a"]]);
});

Deno.test("F5 FD10 register() with replace naming another hook files the new one under its own name", () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  registry.register(logger("old", log));
  registry.register(logger("new", log), { replace: "old" });
  assert.deepEqual([registry.names, log], [["new"], ["attach old", "attach new", "detach old"]]);
});

Deno.test("register() from inside an onAttach is refused and undoes the outer one", () => {
  const registry = new HookRegistry(MODULE);
  const nested = hook({ name: "a", onAttach: () => void registry.register(hook({ name: "b" })) });
  assert.throws(() => registry.register(nested), coded("HOOK_ATTACH", "inside an onAttach"));
  assert.equal(registry.size, 0);
});

Deno.test("V16 F6 get(), has() and names tell what is registered", () => {
  const registry = new HookRegistry(MODULE);
  const one = hook({ name: "b" });
  registry.register(one);
  registry.register(hook({ name: "a" }));
  assert.deepEqual([registry.get("b"), registry.get("z")], [one, undefined]);
  assert.deepEqual([registry.has("a"), registry.has("z"), registry.names], [true, false, [
    "a",
    "b",
  ]]);
});

Deno.test("V19 size tells whether a module has active hooks", async () => {
  const registry = new HookRegistry(MODULE);
  assert.equal(registry.size, 0);
  registry.register(hook({ name: "a" }));
  assert.equal(registry.size, 1);
  await registry.clear();
  assert.equal(registry.size, 0);
});

Deno.test("V15 V16 remove() and resetHook() refuse an unknown name and show near ones", async () => {
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "activation-trace" }));
  const near = (error: { fix: string }) => {
    assert.match(error.fix, /"activation-trace"/);
    return coded("HOOK_UNKNOWN", '"activation-trac"')(error);
  };
  await assert.rejects(registry.remove("activation-trac"), near);
  assert.throws(() => registry.resetHook("activation-trac"), near);
});

Deno.test("V5 V17 reset() resets every hook by name and keeps them, resetHook() one", async () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  for (const name of ["b", "a"]) registry.register(logger(name, log));
  log.length = 0;
  registry.reset();
  registry.resetHook("b");
  assert.deepEqual([log, registry.names], [["reset a", "reset b", "reset b"], ["a", "b"]]);
  await registry.clear();
  assert.deepEqual([registry.size, await run(registry)], [0, 101]);
});

Deno.test("reset() resets the others when one fails, and names it", () => {
  const registry = new HookRegistry(MODULE);
  const log: string[] = [];
  const failing = { resetState: () => assert.fail("stuck") };
  registry.register(logger("a", log, failing));
  registry.register(logger("b", log));
  assert.throws(() => registry.reset(), coded("HOOK_THROWN", '"a"', "resetState", "stuck"));
  assert.throws(() => registry.resetHook("a"), coded("HOOK_THROWN", "stuck"));
  assert.ok(log.includes("reset b"));
  registry.register(logger("c", log, failing));
  assert.throws(() => registry.reset(), AggregateError);
});

Deno.test("row 6 remove() of one hook leaves the effects of the others", async () => {
  const registry = new HookRegistry(MODULE);
  registry.register(editor("a", (v) => v + 1));
  registry.register(replacer("b", 5));
  registry.register(editor("c", (v) => v * 3));
  await registry.remove("a");
  assert.equal(await run(registry), 15);
  await registry.remove("c");
  assert.equal(await run(registry), 5);
});

Deno.test("snapshot() is one frozen object until something changes", async () => {
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "a" }));
  const first = registry.snapshot();
  assert.equal(registry.snapshot(), first);
  assert.ok(Object.isFrozen(first));
  registry.register(hook({ name: "b" }));
  await registry.remove("b");
  assert.notEqual(registry.snapshot(), first);
  assert.equal(registry.snapshot().key, first.key);
});

Deno.test("snapshot() refuses an absent requirement, whatever was registered first", async () => {
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "a", requires: ["cast"] }));
  registry.register(hook({ name: "cats" }));
  assert.throws(() => registry.acquire(), (error: { details: Record<string, unknown> }) => {
    assert.deepEqual(error.details["nearest"], ["cats"]);
    return coded("HOOK_ORDER_UNKNOWN", '"a"', '"cast"')(error);
  });
  assert.equal(registry.runningCalls, 0);
  registry.register(hook({ name: "cast" }));
  registry.snapshot();
  await registry.remove("cast");
  assert.throws(() => registry.snapshot(), coded("HOOK_ORDER_UNKNOWN"));
});

Deno.test("onChange() tells of every change with a version that grows, and of nothing refused", async () => {
  const registry = new HookRegistry(MODULE);
  const versions: number[] = [];
  const stop = registry.onChange((one) => void versions.push(one.version));
  registry.register(hook({ name: "a" }));
  assert.throws(() => registry.register(hook({ name: "a" })));
  registry.register(hook({ name: "a" }), { replace: true });
  registry.register(hook({ name: "b" }));
  await registry.remove("b");
  await registry.clear();
  await registry.clear();
  assert.deepEqual(versions, [1, 2, 3, 4, 5]);
  stop();
  registry.register(hook({ name: "a" }));
  assert.equal(versions.length, 5);
});

Deno.test("explain() gives each hook its place and the reason, and what had no effect", () => {
  const registry = new HookRegistry(MODULE);
  registry.register(hook({ name: "see", observes: "raw" }));
  registry.register(replacer("cache", 0));
  registry.register(editor("add", (v) => v, { after: ["mul", "gone"], requires: ["lost"] }));
  registry.register(editor("mul", (v) => v));
  assert.deepEqual(registry.explain(), [
    '1. raw observer "see": observers stand outside the order, by name',
    '2. transformer "mul": by name',
    '3. transformer "add": inside "mul" (add.after)',
    '4. replacer "cache": innermost: it replaces the forward',
    'ignored "add": add.after names "gone", which is not registered here',
    'missing "add": it requires "lost", which is not registered here',
  ]);
});

Deno.test("register() and remove() in any sequence leave the order that the present names alone decide", async () => {
  const step = fc.record({ name: fc.constantFrom("a", "b", "c", "d"), add: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const registry = new HookRegistry(MODULE);
      const present = new Set<string>();
      const log: string[] = [];
      for (const { name, add } of steps) {
        if (add) registry.register(logger(name, log), { replace: true });
        else if (present.has(name)) await registry.remove(name);
        else await assert.rejects(registry.remove(name), coded("HOOK_UNKNOWN"));
        if (add) present.add(name);
        else present.delete(name);
      }
      const names = [...present].sort();
      assert.deepEqual(registry.snapshot().entering.map((one) => one.name), names);
      const attached = log.filter((line) => line.startsWith("attach")).length;
      const detached = log.filter((line) => line.startsWith("detach")).length;
      assert.equal(attached - detached, present.size);
    }),
    { numRuns: 100 },
  );
});

Deno.test("snapshot() leaves out hooks that do not take part, and gives one order per set that does", () => {
  const registry = new HookRegistry(MODULE);
  let isOn = false;
  registry.register(hook({ name: "always" }));
  assert.equal(registry.participation, "");
  registry.register(hook({ name: "sometimes", takesPart: () => isOn }));
  const off = registry.snapshot();
  assert.deepEqual(off.entering.map(({ name }) => name), ["always"]);
  const offText = registry.participation;
  isOn = true;
  const on = registry.snapshot();
  assert.deepEqual(on.entering.map(({ name }) => name), ["always", "sometimes"]);
  assert.notEqual(registry.participation, offText);
  isOn = false;
  assert.equal(registry.snapshot(), off);
  assert.notEqual(off.key, on.key);
});
