// The order of hooks: PyTorch's own, whatever the plan and whatever order the exporter left nodes in.

import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { executionPositions } from "../../pipeline/run_order.ts";
import { sessionLedger } from "../../sessions/session_ledger.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { drawnStructure, openStructure } from "./_fixed_structure.ts";
import {
  fixtureInputs,
  fixtureOutputs,
  moduleOutputs,
  TORCH_FIXTURES,
  tracedModules,
} from "./_fixtures.ts";
import { hook, logger, scaleOutputs } from "./_hooks.ts";

/** As tests/graph/module_outputs_test.ts has it: absolute, and in proportion beyond 8. */
const TOLERANCE = 4e-6;

function difference(left: Tensor, right: Tensor): number {
  const [a, b] = [left.data as Float32Array, right.data as Float32Array];
  if (a.length !== b.length || String(left.shape) !== String(right.shape)) return Infinity;
  let most = 0;
  let scale = 8;
  for (const [index, value] of a.entries()) {
    most = Math.max(most, Math.abs(value - (b[index] as number)));
    scale = Math.max(scale, Math.abs(value));
  }
  return most * 8 / scale;
}

for (const name of TORCH_FIXTURES) {
  Deno.test(`hooks on every module of ${name} see what PyTorch's saw, in its order`, async () => {
    const traced = tracedModules("torch", name);
    const truth = moduleOutputs("torch", name);
    await using model = await openModel(fixturePath("torch", name, "model.onnx"), {
      provider: "cpu",
      optimization: "disabled",
    });
    const left: string[] = [];
    const seen = new Map<string, Tensor[]>();
    for (const module of model.modules) {
      if (module.path === "" || module.calls.length === 0) continue;
      model.registry(module.path).register(hook({
        name: "see",
        postForward(call, outputs) {
          left.push(call.module.path);
          const known = seen.get(call.module.path) ?? [];
          seen.set(call.module.path, [...known, ...Object.values(outputs)]);
        },
      }));
    }
    const feeds = fixtureInputs("torch", name);
    assert.equal(model.plan().kind, "tapped");
    const cutEverywhere = model.plan({ split: (module) => module.isCuttable });
    assert.ok(cutEverywhere.steps.length > 20);
    const called = new Set(model.modules.filter((one) => one.calls.length > 0).map((m) => m.path));
    const shared = traced.filter((path) => called.has(path));
    for (const options of [{}, { plan: cutEverywhere }]) {
      left.length = 0;
      seen.clear();
      const outputs = await model.run(feeds, options);
      for (const [output, wanted] of Object.entries(fixtureOutputs("torch", name))) {
        const found = outputs[output] as Tensor;
        assert.ok(difference(found, wanted) < TOLERANCE, `${output} of ${name}`);
      }
      const inTrace = new Set(shared);
      assert.deepEqual(left.filter((path) => inTrace.has(path)), shared);
      let compared = 0;
      for (const [key, wanted] of Object.entries(truth)) {
        const found = seen.get(key.replace(/[[#].*$/, ""));
        if (found === undefined) continue;
        compared++;
        const most = Math.min(...found.map((one) => difference(one, wanted)));
        assert.ok(most < TOLERANCE, `${key}: ${most}`);
      }
      assert.ok(compared >= 30, `${compared} outputs compared`);
    }
    await model.close();
    assert.equal(sessionLedger.count, 0);
  });
}

Deno.test("executionPositions() leaves the order of an exported file as it is", () => {
  for (const name of TORCH_FIXTURES) {
    const { graph, tree } = new ModelStructure(fixturePath("torch", name, "model.onnx"));
    const live = graph.nodes.filter((node) => !node.isConstant).map(({ index }) => index);
    const positions = executionPositions(graph, tree.modules);
    assert.deepEqual(live.map((index) => positions[index]), live.map((_, place) => place));
  }
});

Deno.test("executionPositions() puts the calls of modules in one piece again", () => {
  // A file in which m and n are interleaved and what m needs last comes last.
  const structure = drawnStructure(
    "m0 = x; n0 = x; m1 = m0; late = n0; m2 = m1 late; n1 = n0; out = m2 n1",
    ["out"],
    { m: ["m0 m1 m2"], "m.in": ["m1"], n: ["n0 n1"] },
  );
  const { graph, tree } = structure;
  const positions = executionPositions(graph, tree.modules);
  const order = graph.nodes.toSorted((left, right) =>
    (positions[left.index] as number) - (positions[right.index] as number)
  );
  assert.deepEqual(order.map(({ outputs }) => outputs[0]), [
    "n0",
    "n1",
    "late",
    "m0",
    "m1",
    "m2",
    "out",
  ]);
});

Deno.test("runOrder() calls hooks in one order in every plan of an interleaved file", async () => {
  const structure = drawnStructure(
    "m0 = x; n0 = x; m1 = m0; late = n0; m2 = m1 late; n1 = n0; out = m2 n1",
    ["out"],
    { m: ["m0 m1 m2"], "m.in": ["m1"], n: ["n0 n1"], late: ["late"] },
  );
  await using model = await openStructure(structure);
  const log: string[] = [];
  for (const path of ["m", "m.in", "n", "late"]) {
    model.registry(path).register(logger("h", log));
  }
  const wanted = [
    "h pre n#0",
    "h post n#0",
    "h pre late#0",
    "h post late#0",
    "h pre m#0",
    "h pre m.in#0",
    "h post m.in#0",
    "h post m#0",
  ];
  const run = async () => {
    log.length = 0;
    const { out } = await model.run({ x: float32([1], [1]) });
    assert.equal((out?.data as Float32Array)[0], 3);
    assert.deepEqual(log, wanted);
  };
  await run();
  for (const path of ["m", "m.in", "n", "late"]) {
    using _ = model.registry(path).register(scaleOutputs("same", 1));
    await run();
    using _isolated = model.registry(path).register(hook({
      name: "through",
      access: "replace",
      newForward: (_call, _inputs, original) => original(),
    }));
    await run();
  }
});

Deno.test("runOrder() lets a parent and a child with the same nodes nest", async () => {
  const structure = drawnStructure("a = x; b = a", ["b"], {
    m: ["a b"],
    "m.only": ["a b"],
    "m.only.deep": ["a b"],
    "m.only.deep.last": ["b"],
  });
  await using model = await openStructure(structure);
  const log: string[] = [];
  const paths = ["m", "m.only", "m.only.deep", "m.only.deep.last"];
  for (const [index, path] of paths.entries()) {
    model.registry(path).register(logger("h", log));
    model.registry(path).register(hook({
      name: "edit",
      access: "edit",
      // Not commuting: the inner one comes first.
      postForward: (_call, { b }) => ({
        b: float32([1], [(b?.data as Float32Array)[0] as number * 10 + index]),
      }),
    }));
  }
  const { b } = await model.run({ x: float32([1], [1]) });
  assert.equal((b?.data as Float32Array)[0], 13210);
  assert.deepEqual(log, [
    ...paths.map((path) => `h pre ${path}#0`),
    ...paths.toReversed().map((path) => `h post ${path}#0`),
  ]);
});
