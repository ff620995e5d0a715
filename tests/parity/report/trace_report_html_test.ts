import assert from "node:assert/strict";
import { HooklineError } from "../../../errors/hookline_error.ts";
import { cellAt } from "../../../parity/report/_page_values.ts";
import { traceReportHtml } from "../../../parity/report/trace_report_html.ts";
import { fastvideoRows, fastvideoTrace, row, trace, TraceFolder } from "../_traces.ts";
import { dataOf, HOSTILE } from "./_reports.ts";

Deno.test("traceReportHtml() draws FastVideo's bert trace as it is", async () => {
  const { html, ...counts } = await traceReportHtml(fastvideoTrace("bert"));
  assert.deepEqual(counts, { records: 64, modules: 64, notFinite: 0, damagedLines: 0 });
  assert.match(html, /<h1>Every number of 64 records of 64 modules is finite\.<\/h1>/);
  const { rows, measures, columns } = dataOf(html);
  assert.deepEqual(columns, ["0"]);
  assert.deepEqual(measures.map(({ name }) => name), [
    "abs_mean",
    "sum",
    "min",
    "max",
    "mean",
    "std",
  ]);
  const wanted = fastvideoRows("bert");
  for (const record of wanted) {
    const at = rows.findIndex(({ path }) => path === record["module"]);
    for (const { name, cells, values } of measures) {
      const value = Number(record[name]);
      const shown = cellAt(cells, rows[at]?.firstSeries ?? -1) ?? NaN;
      assert.ok(Math.abs(shown - value) <= 2e-5 * Math.abs(value), `${record["module"]} ${name}`);
      assert.equal(cellAt(values, at), shown);
    }
  }
  const first = rows.find(({ path }) => path === wanted[0]?.["module"]);
  assert.equal(first?.about, "float32[2, 7, 32]");
  assert.equal(first?.tables[0]?.rows.length, 6);
});

Deno.test("traceReportHtml() names the first number that is not finite", async () => {
  using folder = new TraceFolder();
  const rows = [0, 1, 2].flatMap((step) => ["a", "b", "c"].map((name) => row(name, { step })));
  const bad = rows.map((item, at) =>
    at === 4 ? { ...item, min: "NaN" } : at === 8 ? { ...item, nan_count: 2 } : item
  );
  const { html, notFinite } = await traceReportHtml(folder.write(bad));
  assert.equal(notFinite, 2);
  assert.ok(
    html.includes(
      "<h1>First not finite at <code>b</code>, out, step 1, call 1: min is NaN (line 5).</h1>",
    ),
  );
  const { rows: found, firstRow, measures, columns } = dataOf(html);
  assert.deepEqual(columns, ["0", "1", "2"]);
  assert.deepEqual(found.map(({ path, badge }) => [path, badge]), [
    ["a", ""],
    ["b", "first not finite"],
    ["c", "not finite"],
  ]);
  assert.equal(firstRow, 1);
  const min = measures.find(({ name }) => name === "min");
  assert.deepEqual([3, 4, 5].map((at) => cellAt(min?.cells ?? "", at)), [-1.5, NaN, -1.5]);
});

Deno.test("traceReportHtml() levels magnitudes by equal factors between the least and the largest", async () => {
  using folder = new TraceFolder();
  const rows = [0, 1, 10, -100, 1e6].map((sum, at) => row(`m${at}`, { sum }));
  const { html } = await traceReportHtml(folder.write(rows));
  const sum = dataOf(html).measures.find(({ name }) => name === "sum");
  assert.deepEqual(sum?.edges.map((edge) => Math.round(edge)), [10, 100, 1000, 10000, 100000]);
  assert.deepEqual(sum?.levels.slice(0, 3), ["zero", "up to 10", "up to 100"]);
  assert.equal(sum?.levels[6], "up to 1e6");
});

Deno.test("traceReportHtml() keeps records without a step beside steps, and joins what is too many", async () => {
  using folder = new TraceFolder();
  const rows = [row("text"), ...trace(2, 1_000)];
  const { html } = await traceReportHtml(folder.write(rows));
  const { columns, measures: [measure] } = dataOf(html);
  assert.equal(columns[0], "call 0");
  assert.deepEqual(columns.slice(1, 3), ["0–7", "8–15"]);
  assert.equal(columns.length, 126);
  assert.match(html, /Each column of the heat map holds up to 8 steps/);
  const largest = Math.max(
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((step) => 0.5 + ((2 * step) % 97) / 100),
  );
  const shown = cellAt(measure?.cells ?? "", columns.length + 1) ?? 0;
  assert.ok(Math.abs(shown - largest) < 1e-4, `${shown}`);
});

Deno.test("traceReportHtml() reports what is left of a damaged trace, and refuses one without records", async () => {
  using folder = new TraceFolder();
  const torn = await traceReportHtml(folder.write([...trace(3), '{"module": "la'], ""));
  assert.deepEqual([torn.records, torn.damagedLines], [3, 1]);
  assert.match(torn.html, /<li>line 4: the file ends inside it<\/li>/);
  const refused = async (path: string, code: string) =>
    await assert.rejects(
      traceReportHtml(path),
      (error) => error instanceof HooklineError && error.code === code,
    );
  await refused(folder.write([{ type: "header" }]), "FILE_FORMAT");
  await refused("/nowhere.jsonl", "FILE_READ");
});

Deno.test("traceReportHtml() of 2,000 modules and 50 steps stays below 4 MB, names escaped", async () => {
  using folder = new TraceFolder();
  const header = { type: "header", format: "hookline-trace", model: HOSTILE };
  const { html } = await traceReportHtml(
    folder.write([header, row(HOSTILE, { step: 0 }), ...trace(2_000, 50)]),
  );
  assert.equal([...html.matchAll(/<script/g)].length, 2);
  assert.ok(!html.includes("\u202e"));
  const { rows, columns, measures } = dataOf(html);
  assert.deepEqual([rows.length, columns.length, measures.length], [2_003, 50, 6]);
  assert.ok(html.length < 4_000_000, `${html.length}`);
});
