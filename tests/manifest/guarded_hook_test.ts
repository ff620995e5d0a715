import assert from "node:assert/strict";
import type { PluginHook } from "../../manifest/plugin_module.ts";
import { float32, type TensorMap } from "../../tensor/tensor.ts";
import { elements, forward, guarded } from "./_guards.ts";
import { transformerFields } from "./_plugin_folders.ts";

const REPLACER = {
  kind: "replacer",
  hooks: ["replace", "skip"],
  permissions: [
    { id: "replace-forward", modules: ["**"], reason: "r" },
    { id: "skip-forward", modules: ["**"], reason: "r" },
  ],
};
const WRITES = { writeActivations: true };

function doubled(outputs: TensorMap): TensorMap {
  const { shape, data } = outputs["y"] ?? float32([0], []);
  return { y: float32(shape, (data as Float32Array).map((value) => value * 2)) };
}

Deno.test("guardHook() gives an observer copies: what it writes into them changes nothing and is audited", async () => {
  const { hook, entries, tally } = guarded({
    hook: {
      preForward: (_call, inputs) => void (inputs["x"]?.data as Float32Array).fill(9),
      postForward: (_call, outputs) => void (outputs["y"]?.data as Float32Array).fill(9),
    },
  });
  assert.deepEqual(elements(await forward([hook])), [2, 3]);
  const denied = entries.filter(({ decision }) => decision === "deny");
  assert.deepEqual(denied.map(({ permission, value }) => [permission, value]), [
    ["write-activations", "x"],
    ["write-activations", "y"],
  ]);
  assert.equal(tally.denied, 2);
  assert.equal(tally.calls, 2);
});

Deno.test("guardHook() refuses what an observer returns, with HOOK_WRITE_DENIED", async () => {
  const { hook, entries } = guarded({ hook: { postForward: (_call, outputs) => outputs } });
  await assert.rejects(forward([hook]), (error: Error & { code: string; cause: unknown }) => {
    assert.equal(error.code, "HOOK_THROWN");
    assert.equal((error.cause as { code: string }).code, "HOOK_WRITE_DENIED");
    return true;
  });
  assert.equal(entries.at(-1)?.decision, "deny");
});

Deno.test("guardHook() uses what a transformer returns where it may write, and refuses it elsewhere", async () => {
  const hook: PluginHook = { postForward: (_call, outputs) => doubled(outputs) };
  const may = guarded({ hook, manifest: transformerFields(), rights: WRITES });
  assert.deepEqual(elements(await forward([may.hook])), [4, 6]);
  assert.ok(
    may.entries.some(({ permission, decision }) =>
      permission === "write-activations" && decision === "allow"
    ),
  );
  const mayNot = guarded({ hook, manifest: transformerFields() });
  await assert.rejects(forward([mayNot.hook]), /HOOK_WRITE_DENIED|without write-activations/);
});

Deno.test("guardHook() lets dispatch refuse another shape unless the right says any", async () => {
  const hook: PluginHook = { postForward: () => ({ y: float32([1], [7]) }) };
  const fixed = guarded({ hook, manifest: transformerFields(), rights: WRITES });
  await assert.rejects(forward([fixed.hook]), { code: "HOOK_SHAPE" });
  const free = guarded({
    hook,
    manifest: transformerFields(),
    rights: { ...WRITES, changesShape: true },
  });
  assert.deepEqual(elements(await forward([free.hook])), [7]);
});

Deno.test("guardHook() tells only what the read level allows", async () => {
  const seen: Record<string, unknown>[] = [];
  const hook: PluginHook = {
    postForward(call, outputs) {
      const facts = call.tensors?.outputs["y"];
      seen.push({
        names: Object.keys(outputs),
        shape: facts?.shape,
        mean: facts?.statistics?.mean,
      });
    },
  };
  for (const readActivations of ["none", "shape", "stats", "values"] as const) {
    await forward([guarded({ hook, rights: { readActivations } }).hook]);
  }
  assert.deepEqual(seen, [
    { names: [], shape: undefined, mean: undefined },
    { names: [], shape: [2], mean: undefined },
    { names: [], shape: [2], mean: 2.5 },
    { names: ["y"], shape: [2], mean: undefined },
  ]);
});

Deno.test("guardHook() hides the model's own inputs and outputs without their permissions", async () => {
  const seen: string[][] = [];
  const hook: PluginHook = {
    preForward: (_call, inputs) => void seen.push(Object.keys(inputs)),
    postForward: (call, outputs) =>
      void seen.push([...Object.keys(outputs), ...Object.keys(call.tensors?.outputs ?? {})]),
  };
  const names = { modelInputs: ["x"], modelOutputs: ["y"] };
  const hidden = guarded({ hook, ...names });
  await forward([hidden.hook]);
  assert.deepEqual(seen, [[], []]);
  assert.deepEqual(
    hidden.entries.filter(({ decision }) => decision === "deny").map((one) => one.permission),
    ["read-inputs", "read-outputs"],
  );
  seen.length = 0;
  const shown = guarded({ hook, ...names, rights: { readInputs: ["x"], readOutputs: ["*"] } });
  await forward([shown.hook]);
  assert.deepEqual(seen, [["x"], ["y", "y"]]);
});

Deno.test("guardHook() shows only the dtypes that the manifest names", async () => {
  const seen: string[][] = [];
  const hook: PluginHook = {
    postForward: (_call, outputs) => void seen.push(Object.keys(outputs)),
  };
  const match = { modules: ["**"], dtypes: ["float16"] };
  await forward([guarded({ hook, manifest: { match } }).hook]);
  assert.deepEqual(seen, [[]]);
});

Deno.test("guardHook() lets a replacer skip the forward only with skip-forward", async () => {
  const hook: PluginHook = { newForward: () => ({ y: float32([2], [5, 5]) }) };
  const rights = { replaceForward: true };
  const may = guarded({ hook, manifest: REPLACER, rights: { ...rights, skipForward: true } });
  assert.deepEqual(elements(await forward([may.hook])), [5, 5]);
  const mayNot = guarded({ hook, manifest: REPLACER, rights });
  await assert.rejects(forward([mayNot.hook]), (error: Error & { cause: unknown }) => {
    assert.equal((error.cause as { code: string }).code, "HOOK_PERMISSION_DENIED");
    return true;
  });
  assert.equal(mayNot.entries.at(-1)?.permission, "skip-forward");
});

Deno.test("guardHook() fills in outputs that a replacer may not see", async () => {
  const hook: PluginHook = {
    async newForward(_call, _inputs, original) {
      assert.deepEqual(Object.keys(await original()), []);
      return {};
    },
  };
  const { hook: made } = guarded({
    hook,
    manifest: REPLACER,
    rights: { replaceForward: true, readActivations: "none" },
  });
  assert.deepEqual(elements(await forward([made])), [2, 3]);
});

Deno.test("guardHook() leaves a slow observer out afterwards, and fails the call of a slow transformer", async () => {
  let time = 0;
  const now = (): number => time += 10;
  const budgets = { msPerCall: 5 };
  const watcher = guarded({ hook: { postForward() {} }, manifest: { budgets }, now });
  assert.equal(watcher.hook.takesPart?.(), true);
  await forward([watcher.hook]);
  assert.equal(watcher.hook.takesPart?.(), false);
  assert.match(watcher.entries.at(-1)?.value ?? "", /msPerCall 5: postForward took 10\.0/);
  const doubler = guarded({
    hook: { postForward: (_call, outputs) => doubled(outputs) },
    manifest: transformerFields({ budgets }),
    rights: WRITES,
    now,
  });
  await assert.rejects(forward([doubler.hook]), (error: Error & { cause: unknown }) => {
    assert.equal((error.cause as { code: string }).code, "HOOK_BUDGET");
    return true;
  });
});

Deno.test("guardHook() does not count the original's time as the replacer's", async () => {
  let time = 0;
  const hook: PluginHook = { newForward: (_call, _inputs, original) => original() };
  const { hook: made, tally } = guarded({
    hook,
    manifest: { ...REPLACER, budgets: { msPerCall: 5 } },
    rights: { replaceForward: true },
    now: () => time,
  });
  const slow = (inputs: TensorMap): TensorMap => {
    time += 1000;
    return { y: inputs["x"] ?? float32([0], []) };
  };
  assert.deepEqual(elements(await forward([made], [1], slow)), [1]);
  assert.equal(tally.elapsedMs, 0);
});

Deno.test("guardHook() has the methods of the plugin's hook and no others", () => {
  const { hook } = guarded({ hook: { postForward() {}, resetState() {} } });
  assert.equal(hook.preForward, undefined);
  assert.equal(hook.onUnwind, undefined);
  assert.equal(hook.newForward, undefined);
  assert.equal(typeof hook.postForward, "function");
  assert.equal(typeof hook.resetState, "function");
});

Deno.test("guardHook() unwinds the plugin's hook when a call fails", async () => {
  const errors: unknown[] = [];
  const { hook } = guarded({
    hook: { preForward() {}, onUnwind: (_call, error) => void errors.push(error) },
    manifest: { hooks: ["pre", "error"] },
  });
  const failure = new Error("the forward failed");
  await assert.rejects(forward([hook], [1], () => {
    throw failure;
  }));
  assert.deepEqual(errors, [failure]);
});

Deno.test("guardHook() audits each right once, not each call", async () => {
  const { hook, entries } = guarded({ hook: { postForward() {} } });
  for (let run = 0; run < 3; run++) await forward([hook]);
  assert.deepEqual(entries.map(({ permission }) => permission), ["read-activations"]);
});

Deno.test("guardHook() throws what an asynchronous resetState threw, with the next call and once", async () => {
  const { hook } = guarded({
    hook: { postForward() {}, resetState: () => Promise.reject(new RangeError("not forgotten")) },
  });
  hook.resetState?.({ path: "layer", className: null, callCount: 1 });
  await new Promise((resolve) => setTimeout(resolve, 0));
  await assert.rejects(forward([hook]), /not forgotten/);
  assert.deepEqual(elements(await forward([hook])), [2, 3]);
});

Deno.test("guardHook() hands on the caller's signal at every level", async () => {
  const { signal } = new AbortController();
  for (const level of ["inline", "worker"] as const) {
    const seen: unknown[] = [];
    const { hook } = guarded({
      level,
      hook: { postForward: (call) => void seen.push(call.signal) },
    });
    const call = {
      module: { path: "layer", className: null, callCount: 1 },
      callIndex: 0,
      inputNames: ["x"],
      outputNames: ["y"],
      runId: 0,
      step: null,
      context: "default",
      signal,
    };
    await hook.postForward?.(call, { y: float32([1], [1]) }, null);
    assert.equal(seen[0], signal, level);
  }
});
