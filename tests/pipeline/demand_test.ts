// What may be hooked and how: refused when a hook is registered, with nothing changed.

import assert from "node:assert/strict";
import { callsOf, demandOf, splitDemand, tapDemand } from "../../pipeline/demand.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { admitHook } from "../../hooks/admission.ts";
import type { ModelHook } from "../../hooks/model_hook.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { drawnStructure } from "./_fixed_structure.ts";
import { hook, mapped, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { first } from "./_small_models.ts";
import { fixtureInputs } from "./_fixtures.ts";

const STRUCTURE = drawnStructure("a = x; b = a; c = b; d = c", ["d"], { m: ["b", "c"] });
const MODULE = STRUCTURE.tree.get("m") ?? assert.fail();

function demand(...hooks: readonly ModelHook[]) {
  const { because: _, module: __, hookNames: ___, ...needs } = demandOf(
    MODULE,
    hooks.map((one) => admitHook(one, "m")),
  );
  return needs;
}

const nothing = () => undefined;

Deno.test("demandOf() asks for what the methods and the access of the hooks need", () => {
  const none = { tapsInputs: false, tapsOutputs: false, editsOutputs: false, isolation: null };
  assert.deepEqual(demand(), none);
  const cases: readonly [ModelHook, Partial<ReturnType<typeof demand>>][] = [
    [hook({ name: "a", preForward: nothing }), { tapsInputs: true }],
    [hook({ name: "a", postForward: nothing }), { tapsOutputs: true }],
    [hook({ name: "a", postForward: nothing, readsInputs: true }), {
      tapsInputs: true,
      tapsOutputs: true,
    }],
    [hook({ name: "a", preForward: nothing, readsInputs: false }), {}],
    [hook({ name: "a", access: "edit", postForward: nothing }), {
      tapsOutputs: true,
      editsOutputs: true,
    }],
  ];
  for (const [one, wanted] of cases) assert.deepEqual(demand(one), { ...none, ...wanted });
  assert.equal(demand(scaleInputs("a", 2)).isolation, "edit-inputs");
  assert.equal(demand(hook({ name: "a", access: "residency" })).isolation, "residency");
  const replace = hook({ name: "r", access: "replace", newForward: (_c, _i, run) => run() });
  assert.equal(demand(scaleInputs("a", 2), replace).isolation, "replace");
  assert.equal(demand(replace, scaleInputs("a", 2)).isolation, "replace");
});

Deno.test("tapDemand() and splitDemand() ask without hooks", () => {
  const [tap, split] = [tapDemand(MODULE, "t"), splitDemand(MODULE, "s")];
  assert.deepEqual([tap.tapsOutputs, tap.editsOutputs, tap.hookNames], [true, false, []]);
  assert.deepEqual([split.tapsOutputs, split.editsOutputs, split.because], [true, true, ["s"]]);
  assert.deepEqual(callsOf([tap]).map(({ callIndex, nodes }) => [callIndex, [...nodes]]), [
    [0, [1]],
    [1, [2]],
  ]);
});

Deno.test("registry() refuses a module inside a body and names the node around it", async () => {
  const bodies = [
    ["dynamo_control_flow", "gates.0.deep.dense", "node_cond__0", "gates.0"],
    ["torchscript_control_flow", "loops.0.cell", "/loops.0/If", "loops.0"],
    ["dynamo_loops", "rnn.cell", "node_scan__1", "rnn"],
  ] as const;
  for (const [folder, inside, body, around] of bodies) {
    await using model = await openModel(fixturePath("exports", folder, "model.onnx"), {
      provider: "cpu",
      optimization: "disabled",
    });
    const error = await expectCode("MODULE_INSIDE_BODY", () => model.registry(inside));
    assert.ok(error.message.includes(body) && error.fix.includes(body), error.message);
    assert.equal(error.details["module"], inside);
    // The module around it is like any other: observed, edited, replaced.
    const feeds = fixtureInputs("exports", folder);
    const plain = await model.run(feeds);
    const output = Object.keys(plain)[0] as string;
    using _ = model.registry(around).register(scaleOutputs("half", 0.5));
    const edited = await model.run(feeds);
    assert.notEqual(first(edited, output), first(plain, output));
    using _undo = model.registry(around).register(hook({
      name: "undo",
      access: "replace",
      newForward: async (_call, _inputs, original) =>
        mapped(await original(), (value) => value * 2),
    }));
    assert.equal(first(await model.run(feeds), output), first(plain, output));
  }
});

Deno.test("register() refuses a container that is never called, whatever the access", async () => {
  await using model = await openModel(fixturePath("torch", "bert", "model.onnx"), {
    provider: "cpu",
  });
  const container = model.modules.find((module) => module.calls.length === 0);
  assert.ok(container !== undefined);
  const registry = model.registry(container.path);
  for (const one of [scaleOutputs("a", 2), hook({ name: "a", postForward: nothing })]) {
    const error = await expectCode("MODULE_NOT_CUTTABLE", () => registry.register(one));
    assert.match(error.message, /never called/);
    assert.ok(error.fix.includes(container.children[0] as string));
    assert.equal(registry.size, 0);
    assert.equal(model.plan().kind, "whole");
  }
});
