// The report of two traces as a page. A diff keeps one worst difference a tensor; what each step was off by
// is gathered by `diffHeat` while the files are read.

import type {
  ModuleDifference,
  OneSidedRecords,
  TraceDiff,
  TraceDifference,
  TraceFileFacts,
} from "../trace_verdict.ts";
import { TOLERANCE_SCALE } from "./_level_scale.ts";
import { type ModuleFacts, pageRows } from "./_page_rows.ts";
import { plural, visibleName } from "./_page_text.ts";
import { numberText } from "./_page_values.ts";
import type { ReportContent, TextTable, Words } from "./_report_content.ts";
import { listOf, widthNote } from "./_report_lists.ts";
import { reportPage } from "./_report_page.ts";
import type { DiffHeatTable } from "./diff_heat.ts";

/** How many of the worst differences stand on top; the tree has the others. */
const RANKED = 5;
const ABOUT =
  "The largest error of a record's statistics, over what is tolerated for it. The number " +
  "beside a module is the worst of all its records.";

/**
 * The answer of `diffTraces` as one self-contained HTML file: no network, no other file. The first
 * divergence stands on top in words, below it the module tree with a heat map by step.
 *
 * @param heat What `diffHeat` gathered during the diff.
 *
 * @example
 * ```ts ignore
 * import { diffTraces } from "../trace_diff.ts";
 * import { diffHeat } from "./diff_heat.ts";
 * import { diffReportHtml } from "./diff_report_html.ts";
 * const heat = diffHeat();
 * const diff = await diffTraces("torch.jsonl", "onnx.jsonl", { onCompared: heat.onCompared });
 * await Deno.writeTextFile("report.html", diffReportHtml(diff, heat.finish()));
 * ```
 */
export function diffReportHtml(diff: TraceDiff, heat: DiffHeatTable): string {
  const { status, first, reference, candidate } = diff;
  const { data, rowOf, notes } = pageRows({
    columns: heat.grid.columns,
    columnNoun: heat.grid.columnNoun,
    modules: moduleFacts(diff, heat),
    measures: [{
      name: "error over tolerance",
      about: ABOUT,
      scale: TOLERANCE_SCALE,
      value: ratioOf(diff),
      cells: heat.grid.cells(0),
    }],
    first: first?.module ?? null,
  });
  const worst = diff.worst.slice(0, RANKED);
  return reportPage({
    title: `Hookline diff: ${visibleName(reference.path)} and ${visibleName(candidate.path)}`,
    status,
    tone: status === "same" ? "good" : status === "diverged" ? "bad" : "unsure",
    answer: answerOf(diff),
    ranking: worst.length === 0 ? null : {
      table: differenceTable("The worst differences", worst),
      rows: worst.map(({ module }) => rowOf(module)),
    },
    facts: factsOf(diff),
    lists: [
      ...listOf("Notes", [
        ...diff.notes.map((note): Words => [note]),
        ...notes,
        ...heat.grid.width === 1 ? [] : [widthNote(heat.grid)],
      ]),
      ...listOf("Renamed", renameWords(diff)),
      ...oneSidedList("the reference", diff.onlyReference),
      ...oneSidedList("the candidate", diff.onlyCandidate),
      ...listOf("Damaged lines", [
        ...damageWords("reference", reference),
        ...damageWords("candidate", candidate),
      ]),
      ...listOf(
        "Differences of the headers",
        diff.headers.map(({ field, reference: left, candidate: right }): Words => [
          { name: field },
          ": ",
          { name: textOf(left) },
          " and ",
          { name: textOf(right) },
        ]),
      ),
    ],
    data,
  });
}

function answerOf(diff: TraceDiff): Words[] {
  const { first, worst: [worst], status, statistics, compared, problem } = diff;
  const said: Words[] = [];
  if (first !== null) {
    said.push(["First off at ", { name: first.module }, `, ${placeText(first)}.`]);
    said.push([differenceText(first)]);
    if (worst !== undefined && worst !== first) {
      said.push([
        "Worst at ",
        { name: worst.module },
        `, ${placeText(worst)}: ${differenceText(worst)}`,
      ]);
    }
    said.push([
      `Line ${first.referenceLine} of the reference, line ${first.candidateLine} of the candidate.`,
    ]);
  } else {
    said.push([
      status === "incomparable"
        ? "The traces have too little in common to be compared."
        : `${plural(statistics.values, "value")} of ${plural(compared, "record")} agree.`,
    ]);
  }
  if (problem !== null) said.push([`${problem.message}. ${problem.fix}.`]);
  const { reference, candidate } = diff;
  said.push([
    `${plural(diff.diverged, "record")} of ${diff.aligned} aligned ones diverge. ` +
    `${candidate.alignedModules} of the candidate's ${
      plural(candidate.modules, "module")
    } are aligned; ` +
    `the reference has ${reference.modules}.`,
  ]);
  return said;
}

function placeText({ tensor, step, call }: TraceDifference): string {
  return `${visibleName(tensor)}, ${step === null ? "" : `step ${step}, `}call ${call}`;
}

function differenceText(
  { stat, reference, candidate, error, tolerance, ratio }: TraceDifference,
): string {
  const values = `${visibleName(stat)} ${textOf(reference)} became ${textOf(candidate)}`;
  if (error === null || !(ratio < Infinity)) return `${values}.`;
  return `${values}: off by ${numberText(error)}, ${numberText(ratio)} times the ` +
    `${numberText(tolerance)} that are tolerated.`;
}

function differenceTable(caption: string, found: readonly TraceDifference[]): TextTable {
  return {
    caption,
    head: [
      "module",
      "tensor",
      "step",
      "call",
      "statistic",
      "reference",
      "candidate",
      "× tolerance",
    ],
    rows: found.map(({ module, tensor, step, call, stat, reference, candidate, ratio }) => [
      visibleName(module),
      visibleName(tensor),
      step === null ? "–" : String(step),
      String(call),
      visibleName(stat),
      textOf(reference),
      textOf(candidate),
      ratio < Infinity ? numberText(ratio) : "not comparable",
    ]),
  };
}

function moduleFacts(diff: TraceDiff, { grid, levels }: DiffHeatTable): ModuleFacts[] {
  const series = Map.groupBy(
    grid.series.map(({ module, tensor }, at) => ({ module, label: tensor, series: at })),
    ({ module }) => module,
  );
  const first = diff.first?.module;
  return diff.modules.map((row): ModuleFacts => {
    const counts = levels.get(row.module);
    return {
      path: row.module,
      weight: row.module === first ? Infinity : row.ratio ?? 0,
      about: aboutOf(row),
      badge: row.module === first ? "first to diverge" : "",
      lines: linesOf(row),
      tables: row.worst === null ? [] : [worstTable(row.worst)],
      histograms: counts === undefined ? [] : [{
        caption: "Pairs of records by error over tolerance",
        bins: TOLERANCE_SCALE.levels.map((label, level) => ({ label, count: counts[level] ?? 0 })),
      }],
      tensors: series.get(row.module) ?? [],
    };
  });
}

function ratioOf({ modules }: TraceDiff): (path: string) => number | null {
  const ratios = new Map(modules.map(({ module, ratio }) => [module, ratio]));
  return (path) => ratios.get(path) ?? null;
}

function aboutOf({ aligned, onlyReference, onlyCandidate }: ModuleDifference): string {
  if (aligned > 0) return "";
  return onlyReference > 0 ? "reference only" : onlyCandidate > 0 ? "candidate only" : "";
}

function linesOf(row: ModuleDifference): string[] {
  const { candidateModule, aligned, diverged, onlyReference, onlyCandidate } = row;
  return [
    ...(candidateModule === undefined ? [] : [`In the candidate: ${visibleName(candidateModule)}`]),
    `${diverged} of ${plural(aligned, "pair")} of records diverge`,
    ...(onlyReference > 0 ? [`${plural(onlyReference, "record")} of the reference alone`] : []),
    ...(onlyCandidate > 0 ? [`${plural(onlyCandidate, "record")} of the candidate alone`] : []),
  ];
}

function worstTable(worst: TraceDifference): TextTable {
  const { stat, reference, candidate, error, tolerance, ratio, referenceLine, candidateLine } =
    worst;
  return {
    caption: `Its worst record: ${placeText(worst)}`,
    head: ["", visibleName(stat)],
    rows: [
      ["reference", textOf(reference)],
      ["candidate", textOf(candidate)],
      ["error", error === null ? "–" : numberText(error)],
      ["tolerated", numberText(tolerance)],
      ["× tolerance", ratio < Infinity ? numberText(ratio) : "not comparable"],
      ["lines", `${referenceLine} and ${candidateLine}`],
    ],
  };
}

function factsOf(diff: TraceDiff): [string, string][] {
  const { reference, candidate, statistics, window } = diff;
  const fileText = ({ path, lines, records, modules, damagedLines }: TraceFileFacts) =>
    `${visibleName(path)}: ${plural(records, "record")} of ${plural(modules, "module")} in ` +
    plural(lines, "line") + (damagedLines > 0 ? `, ${damagedLines} of them damaged` : "");
  const names = (list: readonly string[]) => list.map(visibleName).join(", ");
  return [
    ["reference", fileText(reference)],
    ["candidate", fileText(candidate)],
    ["statistics compared", names(statistics.compared)],
    ...(["onlyReference", "onlyCandidate"] as const).flatMap((side): [string, string][] =>
      statistics[side].length === 0 ? [] : [[
        side === "onlyReference" ? "in the reference alone" : "in the candidate alone",
        names(statistics[side]),
      ]]
    ),
    ["window", plural(window, "record")],
  ];
}

function renameWords({ renames }: TraceDiff): Words[] {
  return renames.map(({ reference, candidate, by, modules }) => [
    { name: reference === "" ? "(nothing)" : reference },
    " is ",
    { name: candidate === "" ? "(nothing)" : candidate },
    ` in the candidate, for ${plural(modules, "module")} (${by})`,
  ]);
}

function oneSidedList(side: string, records: readonly OneSidedRecords[]): ReportContent["lists"] {
  const count = records.reduce((sum, item) => sum + item.records, 0);
  return listOf(
    `${plural(count, "record")} of ${side} alone`,
    records.map(({ module, tensor, records: own, line }): Words => [
      { name: module },
      ` ${visibleName(tensor)}: ${plural(own, "record")}, the first in line ${line}`,
    ]),
  );
}

function damageWords(side: string, { damage }: TraceFileFacts): Words[] {
  return damage.map(({ line, reason }): Words => [`line ${line} of the ${side}: ${reason}`]);
}

function textOf(value: unknown): string {
  if (typeof value === "number") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "nothing";
  return visibleName(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
