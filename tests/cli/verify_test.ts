import assert from "node:assert/strict";
import { join } from "node:path";
import type { VerifyDocument } from "../../pipeline/verify.ts";
import { openSessions } from "../../sessions/session_ledger.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { modelBytes, node, valueInfo } from "../support/build_model.ts";
import { called, documentOf, errorOf, hookline, type Outcome } from "./_hookline.ts";

function verified(outcome: Outcome): VerifyDocument {
  return documentOf(outcome) as unknown as VerifyDocument;
}

for (const name of ["bert", "gpt2_past", "unet", "vit"]) {
  Deno.test(`hookline verify finds ${name} exact without optimization`, async () => {
    const folder = fixturePath("torch", name);
    const outcome = await hookline([
      ...["verify", join(folder, "model.onnx"), "--inputs", folder],
      ...["--optimization", "disabled", "--provider", "cpu", "--rounds", "2", "--json"],
    ]);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(outcome.stderr, "");
    const { status, tapped, split, ...facts } = verified(outcome);
    assert.equal(status, "exact");
    for (const part of [tapped, split]) {
      assert.equal(part.bitsDiffering, 0);
      assert.equal(part.maxAbs, 0);
      assert.ok(part.ratio > 0);
      assert.equal(part.skipped, 0);
      assert.deepEqual(part.skippedBecause, {});
    }
    assert.ok(tapped.taps > 20);
    assert.ok(split.segments > 20);
    assert.ok(facts.wholeMs > 0);
    assert.equal(facts.repeatable, true);
    assert.equal(facts.optimization, "disabled");
    assert.equal(facts.rounds, 2);
  });
}

const BERT = fixturePath("exports", "dynamo_bert");
const ARGS = [
  ...["verify", join(BERT, "model.onnx"), "--inputs", BERT],
  ...["--provider", "cpu", "--rounds", "1"],
];

Deno.test("hookline verify ends with 0 within the tolerance and with 1 beyond it", async () => {
  const within = await called([...ARGS, "--json"]);
  assert.equal(within.code, 0);
  const found = verified(within);
  // Taps inside a fused group change the last bits of this export; see docs of optimization.
  assert.equal(found.status, "within tolerance");
  assert.ok(found.tapped.bitsDiffering > 0 && found.tapped.maxAbs > 0);
  const beyond = await called([...ARGS, "--atol", "0", "--rtol", "1e-12", "--json"]);
  assert.equal(beyond.code, 1);
  assert.equal(verified(beyond).status, "differs");
  assert.equal(beyond.stderr, "");
  assert.deepEqual(openSessions(), []);
});

Deno.test("hookline verify cuts where it is asked to", async () => {
  const segments: Record<string, number> = {};
  for (const split of ["blocks", "leaves", "all", "encoder.layer.0", "class:BertLayer"]) {
    const outcome = await called([...ARGS, "--split", split, "--json"]);
    if (outcome.code === 0) segments[split] = verified(outcome).split.segments;
    else assert.equal(errorOf(outcome)["code"], "HOOK_MATCH_EMPTY");
  }
  assert.equal(segments["encoder.layer.0"], 2);
  assert.equal(segments["blocks"], 4);
  assert.ok((segments["all"] ?? 0) >= (segments["leaves"] ?? 0));
  const error = errorOf(await called([...ARGS, "--split", "encodr.*", "--json"]));
  assert.equal(error["code"], "HOOK_MATCH_EMPTY");
});

Deno.test("hookline verify makes inputs up, and names every size that it needs", async () => {
  const model = join(fixturePath("torch", "unet"), "model.onnx");
  const error = errorOf(await called(["verify", join(BERT, "model.onnx"), "--json"]));
  assert.equal(error["code"], "OPTION_INVALID");
  assert.ok((error["missing"] as readonly string[]).length >= 2);
  for (const dim of error["missing"] as readonly string[]) {
    assert.match(String(error["fix"]), new RegExp(`--dim ${dim}=SIZE`));
  }
  const dims = errorOf(await called(["verify", model, "--json"]))["missing"] as readonly string[];
  const sizes = dims.flatMap((dim) => ["--dim", `${dim}=1`]);
  const outcome = await called(["verify", model, ...sizes, "--rounds", "1", "--json"]);
  assert.equal(outcome.code, 0, outcome.stdout);
});

Deno.test("hookline verify says so when there is nothing to tap or cut", async () => {
  const path = await Deno.makeTempFile({ suffix: ".onnx" });
  try {
    await Deno.writeFile(
      path,
      modelBytes({
        nodes: [node("Relu", ["x"], ["y"])],
        inputs: [valueInfo("x", "float32", [2])],
        outputs: [valueInfo("y", "float32", [2])],
      }),
    );
    const outcome = await called(["verify", path, "--json"]);
    assert.equal(outcome.code, 0, outcome.stdout);
    const { status, tapped, split } = verified(outcome);
    assert.deepEqual([status, tapped.taps, split.segments], ["exact", 0, 1]);
    assert.deepEqual([tapped.ratio, split.ratio], [1, 1]);
    const text = await called(["verify", path]);
    assert.match(text.stdout, /nothing to tap: no bit differs/);
    assert.match(text.stdout, /nothing to cut: no bit differs/);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("hookline verify refuses numbers that mean nothing", async () => {
  for (const option of [["--rounds", "0"], ["--atol", "-1"], ["--rounds", "1.5"]]) {
    const error = errorOf(await called([...ARGS, ...option, "--json"]));
    assert.equal(error["code"], "OPTION_INVALID", option.join(" "));
  }
  assert.equal(errorOf(await called([...ARGS, "--rtol", "x", "--json"]))["code"], "CLI_USAGE");
});

Deno.test("hookline verify shows its findings to people", async (t) => {
  const { code, stdout, stderr } = await called([
    ...["verify", fixturePath("exports", "dynamo_control_flow", "model.onnx")],
    ...["--inputs", fixturePath("exports", "dynamo_control_flow"), "--provider", "cpu"],
    ...["--optimization", "disabled", "--rounds", "1"],
  ]);
  assert.equal(code, 0);
  assert.equal(stderr, "");
  const text = stdout.replaceAll(/[\d.]+ ms/g, "TIME ms").replaceAll(
    /[\d.]+ x the/g,
    "RATIO x the",
  );
  await t.assertSnapshot(text.split("\n"));
});
