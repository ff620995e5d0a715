import assert from "node:assert/strict";
import { cellAt } from "../../../parity/report/_page_values.ts";
import { diffHeat } from "../../../parity/report/diff_heat.ts";
import { diffReportHtml } from "../../../parity/report/diff_report_html.ts";
import { diffTraces } from "../../../parity/trace_diff.ts";
import type { TraceDiff } from "../../../parity/trace_verdict.ts";
import { fastvideoRows, fastvideoTrace, row, trace, TraceFolder } from "../_traces.ts";
import { dataOf, HOSTILE } from "./_reports.ts";

async function reportOf(
  reference: string,
  candidate: string,
): Promise<{ readonly html: string; readonly diff: TraceDiff }> {
  const heat = diffHeat();
  const diff = await diffTraces(reference, candidate, { onCompared: heat.onCompared });
  return { html: diffReportHtml(diff, heat.finish()), diff };
}

Deno.test("diffReportHtml() names the first divergence of FastVideo's bert trace and opens its row", async () => {
  using folder = new TraceFolder();
  const rows = fastvideoRows("bert");
  const bad = rows.map((item, at) => at < 20 ? item : { ...item, max: 9 + at });
  const { html, diff } = await reportOf(fastvideoTrace("bert"), folder.write(bad));
  const module = String(rows[20]?.["module"]);
  assert.equal(diff.first?.module, module);
  assert.ok(html.includes(`<h1>First off at <code>${module}</code>, out, call 0.</h1>`));
  assert.match(
    html,
    /<p>max 0\.\d+ became 29: off by [\d.]+, [\d.e]+ times the [\d.e-]+ that are tolerated\.<\/p>/,
  );
  assert.match(html, /44 records of 64 aligned ones diverge/);
  const { rows: found, firstRow, columns, columnNoun, measures: [measure] } = dataOf(html);
  assert.deepEqual([columns, columnNoun], [["0"], "call"]);
  assert.deepEqual([found[firstRow]?.path, found[firstRow]?.badge], [module, "first to diverge"]);
  for (const { module: path, ratio } of diff.modules) {
    const at = found.findIndex((item) => item.path === path);
    const shown = cellAt(measure?.values ?? "", at) ?? NaN;
    assert.ok(Math.abs(shown - (ratio ?? 0)) <= 1e-4 * (ratio ?? 0), path);
    assert.equal(cellAt(measure?.cells ?? "", found[at]?.firstSeries ?? 0), shown);
  }
  // Every ranked module has a button that leads to its row.
  const goals = [...html.matchAll(/data-go="(\d+)">([^<]*)</g)].map(([, at, name]) => [at, name]);
  assert.equal(goals.length, 5);
  for (const [at, name] of goals) assert.equal(found[Number(at)]?.path, name);
});

Deno.test("diffReportHtml() says same, damaged and one-sided in words", async () => {
  using folder = new TraceFolder();
  const rows = [...trace(4), row("extra")];
  const { html } = await reportOf(
    folder.write(rows),
    folder.write([...trace(4), '{"module": "lay'], ""),
  );
  assert.match(html, /<p class="status">same<\/p>\n<h1>32 values of 4 records agree\.<\/h1>/);
  assert.match(
    html,
    /<summary>1 record of the reference alone<\/summary><ul><li><code>extra<\/code>/,
  );
  assert.match(
    html,
    /<summary>Damaged lines<\/summary><ul><li>line 5 of the candidate: the file ends/,
  );
  const far = await reportOf(folder.write([row("a.b")]), folder.write([row("c.d")]));
  assert.match(far.html, /class="unsure"[^]*too little in common to be compared/);
  const { rows: found } = dataOf(far.html);
  assert.deepEqual(found.map(({ path, about }) => [path, about]), [
    ["a", ""],
    ["a.b", "reference only"],
    ["c", ""],
    ["c.d", "candidate only"],
  ]);
});

Deno.test("diffReportHtml() escapes names, labels and values of both files", async () => {
  using folder = new TraceFolder();
  const rows = [row(HOSTILE, { tensor: HOSTILE, note: HOSTILE }), row("b")];
  const { html } = await reportOf(
    folder.write(rows),
    folder.write(rows.map((item) => ({ ...item, dtype: HOSTILE, max: 7 }))),
  );
  assert.equal([...html.matchAll(/<script/g)].length, 2);
  assert.ok(!html.includes("\u202e") && !html.includes("<!--"));
  assert.ok(html.includes("&lt;script&gt;alert(1)&lt;/script&gt;"));
});

Deno.test("diffReportHtml() of 2,000 modules and 50 steps stays below 2 MB", async () => {
  using folder = new TraceFolder();
  const rows = trace(2_000, 50);
  const bad = rows.map((item, at) => at === 60_700 ? { ...item, max: 3 } : item);
  const { html } = await reportOf(folder.write(rows), folder.write(bad));
  const data = dataOf(html);
  assert.deepEqual([data.rows.length, data.columns.length], [2_001, 50]);
  assert.equal(data.rows[data.firstRow]?.path, "layers.700");
  const from = (data.rows[data.firstRow]?.firstSeries ?? 0) * 50;
  const line = Array.from(
    { length: 50 },
    (_, at) => cellAt(data.measures[0]?.cells ?? "", from + at),
  );
  assert.deepEqual(line.map((value, at) => (value ?? 0) > 1 ? at : -1).filter((at) => at >= 0), [
    30,
  ]);
  assert.ok(html.length < 2_000_000, `${html.length}`);
});
