import assert from "node:assert/strict";
import { BoundaryStore } from "../../../parity/compare/boundary_store.ts";
import { recordRun } from "../../../parity/compare/recorded_run.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import type { Tensor, TensorMap } from "../../../tensor/tensor.ts";
import { int64s, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { assertSameBits, rampTensor, runModel } from "../../support/run_model.ts";
import { chainModel } from "./_chain_model.ts";
import { fixtureFeeds, hostOf } from "./_sides.ts";

/** Everything that a run hands out. */
async function recorded(
  host: ReturnType<typeof hostOf>,
  feeds: TensorMap,
  { budget = 1e9, wanted }: { readonly budget?: number; readonly wanted?: readonly string[] } = {},
) {
  const { graph } = host.structure;
  const all = graph.nodes.filter(({ isConstant }) => !isConstant).flatMap((one) => one.outputs);
  const values: Record<string, Tensor> = {};
  await using store = new BoundaryStore(budget);
  const run = await recordRun(host, {
    feeds,
    wanted: new Set(wanted ?? all.filter((name) => name !== "")),
    store,
    prefix: "r:",
    partByteLength: Math.max(1, budget / 4),
    onValue: (name, value) => {
      assert.equal(values[name], undefined, `${name} came twice`);
      values[name] = value;
      return Promise.resolve(false);
    },
  });
  assert.deepEqual(openSessions(), []);
  return { run, values, use: store.use, store };
}

for (const name of ["bert", "gpt2_past", "unet", "vit"]) {
  Deno.test(`a recorded run of ${name} in many parts gives the tapped model's bits`, async () => {
    const host = hostOf(fixturePath("torch", name, "model.onnx"));
    const feeds = await fixtureFeeds("torch", name);
    const { run, values, use } = await recorded(host, feeds, { budget: 4_000 });
    assert.deepEqual([run.failure, [...run.impossible]], [null, []]);
    assert.ok(run.parts > 10, `${run.parts} parts`);
    assert.ok(use.spilledByteLength > 0);
    const wanted = await runModel(host.structure.tappedSource(Object.keys(values)), feeds);
    assertSameBits(values, wanted);
  });
}

Deno.test("with a large budget a small model runs in few parts", async () => {
  const host = hostOf(fixturePath("torch", "bert", "model.onnx"));
  const { run, use } = await recorded(host, await fixtureFeeds("torch", "bert"));
  assert.ok(run.parts <= 8, `${run.parts} parts`);
  assert.equal(use.spilledByteLength, 0);
});

Deno.test("only what is wanted is handed out, and nothing runs for what nobody needs", async () => {
  const host = hostOf(chainModel({ blocks: 8, width: 4 }));
  const feeds = { x: rampTensor([1, 4]) };
  const wanted = ["x", "/blocks.1/Add_output_0"];
  const { run, values } = await recorded(host, feeds, { budget: 64, wanted });
  assert.deepEqual(Object.keys(values).sort(), [...wanted].sort());
  assert.equal(values["x"], feeds.x);
  assert.equal(run.failure, null);
});

Deno.test("values that are not kept leave the store when nobody reads them any more", async () => {
  const host = hostOf(chainModel({ blocks: 32, width: 1000 }));
  const { use } = await recorded(host, { x: rampTensor([1, 1000]) }, {
    budget: 32_000,
    wanted: ["y"],
  });
  assert.equal(use.spilledByteLength, 0);
  assert.ok(use.peakByteLength <= 32_000, `${use.peakByteLength}`);
});

Deno.test("a run that fails midway says why and has handed out what came before", async () => {
  const bytes = modelBytes({
    inputs: [valueInfo("x", "float32", ["n"])],
    outputs: [valueInfo("y", "float32", null)],
    nodes: [
      node("Relu", ["x"], ["a"], { name: "/first/Relu" }),
      node("Reshape", ["a", "shape"], ["b"], { name: "/second/Reshape" }),
      node("Relu", ["b"], ["y"], { name: "/third/Relu" }),
    ],
    initializers: [int64s("shape", [5, 5])],
  });
  const { run, values } = await recorded(hostOf(bytes), { x: rampTensor([3]) });
  assert.deepEqual(Object.keys(values), ["a"]);
  assert.equal(run.failure?.code, "SESSION_RUN");
});
