import assert from "node:assert/strict";
import { openModel } from "../../pipeline/open_model.ts";
import { float32 } from "../../tensor/tensor.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { hook, scaleOutputs } from "./_hooks.ts";
import { chainFeeds, chainModel, chainOutput, first } from "./_small_models.ts";

Deno.test("operatorModule() makes the operators of a type inside a module a module, a call each", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const [layer] = model.select("layers.1::Add");
  assert.equal(layer?.path, "layers.1::Add");
  assert.equal(layer?.className, "Add");
  assert.deepEqual(layer?.calls.map(({ inputs, outputs }) => [inputs, outputs]), [[["s1"], [
    "h1",
  ]]]);
  const [all] = model.select("::Mul");
  assert.deepEqual(all?.calls.map(({ outputs }) => outputs), [["s0"], ["s1"], ["s2"]]);
});

Deno.test("selectWithOperators() takes any selector before ::, in lists too", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const paths = (selector: Parameters<typeof model.select>[0]) =>
    model.select(selector).map(({ path }) => path);
  assert.deepEqual(paths("layers.[0-1]::Mul"), ["layers.0::Mul", "layers.1::Mul"]);
  assert.deepEqual(paths(["/1$/::Add", "layers.0"]), ["layers.0", "layers.1::Add"]);
  // A module without such an operator is passed over while another has one.
  assert.deepEqual(paths("layers.**::Mul").length, 6);
  assert.deepEqual(paths("layers.*.scale::Mul").length, 3);
});

Deno.test("operatorModule() names the nearest operators where there is none", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const error = await expectCode("HOOK_MATCH_EMPTY", () => model.registry("layers.0::Adds"));
  assert.match(error.fix, /layers\.0::Add"/);
  await expectCode("HOOK_MATCH_EMPTY", () => model.select("layers.*::Softmax"));
  await expectCode("MODULE_UNKNOWN", () => model.registry("layers.9::Add"));
});

Deno.test("operator modules are observed and edited like any other module", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const seen: number[] = [];
  model.registry("::Mul").register(hook({
    name: "see",
    postForward: (_call, outputs) => void seen.push(first(outputs, Object.keys(outputs)[0])),
  }));
  assert.equal(first(await model.run(chainFeeds(1))), chainOutput(1));
  assert.deepEqual(seen, [2, 9, 44]);
  model.registry("layers.0::Mul").register(scaleOutputs("double", 2));
  const outputs = await model.run({ x: float32([1, 2], [1, 1]) });
  assert.equal(first(outputs), ((1 * 2 * 2 + 1) * 3 + 2) * 4 + 3);
});

Deno.test("operatorModule() says which operators the module holds", async () => {
  await using model = await openModel(chainModel(), { provider: "cpu" });
  const error = await expectCode("HOOK_MATCH_EMPTY", () => model.select("layers.0::Softmax"));
  assert.match(error.fix, /"layers\.0" holds Add, Mul$/);
});
