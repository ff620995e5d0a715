// `hookline trace`: what it prints and what it writes.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixturePath } from "../support/fixture_path.ts";
import { assertTwoLines, called, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fixturePath("torch/bert/model.onnx");
const BERT_INPUTS = ["--inputs", fixturePath("torch/bert")];

function inFolder(test: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(Deno.makeTempDirSync(), "cli-"));
    try {
      await test(folder);
    } finally {
      rmSync(join(folder, ".."), { recursive: true });
    }
  };
}

const linesOf = (path: string): Record<string, unknown>[] =>
  readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));

Deno.test(
  "trace --json prints records, modules and output, and writes the file",
  inFolder(async (folder) => {
    const output = join(folder, "deep", "trace.jsonl");
    const args = ["trace", BERT, ...BERT_INPUTS, "--output", output, "--provider", "cpu", "--json"];
    const outcome = await hookline(args);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.deepEqual(documentOf(outcome), { records: 54, modules: 54, output });
    assert.equal(linesOf(output).length, 55);
    // A second call writes the file anew; --append keeps it.
    await hookline(args);
    assert.equal(linesOf(output).length, 55);
    await hookline([...args, "--append"]);
    assert.equal(linesOf(output).length, 110);
  }),
);

Deno.test(
  "trace takes layers, stats, module inputs, and runs once for each step",
  inFolder(async (folder) => {
    const output = join(folder, "trace.jsonl");
    const outcome = await called([
      ...["trace", BERT, ...BERT_INPUTS, "--output", output, "--layers", "query$"],
      ...["--stats", "max,shape", "--steps", "0,-1", "--module-inputs", "--no-header"],
    ]);
    assert.equal(outcome.stdout, `12 records of 3 modules in ${output}\n`, outcome.stderr);
    const lines = linesOf(output);
    assert.deepEqual(lines.map(({ step }) => step), [...Array(6).fill(0), ...Array(6).fill(-1)]);
    assert.deepEqual(lines.slice(0, 2).map(({ tensor }) => tensor), ["in[0]", "out"]);
    assert.deepEqual(Object.keys(lines[0] ?? {}), [
      ...["module", "tensor", "step", "max", "shape", "call", "seq", "context"],
    ]);
  }),
);

Deno.test(
  "trace takes labels from a JSON file",
  inFolder(async (folder) => {
    const output = join(folder, "trace.jsonl");
    const labels = join(folder, "labels.json");
    const args = [
      ...["trace", fixturePath("torch/gpt2_past/model.onnx")],
      ...["--inputs", fixturePath("torch/gpt2_past"), "--output", output],
      ...["--layers", "h\\.\\d$", "--labels", labels],
    ];
    writeFileSync(labels, '{"transformer.h.*": ["out[1][0]", "out[1][1]", "out[0]"]}');
    assert.equal((await called(args)).code, 0);
    const tensors = linesOf(output).slice(1, 4).map(({ tensor }) => tensor);
    assert.deepEqual(tensors, ["out[0]", "out[1][0]", "out[1][1]"]);
    for (const text of ["[1]", "{", "7"]) {
      writeFileSync(labels, text);
      assertTwoLines(await called(args), "FILE_FORMAT");
    }
    rmSync(labels);
    assertTwoLines(await called(args), "FILE_READ");
  }),
);

Deno.test(
  "trace refuses what it cannot do with status 2, and writes nothing",
  inFolder(async (folder) => {
    const output = join(folder, "never.jsonl");
    const args = ["trace", BERT, ...BERT_INPUTS, "--output", output, "--json"];
    const codeOf = async (...more: readonly string[]) =>
      errorOf(await called([...args, ...more]))["code"];
    assert.equal(await codeOf("--stats", "median"), "OPTION_INVALID");
    assert.equal(await codeOf("--steps", "0,x"), "OPTION_INVALID");
    assert.equal(await codeOf("--layers", "encodr"), "HOOK_MATCH_EMPTY");
    assert.equal(await codeOf("--layers", "("), "SELECTOR_SYNTAX");
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    writeFileSync(join(folder, "file"), "");
    const blocked = join(folder, "file", "trace.jsonl");
    const failed = errorOf(await called([...args, "--output", blocked]));
    assert.equal(failed["code"], "FILE_WRITE");
  }),
);
