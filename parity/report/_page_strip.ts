// The heat map of the page: one strip of cells a row, drawn when it comes into view. Cells have the colour of
// their level and, where there is room, its sign or the number itself. Part of the page's script.

import type { PageBrush, PageDocument, PageElement, PageWindow } from "./_page_dom.ts";
import { cellAt, levelOf, numberText } from "./_page_values.ts";
import type { Measure, ModuleRow, PageData } from "./_report_content.ts";

/** Colours and sizes that all strips share. */
export interface StripStyle {
  /** Background and text of each level. */
  readonly levels: readonly { readonly fill: string; readonly ink: string }[];
  readonly cursor: string;
  readonly ink: string;
  readonly fontFamily: string;
  /** Pixels of a cell. */
  readonly cellWidth: number;
  readonly scale: number;
}

/** Reads colours from the legend, and how much room there is. */
export function stripStyle(page: PageDocument, view: PageWindow, data: PageData): StripStyle {
  const levels = [...page.querySelectorAll("#legend .chip")].map((chip) => {
    const { backgroundColor, color } = view.getComputedStyle(chip);
    return { fill: backgroundColor, ink: color };
  });
  const { color, fontFamily } = view.getComputedStyle(page.documentElement);
  const columns = Math.max(1, data.columns.length);
  const depth = data.rows.reduce((most, row) => Math.max(most, row.depth), 0);
  const pane = page.getElementById("tree")?.clientWidth ?? 0;
  const isNarrow = view.innerWidth <= 900;
  // Beside the names where there is room, below them in a narrow window: as the style sheet has it.
  const room = isNarrow ? pane - 16 - 10 * depth : Math.min(480, pane - 240 - 18 * depth);
  const widest = columns > 4 ? 28 : isNarrow ? 48 : 72;
  const cellWidth = Math.max(1, Math.min(widest, Math.floor(Math.max(96, room) / columns)));
  return {
    levels,
    cursor: color,
    ink: color,
    fontFamily,
    cellWidth,
    scale: Math.max(1, view.devicePixelRatio),
  };
}

/** A canvas made ready for so many cells. */
export function stripBrush(
  canvas: PageElement,
  columns: number,
  height: number,
  { cellWidth, scale }: StripStyle,
): PageBrush | null {
  canvas.width = Math.ceil(columns * cellWidth * scale);
  canvas.height = Math.ceil(height * scale);
  const brush = canvas.getContext("2d");
  brush?.setTransform(scale, 0, 0, scale, 0, 0);
  return brush;
}

/** The worst of a module's tensors in a column: NaN and infinities first, then the largest magnitude. */
export function moduleCell(
  row: ModuleRow,
  column: number,
  { columns }: PageData,
  measure: Measure,
): number | null {
  let worst: number | null = null;
  for (let at = 0; at < row.tensors.length; at++) {
    const value = cellAt(measure.cells, (row.firstSeries + at) * columns.length + column);
    if (value === null) continue;
    const isWorse = worst === null || Number.isNaN(value) || Math.abs(value) > Math.abs(worst);
    if (isWorse) worst = value;
  }
  return worst;
}

/** Draws one row's strip. */
export function drawStrip(
  canvas: PageElement,
  row: ModuleRow,
  data: PageData,
  measure: Measure,
  style: StripStyle,
  cursor: number,
): void {
  const height = 18;
  const { cellWidth, levels, fontFamily } = style;
  const brush = stripBrush(canvas, data.columns.length, height, style);
  if (brush === null || row.tensors.length === 0) return;
  const gap = cellWidth >= 6 ? 1 : 0;
  brush.font = `11px ${fontFamily}`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  for (let column = 0; column < data.columns.length; column++) {
    const value = moduleCell(row, column, data, measure);
    if (value === null) continue;
    const level = levelOf(value, measure.edges);
    const { fill, ink } = levels[level] as { fill: string; ink: string };
    brush.fillStyle = fill;
    brush.fillRect(column * cellWidth, 1, cellWidth - gap, height - 2);
    if (cellWidth < 12) continue;
    brush.fillStyle = ink;
    const text = cellWidth >= 48 ? numberText(value) : level === 7 ? "!" : String(level);
    brush.fillText(text, column * cellWidth + (cellWidth - gap) / 2, height / 2 + 0.5);
  }
  if (cursor < 0) return;
  brush.strokeStyle = style.cursor;
  brush.lineWidth = 2;
  const width = Math.max(2, cellWidth - gap);
  brush.strokeRect(cursor * cellWidth + 1, 1, Math.max(1, width - 2), height - 2);
}

/** Draws the columns' labels, as many as there is room for. */
export function drawHead(canvas: PageElement, data: PageData, style: StripStyle): void {
  const { columns } = data;
  const { cellWidth, ink, fontFamily } = style;
  const brush = stripBrush(canvas, columns.length, 18, style);
  if (brush === null) return;
  brush.font = `11px ${fontFamily}`;
  brush.textBaseline = "middle";
  brush.fillStyle = ink;
  brush.textAlign = "left";
  const widths = columns.map((label) => brush.measureText(label).width);
  const needed = (Math.max(...widths) + 8) / cellWidth;
  const stride = [1, 2, 5, 10, 20, 50, 100].find((size) => size >= needed) ?? columns.length;
  for (let at = 0; at < columns.length; at += stride) {
    const width = widths[at] as number;
    const left = width > cellWidth ? at * cellWidth : (at + 0.5) * cellWidth - width / 2;
    if (left + width <= columns.length * cellWidth) brush.fillText(columns[at] as string, left, 9);
  }
}
