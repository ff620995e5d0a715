// Offload beside the other plugins, and on weights that only one strategy suits.

import assert from "node:assert/strict";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type TensorProto, TensorProtoSchema } from "onnx-buf";
import {
  definePipeline,
  float32,
  loadInputs,
  openModel,
  openSessions,
  type Plugin,
  traceStep,
} from "@hookline/hookline";
import { activationTrace } from "../../../plugins/activation_trace/mod.ts";
import { layerwiseOffload } from "../../../plugins/layerwise_offload/mod.ts";
import { outputCapturePlugin } from "../../../plugins/output_capture/mod.ts";
import { firstBlockCache } from "../../../plugins/step_cache/first_block_cache.ts";
import { difference } from "../../pipeline/residency/_blocks_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { STRATEGIES } from "./_offloaded.ts";

/** Three steps of a cached, traced and captured Bert; the second reuses, the third computes anew. */
async function steps(plugins: readonly Plugin[]): Promise<{
  readonly outputs: readonly Float32Array[];
  readonly captured: readonly (Float32Array | null)[];
  readonly modules: readonly string[];
}> {
  const folder = fixturePath("torch", "bert");
  const path = Deno.makeTempFileSync({ suffix: ".jsonl" });
  const capture = outputCapturePlugin();
  const outputs: Float32Array[] = [];
  const captured: (Float32Array | null)[] = [];
  {
    await using pipeline = await definePipeline({
      models: { text: join(folder, "model.onnx") },
      provider: "cpu",
      optimization: "disabled",
      plugins: [
        ...plugins,
        activationTrace({ output: path, mode: "new" }),
        capture,
        firstBlockCache({ blocks: "encoder.layer.*", threshold: 0.05 }),
      ],
    }).open();
    const { text } = pipeline.models;
    const feeds = await loadInputs({ dir: folder }, text.inputs);
    const ids = feeds["input_ids"] ?? assert.fail();
    const other = {
      ...feeds,
      input_ids: { ...ids, data: (ids.data as BigInt64Array).map((id) => (id + 7n) % 50n) },
    };
    for (const [step, given] of [feeds, feeds, other].entries()) {
      const { outputs: made, captures } = await traceStep(
        step,
        () => capture.of("text").run(given, { hidden_states: true }),
      );
      outputs.push(made["last_hidden_state"]?.data as Float32Array);
      captured.push(
        ...captures.hidden_states.map((value) =>
          (value as { data?: Float32Array } | null)?.data ?? null
        ),
      );
    }
  }
  const modules = Deno.readTextFileSync(path).trim().split("\n").map((line) =>
    JSON.parse(line).module as string
  );
  Deno.removeSync(path);
  return { outputs, captured, modules };
}

for (const strategy of STRATEGIES) {
  Deno.test(`layerwiseOffload() by ${strategy} changes nothing for a cache, a trace and a capture`, async () => {
    const cacheFolder = Deno.makeTempDirSync();
    const wanted = await steps([]);
    const found = await steps([
      layerwiseOffload({
        strategy,
        depth: 2,
        ...(strategy === "prepacked" ? { cacheFolder } : {}),
      }),
    ]);
    assert.deepEqual(found.modules, wanted.modules);
    const near = (left: Float32Array | null, right: Float32Array | null): void => {
      assert.equal(left === null, right === null);
      if (left === null || right === null) return;
      const shape = [left.length];
      assert.ok(difference(float32(shape, left), float32([right.length], right)) < 1e-5);
    };
    assert.equal(found.captured.length, wanted.captured.length);
    assert.ok(wanted.captured.some((value) => value !== null) && wanted.captured.includes(null));
    for (const [index, value] of wanted.outputs.entries()) {
      near(found.outputs[index] ?? null, value);
    }
    for (const [index, value] of wanted.captured.entries()) {
      near(found.captured[index] ?? null, value);
    }
    assert.deepEqual(openSessions(), []);
    Deno.removeSync(cacheFolder, { recursive: true });
  });
}

const SIZE = 64;
const BLOCK_SIZE = 32;

/** 4-bit weights as MatMulNBits takes them. */
function packed(name: string, seed: number): TensorProto {
  const bytes = Uint8Array.from(
    { length: SIZE * SIZE / 2 },
    (_, index) => (index * 31 + seed * 17) % 256,
  );
  const dims = [SIZE, SIZE / BLOCK_SIZE, BLOCK_SIZE / 2].map(BigInt);
  return create(TensorProtoSchema, { name, dims, dataType: 2, rawData: bytes });
}

Deno.test("layerwiseOffload() opens a session for each block of 4-bit weights, with their bits", async () => {
  const nodes = [0, 1, 2].map((index) =>
    node("MatMulNBits", [index === 0 ? "x" : `h${index - 1}`, `b${index}`, `s${index}`], [
      index === 2 ? "y" : `h${index}`,
    ], {
      name: `/blocks.${index}/MatMul`,
      domain: "com.microsoft",
      attributes: { K: SIZE, N: SIZE, bits: 4, block_size: BLOCK_SIZE },
    })
  );
  const path = Deno.makeTempFileSync({ suffix: ".onnx" });
  const scales = SIZE * SIZE / BLOCK_SIZE;
  Deno.writeFileSync(
    path,
    modelBytes({
      nodes,
      initializers: [0, 1, 2].flatMap((index) => [
        packed(`b${index}`, index),
        floats(`s${index}`, [scales], () => 0.01 * (index + 1)),
      ]),
      inputs: [valueInfo("x", "float32", ["n", SIZE])],
      outputs: [valueInfo("y", "float32", ["n", SIZE])],
      opsets: { "": 17, "com.microsoft": 1 },
    }),
  );
  const x = float32([2, SIZE], Float32Array.from({ length: 2 * SIZE }, (_, at) => Math.cos(at)));
  await using plain = await openModel(path, { provider: "cpu" });
  const wanted = await plain.run({ x });
  await using model = await openModel(path, { provider: "cpu" });
  layerwiseOffload().attach(model, { modelName: "m" });
  assert.match(model.explain(), /3 of 3 blocks are streamed[^]*strategy sessions: 4-bit/);
  assert.equal(difference((await model.run({ x }))["y"], wanted["y"]), 0);
  assert.equal(openSessions().length, 1); // that of the plain model
  Deno.removeSync(path);
});
