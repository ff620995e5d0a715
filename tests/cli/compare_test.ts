import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CompareDocument } from "../../cli/compare.ts";
import { chainModel } from "../parity/compare/_chain_model.ts";
import { fixturePath } from "../support/fixture_path.ts";
import {
  assertTwoLines,
  called,
  documentOf,
  errorOf,
  hookline,
  type Outcome,
} from "./_hookline.ts";

const DYNAMO = fixturePath("exports", "dynamo_bert");
const SCRIPTED = fixturePath("exports", "torchscript_bert_external");
const BERT = join(fixturePath("torch", "bert"), "model.onnx");

function reportOf(outcome: Outcome): CompareDocument {
  return documentOf(outcome) as unknown as CompareDocument;
}

/** Two chains of three modules, the second with another weight in the middle. */
class Chains {
  readonly folder: string = mkdtempSync(join(tmpdir(), "hookline-compare-cli-"));
  readonly reference: string = join(this.folder, "reference.onnx");
  readonly candidate: string = join(this.folder, "candidate.onnx");

  constructor(blocks = 3, width = 4) {
    writeFileSync(this.reference, chainModel({ blocks, width }));
    writeFileSync(this.candidate, chainModel({ blocks, width, altered: 1 }));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

Deno.test("hookline compare ends with 0 for two exports of one network", async () => {
  const outcome = await hookline([
    "compare",
    join(DYNAMO, "model.onnx"),
    join(SCRIPTED, "model.onnx"),
    "--inputs",
    DYNAMO,
    "--json",
  ]);
  assert.deepEqual([outcome.code, outcome.stderr], [0, ""]);
  const { status, introducedBy, modules, reference, repro, html } = reportOf(outcome);
  assert.deepEqual([status, introducedBy], ["same", []]);
  assert.equal(reference.path, join(DYNAMO, "model.onnx"));
  assert.deepEqual([repro, html], [undefined, undefined]);
  const row = modules.find(({ module }) => module === "encoder.layer.0.attention.self.query");
  for (const side of [row?.inherited, row?.local]) {
    assert.deepEqual([typeof side?.maxAbs, typeof side?.maxRel, typeof side?.cosine], [
      "number",
      "number",
      "number",
    ]);
  }
});

Deno.test("hookline compare ends with 1 and names the module that brings the error in", async () => {
  using chains = new Chains();
  const { reference, candidate } = chains;
  const outcome = await called(["compare", reference, candidate, "--json"]);
  assert.equal(outcome.code, 1);
  const { introducedBy, status } = reportOf(outcome);
  assert.deepEqual([status, introducedBy.map(({ module }) => module)], ["diverged", ["blocks.1"]]);
});

Deno.test("hookline compare tells people the same, with a table", async () => {
  using chains = new Chains();
  const { stdout, code } = await called(["compare", chains.reference, chains.candidate]);
  assert.equal(code, 1);
  assert.match(stdout, /^diverged {2}brought in by blocks\.1 \(2 nodes\)/);
  assert.match(stdout, /\n {2}output {4}y: off by \S+ \(\S+ x the tolerance\), cosine/);
  assert.match(stdout, /\n {2}brings an error in +in tolerances/);
  assert.match(stdout, /\n {2}blocks\.1 +\d/);
});

Deno.test("hookline compare writes a repro and a report where it is asked to", async () => {
  using chains = new Chains();
  const [repro, html] = [join(chains.folder, "repro"), join(chains.folder, "report.html")];
  const outcome = await called([
    "compare",
    chains.reference,
    chains.candidate,
    "--repro",
    repro,
    "--html",
    html,
    "--json",
  ]);
  const document = reportOf(outcome);
  assert.equal(document.html, html);
  assert.deepEqual([document.repro?.module, document.repro?.directory], ["blocks.1", repro]);
  assert.ok((document.repro?.nodes ?? 9) <= 2);
  assert.ok(existsSync(join(repro, "candidate.onnx")));
  assert.match(readFileSync(html, "utf8"), /blocks\.1/);
});

Deno.test("hookline compare has no repro to write when nothing is off", async () => {
  const repro = join(tmpdir(), "hookline-never-written");
  const outcome = await called([
    "compare",
    BERT,
    "--candidate-optimization",
    "disabled",
    "--dim",
    "batch=2",
    "--dim",
    "seq=5",
    "--random",
    "1",
    "--repro",
    repro,
    "--json",
  ]);
  assert.deepEqual([outcome.code, reportOf(outcome).repro], [0, null]);
  assert.equal(existsSync(repro), false);
});

Deno.test("hookline compare keeps to a byte budget, without permission to read TMPDIR", async () => {
  using chains = new Chains(32, 4096);
  const outcome = await hookline([
    "compare",
    chains.reference,
    chains.candidate,
    "--memory",
    "100000",
    "--json",
  ]);
  const { memory } = reportOf(outcome);
  assert.equal(outcome.code, 1);
  assert.equal(memory.budgetByteLength, 100_000);
  assert.ok(memory.spilledByteLength > 0 && memory.peakByteLength <= 100_000);
});

Deno.test("hookline compare takes tolerances and renames", async () => {
  using chains = new Chains();
  const outcome = await called([
    "compare",
    chains.reference,
    chains.candidate,
    "--rtol",
    "1",
    "--atol",
    "1",
    "--map",
    "blocks=blocks.x",
    "--json",
  ]);
  assert.equal(outcome.code, 0);
  assert.deepEqual(reportOf(outcome).tolerance, { float32: { rtol: 1, atol: 1 } });
});

Deno.test("hookline compare ends with 2 for wrong use, in two lines", async () => {
  for (
    const [args, code] of [
      [["compare", BERT], "OPTION_INVALID"],
      [["compare", BERT, join(fixturePath("torch", "vit"), "model.onnx")], "COMPARE_INCOMPARABLE"],
      [["compare", BERT, "nowhere.onnx"], "MODEL_NOT_FOUND"],
      [["compare", BERT, "--candidate-optimization", "most"], "OPTION_INVALID"],
      [["compare", BERT, "--candidate-engine", "steam"], "ENGINE_UNKNOWN"],
      [["compare", BERT, "--candidate-provider", "abacus"], "PROVIDER_UNKNOWN"],
      [["compare", BERT, "--candidate-optimization", "basic", "--memory", "0"], "OPTION_INVALID"],
      [["compare", BERT, "nowhere.onnx", "--html", "nowhere/report.html"], "FILE_WRITE"],
      [["compare", BERT, "nowhere.onnx", "--html", "."], "FILE_WRITE"],
      [["compare", BERT, "nowhere.onnx", "--repro", BERT], "FILE_WRITE"],
      [["compare"], "CLI_USAGE"],
    ] as const
  ) {
    const outcome = await called([...args, "--json"]);
    assert.deepEqual([outcome.code, errorOf(outcome)["code"]], [2, code], args.join(" "));
  }
  assertTwoLines(await called(["compare", BERT]), "OPTION_INVALID");
});
