import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema } from "onnx-buf";
import { ModelGraph } from "../../graph/model_graph.ts";
import { ParameterNames } from "../../graph/_parameter_names.ts";
import { alignScopes, scopeComponents } from "../../graph/scope_alignment.ts";

function parametersOf(...names: readonly string[]): ParameterNames {
  const graph = create(GraphProtoSchema, {
    initializer: names.map((name) => ({ name, dataType: 1 })),
  });
  return new ParameterNames([new ModelGraph(graph, { label: "test" })], false);
}

/** Scopes in trace order with the modules that parameters vote for. */
function align(scopes: readonly (readonly [string, ...string[]])[], parameters: readonly string[]) {
  const uses = scopes.map(([scope, ...votes], position) => ({ scope, votes, position }));
  const aligned = alignScopes(uses, parametersOf(...parameters));
  return Object.fromEntries([...aligned].map(([scope, found]) => [scope, found]));
}

Deno.test("scopeComponents() adds only what a segment has more than the one before", () => {
  assert.deepEqual(scopeComponents("/features/features.10/block/block.0/block.0.0"), {
    components: ["features", "10", "block", "0", "0"],
    segmentEnds: [1, 2, 3, 4, 5],
  });
  assert.deepEqual(scopeComponents("/encoder/layer.0/output"), {
    components: ["encoder", "layer", "0", "output"],
    segmentEnds: [1, 3, 4],
  });
  assert.deepEqual(scopeComponents("/decoder/decoder/2").components, ["decoder", "decoder", "2"]);
  assert.deepEqual(scopeComponents(""), { components: [], segmentEnds: [] });
});

Deno.test("alignScopes() strips numbers of further uses, not those of names", () => {
  const found = align([["/ln_1"], ["/act"], ["/act_1"], ["/act_2"], ["/ln_1_1"], ["/pool_3"]], [
    "ln_1.weight",
  ]);
  assert.deepEqual([found["/ln_1"]?.path, found["/ln_1"]?.use], ["ln_1", 0]);
  assert.deepEqual([found["/ln_1_1"]?.path, found["/ln_1_1"]?.use], ["ln_1", 1]);
  assert.deepEqual([found["/act_2"]?.path, found["/act_2"]?.use], ["act", 2]);
  assert.equal(found["/act_2"]?.isAmbiguous, true);
  assert.equal(found["/pool_3"]?.path, "pool_3");
});

Deno.test("alignScopes() restores containers that were never called", () => {
  const found = align(
    [["/h.0/ln_1", "transformer.h.0.ln_1"], ["/h.0/mlp/act"], ["/h.0"], [
      "/h.0/mlp/c_fc",
      "transformer.h.0.mlp.c_fc",
    ]],
    ["transformer.h.0.ln_1.weight", "transformer.h.0.mlp.c_fc.bias"],
  );
  assert.equal(found["/h.0/mlp/act"]?.path, "transformer.h.0.mlp.act");
  assert.equal(found["/h.0"]?.path, "transformer.h.0");
  assert.deepEqual(found["/h.0/ln_1"]?.calledPaths, [
    "",
    "transformer.h.0",
    "transformer.h.0.ln_1",
  ]);
});

Deno.test("alignScopes() tells colliding modules apart by their parameters and numbers", () => {
  const found = align(
    [
      ["/resnets.0/norm"],
      ["/resnets.0/conv", "downs.0.resnets.0.conv"],
      ["/resnets.0"],
      ["/down", "downs.0.down"],
      ["/resnets.0/norm_1"],
      ["/resnets.0/conv_1", "ups.0.resnets.0.conv"],
      ["/resnets.0_1"],
    ],
    ["downs.0.resnets.0.conv.weight", "downs.0.down.weight", "ups.0.resnets.0.conv.weight"],
  );
  assert.equal(found["/resnets.0/norm"]?.path, "downs.0.resnets.0.norm");
  assert.equal(found["/resnets.0"]?.path, "downs.0.resnets.0");
  assert.equal(found["/resnets.0/norm_1"]?.path, "ups.0.resnets.0.norm");
  assert.equal(found["/resnets.0_1"]?.path, "ups.0.resnets.0");
});

Deno.test("alignScopes() leaves scopes as they are where no container was lost", () => {
  const found = align([["/attn", "attn.out_proj"], ["/attn/proj", "attn.proj"]], [
    "attn.out_proj.weight",
    "attn.proj.weight",
  ]);
  assert.equal(found["/attn"]?.path, "attn");
  assert.equal(found["/attn/proj"]?.path, "attn.proj");
});

Deno.test("alignScopes() keeps a shared module whose parameters cannot vote", () => {
  const found = align(
    [["/h.0/fc", "model.h.0.fc"], ["/shared/fc"], ["/shared/fc_1"], ["/shared"], ["/shared_1"]],
    ["model.h.0.fc.bias", "model.shared.fc.bias"],
  );
  assert.deepEqual([found["/shared/fc_1"]?.path, found["/shared/fc_1"]?.use], [
    "model.shared.fc",
    1,
  ]);
  assert.deepEqual([found["/shared_1"]?.path, found["/shared_1"]?.use], ["model.shared", 1]);
});
