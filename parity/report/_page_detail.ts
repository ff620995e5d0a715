// The panel of the page that says everything about the selected module: its tables, its histograms, and the
// numbers behind its strip of the heat map. Part of the page's script.

import type { PageDocument, PageElement } from "./_page_dom.ts";
import { cellAt, levelOf, valueText } from "./_page_values.ts";
import type { Measure, ModuleRow, PageData, TextHistogram, TextTable } from "./_report_content.ts";

/** An element with a class and text. */
export function textElement(
  page: PageDocument,
  name: string,
  className: string,
  text: string,
): PageElement {
  const element = page.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

/** A table; the first cell of a row is its heading. */
export function tableElement(page: PageDocument, { caption, head, rows }: TextTable): PageElement {
  const table = page.createElement("table");
  table.append(textElement(page, "caption", "", caption));
  const headRow = page.createElement("tr");
  for (const text of head) {
    const cell = textElement(page, "th", "", text);
    cell.setAttribute("scope", "col");
    headRow.append(cell);
  }
  const top = page.createElement("thead");
  top.append(headRow);
  const body = page.createElement("tbody");
  for (const row of rows) {
    const line = page.createElement("tr");
    row.forEach((text, at) => {
      const cell = textElement(page, at === 0 ? "th" : "td", "", text);
      if (at === 0) cell.setAttribute("scope", "row");
      line.append(cell);
    });
    body.append(line);
  }
  table.append(top, body);
  return table;
}

/** A histogram as a table whose bars are as long as its counts say. */
export function histogramElement(
  page: PageDocument,
  { caption, bins }: TextHistogram,
): PageElement {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const table = page.createElement("table");
  table.className = "histogram";
  table.append(textElement(page, "caption", "", caption));
  const body = page.createElement("tbody");
  for (const { label, count, mark } of bins) {
    const line = page.createElement("tr");
    const name = textElement(page, "th", mark === true ? "marked" : "", label);
    name.setAttribute("scope", "row");
    const bar = textElement(page, "div", mark === true ? "bar marked" : "bar", "");
    bar.style.setProperty("width", `${(100 * count) / most}%`);
    const cell = page.createElement("td");
    cell.append(bar);
    line.append(name, cell, textElement(page, "td", "count", String(count)));
    body.append(line);
  }
  table.append(body);
  return table;
}

/** The numbers behind a module's strip. */
export function cellTable(
  page: PageDocument,
  row: ModuleRow,
  data: PageData,
  measure: Measure,
  cursor: number,
): PageElement {
  const { columns, columnNoun } = data;
  const table = tableElement(page, {
    caption: `${measure.name}, by ${columnNoun}`,
    head: [columnNoun, ...row.tensors],
    rows: columns.map((label, column) => [
      label,
      ...row.tensors.map((_, at) => {
        const value = cellAt(measure.cells, (row.firstSeries + at) * columns.length + column);
        const level = levelOf(value, measure.edges);
        const sign = level < 0 ? "" : level === 7 ? " [!]" : ` [${level}]`;
        return valueText(value, measure.isTolerance) + sign;
      }),
    ]),
  });
  table.className = "cells";
  if (cursor >= 0) table.dataset["cursor"] = String(cursor);
  return table;
}

/** How many of a measure's values lie on each level, with those of the whole trace beside them. */
export function levelHistogram(row: ModuleRow, data: PageData, measure: Measure): TextHistogram {
  const counts = measure.levels.map(() => 0);
  const width = data.columns.length;
  for (let at = 0; at < row.tensors.length * width; at++) {
    const level = levelOf(cellAt(measure.cells, row.firstSeries * width + at), measure.edges);
    if (level >= 0) counts[level] = (counts[level] as number) + 1;
  }
  return {
    caption: `${measure.name}: cells of the heat map by level`,
    bins: measure.levels.map((label, level) => ({
      label: `${level === 7 ? "!" : level}  ${label}`,
      count: counts[level] as number,
    })),
  };
}

/** Fills the panel. */
export function showDetail(
  page: PageDocument,
  panel: PageElement,
  row: ModuleRow,
  data: PageData,
  measure: Measure,
  cursor: number,
): void {
  const title = textElement(page, "h2", "", row.path === "" ? row.name : row.path);
  title.setAttribute("id", "detail-title");
  const parts = [title];
  if (row.about !== "") parts.push(textElement(page, "p", "about", row.about));
  if (row.badge !== "") parts.push(textElement(page, "p", "badge", row.badge));
  for (const line of row.lines) parts.push(textElement(page, "p", "", line));
  for (const table of row.tables) parts.push(tableElement(page, table));
  for (const histogram of row.histograms) parts.push(histogramElement(page, histogram));
  if (row.tensors.length > 0) {
    if (row.histograms.length === 0) {
      parts.push(histogramElement(page, levelHistogram(row, data, measure)));
    }
    parts.push(cellTable(page, row, data, measure, cursor));
  } else if (row.lines.length === 0) {
    parts.push(textElement(page, "p", "", "Nothing was measured of this module itself."));
  }
  panel.replaceChildren(...parts);
  const place = [...page.querySelectorAll("#detail .cells tbody tr")][cursor];
  place?.setAttribute("class", "cursor");
}
