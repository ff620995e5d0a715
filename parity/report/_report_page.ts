// One report as one HTML file: no network, no other file, no code but its own. The answer, the ranking and the
// facts are plain HTML; tree, heat map and panel are drawn by the page's script from the data beside it.
//
// Invariant: the page's policy names its script and its style by their hashes, so nothing that a model's
// names could smuggle in would run, even if it were not escaped.

import { createHash } from "node:crypto";
import * as detail from "./_page_detail.ts";
import * as main from "./_page_main.ts";
import * as strip from "./_page_strip.ts";
import { PAGE_STYLE } from "./_page_style.ts";
import { escapeHtml, scriptJson, visibleContent, wordsHtml, wordsText } from "./_page_text.ts";
import * as tree from "./_page_tree.ts";
import * as state from "./_page_tree_state.ts";
import * as values from "./_page_values.ts";
import type { ReportContent } from "./_report_content.ts";

/** The page's script: the text of every function of the `_page_*` files that run in the page. */
const PAGE_SCRIPT: string = [
  `"use strict";`,
  ...[values, state, tree, strip, detail, main].flatMap((file) => Object.values(file)).map(String),
  `${main.runPage.name}(document, window);`,
].join("\n");

/** The page. */
export function reportPage(made: ReportContent): string {
  const content = visibleContent(made);
  const { title, status, tone, answer, data } = content;
  const [first, ...others] = answer;
  const scale = data.measures[0]?.isTolerance === true ? "tolerance" : "magnitude";
  const policy = `default-src 'none'; script-src '${hashOf(PAGE_SCRIPT)}'; ` +
    `style-src '${hashOf(PAGE_STYLE)}'; base-uri 'none'; form-action 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="${escapeHtml(first === undefined ? "" : wordsText(first))}">
<title>${escapeHtml(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body data-scale="${scale}">
<header><p>${escapeHtml(title)}</p><button id="theme" type="button">Theme</button></header>
<main>
<section id="answer" class="${tone}" aria-label="Answer">
<p class="status">${escapeHtml(status)}</p>
<h1>${first === undefined ? "" : wordsHtml(first)}</h1>
${others.map((words) => `<p>${wordsHtml(words)}</p>`).join("\n")}
${rankingHtml(content)}
</section>
${modulesHtml(content)}
${content.lists.map(listHtml).join("\n")}
<details open><summary>What was compared</summary>
<dl>${content.facts.map(factHtml).join("\n")}</dl></details>
</main>
<script type="application/json" id="data">${scriptJson(data)}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}

function rankingHtml({ ranking }: ReportContent): string {
  if (ranking === null) return "";
  const { table, rows } = ranking;
  const cellHtml = (text: string, at: number, row: number): string => {
    const escaped = escapeHtml(text);
    if (at > 0) return `<td>${escaped}</td>`;
    return row < 0
      ? `<td>${escaped}</td>`
      : `<td><button type="button" data-go="${row}">${escaped}</button></td>`;
  };
  return `<div class="scroll"><table><caption>${escapeHtml(table.caption)}</caption>
<thead><tr>${
    table.head.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join("")
  }</tr></thead>
<tbody>
${
    table.rows.map((cells, line) =>
      `<tr>${cells.map((text, at) => cellHtml(text, at, rows[line] ?? -1)).join("")}</tr>`
    ).join("\n")
  }
</tbody></table></div>`;
}

function modulesHtml({ data }: ReportContent): string {
  const [measure] = data.measures;
  if (measure === undefined) return "";
  const options = data.measures.map(({ name }, at) =>
    `<option value="${at}">${escapeHtml(name)}</option>`
  );
  const choice = options.length < 2
    ? ""
    : `<label>Show <select id="measure">${options.join("")}</select></label>`;
  const onlyBad = measure.isTolerance ? "only beyond tolerance" : "only NaN or infinite";
  const legend = measure.levels.map((text, level) =>
    `<li><span class="chip l${level}">${level === 7 ? "!" : level}</span>` +
    `<span class="meaning">${escapeHtml(text)}</span></li>`
  );
  return `<section aria-label="Modules">
<div class="controls">
<label>Filter <input id="filter" type="search" autocomplete="off" spellcheck="false"></label>
<label><input id="only-bad" type="checkbox"> ${onlyBad}</label>
${choice}
<button id="expand" type="button">Open all</button><button id="collapse" type="button">Shut all</button>
<span id="found" role="status"></span>
</div>
<p class="hint" id="about-measure">${escapeHtml(measure.about)}</p>
<ul id="legend" aria-label="Levels">${legend.join("\n")}</ul>
<p class="hint">↑ ↓ move, ← → shut and open, Shift with ← → goes through the columns, / filters.</p>
<div class="panes">
<div>
<div class="head"><span>module</span><canvas id="columns" aria-hidden="true"></canvas></div>
<div id="tree" role="tree" aria-label="Modules"></div>
</div>
<aside id="detail" aria-labelledby="detail-title" tabindex="0"></aside>
</div>
<noscript><p>The module tree needs JavaScript; the answer above does not.</p></noscript>
</section>`;
}

function listHtml({ caption, items }: ReportContent["lists"][number]): string {
  const lines = items.map((words) => `<li>${wordsHtml(words)}</li>`);
  return `<details><summary>${escapeHtml(caption)}</summary><ul>${lines.join("\n")}</ul></details>`;
}

function factHtml([name, value]: readonly [string, string]): string {
  return `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
