// From what is known of modules to the rows and measures of a page. It knows neither comparison nor trace.

import { encodeCells } from "./_cells.ts";
import type { LevelScale } from "./_level_scale.ts";
import { ROW_LIMIT, treeRows } from "./_module_rows.ts";
import { plural, visibleName } from "./_page_text.ts";
import type { Measure, ModuleRow, PageData, Words } from "./_report_content.ts";

/** A module as the reports know it. */
export interface ModuleFacts {
  readonly path: string;
  /** Which modules stay when there are too many. */
  readonly weight: number;
  readonly about?: string;
  readonly badge?: string;
  readonly lines?: readonly string[];
  readonly tables?: ModuleRow["tables"];
  readonly histograms?: ModuleRow["histograms"];
  /** Its tensors, each with its series in the measures. */
  readonly tensors: readonly { readonly label: string; readonly series: number }[];
}

/** A measure before it is text. */
export interface MeasureFacts {
  readonly name: string;
  readonly about: string;
  readonly scale: LevelScale;
  /** The number beside a module; null where it has none. */
  readonly value: (path: string) => number | null;
  /** Series by series, a number for each column. */
  readonly cells: readonly (readonly (number | null)[])[];
}

/** What a page's data are made of. */
export interface PageFacts {
  readonly columns: readonly string[];
  readonly columnNoun: string;
  readonly modules: readonly ModuleFacts[];
  readonly measures: readonly MeasureFacts[];
  /** The module that the page opens with. */
  readonly first: string | null;
}

/** The data, the row of every module, and a note on modules that found no place. */
export interface PageRows {
  readonly data: PageData;
  readonly rowOf: (path: string) => number;
  readonly notes: readonly Words[];
}

/** Builds the data of a page. */
export function pageRows(facts: PageFacts): PageRows {
  const modules = new Map(facts.modules.map((module) => [module.path, module]));
  const { rows: tree, left } = treeRows(
    modules.keys(),
    (path) => modules.get(path)?.weight ?? 0,
  );
  const places = new Map(tree.map(({ path }, at) => [path, at]));
  const series: number[] = [];
  const rows = tree.map(({ path, name, depth }): ModuleRow => {
    const module = modules.get(path);
    const firstSeries = series.length;
    series.push(...module?.tensors.map((tensor) => tensor.series) ?? []);
    return {
      path: visibleName(path),
      name,
      depth,
      about: visibleName(module?.about ?? ""),
      badge: module?.badge ?? "",
      tensors: module?.tensors.map(({ label }) => visibleName(label)) ?? [],
      firstSeries,
      lines: module?.lines ?? [],
      tables: module?.tables ?? [],
      histograms: module?.histograms ?? [],
    };
  });
  const rowOf = (path: string): number => places.get(path) ?? -1;
  const measures = facts.measures.map(({ name, about, scale, value, cells }): Measure => ({
    name,
    about,
    ...scale,
    values: encodeCells(tree.map(({ path }) => modules.has(path) ? value(path) : null)),
    cells: encodeCells(series.flatMap((at) => cells[at] ?? [])),
  }));
  const { columns, columnNoun, first } = facts;
  return {
    data: { columns, columnNoun, measures, rows, firstRow: first === null ? -1 : rowOf(first) },
    rowOf,
    notes: left === 0 ? [] : [[
      `The tree shows ${plural(ROW_LIMIT, "row")} at most: ${plural(left, "module")} with the ` +
      "least to show are left out.",
    ]],
  };
}
