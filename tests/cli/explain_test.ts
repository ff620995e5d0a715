import assert from "node:assert/strict";
import type { ExplainDocument } from "../../cli/explain.ts";
import { openSessions, sessionLedger } from "../../sessions/session_ledger.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { called, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch", "bert", "model.onnx");

async function explained(...args: readonly string[]): Promise<ExplainDocument> {
  const outcome = await called(["explain", ...args, "--provider", "cpu", "--json"]);
  assert.equal(outcome.code, 0, outcome.stdout);
  return documentOf(outcome) as unknown as ExplainDocument;
}

Deno.test("hookline explain shows the whole plan where nothing is asked for", async () => {
  const outcome = await hookline(["explain", BERT, "--provider", "cpu", "--json"], {
    grants: ["--allow-read"],
  });
  assert.equal(outcome.code, 0, outcome.stdout);
  const { planHash, segments, ...others } = documentOf(outcome) as unknown as ExplainDocument;
  assert.match(planHash, /^[0-9a-f]{64}$/);
  assert.equal(segments.length, 1);
  assert.deepEqual(segments[0]?.modules, [""]);
  assert.deepEqual(others, {
    plan: "whole",
    order: {},
    because: [],
    engine: "napi",
    mayEndFusions: [],
    plugins: [],
    provider: "cpu",
    skipped: [],
  });
});

Deno.test("hookline explain shows what taps and cuts make of the plan, and opens nothing", async () => {
  const before = sessionLedger.openedTotal;
  const tapped = await explained(BERT, "--tap", "encoder.layer.*");
  assert.equal(tapped.plan, "tapped");
  assert.equal(tapped.segments[0]?.taps.length, 2);
  assert.deepEqual(
    tapped.because,
    [0, 1, 2].map((at) => `encoder.layer.${at} is tapped on request`),
  );
  const split = await explained(BERT, "--split", "embeddings", "--split", "encoder.layer.0");
  assert.equal(split.plan, "split");
  assert.equal(split.segments.length, 3);
  for (const segment of split.segments) {
    assert.deepEqual(Object.keys(segment), ["kind", "modules", "nodes", "taps", "because"]);
    assert.notEqual(segment.because, "");
  }
  assert.equal(sessionLedger.openedTotal, before);
  assert.deepEqual(openSessions(), []);
});

Deno.test("hookline explain refuses a pattern that finds nothing", async () => {
  for (const option of ["--tap", "--split"]) {
    const error = errorOf(await called(["explain", BERT, option, "encodr", "--json"]));
    assert.equal(error["code"], "HOOK_MATCH_EMPTY");
    assert.match(String(error["fix"]), /encoder/);
  }
});

Deno.test("hookline explain names the modules that no plan can reach", async () => {
  const path = fixturePath("exports", "dynamo_control_flow", "model.onnx");
  const { plan, skipped } = await explained(path, "--tap", "gates.0.**");
  assert.equal(plan, "tapped");
  assert.ok(skipped.some(({ module }) => module === "gates.0.deep"));
  assert.ok(skipped.every(({ reason }) => reason.length > 0));
  const text = await called(["explain", path, "--tap", "gates.0.deep", "--provider", "cpu"]);
  assert.match(text.stdout, /left out gates\.0\.deep: it lies in the body of/);
});

Deno.test("hookline explain shows a plan to people", async (t) => {
  const { code, stdout } = await called([
    ...["explain", BERT, "--split", "encoder.layer.0", "--tap", "pooler", "--provider", "cpu"],
  ]);
  assert.equal(code, 0);
  const text = stdout.replace(/^plan [0-9a-f]{12}$/m, "plan HASH");
  await t.assertSnapshot(text.split("\n"));
});
