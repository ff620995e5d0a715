import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { TraceDiff } from "../../parity/trace_verdict.ts";
import {
  fastvideoRows,
  fastvideoTrace,
  type Row,
  row,
  trace,
  TraceFolder,
} from "../parity/_traces.ts";
import {
  assertTwoLines,
  called,
  documentOf,
  errorOf,
  hookline,
  type Outcome,
} from "./_hookline.ts";

const BERT = fastvideoTrace("bert");

function diffOf(outcome: Outcome): TraceDiff {
  return documentOf(outcome) as unknown as TraceDiff;
}

function faultyBert(folder: TraceFolder): string {
  const rows: Row[] = fastvideoRows("bert");
  return folder.write(rows.map((item, at) => at < 20 ? item : { ...item, max: 9 + at }));
}

Deno.test("hookline diff ends with 0 for a trace and itself, and needs to read alone", async () => {
  const outcome = await hookline(["diff", BERT, BERT, "--json"], { grants: ["--allow-read"] });
  assert.deepEqual([outcome.code, outcome.stderr], [0, ""]);
  const { status, first, aligned, onlyReference } = diffOf(outcome);
  assert.deepEqual([status, first, aligned, onlyReference], ["same", null, 64, []]);
});

Deno.test("hookline diff ends with 1 and names the first difference", async () => {
  using folder = new TraceFolder();
  const outcome = await called(["diff", BERT, faultyBert(folder), "--json"]);
  assert.deepEqual([outcome.code, outcome.stderr], [1, ""]);
  const { first, diverged, worst, modules } = diffOf(outcome);
  assert.equal(diverged, 44);
  const { module, stat, referenceLine, candidate } = first ?? {};
  const wanted = fastvideoRows("bert")[20]?.["module"];
  assert.deepEqual([module, stat, referenceLine, candidate], [wanted, "max", 21, 29]);
  assert.equal(worst.length, 10);
  const ratios = worst.map(({ ratio }) => ratio);
  assert.deepEqual(ratios, ratios.toSorted((one, other) => other - one));
  assert.equal(modules.length, 64);
});

Deno.test("hookline diff tells people the same, with a table", async () => {
  using folder = new TraceFolder();
  const { stdout, code } = await called(["diff", BERT, faultyBert(folder)]);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^diverged {2}first at encoder\.layer\.\S+ out, call 0\n {2}max {7}\S+ became 29/,
  );
  assert.match(stdout, /\n {2}worst {5}\S+ out, call 0: max {7}\S+ became/);
  assert.match(stdout, /module +diverged +worst, in tolerances/);
  assert.match(stdout, /and 24 further modules; --json lists all/);
  const same = await called(["diff", BERT, BERT]);
  assert.match(same.stdout, /^same {2}512 values of 64 records agree\n/);
});

Deno.test("hookline diff takes tolerances, renames and a window", async () => {
  using folder = new TraceFolder();
  const left = folder.write(trace(4));
  const right = folder.write(
    trace(4).map((item) => ({
      ...item,
      module: String(item["module"]).replace("layers", "h"),
      max: 2.1,
    })),
  );
  const args = ["diff", left, right, "--map", "layers=h", "--json"];
  assert.equal((await called(args)).code, 1);
  assert.equal((await called([...args, "--rtol", "0.1"])).code, 0);
  assert.equal((await called([...args, "--atol", "0.11", "--window", "3"])).code, 0);
});

Deno.test("hookline diff ends with 2 for models that have nothing in common, and says what they have", async () => {
  using folder = new TraceFolder();
  const paths = [folder.write([row("a.b")]), folder.write([row("c.d")])];
  const outcome = await called(["diff", ...paths, "--json"]);
  assert.equal(outcome.code, 2);
  const { status, error } = documentOf(outcome) as { status: string; error: Row };
  assert.deepEqual([status, error["code"]], ["incomparable", "TRACE_INCOMPARABLE"]);
  assert.deepEqual(error["referenceModules"], ["a.b"]);
  assertTwoLines(await called(["diff", ...paths]), "TRACE_INCOMPARABLE");
});

Deno.test("hookline diff ends with 2 for a torn trace whose rest is the same, and with 1 for another", async () => {
  using folder = new TraceFolder();
  const torn = (rows: readonly Row[]) => folder.write([...rows, '{"module": "lay'], "");
  const path = folder.write(trace(4));
  const outcome = await called(["diff", path, torn(trace(4)), "--json"]);
  assert.equal(outcome.code, 2);
  const { status, error } = documentOf(outcome) as { status: string; error: Row };
  assert.deepEqual([status, error["code"]], ["same", "FILE_FORMAT"]);
  assert.match(String(error["message"]), /line 5 of/);
  const text = await called(["diff", path, torn(trace(4))]);
  assert.match(text.stdout, /damaged {3}line 5 of the candidate: the file ends inside it/);
  assert.match(text.stderr, /^error FILE_FORMAT: .*line 5/);
  const [first, ...rest] = trace(4);
  assert.equal((await called(["diff", path, torn([{ ...first, max: 8 }, ...rest])])).code, 1);
});

Deno.test("hookline diff refuses wrong use with an error document", async () => {
  const code = async (...args: string[]) =>
    errorOf(await called(["diff", ...args, "--json"]))["code"];
  assert.equal(await code(BERT), "CLI_USAGE");
  assert.equal(await code(BERT, "/nowhere.jsonl"), "FILE_READ");
  assert.equal(await code(BERT, BERT, "--rtol", "-1"), "OPTION_INVALID");
  assert.equal(await code(BERT, BERT, "--map", "encoder"), "OPTION_INVALID");
  assert.equal(await code(BERT, BERT, "--map", "encoder=no.such"), "OPTION_INVALID");
  assert.equal(await code(BERT, BERT, "--window", "0"), "OPTION_INVALID");
});

Deno.test("hookline diff --html writes a report beside its answer, and names it", async () => {
  using folder = new TraceFolder();
  const html = folder.text("").replace(/\.jsonl$/, ".html");
  const outcome = await called(["diff", BERT, faultyBert(folder), "--html", html, "--json"]);
  assert.equal(outcome.code, 1);
  const { first, html: named } = documentOf(outcome) as unknown as TraceDiff & { html: string };
  assert.equal(named, html);
  assert.ok(readFileSync(html, "utf8").includes(`First off at <code>${first?.module}</code>`));
  const text = await called(["diff", BERT, BERT, "--html", html]);
  assert.match(text.stdout, new RegExp(`\n {2}report {4}${html}\n`));
  assert.match(readFileSync(html, "utf8"), /<p class="status">same<\/p>/);
  const other = folder.write([row("c.d")]);
  assert.equal((await called(["diff", BERT, other, "--html", html])).code, 2);
  assert.match(readFileSync(html, "utf8"), /<p class="status">incomparable<\/p>/);
  const plain = await called(["diff", BERT, BERT, "--json"]);
  assert.ok(!("html" in documentOf(plain)));
});
