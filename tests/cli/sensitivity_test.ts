import assert from "node:assert/strict";
import { join } from "node:path";
import type { Sensitivity } from "../../parity/sensitivity/module_sensitivity.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { called, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch", "bert");
const ARGS = ["sensitivity", join(BERT, "model.onnx"), "--inputs", BERT, "--engine", "napi"];

Deno.test("hookline sensitivity ranks modules, the worst first", async () => {
  const outcome = await hookline([...ARGS, "--modules", "encoder.layer.*", "--json"]);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stderr, "");
  const { substitute, modules } = documentOf(outcome) as unknown as Sensitivity;
  assert.equal(substitute, "float16");
  assert.equal(modules.length, 3);
  const ratios = modules.map(({ outputs: [worst] }) => worst?.error.ratio ?? NaN);
  assert.deepEqual(ratios, ratios.toSorted((left, right) => right - left));
  assert.ok(ratios.every((ratio) => ratio > 0));
});

Deno.test("hookline sensitivity shows people a table and what was left out", async () => {
  const { code, stdout } = await called([...ARGS, "--substitute", "int8"]);
  assert.equal(code, 0);
  assert.match(stdout, /modules replaced one at a time \(int8\)/);
  assert.match(stdout, /module +worst output +max abs +SQNR +x tolerated/);
  assert.match(stdout, /and 2 further modules; --json lists all/);
  assert.match(stdout, /not replaced: 11 modules, it has no weights/);
});

Deno.test("hookline sensitivity refuses a substitute that there is not", async () => {
  const outcome = await called([...ARGS, "--substitute", "int4", "--json"]);
  assert.equal(outcome.code, 2);
  assert.equal(errorOf(outcome)["code"], "CLI_USAGE");
});
