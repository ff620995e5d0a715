import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { type TensorProto, TensorProtoSchema } from "onnx-buf";
import { commonWeights, fileWeights } from "../../pipeline/common_weights.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { openModel } from "../../pipeline/open_model.ts";
import { openSegment, segmentOpening, type SessionHost } from "../../pipeline/segment_opening.ts";
import type { FileWeight, SessionSettings, SessionSource } from "../../sessions/engine.ts";
import { NapiEngine } from "../../sessions/napi_engine.ts";
import { NativeEngine } from "../../sessions/native/native_engine.ts";
import { tensor } from "../../tensor/tensor.ts";
import { blocksModel } from "./residency/_blocks_model.ts";
import { floats, modelBytes, node, valueInfo } from "../support/build_model.ts";
import { chainModel } from "./_small_models.ts";

/** The native engine with a list of what was opened. */
class ListingEngine extends NativeEngine {
  readonly opened: { source: SessionSource; settings: SessionSettings }[] = [];
  override open(source: SessionSource, settings: SessionSettings) {
    this.opened.push({ source, settings });
    return super.open(source, settings);
  }
}

function hostOf(path: string, engine: SessionHost["engine"]): SessionHost {
  const structure = new ModelStructure(path);
  return { structure, engine, provider: "cpu", optimization: "all", threads: 1 };
}

Deno.test("commonWeights() are one object for a model, and none where nothing can be shared", () => {
  using file = blocksModel();
  const host = hostOf(file.path, new NativeEngine());
  const facts = { source: host.structure.wholeSource, label: "part", byteLength: 1 };
  const commonNames = [...host.structure.graph.initializers.keys()];
  const shared = (own: SessionHost, more: Parameters<typeof segmentOpening>[2] = {}) =>
    commonWeights(own, segmentOpening(own, facts, { commonNames, ...more }));
  const found = shared(host);
  assert.deepEqual(found?.names, commonNames);
  assert.equal(shared(host, { commonNames: ["a"] })?.from, found?.from);
  assert.equal(shared(host, { commonNames: [] }), undefined);
  assert.equal(shared(host, { prepacking: false }), undefined);
  assert.equal(shared(host, { isDeferred: true }), undefined);
  assert.equal(shared({ ...host, provider: "webgpu" }), undefined);
  assert.equal(shared({ ...host, engine: new NapiEngine() }), undefined);
});

Deno.test("fileWeights() are a model's initializers in files, where they lie", () => {
  using file = blocksModel({ weights: "external" });
  const structure = new ModelStructure(file.path);
  const weights = fileWeights(structure);
  const byteLength = (weight: FileWeight): number => 4 * weight.shape.reduce((a, b) => a * b, 1);
  assert.ok(weights.length > 40);
  assert.ok(weights.every((weight) => weight.range.path.endsWith("model.onnx.data")));
  assert.ok(weights.every((weight) => weight.range.byteLength === byteLength(weight)));
  assert.deepEqual(fileWeights(new ModelStructure(chainModel())), []); // bytes are in memory
});

Deno.test("sessions of parts have their weights in common, the whole model opens by itself, tapped or not", async () => {
  using file = blocksModel();
  const engine = new ListingEngine();
  await using model = await openModel(file.path, { engine, provider: "cpu", threads: 1 });
  await using plain = await openModel(file.path, { engine: "napi", provider: "cpu", threads: 1 });
  const blocks = ["blocks.0", "blocks.1", "blocks.2"];
  const runs = async (options: { tap?: readonly string[]; split?: readonly string[] }) => {
    const found = await model.run(file.feeds, { plan: model.plan(options) });
    const wanted = await plain.run(file.feeds, { plan: plain.plan(options) });
    assert.deepEqual(found, wanted);
    const opened = engine.opened.splice(0).map(({ settings }) => settings);
    return opened.filter(({ label }) => label !== "type probe");
  };
  const [whole] = await runs({});
  assert.equal(whole?.commonWeights, undefined);
  const [tapped] = await runs({ tap: blocks });
  assert.equal(tapped?.commonWeights, undefined);
  const parts = await runs({ split: blocks });
  const from = parts[0]?.commonWeights?.from;
  assert.ok(from !== undefined && from.weights.length > 20);
  const others = await runs({ split: blocks.slice(1) });
  assert.deepEqual([parts.length, others.length > 0], [4, true]);
  for (const plan of [parts, others]) {
    assert.ok(plan.every((settings) => settings.commonWeights?.from === from));
    const names: readonly string[] = plan.flatMap((each) => each.commonWeights?.names ?? []);
    assert.equal(new Set(names).size, names.length); // each has its own part's
  }
});

const wave = (at: number): number => Math.sin(at) / 8;
const bytesOf = (name: string, dims: readonly number[]): TensorProto => {
  const length = dims.reduce((count, size) => count * size, 1);
  const rawData = Uint8Array.from({ length }, (_, at) => at * 31 % 256);
  return create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: 2, rawData });
};

/** Kernels that prepack, each in its own way: inputs of their one node, weights, attributes. */
const KERNELS: readonly {
  readonly op: string;
  readonly domain?: string;
  readonly shape: readonly number[];
  readonly dtype?: "float32" | "uint8";
  readonly weights: readonly TensorProto[];
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}[] = [
  { op: "MatMul", shape: [3, 128], weights: [floats("w", [128, 64], wave)] },
  {
    op: "Gemm",
    shape: [3, 128],
    weights: [floats("w", [64, 128], wave), floats("b", [64], wave)],
    attributes: { transB: 1 },
  },
  {
    op: "MatMulNBits",
    domain: "com.microsoft",
    shape: [3, 128],
    weights: [bytesOf("w", [128, 4, 16]), floats("s", [512], wave)],
    attributes: { K: 128, N: 128, bits: 4, block_size: 32 },
  },
  {
    op: "MatMulInteger",
    shape: [3, 128],
    dtype: "uint8",
    weights: [bytesOf("w", [128, 128])],
  },
  { op: "Conv", shape: [1, 16, 8, 8], weights: [floats("w", [32, 16, 3, 3], wave)] },
  { op: "ConvTranspose", shape: [1, 16, 8, 8], weights: [floats("w", [16, 32, 3, 3], wave)] },
  {
    op: "LSTM",
    shape: [5, 1, 64],
    weights: [floats("w", [1, 256, 64], wave), floats("r", [1, 256, 64], wave)],
    attributes: { hidden_size: 64 },
  },
  {
    op: "GRU",
    shape: [5, 1, 64],
    weights: [floats("w", [1, 192, 64], wave), floats("r", [1, 192, 64], wave)],
    attributes: { hidden_size: 64 },
  },
];

for (const { op, domain = "", shape, dtype = "float32", weights, attributes = {} } of KERNELS) {
  Deno.test(`common weights of ${op} give the bits of weights of its own, in each session`, async () => {
    const path = Deno.makeTempFileSync({ suffix: ".onnx" });
    try {
      Deno.writeFileSync(
        path,
        modelBytes({
          nodes: [
            node(op, ["x", ...weights.map(({ name }) => name)], ["y"], { domain, attributes }),
          ],
          initializers: weights,
          inputs: [valueInfo("x", dtype, shape)],
          outputs: [valueInfo("y", op === "MatMulInteger" ? "int32" : "float32", null)],
          opsets: { "": 17, "com.microsoft": 1 },
        }),
      );
      const host = hostOf(path, new NativeEngine());
      const facts = { source: host.structure.tappedSource([]), label: op, byteLength: 1 };
      const commonNames = weights.map(({ name }) => name);
      assert.ok(fileWeights(host.structure).length > 0);
      const length = shape.reduce((count, size) => count * size, 1);
      const data = dtype === "uint8"
        ? Uint8Array.from({ length }, (_, at) => at % 200)
        : Float32Array.from({ length }, (_, at) => Math.cos(at));
      const x = tensor(dtype, shape, data);
      await using plain = await openSegment(host, segmentOpening(host, facts));
      const wanted = (await plain.run({ x }))["y"]?.data;
      assert.ok(wanted?.some((value) => Number(value) !== 0));
      const opening = segmentOpening(host, facts, { commonNames });
      await using first = await openSegment(host, opening);
      await using second = await openSegment(host, opening);
      for (const session of [first, second]) {
        assert.deepEqual((await session.run({ x }))["y"]?.data, wanted);
      }
    } finally {
      Deno.removeSync(path);
    }
  });
}
