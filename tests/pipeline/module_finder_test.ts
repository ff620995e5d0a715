import assert from "node:assert/strict";
import { ModuleFinder } from "../../pipeline/module_finder.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { expectCode } from "../sessions/expect_code.ts";
import { chainModel } from "./_small_models.ts";

Deno.test("ModuleFinder finds modules, spans and operators, each the same object again", () => {
  const structure = new ModelStructure(chainModel());
  const finder = new ModuleFinder(structure);
  assert.equal(finder.get("layers.1"), structure.tree.get("layers.1"));
  assert.equal(finder.get(""), structure.tree.modules[0]);
  for (const path of ["layers.[0-1]", "layers.1::Add", "::Mul"]) {
    assert.equal(finder.get(path).path, path);
    assert.equal(finder.get(path), finder.get(path));
  }
  assert.deepEqual(finder.get("layers.[0-1]").children, ["layers.0", "layers.1"]);
});

Deno.test("ModuleFinder names the nearest modules of an unknown path", async () => {
  const finder = new ModuleFinder(new ModelStructure(chainModel()));
  const error = await expectCode("MODULE_UNKNOWN", () => finder.get("layer.1"));
  assert.equal(error.details["module"], "layer.1");
  assert.match(error.fix, /^did you mean "layers\.1"/);
  await expectCode("MODULE_UNKNOWN", () => finder.get("constructor"));
  await expectCode("MODULE_UNKNOWN", () => finder.get("layers.7::Add"));
});

Deno.test("ModuleFinder refuses modules inside bodies with the node that holds them", async () => {
  const finder = new ModuleFinder(
    new ModelStructure(fixturePath("exports", "dynamo_loops", "model.onnx")),
  );
  const error = await expectCode("MODULE_INSIDE_BODY", () => finder.get("repeat.step"));
  assert.match(error.message, /node_while_loop__1/);
  assert.equal(finder.get("repeat").path, "repeat");
});
