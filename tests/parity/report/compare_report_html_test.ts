import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ROW_LIMIT } from "../../../parity/report/_module_rows.ts";
import { cellAt } from "../../../parity/report/_page_values.ts";
import { compareReportHtml } from "../../../parity/report/compare_report_html.ts";
import { FAULTY_MODULE, faultyBertReport } from "./_faulty_bert.ts";
import { comparedTensor, dataOf, HOSTILE, madeReport, oddReport } from "./_reports.ts";

/** The page's text outside of scripts and style, without its tags. */
function shownText(html: string): string {
  return html.replaceAll(/<(script|style)[^>]*>.*?<\/\1>/gs, "").replaceAll(/<[^>]*>/g, "")
    .replaceAll("&#39;", "'").replaceAll("&quot;", '"').replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

Deno.test("compareReportHtml() names the module that introduces the error of a real comparison", async () => {
  const report = await faultyBertReport();
  const html = compareReportHtml(report);
  const text = shownText(html);
  assert.match(text, new RegExp(`diverged\\s+${FAULTY_MODULE} introduces the error\\.`));
  assert.match(
    text,
    /Fed with the reference's inputs, its output is off by 0\.25, [\d.e]+ times the/,
  );
  assert.match(text, /\d+ modules pass an error on/);
  assert.match(text, /The model's output last_hidden_state is off by/);
  const { rows, firstRow, columns, measures: [measure] } = dataOf(html);
  assert.deepEqual(columns, ["inherited", "local"]);
  assert.equal(rows[firstRow]?.path, FAULTY_MODULE);
  assert.equal(rows[firstRow]?.badge, "introduces an error");
  assert.equal(rows.filter(({ badge }) => badge !== "").length, 1);
  const ratio = cellAt(measure?.values ?? "", firstRow) ?? 0;
  const wanted = report.introducedBy[0]?.local.ratio ?? 0;
  assert.ok(ratio > 100 && Math.abs(ratio / wanted - 1) < 1e-4, `${ratio} ${wanted}`);
  const [table, ...others] = rows[firstRow]?.tables ?? [];
  assert.deepEqual([table?.head, others], [["", "inherited", "local"], []]);
  assert.deepEqual(table?.rows[1], ["max abs", "0.25", "0.25"]);
  const bins = rows[firstRow]?.histograms[0]?.bins ?? [];
  assert.equal(bins.reduce((sum, { count }) => sum + count, 0), 2 * 7 * 64);
});

Deno.test("compareReportHtml() puts every module before what lies in it, containers too", () => {
  const { rows } = dataOf(compareReportHtml(madeReport([
    comparedTensor("h.0.mlp", [0, 0]),
    comparedTensor("h.0", [0, 0]),
    comparedTensor("head", [0, 0]),
    comparedTensor("", [0, 0]),
  ])));
  assert.deepEqual(
    rows.map(({ path, name, depth }) => [path, name, depth]),
    [
      ["h", "h", 0],
      ["h.0", "0", 1],
      ["h.0.mlp", "mlp", 2],
      ["head", "head", 0],
      ["", "(the model)", 0],
    ],
  );
});

Deno.test("compareReportHtml() says what a report without a guilty module means", () => {
  const same = shownText(compareReportHtml(madeReport([comparedTensor("a", [0, 0.5])])));
  assert.match(same, /same\s+All 1 compared output of 1 module agree within tolerance/);
  const rows = [comparedTensor("a", [2, 0.9]), comparedTensor("", [3, null])];
  const sum = shownText(compareReportHtml(madeReport(rows, [], { status: "diverged" })));
  assert.match(sum, /no single module does: each is within tolerance on the reference's inputs/);
  const torn = [comparedTensor("a", [null, 0]), comparedTensor("", [null, null])];
  const failed = madeReport(torn, [], { status: "diverged", notes: ["node Add failed"] });
  assert.match(
    shownText(compareReportHtml(failed)),
    /gave nothing to compare with[^]*node Add failed/,
  );
  const none = madeReport([], [], { status: "incomparable" });
  assert.match(shownText(compareReportHtml(none)), /too little in common to be compared/);
});

Deno.test("compareReportHtml() lets no name become markup, script or hidden text", () => {
  const html = compareReportHtml(oddReport());
  // One element of each kind: what the page is made of, and nothing out of a name.
  const tags = [...html.replace(/<script>"use strict".*?<\/script>/s, "").matchAll(/<(\w+)/g)]
    .map(([, tag]) => tag);
  assert.equal(tags.filter((tag) => tag === "script").length, 1);
  assert.equal(tags.filter((tag) => tag === "title").length, 1);
  assert.ok(!html.includes("<!--") && !html.includes("alert(1)</script>"));
  assert.ok(!html.includes("\u202e"));
  assert.ok(
    shownText(html).includes(`<script>alert(1)</script>"'&<!--\\u{202e}gnp.\\u{a}</title>`),
  );
  const row = dataOf(html).rows.find(({ badge }) => badge !== "");
  assert.equal(row?.about, HOSTILE.replace("\u202e", "\\u{202e}").replace("\n", "\\u{a}"));
});

Deno.test("compareReportHtml() shows calls, tensors and what could not be had", () => {
  const { rows, columns, measures: [measure] } = dataOf(compareReportHtml(oddReport()));
  assert.deepEqual(columns, ["inherited #0", "local #0", "inherited #1", "local #1"]);
  const at = (path: string) => rows.findIndex((row) => row.path === path);
  const cells = (path: string, tensor = 0) => {
    const from = ((rows[at(path)]?.firstSeries ?? 0) + tensor) * columns.length;
    return columns.map((_, column) => cellAt(measure?.cells ?? "", from + column));
  };
  assert.deepEqual(cells("a.b"), [0, 0, 0.5, 0.5]);
  assert.deepEqual(cells("a.d"), [null, null, null, null]);
  assert.deepEqual(cells("a"), [Infinity, Infinity, null, null]);
  assert.deepEqual(cells("a", 1), [20, 5, null, null]);
  assert.equal(cellAt(measure?.values ?? "", at("a")), Infinity);
  assert.equal(cellAt(measure?.values ?? "", at("a.d")), null);
  assert.match(rows[at("a.d")]?.lines[0] ?? "", /^no partner for <script>/);
  assert.deepEqual(rows[at("a.c")]?.lines, ["In the candidate: x.c"]);
  assert.match(
    rows[at("a.c")]?.tables[0]?.caption ?? "",
    /float32\[3, 4\]; in the candidate float16/,
  );
  assert.deepEqual(rows[at("a")]?.tables[0]?.head, ["", "inherited", "local", "own nodes"]);
});

Deno.test("compareReportHtml() allows its own script and style alone, and names nothing outside", () => {
  const html = compareReportHtml(oddReport());
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? "";
  const hashOf = (text: string | undefined) =>
    `sha256-${createHash("sha256").update(text ?? "").digest("base64")}`;
  const script = /<script>("use strict".*?)<\/script>/s.exec(html)?.[1];
  const style = /<style>(.*?)<\/style>/s.exec(html)?.[1];
  assert.equal(
    policy,
    `default-src 'none'; script-src '${hashOf(script)}'; style-src '${hashOf(style)}'; ` +
      "base-uri 'none'; form-action 'none'",
  );
  assert.doesNotMatch(html, /\b(src|href|action)=|url\(|@import|https?:/);
  assert.doesNotMatch(html, / (style|on\w+)="/);
  assert.equal(html, compareReportHtml(oddReport()));
});

Deno.test("compareReportHtml() keeps the worst of more modules than a page can hold", () => {
  const count = 3 * ROW_LIMIT;
  const rows = Array.from(
    { length: count },
    (_, at) => comparedTensor(`blocks.${at}`, [1, at === count - 1 ? 9 : 0.5], { histogram: null }),
  );
  const html = compareReportHtml(madeReport(rows, [`blocks.${count - 1}`]));
  const data = dataOf(html);
  assert.equal(data.rows.length, ROW_LIMIT);
  assert.equal(data.rows[data.firstRow]?.path, `blocks.${count - 1}`);
  assert.match(
    shownText(html),
    new RegExp(`${count - ROW_LIMIT + 1} modules with the least to show`),
  );
  assert.ok(html.length < 6_000_000, `${html.length}`);
});
