// The trace reads the same whichever plan runs, and sees what other hooks made of a tensor.

import assert from "node:assert/strict";
import {
  float32,
  type ForwardCall,
  ModelHook,
  openModel,
  type OptimizationLevel,
  type TensorMap,
} from "../../../mod.ts";
import { activationTrace } from "../../../plugins/activation_trace/mod.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import {
  bertFeeds,
  chainFeeds,
  chainModel,
  inFolder,
  type Line,
  linesOf,
  recordsOf,
} from "./_traced.ts";

/** Cuts the graph at a module; scales its outputs. */
class Scale extends ModelHook {
  override readonly name = "scale";
  override readonly access = "edit";
  constructor(readonly factor: number) {
    super();
  }
  override postForward(_call: ForwardCall, outputs: TensorMap): TensorMap | undefined {
    if (this.factor === 1) return undefined;
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { shape, data }]) => [
        name,
        float32(shape, (data as Float32Array).map((element) => element * this.factor)),
      ]),
    );
  }
}

const withoutRun = (lines: readonly Line[]) => lines.map(({ run: _run, ...line }) => line);

Deno.test(
  "a trace of a split plan has the records of the tapped one, byte for byte at disabled",
  inFolder(async (folder) => {
    const optimization: OptimizationLevel = "disabled";
    const path = fixturePath("torch/bert/model.onnx");
    await using model = await openModel(path, { provider: "cpu", optimization });
    const trace = async (output: string): Promise<Line[]> => {
      await using _trace = activationTrace({ output, stats: "sum,min,max,std,l2", inputs: true })
        .attach(model, { modelName: "bert" });
      await model.run(bertFeeds(model));
      return linesOf(output);
    };
    const [tappedHeader, ...tapped] = await trace(`${folder}/tapped.jsonl`);
    using _cut = model.registry("encoder.layer.1.attention").register(new Scale(1));
    const [splitHeader, ...split] = await trace(`${folder}/split.jsonl`);
    assert.deepEqual([tappedHeader?.["plan"], splitHeader?.["plan"]], ["tapped", "split"]);
    const byKey = (lines: readonly Line[]) =>
      new Map(
        lines.map(({ seq: _seq, ...line }) => [`${line["module"]} ${line["tensor"]}`, line]),
      );
    assert.deepEqual(byKey(withoutRun(split)), byKey(withoutRun(tapped)));
    const order = (lines: readonly Line[]) =>
      lines.filter(({ tensor }) => tensor === "out").map(({ module }) => module);
    assert.deepEqual(order(split), order(tapped));
  }),
);

Deno.test(
  "a trace sees a tensor as other hooks left it",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    using _edit = model.registry("a").register(new Scale(10));
    await using _trace = activationTrace({ output, stats: "sum", inputs: true })
      .attach(model, { modelName: "m" });
    await model.run(chainFeeds(1));
    assert.deepEqual(
      recordsOf(output).slice(0, 5).map(({ module, tensor, sum }) => `${module} ${tensor} ${sum}`),
      ["a in[0] 1", "a out 20", "b in[0] 20", "b in[1] 1", "b out 21"],
    );
  }),
);

Deno.test(
  "a call that wants no outputs is traced to the end of the model",
  inFolder(async (folder) => {
    const output = `${folder}/trace.jsonl`;
    await using model = await chainModel();
    await using _trace = activationTrace({ output, layers: "a" }).attach(model, { modelName: "m" });
    assert.deepEqual(Object.keys(await model.run(chainFeeds(1), { outputs: [] })), []);
    assert.equal(recordsOf(output).length, 1);
  }),
);
