import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { drawnStructure, openStructure } from "./_fixed_structure.ts";
import { fixtureInputs } from "./_fixtures.ts";
import { hook, logger, scaleInputs, scaleOutputs } from "./_hooks.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";
import { float32 } from "../../tensor/tensor.ts";

Deno.test("a span is a module: watched, edited, replaced and skipped as one", async () => {
  await using model = await openModel(chainModel(4), { provider: "cpu" });
  const span = model.registry("layers.[1-2]");
  assert.equal(span, model.registry("layers.[1-2]"));
  assert.deepEqual(span.module, { path: "layers.[1-2]", className: null, callCount: 1 });
  const log: string[] = [];
  for (const path of ["layers.[1-2]", "layers.1", "layers.2", "layers.3"]) {
    model.registry(path).register(logger("h", log));
  }
  assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1, 4));
  assert.deepEqual(log, [
    "h pre layers.[1-2]#0",
    "h pre layers.1#0",
    "h post layers.1#0",
    "h pre layers.2#0",
    "h post layers.2#0",
    "h post layers.[1-2]#0",
    "h pre layers.3#0",
    "h post layers.3#0",
  ]);
  {
    using _ = span.register(scaleOutputs("ten", 10));
    const wanted = chainOutput(1, 4, (layer, value) => layer === 2 ? value * 10 : value);
    assert.equal(first(await model.run(chainFeeds(1))), wanted);
  }
  using _ = span.register(hook({
    name: "skip",
    access: "replace",
    newForward: (_call, inputs) => ({ h2: inputs["h0"] ?? assert.fail() }),
  }));
  log.length = 0;
  assert.equal(first(await model.run(chainFeeds(1))), 3 * 5 + 4);
  assert.deepEqual(log, [
    "h pre layers.[1-2]#0",
    "h post layers.[1-2]#0",
    "h pre layers.3#0",
    "h post layers.3#0",
  ]);
});

Deno.test("a span of one module stands around that module", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const log: string[] = [];
  for (const path of ["layers.1", "layers.[1-1]", "layers.1::Add"]) {
    model.registry(path).register(logger("h", log));
    model.registry(path).register(scaleInputs("one", 1));
    model.registry(path).register(scaleOutputs("same", 1));
  }
  assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
  const paths = ["layers.[1-1]", "layers.1", "layers.1::Add"];
  assert.deepEqual(log, [
    ...paths.map((path) => `h pre ${path}#0`),
    ...paths.toReversed().map((path) => `h post ${path}#0`),
  ]);
});

Deno.test("a span of one module stands around all that has its nodes", async () => {
  const structure = drawnStructure("a = x; b = a; y = b", ["y"], {
    h: ["a b"],
    "h.0": ["a"],
    "h.1": ["b"],
    "h.1.only": ["b"],
  });
  await using model = await openStructure(structure);
  const log: string[] = [];
  const paths = ["h.[1-1]", "h.1", "h.1.only", "h.1::Sum"];
  for (const path of paths.toReversed()) model.registry(path).register(logger("h", log));
  for (const path of paths) model.registry(path).register(scaleInputs("double", 2));
  assert.equal(first(await model.run({ x: float32([1], [1]) })), 16);
  assert.deepEqual(log, [
    ...paths.map((path) => `h pre ${path}#0`),
    ...paths.toReversed().map((path) => `h post ${path}#0`),
  ]);
});

Deno.test("a span of Bert's layers is skipped as PyTorch would skip them", async () => {
  await using model = await openModel(fixturePath("torch", "bert", "model.onnx"), {
    provider: "cpu",
    optimization: "disabled",
  });
  const feeds = fixtureInputs("torch", "bert");
  const seen: Float32Array[] = [];
  const see = (path: string) =>
    model.registry(path).register(hook({
      name: `see-${path.replaceAll(/[^a-z0-9]/g, "-").replace(/-$/, "")}`,
      postForward: (_call, outputs) =>
        void seen.push(Object.values(outputs)[0]?.data as Float32Array),
    }));
  using _first = see("encoder.layer.0");
  using _rest = see("encoder.layer.[1-2]");
  using _skip = model.registry("encoder.layer.[1-2]").register(hook({
    name: "skip",
    access: "replace",
    newForward: (call, inputs) => ({
      [call.outputNames[0] as string]: inputs[call.inputNames[0] as string] ?? assert.fail(),
    }),
  }));
  const outputs = await model.run(feeds);
  assert.deepEqual(seen[0], seen[1]);
  assert.deepEqual(outputs["last_hidden_state"]?.data, seen[0]);
});

Deno.test("a span that is none is refused with the reason", async () => {
  await using model = await openModel(chainModel(4), { provider: "cpu" });
  for (const pattern of ["layers.[1,3]", "layers.**", "{layers.1,layers.2.scale}"]) {
    await expectCode("MODULE_SPAN_INVALID", () => model.registry(pattern));
  }
  await expectCode("MODULE_SPAN_INVALID", () => model.registry("layers.[1-9]"));
  await expectCode("HOOK_MATCH_EMPTY", () => model.registry("layer.[1-2]"));
  await expectCode("SELECTOR_SYNTAX", () => model.registry("layers.[1-"));
  const error = await expectCode(
    "MODULE_INSIDE_BODY",
    async () => {
      await using inner = await openModel(
        fixturePath("exports", "dynamo_control_flow", "model.onnx"),
        { provider: "cpu" },
      );
      inner.registry("gates.2.deep.[0-1]");
    },
  );
  assert.match(error.message, /node_cond_2__0/);
});

Deno.test("spans that overlap cannot both change the model", async () => {
  await using model = await openModel(chainModel(4), { provider: "cpu" });
  model.registry("layers.[0-1]").register(scaleOutputs("a", 2));
  {
    using _ = model.registry("layers.[1-2]").register(scaleOutputs("b", 2));
    const error = await expectCode("PLAN_CYCLE", () => model.plan());
    assert.deepEqual(error.details["modules"], ["layers.[0-1]", "layers.[1-2]"]);
    await expectCode("PLAN_CYCLE", () => model.run(chainFeeds(1)));
  }
  using _ = model.registry("layers.[2-3]").register(scaleOutputs("b", 2));
  const wanted = chainOutput(1, 4, (layer, value) => layer % 2 === 1 ? value * 2 : value);
  assert.equal(first(await model.run(chainFeeds(1))), wanted);
});

Deno.test("a span leaves out what runs between its modules and runs it first", async () => {
  // The glue between h.0 and h.1 is the parent's; it depends on nothing in the span.
  const structure = drawnStructure("a = x; glue = x; b = a glue; y = b", ["y"], {
    h: ["a b"],
    "h.0": ["a"],
    "h.1": ["b"],
  });
  await using model = await openStructure(structure);
  const seen: (readonly string[])[] = [];
  model.registry("h.[0-1]").register(hook({
    name: "see",
    preForward: (_call, inputs) => void seen.push(Object.keys(inputs)),
  }));
  model.registry("h.[0-1]").register(scaleInputs("double", 2));
  assert.equal(first(await model.run({ x: float32([1], [1]) })), 4);
  assert.deepEqual(seen, [["x", "glue"]]);
});

Deno.test("a span that a path leaves and re-enters may be watched and not cut", async () => {
  const structure = drawnStructure("a = x; glue = a; b = glue; y = b", ["y"], {
    "h.0": ["a"],
    "h.1": ["b"],
  });
  await using model = await openStructure(structure);
  const span = model.registry("h.[0-1]");
  await expectCode("MODULE_NOT_CUTTABLE", () => span.register(scaleOutputs("a", 2)));
  const log: string[] = [];
  span.register(logger("h", log));
  assert.equal(first(await model.run({ x: float32([1], [1]) })), 1);
  assert.deepEqual(log, ["h pre h.[0-1]#0", "h post h.[0-1]#0"]);
});
