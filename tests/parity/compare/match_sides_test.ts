import assert from "node:assert/strict";
import { matchSides, pairKey } from "../../../parity/compare/match_sides.ts";
import { openSessions } from "../../../sessions/session_ledger.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { plainNetwork, quantisedNetwork } from "./_precision_models.ts";
import { hostOf } from "./_sides.ts";

const RELU = "/layers.0/act/Relu_output_0";

Deno.test("what a tool puts between two modules belongs to the one that reads it", async () => {
  const { match, values } = await matchSides(hostOf(plainNetwork()), hostOf(quantisedNetwork()));
  const pairs = new Map(match.pairs.map((pair) => [pair.module, pair]));
  // The node that quantises is named after the value, so `layers.0.act` seems to put out other things.
  const activation = pairs.get("layers.0.act");
  assert.ok(activation?.candidate.outputs.includes(RELU), `${activation?.candidate.outputs}`);
  assert.equal(values.partnerOf(RELU), RELU);
  const dense = pairs.get("layers.1.fc");
  assert.deepEqual(dense?.candidate.inputs, [RELU]);
  assert.deepEqual(dense?.candidate.outputs, ["/layers.1/fc/MatMul_output_0"]);
  assert.equal(dense?.candidate.nodes.length, 5);
  assert.equal(values.partnerOf(`${RELU}_scale`), undefined);
  assert.deepEqual(openSessions(), []);
});

Deno.test("calls come in the order in which the reference ends them, the model last", async () => {
  const host = hostOf(fixturePath("torch", "bert", "model.onnx"));
  const { calls, match } = await matchSides(host, host);
  const paths = calls.map(({ pair }) => pair.module);
  assert.equal(paths.at(-1), "");
  assert.ok(paths.indexOf("encoder.layer.0.attention.self") < paths.indexOf("encoder.layer.0"));
  assert.ok(paths.indexOf("encoder.layer.0") < paths.indexOf("encoder.layer.1.attention"));
  assert.equal(new Set(calls.map(({ pair }) => pairKey(pair))).size, match.pairs.length);
});

Deno.test("a container's own nodes are those in no module inside it", async () => {
  const host = hostOf(fixturePath("torch", "bert", "model.onnx"));
  const { calls } = await matchSides(host, host);
  const call = calls.find(({ pair }) => pair.module === "encoder.layer.0.output");
  const { graph } = host.structure;
  assert.deepEqual(call?.own?.nodes.map((node) => graph.nodes[node]?.opType), ["Add"]); // the residual
  assert.equal(call?.inside.length, 2);
  assert.equal(calls.find(({ pair }) => pair.module === "encoder.layer.0.output.dense")?.own, null);
});

Deno.test("modules are renamed as the caller says", async () => {
  const host = hostOf(plainNetwork());
  await assert.rejects(matchSides(host, host, ["a b=c"]), { code: "OPTION_INVALID" });
});
