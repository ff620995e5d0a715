import assert from "node:assert/strict";
import { encodeNodes, openPart } from "../../../parity/compare/part_run.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { declaredResize, tracedResize } from "../../graph/_resize_models.ts";
import { floats, modelBytes, node, valueInfo } from "../../support/build_model.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { assertSameBits, rampTensor, runModel } from "../../support/run_model.ts";
import { fixtureFeeds, hostOf } from "./_sides.ts";

/** x → Relu a → Tanh b → Add(a, b) y: the Relu and the Add do not run without the Tanh between them. */
const DIAMOND = modelBytes({
  inputs: [valueInfo("x", "float32", ["n"])],
  outputs: [valueInfo("y", "float32", ["n"])],
  nodes: [
    node("Relu", ["x"], ["a"]),
    node("Tanh", ["a"], ["b"]),
    node("Add", ["a", "b"], ["s"]),
    node("Mul", ["s", "w"], ["y"]),
  ],
  initializers: [floats("w", [1], () => 3)],
});

Deno.test("nodes that are no convex part run alone when all they read is known", async () => {
  const host = hostOf(DIAMOND);
  const part = await openPart(host, { nodes: [2, 0], outputs: ["s", "a"] });
  assert.deepEqual([...part.inputs.keys()], ["x", "b"]);
  assert.deepEqual(part.nodes, [0, 2]);
  const made = await part.run({ x: rampTensor([3]), b: rampTensor([3]), unknown: rampTensor([1]) });
  const x = rampTensor([3]).data as Float32Array;
  assert.deepEqual(made["s"]?.data, x.map((value) => Math.max(value, 0) + value));
  await part.release();
  await part.release();
  assert.deepEqual(openSessions(), []);
});

Deno.test("every module of a network gives the whole model's bits when it runs alone", async () => {
  const host = hostOf(fixturePath("torch", "bert", "model.onnx"));
  const { graph, tree } = host.structure;
  const values = graph.nodes.filter(({ isConstant }) => !isConstant).flatMap((one) => one.outputs);
  const feeds = await fixtureFeeds("torch", "bert");
  const known: TensorMap = {
    ...feeds,
    ...await runModel(host.structure.tappedSource(values), feeds),
  };
  let ran = 0;
  for (const { calls, path } of tree.modules) {
    for (const { nodes, outputs } of calls) {
      const part = await openPart(host, { nodes, outputs, shapeOf: (name) => known[name]?.shape });
      const made = await part.run(known);
      await part.release();
      assertSameBits(
        made,
        Object.fromEntries(outputs.map((name) => [name, known[name]])) as TensorMap,
      );
      ran++;
      assert.notEqual(outputs.length, 0, path);
    }
  }
  assert.equal(ran, 55);
});

Deno.test("a part is encoded with its weights as references, and with the sizes that are known", async () => {
  const host = hostOf(fixturePath("torch", "bert", "model.onnx"));
  const query = host.structure.tree.get("encoder.layer.0.attention.self.query")?.calls[0];
  assert.ok(query !== undefined);
  const part = await encodeNodes(host, query);
  assert.ok(part.bytes.byteLength < 1500, `${part.bytes.byteLength}`);
  assert.equal(part.weightFolder, host.structure.weightFolder);
  const [name] = query.inputs as [string];
  assert.equal(part.inputs.get(name)?.shape?.length, 3);
  const sized = await encodeNodes(host, { ...query, shapeOf: () => [2, 7, 32] });
  assert.deepEqual(sized.inputs.get(name)?.shape, [2, 7, 32]);
});

Deno.test("a Resize in a part keeps the length of its sizes", async () => {
  for (const bytes of [tracedResize(), declaredResize()]) {
    const host = hostOf(bytes);
    const all = host.structure.graph.nodes.map(({ index }) => index);
    for (const count of [2, 3, 4]) {
      const part = await openPart(host, { nodes: all.slice(-count), outputs: ["y"] });
      await part.release();
    }
  }
});

Deno.test("a session that cannot be opened leaves nothing open", async () => {
  const host = hostOf(modelBytes({
    inputs: [valueInfo("x")],
    outputs: [valueInfo("y")],
    nodes: [node("NoSuchOperator", ["x"], ["y"])],
  }));
  await assert.rejects(openPart(host, { nodes: [0], outputs: ["y"] }), { code: "SESSION_CREATE" });
  assert.deepEqual(openSessions(), []);
});
