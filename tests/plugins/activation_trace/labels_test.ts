// Labels: what an ONNX file tells of a module's tensors, and what a map adds.

import assert from "node:assert/strict";
import { openModel } from "../../../mod.ts";
import { activationTrace, type LabelMap } from "../../../plugins/activation_trace/mod.ts";
import { modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { inFolder, linesOf } from "./_traced.ts";
import { float32, type Model } from "../../../mod.ts";

/** A module `two` with two outputs and two inputs, then `one` with one of each. */
function twoOutputs(): Promise<Model> {
  const name = (text: string) => ({ name: text });
  return openModel(
    modelBytes({
      inputs: [valueInfo("x", "float32", ["n"]), valueInfo("y", "float32", ["n"])],
      outputs: [valueInfo("z", "float32", ["n"])],
      nodes: [
        node("Neg", ["x"], ["/two/Neg_output_0"], name("/two/Neg")),
        node("Abs", ["y"], ["/two/Abs_output_0"], name("/two/Abs")),
        node("Add", ["/two/Neg_output_0", "/two/Abs_output_0"], ["sum"], name("/Add")),
        node("Exp", ["sum"], ["z"], name("/one/Exp")),
      ],
    }),
    { provider: "cpu" },
  );
}

function tracedLabels(labels: LabelMap, inputs = true): (folder: string) => Promise<string[]> {
  return async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await twoOutputs();
    const plugin = activationTrace({ output, mode: "new", inputs, labels, stats: ["sum"] });
    await using _trace = plugin.attach(model, { modelName: "m" });
    await model.run({ x: float32([1], [1]), y: float32([1], [-5]) });
    return linesOf(output).slice(1)
      .map((line) => `${line["module"]} ${line["tensor"]} ${line["sum"]}`);
  };
}

Deno.test(
  "a module's only output is out, several are out[i], inputs are in[i]",
  inFolder(async (folder) => {
    assert.deepEqual(await tracedLabels({})(folder), [
      "two in[0] 1",
      "two in[1] -5",
      "two out[0] -1",
      "two out[1] 5",
      "one in[0] 4",
      `one out ${Math.fround(Math.exp(4))}`,
    ]);
    assert.deepEqual(await tracedLabels({}, false)(folder), [
      "two out[0] -1",
      "two out[1] 5",
      `one out ${Math.fround(Math.exp(4))}`,
    ]);
  }),
);

Deno.test(
  "a label map names tensors, orders the records by label, and leaves out what it gives null",
  inFolder(async (folder) => {
    const map: LabelMap = {
      "**": { in: ["in.x", "in.y"] },
      two: { out: ["out[1][0]", "out.hidden"], in: ["in.query", null] },
      one: ["out[0]"],
    };
    const { "**": _all, ...fitting } = map;
    assert.deepEqual(await tracedLabels(fitting)(folder), [
      "two in.query 1",
      "two out[1][0] -1",
      "two out.hidden 5",
      "one in[0] 4",
      `one out[0] ${Math.fround(Math.exp(4))}`,
    ]);
    const swapped = await tracedLabels({ two: ["out[10]", "out[9]"] }, false)(folder);
    assert.deepEqual(swapped.slice(0, 2), ["two out[9] 5", "two out[10] -1"]);
    // `one` has one input, the list for every module has two.
    await expectCode("OPTION_INVALID", () => tracedLabels(map)(folder));
  }),
);

Deno.test(
  "a label map that does not fit is refused before a file is made",
  inFolder(async (folder) => {
    await using model = await twoOutputs();
    const attach = (labels: LabelMap) => () => {
      activationTrace({ output: `${folder}/never/a.jsonl`, labels, layers: "two" })
        .attach(model, { modelName: "m" });
    };
    const wrongLength = await expectCode("OPTION_INVALID", attach({ two: ["out[0]"] }));
    assert.match(wrongLength.fix, /"\/two\/Neg_output_0", "\/two\/Abs_output_0"/);
    for (
      const list of [["out[0]", "out[0]"], ["out[0]", "in[1]"], ["out[0]", "a"], [
        "out[0]",
        "out[x]",
      ]]
    ) {
      await expectCode("OPTION_INVALID", attach({ two: list }));
    }
    await expectCode("OPTION_INVALID", attach({ one: ["out"] })); // not traced
    await expectCode("HOOK_MATCH_EMPTY", attach({ nowhere: ["out"] }));
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    assert.equal(model.plan().kind, "whole");
  }),
);
