// One trace as a page: what each module put out, by step. Nothing is compared, so there is one verdict only,
// whether every number is finite; the rest is for eyes.
//
// Invariant: the file is read once and memory is that of the heat map, whatever the file's length.

import { HooklineError } from "../../errors/hookline_error.ts";
import { TraceSource } from "../trace_source.ts";
import { magnitudeScale } from "./_level_scale.ts";
import { type MeasureFacts, type ModuleFacts, pageRows } from "./_page_rows.ts";
import { plural, visibleName } from "./_page_text.ts";
import { numberText } from "./_page_values.ts";
import type { ReportContent, TextTable, Words } from "./_report_content.ts";
import { listOf, widthNote } from "./_report_lists.ts";
import { reportPage } from "./_report_page.ts";
import type { GridTable } from "./_step_grid.ts";
import { type NotFinite, type TensorSummary, TraceReading } from "./_trace_reading.ts";

/** How many rows the ranking has, and how long a header's field may be. */
const RANKED = 6;
const FIELD_LENGTH = 300;

/** A trace as a page, and what was read for it. */
export interface TraceReport {
  /** The page. */
  readonly html: string;
  /** How many records the file holds. */
  readonly records: number;
  /** How many modules they are of. */
  readonly modules: number;
  /** How many records hold a NaN or an infinity, or count one. */
  readonly notFinite: number;
  /** Lines that were damaged and left out. */
  readonly damagedLines: number;
}

/**
 * A trace of activations as one self-contained HTML file: no network, no other file. It shows every module
 * with a heat map by step of each statistic, and where the first NaN or infinity came up.
 *
 * @throws {HooklineError} FILE_READ when the file cannot be read, FILE_FORMAT when it holds no record.
 *
 * @example
 * ```ts ignore
 * import { traceReportHtml } from "./trace_report_html.ts";
 * const { html } = await traceReportHtml("activations.jsonl");
 * await Deno.writeTextFile("report.html", html);
 * ```
 */
export async function traceReportHtml(path: string): Promise<TraceReport> {
  await using source = await TraceSource.open(path);
  const reading = new TraceReading();
  while (await source.refill()) {
    for (let record = source.take(); record !== null; record = source.take()) {
      reading.add(record, source.line);
    }
  }
  if (source.recordCount === 0) {
    throw new HooklineError("FILE_FORMAT", {
      message: `cannot report on the trace "${path}": it holds no record`,
      fix: "give the JSONL file that `hookline trace` or an activation trace wrote",
      details: { file: path, lines: source.lineCount, damagedLines: source.damageCount },
    });
  }
  return {
    html: reportPage(traceContent(source, reading)),
    records: source.recordCount,
    modules: reading.moduleCount,
    notFinite: reading.notFinite,
    damagedLines: source.damageCount,
  };
}

function traceContent(source: TraceSource, reading: TraceReading): ReportContent {
  const { first, statistics } = reading;
  const grid = reading.grid.finish();
  const modules = moduleFacts(reading);
  const { data, rowOf, notes } = pageRows({
    columns: grid.columns,
    columnNoun: grid.columnNoun,
    modules,
    measures: statistics.map((name, at) => measureOf(name, at, grid)),
    first: first?.module ?? null,
  });
  const ranked = rankedTensors(reading);
  return {
    title: `Hookline trace: ${visibleName(source.path)}`,
    status: first === null ? "finite" : "not finite",
    tone: first === null ? "good" : "bad",
    answer: [
      first === null
        ? [
          `Every number of ${plural(source.recordCount, "record")} of ` +
          `${plural(reading.moduleCount, "module")} is finite.`,
        ]
        : notFiniteWords(first),
      ...(first === null ? [] : [
        [`${plural(reading.notFinite, "record")} of ${source.recordCount} hold NaN or infinities.`],
      ]),
    ],
    ranking: ranked.length === 0 ? null : {
      table: rankingTable(reading, ranked),
      rows: ranked.map(({ module }) => rowOf(module)),
    },
    facts: factsOf(source, reading, grid),
    lists: [
      ...listOf("Notes", [
        ...source.notes.map((note): Words => [visibleName(note)]),
        ...notes,
        ...(grid.width === 1 ? [] : [widthNote(grid)]),
      ]),
      ...listOf(
        "Damaged lines",
        source.damage.map(({ line, reason }): Words => [`line ${line}: ${reason}`]),
      ),
    ],
    data,
  };
}

function notFiniteWords({ module, tensor, step, call, stat, value, line }: NotFinite): Words {
  const place = `${visibleName(tensor)}, ${step === null ? "" : `step ${step}, `}call ${call}`;
  return [
    "First not finite at ",
    { name: module },
    `, ${place}: ${visibleName(stat)} is ${numberText(value)} (line ${line}).`,
  ];
}

function measureOf(name: string, at: number, grid: GridTable): MeasureFacts {
  const cells = grid.cells(at);
  const values = new Map<string, number>();
  grid.series.forEach(({ module }, series) => {
    for (const value of cells[series] ?? []) {
      const known = values.get(module);
      if (value === null) continue;
      const isLarger = known === undefined || Number.isNaN(value) ||
        Math.abs(value) > Math.abs(known);
      if (isLarger) values.set(module, value);
    }
  });
  return {
    name: visibleName(name),
    about:
      `${visibleName(name)} of each module's output, by magnitude. The number beside a module ` +
      "is the largest of all its records.",
    scale: magnitudeScale(cells.flat()),
    value: (path) => values.get(path) ?? null,
    cells,
  };
}

function moduleFacts({ tensors, statistics }: TraceReading): ModuleFacts[] {
  const all = [...tensors.values()].map((summary, series) => ({ ...summary, series }));
  let isFirst = true;
  return [...Map.groupBy(all, ({ module }) => module)].map(([path, own]): ModuleFacts => {
    const bad = own.reduce((sum, { notFinite }) => sum + notFinite, 0);
    const badge = bad === 0 ? "" : isFirst ? "first not finite" : "not finite";
    if (bad > 0) isFirst = false;
    return {
      path,
      weight: bad > 0 ? Infinity : 0,
      about: own.length === 1 ? tensorText(own[0] as TensorSummary) : plural(own.length, "tensor"),
      badge,
      tables: own.slice(0, RANKED).map((summary) => rangeTable(summary, statistics)),
      tensors: own.map(({ tensor, series }) => ({ label: tensor, series })),
    };
  });
}

function tensorText({ dtype, shape }: TensorSummary): string {
  const sizes = Array.isArray(shape) ? `[${shape.join(", ")}]` : "";
  return visibleName(`${typeof dtype === "string" ? dtype.replace("torch.", "") : ""}${sizes}`);
}

function rangeTable(summary: TensorSummary, statistics: readonly string[]): TextTable {
  const { tensor, records, ranges } = summary;
  const about = tensorText(summary);
  return {
    caption: `${visibleName(tensor)}${about === "" ? "" : ` ${about}`}: ${
      plural(records, "record")
    }`,
    head: ["", "least", "most", "last", "not finite"],
    rows: statistics.flatMap((name, at) => {
      const range = ranges[at];
      if (range === undefined || range.last === null) return [];
      const { least, most, last, notFinite } = range;
      const shown = (value: number) => Number.isFinite(value) ? numberText(value) : "–";
      return [[visibleName(name), shown(least), shown(most), numberText(last), String(notFinite)]];
    }),
  };
}

/** The tensors to look at first: those that are not finite, else those of the largest first statistic. */
function rankedTensors({ tensors, first }: TraceReading): TensorSummary[] {
  const all = [...tensors.values()];
  if (first !== null) return all.filter(({ notFinite }) => notFinite > 0).slice(0, RANKED);
  return all.filter(({ ranges: [range] }) => range !== undefined && range.last !== null)
    .sort((one, other) => largest(other) - largest(one)).slice(0, RANKED);
}

function largest({ ranges: [range] }: TensorSummary): number {
  return range === undefined ? 0 : Math.max(Math.abs(range.least), Math.abs(range.most));
}

function rankingTable({ statistics, first }: TraceReading, ranked: TensorSummary[]): TextTable {
  const name = visibleName(statistics[0] ?? "");
  return {
    caption: first === null ? `The largest ${name}` : "Not finite, in the order of the file",
    head: ["module", "tensor", "records", "not finite", `least ${name}`, `most ${name}`],
    rows: ranked.map(({ module, tensor, records, notFinite, ranges: [range] }) => [
      visibleName(module),
      visibleName(tensor),
      String(records),
      String(notFinite),
      ...[range?.least, range?.most].map((value) =>
        value === undefined || !Number.isFinite(value) ? "–" : numberText(value)
      ),
    ]),
  };
}

function factsOf(
  source: TraceSource,
  { statistics, moduleCount }: TraceReading,
  { columns, columnNoun, width }: GridTable,
): [string, string][] {
  const [header] = source.headers;
  const fields = Object.entries(header ?? {}).filter(([name]) => name !== "type");
  return [
    ["trace", visibleName(source.path)],
    ["records", `${source.recordCount} of ${plural(moduleCount, "module")}`],
    ["lines", `${source.lineCount}, ${source.damageCount} of them damaged`],
    ["statistics", statistics.map(visibleName).join(", ")],
    ["columns", `${columns.length}, of ${plural(width, columnNoun)} each`],
    ...fields.map(([name, value]): [string, string] => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return [`header: ${visibleName(name)}`, visibleName(text.slice(0, FIELD_LENGTH))];
    }),
  ];
}
