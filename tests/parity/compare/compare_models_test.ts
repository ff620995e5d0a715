import assert from "node:assert/strict";
import { compareModels, compareWithEvidence } from "../../../parity/compare/compare_models.ts";
import type { CompareReport } from "../../../parity/compare/compare_report.ts";
import type { CompareEvidence } from "../../../parity/compare/evidence.ts";
import { NapiEngine } from "../../../sessions/napi_engine.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { floats, int64s, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { rampTensor } from "../../support/run_model.ts";
import { decodeModel, subjectModel } from "../../support/subject_models.ts";
import { chainModel } from "./_chain_model.ts";
import { halfNetwork, plainNetwork, quantisedNetwork } from "./_precision_models.ts";
import { fixtureFeeds, halfTensor } from "./_sides.ts";

function named({ introducedBy }: CompareReport): string[] {
  return introducedBy.map(({ module }) => module);
}

function exported(name: string): string {
  return fixturePath("exports", name, "model.onnx");
}

/** Bert with one weight of a module multiplied. */
async function alteredBert(weight: string, factor: number): Promise<Uint8Array> {
  const model = decodeModel((await subjectModel("bert")).bytes);
  const tensor = model.graph?.initializer.find(({ name }) => name === weight);
  assert.ok(tensor !== undefined, weight);
  const data = new Float32Array(tensor.rawData.slice().buffer).map((value) => value * factor);
  tensor.rawData = new Uint8Array(data.buffer);
  return modelBytes(model);
}

Deno.test("an altered weight is told from the errors that it causes", async () => {
  const { bytes, feeds } = await subjectModel("bert");
  const weight = "encoder.layer.1.attention.output.LayerNorm.weight";
  const report = await compareModels(bytes, await alteredBert(weight, 1.25), { feeds });
  assert.equal(report.status, "diverged");
  assert.deepEqual(named(report), ["encoder.layer.1.attention.output.LayerNorm"]);
  const rows = new Map(report.modules.map((row) => [row.module, row]));
  const ratios = (path: string) => [rows.get(path)?.inherited?.ratio, rows.get(path)?.local?.ratio];
  assert.ok(ratios("encoder.layer.0").every((ratio) => ratio !== undefined && ratio < 0.1));
  assert.ok((ratios("encoder.layer.1.attention.output.LayerNorm")[1] as number) > 1000);
  const [inherited, local] = ratios("encoder.layer.2.attention.self") as [number, number];
  assert.ok(inherited > 100 && local < 1, `${inherited} ${local}`); // it passes the error on
  const layer = rows.get("encoder.layer.1");
  assert.ok((layer?.local?.ratio ?? 0) > 1 && (layer?.own?.ratio ?? 0) < 1); // it holds the error
  assert.equal(rows.get("")?.inherited?.ratio, rows.get("")?.local?.ratio);
  assert.deepEqual(openSessions(), []);
});

Deno.test("an altered node that lies in no inner module names the container", async () => {
  const { bytes, feeds } = await subjectModel("bert");
  const model = decodeModel(bytes);
  const scale = model.graph?.node.find(({ name }) =>
    name === "/encoder/layer.1/attention/self/Div"
  );
  assert.ok(scale !== undefined);
  scale.opType = "Mul";
  const report = await compareModels(bytes, modelBytes(model), { feeds });
  assert.deepEqual(named(report), ["encoder.layer.1.attention.self"]);
  assert.ok((report.introducedBy[0]?.own?.ratio ?? 0) > 1);
});

const BERTS = [
  "dynamo_bert",
  "functions",
  "functions_shared",
  "torchscript_bert_external",
  "unnamed",
];

for (const [index, name] of BERTS.entries()) {
  const other = BERTS[(index + 1) % BERTS.length] as string;
  for (const [reference, candidate] of [[name, other], [other, name]] as const) {
    Deno.test(`${reference} and ${candidate} hold one network`, async () => {
      const report = await compareModels(exported(reference), exported(candidate), {
        feeds: await fixtureFeeds("exports", reference),
      });
      assert.deepEqual([report.status, named(report)], ["same", []]);
      assert.ok(report.modules.some(({ module, local }) => module !== "" && local !== null));
    });
  }
}

Deno.test("modules that are called several times are compared call by call", async () => {
  const report = await compareModels(exported("dynamo_tied"), exported("tied_merged"), {
    feeds: await fixtureFeeds("exports", "dynamo_tied"),
  });
  assert.equal(report.status, "same");
  const calls = report.modules.filter(({ module }) => module === "encoder.shared.output.dense");
  assert.deepEqual(calls.map(({ call }) => call), [0, 1, 2]);
});

for (const name of ["bert", "gpt2_past", "unet", "vit"]) {
  Deno.test(`${name} is the same at every optimization level`, async () => {
    const report = await compareModels(fixturePath("torch", name, "model.onnx"), null, {
      feeds: await fixtureFeeds("torch", name),
      optimization: "disabled",
      candidateOptimization: "all",
    });
    assert.deepEqual([report.status, named(report)], ["same", []]);
    assert.deepEqual([report.reference.optimization, report.candidate.optimization], [
      "disabled",
      "all",
    ]);
    for (const row of report.modules) assert.ok(row.local !== null, row.module);
  });
}

Deno.test("a half-precision copy is within its tolerance, and named where more is asked of it", async () => {
  const feeds = { x: rampTensor([2, 8]) };
  const report = await compareModels(plainNetwork(), halfNetwork(), { feeds });
  assert.deepEqual([report.status, named(report)], ["same", []]);
  const row = report.modules.find(({ module }) => module === "layers.1.fc");
  assert.deepEqual([row?.dtype, row?.candidateDtype], ["float32", "float16"]);
  assert.ok((row?.local?.maxAbs ?? 0) > 0);
  assert.deepEqual(Object.keys(report.tolerance), ["float16", "float32"]);
  const strict = await compareModels(plainNetwork(), halfNetwork(), {
    feeds,
    rtol: 1e-5,
    atol: 1e-6,
  });
  assert.equal(strict.status, "diverged");
  assert.ok(!named(strict).includes(""), "casts at the edges alone bring in no error");
  assert.ok(named(strict).every((module) => /^layers\.\d\.(fc|act)$/.test(module)));
});

Deno.test("a model that takes half floats gets them", async () => {
  const build = (dtype: "float32" | "float16") =>
    modelBytes({
      inputs: [valueInfo("x", dtype, ["n"])],
      outputs: [valueInfo("y", dtype, ["n"])],
      nodes: [node("Tanh", ["x"], ["y"], { name: "/act/Tanh" })],
    });
  const x = rampTensor([5]);
  const down = await compareModels(build("float32"), build("float16"), { feeds: { x } });
  const up = await compareModels(build("float16"), build("float32"), {
    feeds: { x: halfTensor(x) },
  });
  assert.deepEqual([down.status, up.status], ["same", "same"]);
  assert.ok((down.modules.at(-1)?.inherited?.maxUlp ?? 99) <= 2);
});

Deno.test("a quantised module is named, its neighbours are not", async () => {
  const report = await compareModels(plainNetwork(), quantisedNetwork(), {
    feeds: { x: rampTensor([2, 8]) },
  });
  assert.deepEqual(named(report), ["layers.1.fc"]);
  const { local, nodes } = report.introducedBy[0] ?? {};
  assert.ok(local !== undefined && local.ratio < Infinity && local.sqnrDb > 20, `${local?.sqnrDb}`);
  assert.equal(nodes, 5);
});

Deno.test("modules under another prefix are compared", async () => {
  const feeds = { x: rampTensor([1, 4]) };
  const reference = chainModel({ blocks: 3, width: 4, prefix: "blocks" });
  const candidate = chainModel({ blocks: 3, width: 4, prefix: "model.blocks", altered: 1 });
  const report = await compareModels(reference, candidate, { feeds });
  assert.deepEqual(named(report), ["blocks.1"]);
  assert.equal(report.introducedBy[0]?.candidateModule, "model.blocks.1");
  assert.equal(report.matchedBy.prefix, 3);
});

/** Three modules, the second of which cannot run on three elements when it reshapes to 5 x 5. */
function reshaping(size: readonly number[]): Uint8Array {
  return modelBytes({
    inputs: [valueInfo("x", "float32", ["n"])],
    outputs: [valueInfo("y", "float32", ["n"])],
    nodes: [
      node("Relu", ["x"], ["a"], { name: "/first/Relu" }),
      node("Reshape", ["a", "second.shape"], ["b"], { name: "/second/Reshape" }),
      node("Tanh", ["b"], ["y"], { name: "/third/Tanh" }),
    ],
    initializers: [int64s("second.shape", size)],
  });
}

Deno.test("a candidate that fails while it runs is reported with what could be compared", async () => {
  const report = await compareModels(reshaping([-1]), reshaping([5, 5]), {
    feeds: { x: rampTensor([3]) },
  });
  assert.equal(report.status, "diverged");
  assert.deepEqual(named(report), ["second"]);
  const rows = new Map(report.modules.map((row) => [row.module, row]));
  assert.equal(rows.get("first")?.inherited?.ratio, 0);
  assert.match(rows.get("second")?.problem ?? "", /cannot run/);
  const third = rows.get("third"); // it runs alone, on the reference's value
  assert.deepEqual([third?.inherited, third?.local?.ratio], [null, 0]);
});

Deno.test("another shape is an error of the module that makes it", async () => {
  const report = await compareModels(reshaping([-1]), reshaping([3, 1]), {
    feeds: { x: rampTensor([3]) },
  });
  assert.deepEqual(named(report), ["second"]);
  const row = report.modules.find(({ module }) => module === "second");
  assert.deepEqual([row?.local?.ratio, row?.candidateShape], [Infinity, [3, 1]]);
  assert.match(row?.problem ?? "", /shape \[3\] became \[3, 1\]/);
});

Deno.test("a NaN is counted where it comes from", async () => {
  const build = (divisor: number) =>
    modelBytes({
      inputs: [valueInfo("x", "float32", [4])],
      outputs: [valueInfo("y", "float32", [4])],
      nodes: [
        node("Relu", ["x"], ["a"], { name: "/first/Relu" }),
        node("Div", ["a", "second.weight"], ["b"], { name: "/second/Div" }),
        node("Abs", ["b"], ["y"], { name: "/third/Abs" }),
      ],
      initializers: [floats("second.weight", [1], () => divisor)],
    });
  const x = { dtype: "float32", shape: [4], data: Float32Array.of(-1, 1, -1, 1) } as const;
  const report = await compareModels(build(2), build(0), { feeds: { x } });
  assert.deepEqual(named(report), ["second"]);
  assert.equal(report.introducedBy[0]?.local.nanCandidate, 2);
});

Deno.test("evidence is given once, while the models are open", async () => {
  const feeds = { x: rampTensor([1, 4]) };
  const seen: CompareEvidence[] = [];
  const report = await compareWithEvidence(
    chainModel({ blocks: 3, width: 4 }),
    chainModel({ blocks: 3, width: 4, altered: 1 }),
    {
      feeds,
      evidence: async (evidence) => {
        seen.push(evidence);
        const value = await evidence.store.get("r:/blocks.0/Add_output_0");
        assert.deepEqual(value?.shape, [1, 4]);
      },
    },
  );
  assert.equal(seen.length, 1);
  const [evidence] = seen;
  assert.equal(evidence?.report, report);
  const pair = evidence?.match.pairs.find(({ module }) => module === "blocks.1");
  assert.ok(pair !== undefined);
  assert.deepEqual(evidence?.ownNodes(pair), [2, 3]);
  assert.deepEqual(evidence?.tolerance("float32"), { rtol: 1e-5, atol: 1e-5 });
});

Deno.test("rows come in the order in which modules end, and say what they are of", async () => {
  const path = fixturePath("torch", "unet", "model.onnx");
  const report = await compareModels(path, null, {
    feeds: await fixtureFeeds("torch", "unet"),
    candidateOptimization: "basic",
  });
  const paths = report.modules.map(({ module }) => module);
  assert.ok(paths.indexOf("downs.0.resnets.0.conv1") < paths.indexOf("downs.0.resnets.0"));
  assert.ok(paths.indexOf("downs.0.resnets.0") < paths.indexOf("downs.1.resnets.0"));
  assert.equal(paths.at(-1), "");
  assert.equal(report.reference.path, path);
  for (const row of report.modules) {
    assert.equal(row.histogram?.reduce((sum, count) => sum + count, 0), row.local?.elements);
  }
});

Deno.test("wrong use is an error that says what to do", async () => {
  const bert = fixturePath("torch", "bert", "model.onnx");
  const feeds = await fixtureFeeds("torch", "bert");
  await assert.rejects(compareModels(bert, null, { feeds }), {
    code: "OPTION_INVALID",
    message: /with itself: both sides run on cpu \(\w+\) at optimization all/,
  });
  await assert.rejects(compareModels(bert, new URL(`file://${bert}`), { feeds }), {
    code: "OPTION_INVALID",
  });
  await assert.rejects(
    compareModels(bert, fixturePath("torch", "vit", "model.onnx"), { feeds }),
    { code: "COMPARE_INCOMPARABLE" },
  );
  for (
    const options of [{ rtol: -1 }, { atol: NaN }, { memory: 0 }, { map: ["x"] }, {
      feeds: null as never,
    }]
  ) {
    await assert.rejects(
      compareModels(bert, exported("dynamo_bert"), { feeds, ...options }),
      { code: "OPTION_INVALID" },
    );
  }
  await assert.rejects(
    compareModels(bert, null, { feeds, candidateOptimisation: "all" } as never),
    { code: "OPTION_INVALID", fix: /candidateOptimization/ },
  );
  await assert.rejects(compareModels(bert, null, { feeds: {}, candidateOptimization: "basic" }), {
    code: "FEED_MISSING",
  });
  assert.deepEqual(openSessions(), []);
});

Deno.test("two networks with the same inputs and nothing else in common are not compared", async () => {
  const build = (operator: string, outputs: readonly number[]) =>
    modelBytes({
      inputs: [valueInfo("x", "float32", [4])],
      outputs: [valueInfo(`y${operator}`, "float32", outputs)],
      nodes: [node(operator, ["x"], [`y${operator}`])],
    });
  await assert.rejects(
    compareModels(build("Relu", [4]), build("Shape", [1]), { feeds: { x: rampTensor([4]) } }),
    (error: Error & { code: string }) =>
      error.code === "COMPARE_INCOMPARABLE" ||
      error.code === "SESSION_CREATE",
  );
  await assert.rejects(
    compareModels(
      build("Relu", [4]),
      modelBytes({
        inputs: [valueInfo("x", "float32", [4])],
        outputs: [valueInfo("z", "float32", [])],
        nodes: [node("ReduceSum", ["x"], ["z"], { attributes: { keepdims: 0 } })],
      }),
      { feeds: { x: rampTensor([4]) } },
    ),
    { code: "COMPARE_INCOMPARABLE", message: /no module and no output/ },
  );
});

Deno.test("the byte budget is kept, whatever the activations take", async () => {
  const [blocks, width] = [64, 16_384];
  const memory = 1_048_576; // 64 activations of 64 KiB on each side take eight times as much
  const feeds: TensorMap = { x: rampTensor([1, width]) };
  const report = await compareModels(
    chainModel({ blocks, width }),
    chainModel({ blocks, width, altered: 40 }),
    { feeds, memory },
  );
  assert.deepEqual(named(report), ["blocks.40"]);
  assert.equal(report.modules.length, blocks + 1);
  assert.ok(report.memory.peakByteLength <= memory, `${report.memory.peakByteLength}`);
  assert.ok(report.memory.spilledByteLength > memory);
});

Deno.test("an engine of one's own runs both sides", async () => {
  const report = await compareModels(
    chainModel({ blocks: 2, width: 4 }),
    chainModel({ blocks: 2, width: 4 }),
    { feeds: { x: rampTensor([1, 4]) }, engine: new NapiEngine(), provider: "cpu" },
  );
  assert.deepEqual([report.status, report.candidate.engine], ["same", "napi"]);
});

Deno.test("a module of a candidate without names is found although the outputs do not show its error", async () => {
  const build = (bias: number, isNamed: boolean) => {
    const name = (path: string) => isNamed ? { name: path } : {};
    return modelBytes({
      inputs: [valueInfo("x", "float32", [4])],
      outputs: [valueInfo("y", "float32", [4])],
      nodes: [
        node("Relu", ["x"], [isNamed ? "/first/Relu_output_0" : "a"], name("/first/Relu")),
        node("Add", [isNamed ? "/first/Relu_output_0" : "a", "w"], [
          isNamed ? "/second/Add_output_0" : "b",
        ], name("/second/Add")),
        node("Mul", [isNamed ? "/second/Add_output_0" : "b", "zero"], ["y"], name("/third/Mul")),
      ],
      initializers: [floats("w", [1], () => bias), floats("zero", [1], () => 0)],
    });
  };
  const report = await compareModels(build(1, true), build(2, false), {
    feeds: { x: rampTensor([4]) },
  });
  assert.deepEqual([report.status, named(report)], ["diverged", ["second"]]);
  assert.equal(report.modules.at(-1)?.inherited?.ratio, 0);
});

/** Two modules in a row, with further outputs. */
function withOutputs(
  outputs: Readonly<Record<string, "Neg" | "constant">>,
  constant = 1,
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(outputs);
  return modelBytes({
    inputs: [valueInfo("x", "float32", [2])],
    outputs: [...names, "y"].map((name) => valueInfo(name, "float32", [2])),
    nodes: [
      node("Mul", ["x", "a.weight"], ["/a/Mul_output_0"], { name: "/a/Mul" }),
      node("Add", ["/a/Mul_output_0", "a.weight"], ["y"], { name: "/b/Add" }),
      ...names.filter((name) => outputs[name] === "Neg").map((name) => node("Neg", ["x"], [name])),
    ],
    initializers: [
      floats("a.weight", [2]),
      ...names.filter((name) => outputs[name] === "constant")
        .map((name) => floats(name, [2], () => constant)),
    ],
  });
}

Deno.test("an output that is constant is compared as any other", async () => {
  const feeds = { x: rampTensor([2]) };
  const reference = withOutputs({ k: "constant" });
  const same = await compareModels(reference, withOutputs({ k: "constant" }), { feeds });
  assert.deepEqual([same.status, named(same)], ["same", []]);
  const other = await compareModels(reference, withOutputs({ k: "constant" }, 2), { feeds });
  assert.deepEqual([other.status, named(other)], ["diverged", [""]]);
});

Deno.test("outputs that were renamed in part are compared in order", async () => {
  const feeds = { x: rampTensor([2]) };
  const report = await compareModels(withOutputs({ n: "Neg" }), withOutputs({ m: "Neg" }), {
    feeds,
  });
  assert.equal(report.status, "same");
  const row = report.modules.find(({ tensor }) => tensor === "n");
  assert.deepEqual([row?.candidateTensor, row?.inherited?.ratio], ["m", 0]);
});

Deno.test("an output that the candidate does not have is no agreement", async () => {
  const feeds = { x: rampTensor([2]) };
  const report = await compareModels(withOutputs({ n: "Neg" }), withOutputs({}), { feeds });
  assert.deepEqual([report.status, named(report)], ["diverged", []]);
});

Deno.test("errors that nothing tolerates are ranked by their size", async () => {
  const { bytes, feeds } = await subjectModel("bert");
  const model = decodeModel(bytes);
  for (const [weight, factor] of [["0", 1.001], ["2", 1.5]] as const) {
    const name = `encoder.layer.${weight}.output.LayerNorm.weight`;
    const tensor = model.graph?.initializer.find((one) => one.name === name);
    assert.ok(tensor !== undefined);
    const data = new Float32Array(tensor.rawData.slice().buffer).map((value) => value * factor);
    tensor.rawData = new Uint8Array(data.buffer);
  }
  const report = await compareModels(bytes, modelBytes(model), { feeds, rtol: 0, atol: 0 });
  assert.deepEqual(named(report).slice(0, 2), [
    "encoder.layer.2.output.LayerNorm",
    "encoder.layer.0.output.LayerNorm",
  ]);
});

Deno.test("what was guessed, and renames that fit nothing, are said", async () => {
  const build = (input: string) =>
    modelBytes({
      inputs: [valueInfo(input, "float32", [2])],
      outputs: [valueInfo("y", "float32", [2])],
      nodes: [node("Relu", [input], ["h"], { name: "/a/Relu" }), node("Neg", ["h"], ["y"])],
    });
  const report = await compareModels(build("x"), build("pixels"), {
    feeds: { x: rampTensor([2]) },
    map: ["nowhere=neither"],
  });
  assert.deepEqual([report.status, report.notes], ["same", [
    `the candidate's input "pixels" gets the reference's "x"`,
    "the rename nowhere=neither fits no module",
  ]]);
});

Deno.test("models whose weights exceed the budget do not run as wholes", async () => {
  const { bytes, feeds } = await subjectModel("bert");
  const weight = "encoder.layer.1.attention.output.LayerNorm.weight";
  const altered = await alteredBert(weight, 1.25);
  const wide = await compareModels(bytes, altered, { feeds });
  const narrow = await compareModels(bytes, altered, { feeds, memory: 100_000 });
  assert.deepEqual(wide.notes, []);
  assert.match(narrow.notes.join(), /^\d+ bytes of weights are more than the budget/);
  assert.deepEqual(named(narrow), named(wide));
  const outputs = (report: CompareReport) => report.modules.filter(({ module }) => module === "");
  assert.deepEqual(outputs(narrow).map(({ tensor }) => tensor), [
    "last_hidden_state",
    "pooler_output",
  ]);
  for (const [index, { inherited }] of outputs(narrow).entries()) {
    const whole = outputs(wide)[index]?.inherited?.maxAbs as number;
    assert.ok(Math.abs((inherited?.maxAbs as number) / whole - 1) < 1e-3);
  }
});
