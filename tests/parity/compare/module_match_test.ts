import assert from "node:assert/strict";
import { matchModules } from "../../../parity/compare/module_match.ts";
import { withoutPairs } from "../../../parity/compare/module_pairs.ts";
import { ModelStructure } from "../../../pipeline/model_structure.ts";
import { fixturePath } from "../../support/fixture_path.ts";
import { renameValues } from "../../support/harmless_rewrites.ts";
import { modelBytes } from "../../support/build_model.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import { decodeModel, subjectModel } from "../../support/subject_models.ts";
import { chainModel } from "./_chain_model.ts";

function exported(name: string): ModelStructure {
  return new ModelStructure(fixturePath("exports", name, "model.onnx"));
}

function chain(options: Partial<Parameters<typeof chainModel>[0]> = {}): ModelStructure {
  return new ModelStructure(chainModel({ blocks: 4, width: 8, ...options }));
}

Deno.test("modules of one path belong together, whatever exported them", () => {
  const match = matchModules(exported("dynamo_bert"), exported("torchscript_bert_external"));
  assert.deepEqual(match.matchedBy, { path: 54, prefix: 0, structure: 0 });
  assert.deepEqual([match.onlyReference, match.onlyCandidate], [[], []]);
  assert.equal(match.isOneGraph, false);
  for (const { module, candidateModule } of match.pairs) assert.equal(module, candidateModule);
});

Deno.test("calls are paired one by one", () => {
  const match = matchModules(exported("dynamo_tied"), exported("tied_merged"));
  const calls = match.pairs.filter(({ module }) => module === "encoder.shared.attention.self");
  assert.deepEqual(calls.map(({ call }) => call), [0, 1, 2]);
  assert.equal(match.matchedBy.path, 57);
});

Deno.test("a prefix that one side has alone is found, or given", () => {
  const renamed = chain({ prefix: "model.decoder.layers" });
  const found = matchModules(chain({ prefix: "decoder.layers" }), renamed);
  assert.deepEqual(found.matchedBy, { path: 0, prefix: 4, structure: 0 });
  const given = matchModules(chain(), renamed, ["blocks=model.decoder.layers"]);
  assert.equal(given.matchedBy.prefix, 4);
  assert.equal(given.pairs[1]?.candidateModule, "model.decoder.layers.0");
  assert.throws(() => matchModules(chain(), renamed, ["nonsense"]), { code: "OPTION_INVALID" });
});

Deno.test("a candidate without names gets those of the reference, node by node", async () => {
  const subject = await subjectModel("bert");
  const model = decodeModel(subject.bytes);
  renameValues(model.graph!, { namesOfNodes: "removed", random: seededRandom(3) });
  const match = matchModules(subject.structure, new ModelStructure(modelBytes(model)));
  assert.equal(match.isOneGraph, true);
  assert.deepEqual(match.onlyReference, []);
  const { graph } = subject.structure;
  for (const { module, reference, candidate } of match.pairs) {
    const live = reference.nodes.filter((node) => graph.nodes[node]?.opType !== "Identity");
    assert.equal(candidate.nodes.length, live.length, module);
    assert.equal(candidate.outputs.length, reference.outputs.length, module);
  }
});

Deno.test("modules of equal weights belong together where nothing else tells", () => {
  const match = matchModules(exported("dynamo_bert"), exported("unnamed"));
  const partners = new Map(match.pairs.map((pair) => [pair.module, pair.candidateModule]));
  assert.deepEqual(
    [0, 1, 2].map((layer) => partners.get(`encoder.layer.${layer}`)),
    ["block.0", "block.1", "block.2"],
  );
  assert.ok(partners.has("embeddings.word_embeddings")); // by its nodes
  assert.equal(match.matchedBy.path, 0); // "group.0" is a place in one file and no name
});

Deno.test("modules that only one side has are listed, with the reason", () => {
  const match = matchModules(exported("dynamo_bert"), exported("functions_shared"));
  assert.deepEqual(
    match.onlyReference.map(({ module, why }) => [module, /structure/.test(why)]).slice(0, 1),
    [["encoder.layer.0.intermediate.intermediate_act_fn", true]],
  );
  const loops = matchModules(exported("dynamo_loops"), exported("dynamo_loops"));
  assert.ok(loops.onlyReference.length > 0);
  assert.ok(loops.onlyReference.every(({ why }) => why.includes("body of")));
});

Deno.test("another number of calls is noted, and the calls that both have are paired", () => {
  const match = matchModules(exported("dynamo_tied"), exported("dynamo_bert"));
  assert.ok(match.pairs.some(({ module }) => module === "encoder.layer.0"));
  const swapped = matchModules(exported("tied_merged"), exported("dynamo_bert"));
  assert.ok(swapped.onlyReference.some(({ module }) => module === "encoder.shared"));
});

Deno.test("pairs that are taken away leave their modules without a partner", () => {
  const match = matchModules(chain(), chain());
  const [, first] = match.pairs;
  assert.ok(first !== undefined);
  const left = withoutPairs(match, new Set([first]), "they differ");
  assert.equal(left.matchedBy.path, 3);
  assert.deepEqual(left.onlyReference, [{
    module: "blocks.0",
    className: null,
    why: "they differ",
  }]);
});
