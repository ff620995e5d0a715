import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { fastvideoTrace, row, trace, TraceFolder } from "../parity/_traces.ts";
import { assertTwoLines, called, documentOf, errorOf, hookline } from "./_hookline.ts";

const BERT = fastvideoTrace("bert");

Deno.test("hookline report writes a page with no grant but to read and write", async () => {
  using folder = new TraceFolder();
  const html = folder.text("").replace(/\.jsonl$/, ".html");
  const outcome = await hookline(["report", BERT, "--html", html, "--json"], {
    grants: ["--allow-read", "--allow-write"],
  });
  assert.deepEqual([outcome.code, outcome.stderr], [0, ""]);
  assert.deepEqual(documentOf(outcome), {
    html,
    byteLength: statSync(html).size,
    records: 64,
    modules: 64,
    notFinite: 0,
    damagedLines: 0,
  });
  assert.match(readFileSync(html, "utf8"), /^<!DOCTYPE html>[^]*encoder\.layer\.0[^]*<\/html>\n$/);
});

Deno.test("hookline report tells people what was drawn and what was left out", async () => {
  using folder = new TraceFolder();
  const rows = [...trace(3), row("bad", { max: "NaN" }), '{"module": "la'];
  const html = folder.text("");
  const { stdout, code } = await called(["report", folder.write(rows, ""), "--html", html]);
  assert.equal(code, 0);
  assert.match(stdout, /^4 records of 4 modules in \S+ \([\d.]+ KiB\)\n/);
  assert.match(stdout, /\n {2}1 record with NaN or infinities\n {2}1 damaged line left out\n$/);
});

Deno.test("hookline report refuses wrong use with an error document", async () => {
  using folder = new TraceFolder();
  const code = async (...args: string[]) =>
    errorOf(await called(["report", ...args, "--json"]))["code"];
  assert.equal(await code(BERT), "CLI_USAGE");
  assert.equal(await code("/nowhere.jsonl", "--html", folder.text("")), "FILE_READ");
  assert.equal(await code(folder.text("{}\n"), "--html", folder.text("")), "FILE_FORMAT");
  assert.equal(await code(BERT, "--html", "/nowhere/report.html"), "FILE_WRITE");
  assertTwoLines(await called(["report", BERT, "--html", "/nowhere/a.html"]), "FILE_WRITE");
});
