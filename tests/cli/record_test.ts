import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRecording } from "../../parity/replay/recording.ts";
import { fixturePath } from "../support/fixture_path.ts";
import { called, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch", "bert");
const MODEL = join(BERT, "model.onnx");

Deno.test("hookline record writes a recording and prints what it holds", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hookline-cli-record-"));
  try {
    const out = join(folder, "layer.safetensors");
    const outcome = await hookline([
      ...["record", MODEL, "encoder.layer.1", "--inputs", BERT, "--out", out],
      ...["--provider", "cpu", "--engine", "napi", "--json"],
    ]);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(outcome.stderr, "");
    const document = documentOf(outcome);
    assert.equal(document["recording"], out);
    assert.equal(document["module"], "encoder.layer.1");
    assert.equal(document["optimization"], "disabled");
    assert.deepEqual(readdirSync(folder), ["layer.safetensors"]);
    await using recording = await openRecording(out);
    assert.equal(recording.facts.structureHash, document["structureHash"]);
    const words = await called([
      ...["record", MODEL, "pooler", "--inputs", BERT, "--out", out],
      ...["--provider", "cpu", "--engine", "napi", "--optimization", "all"],
    ]);
    assert.match(words.stdout, /optimization all/);
    assert.match(words.stdout, /hookline replay/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

Deno.test("hookline record says which module is meant, and wants a file", async () => {
  const unknown = await called([
    ...["record", MODEL, "encoder.layer.9", "--random", "0", "--out", "/nowhere/x.safetensors"],
    ...["--engine", "napi", "--json"],
  ]);
  assert.equal(unknown.code, 2);
  assert.equal(errorOf(unknown)["code"], "MODULE_UNKNOWN");
  const nowhere = await called(["record", MODEL, "pooler", "--random", "0", "--json"]);
  assert.equal(nowhere.code, 2);
  assert.equal(errorOf(nowhere)["code"], "CLI_USAGE");
});
