// The report of a live comparison as a page. It words the answer and lays out each module's two errors: its
// own, on the reference's inputs, beside the one that it has in the candidate's own run.

import {
  type ComparedModel,
  type ComparedTensor,
  type CompareReport,
  HISTOGRAM_EDGES,
  type TensorError,
  type UnmatchedModule,
} from "../compare/compare_report.ts";
import { compareAnswer, cosineText, moduleWord } from "./_compare_answer.ts";
import { TOLERANCE_SCALE } from "./_level_scale.ts";
import { MODEL_NAME } from "./_module_rows.ts";
import { type ModuleFacts, pageRows } from "./_page_rows.ts";
import { plural, visibleName } from "./_page_text.ts";
import { numberText } from "./_page_values.ts";
import type { ReportContent, TextHistogram, TextTable, Words } from "./_report_content.ts";
import { listOf } from "./_report_lists.ts";
import { reportPage } from "./_report_page.ts";

/** How many rows the ranking has, and how many tensors of one module are shown. */
const RANKED = 8;
const TENSORS_SHOWN = 8;

const ABOUT =
  "Error over tolerance of each module's output. Inherited: in the candidate's own run, with " +
  "all that came before. Local: fed with the reference's inputs, so only what the module itself adds.";

/**
 * The report as one self-contained HTML file: no network, no other file. The module that introduces the
 * error stands on top in words, below it the module tree with a heat map of inherited and local errors.
 *
 * @example
 * ```ts ignore
 * import { compareReportHtml } from "./compare_report_html.ts";
 * await Deno.writeTextFile("report.html", compareReportHtml(report));
 * ```
 */
export function compareReportHtml(report: CompareReport): string {
  return reportPage(compareContent(report));
}

function compareContent(report: CompareReport): ReportContent {
  const { reference, candidate, introducedBy, status } = report;
  const { data, rowOf, notes } = pageRows(pageFacts(report));
  return {
    title: `Hookline compare: ${visibleName(reference.path)} and ${visibleName(candidate.path)}`,
    status,
    tone: status === "same" ? "good" : status === "diverged" ? "bad" : "unsure",
    answer: compareAnswer(report),
    ranking: introducedBy.length === 0 ? null : {
      table: rankingTable(report),
      rows: introducedBy.slice(0, RANKED).map(({ module }) => rowOf(module)),
    },
    facts: factsOf(report),
    lists: [
      ...listOf("Notes", [...report.notes.map((note): Words => [note]), ...notes]),
      ...unmatchedList("the reference", report.onlyReference),
      ...unmatchedList("the candidate", report.onlyCandidate),
    ],
    data,
  };
}

function rankingTable({ introducedBy }: CompareReport): TextTable {
  const more = introducedBy.length - RANKED;
  const hasClasses = introducedBy.some(({ className }) => className !== null);
  return {
    caption: "Modules that introduce an error, worst first" +
      (more > 0 ? `; ${more} more stand in the tree` : ""),
    head: [
      "module",
      ...(hasClasses ? ["class"] : []),
      "call",
      "nodes",
      "× tolerance",
      "max abs",
      "max rel",
      "cosine",
      "SQNR dB",
    ],
    rows: introducedBy.slice(0, RANKED).map(({ module, className, call, nodes, local }) => [
      shownName(module),
      ...(hasClasses ? [visibleName(className ?? "")] : []),
      String(call),
      String(nodes),
      ...[local.ratio, local.maxAbs, local.maxRel].map(numberText),
      cosineText(local.cosine),
      numberText(local.sqnrDb),
    ]),
  };
}

function pageFacts(report: CompareReport): Parameters<typeof pageRows>[0] {
  const { modules, introducedBy } = report;
  const calls = Math.max(0, ...modules.map(({ call }) => call)) + 1;
  const columns = Array.from(
    { length: calls },
    (_, call) => calls === 1 ? ["inherited", "local"] : [`inherited #${call}`, `local #${call}`],
  ).flat();
  const groups = Map.groupBy(modules, ({ module }) => module);
  const guilty = new Set(introducedBy.map(({ module }) => module));
  const cells: (number | null)[][] = [];
  const facts: ModuleFacts[] = [];
  const values = new Map<string, number | null>();
  for (const [path, tensors] of groups) {
    const series = [...Map.groupBy(tensors, ({ tensor }) => tensor)].map(([label, found]) => {
      const line = new Array<number | null>(2 * calls).fill(null);
      for (const { call, inherited, local } of found) {
        line[2 * call] = inherited?.ratio ?? null;
        line[2 * call + 1] = local?.ratio ?? null;
      }
      return { label, series: cells.push(line) - 1 };
    });
    const value = worstRatio(tensors.map(({ local }) => local)) ??
      (path === "" ? worstRatio(tensors.map(({ inherited }) => inherited)) : null);
    values.set(path, value);
    facts.push({
      ...moduleFacts(path, tensors, guilty.has(path)),
      weight: guilty.has(path) ? Infinity : value ?? 0,
      tensors: series,
    });
  }
  return {
    columns,
    columnNoun: "run",
    modules: facts,
    measures: [{
      name: "error over tolerance",
      about: ABOUT,
      scale: TOLERANCE_SCALE,
      value: (path) => values.get(path) ?? null,
      cells,
    }],
    first: introducedBy[0]?.module ?? null,
  };
}

function moduleFacts(
  path: string,
  tensors: readonly ComparedTensor[],
  isGuilty: boolean,
): Omit<ModuleFacts, "weight" | "tensors"> {
  const [first] = tensors;
  const partner = first?.candidateModule;
  const ranked = tensors.length <= TENSORS_SHOWN
    ? tensors
    : tensors.toSorted((one, other) => (other.local?.ratio ?? 0) - (one.local?.ratio ?? 0));
  const shown = ranked.slice(0, TENSORS_SHOWN);
  const more = tensors.length - shown.length;
  return {
    path,
    about: first?.className ?? "",
    badge: isGuilty ? "introduces an error" : "",
    lines: [
      ...(partner === undefined ? [] : [`In the candidate: ${visibleName(partner)}`]),
      ...new Set(
        tensors.flatMap(({ problem }) => problem === undefined ? [] : [visibleName(problem)]),
      ),
      ...(more > 0 ? [`The worst ${TENSORS_SHOWN} of ${tensors.length} outputs are shown.`] : []),
    ],
    tables: shown.map(errorTable),
    histograms: shown.flatMap(histogramOf),
  };
}

function errorTable(tensor: ComparedTensor): TextTable {
  const { inherited, local, own } = tensor;
  const errors = own === null ? [inherited, local] : [inherited, local, own];
  const line = (name: string, text: (error: TensorError) => string): string[] => [
    name,
    ...errors.map((error) => error === null ? "–" : text(error)),
  ];
  return {
    caption: tensorText(tensor),
    head: ["", "inherited", "local", "own nodes"].slice(0, errors.length + 1),
    rows: [
      line("× tolerance", ({ ratio }) => numberText(ratio)),
      line("max abs", ({ maxAbs }) => numberText(maxAbs)),
      line("max rel", ({ maxRel }) => numberText(maxRel)),
      line("cosine", ({ cosine }) => cosineText(cosine)),
      line("SQNR, dB", ({ sqnrDb }) => numberText(sqnrDb)),
      line("max ulp", ({ maxUlp }) => maxUlp === null ? "–" : numberText(maxUlp)),
      line("NaN, candidate only", ({ nanCandidate }) => String(nanCandidate)),
      line("NaN, reference only", ({ nanReference }) => String(nanReference)),
      line("differing", ({ differing, elements }) => `${differing} of ${elements}`),
    ],
  };
}

function tensorText(tensor: ComparedTensor): string {
  const { call, dtype, shape, candidateTensor, candidateDtype, candidateShape } = tensor;
  const other = [
    ...(candidateTensor === undefined ? [] : [visibleName(candidateTensor)]),
    ...(candidateDtype === undefined ? [] : [candidateDtype]),
    ...(candidateShape === undefined ? [] : [`[${candidateShape.join(", ")}]`]),
  ];
  const partner = other.length === 0 ? "" : `; in the candidate ${other.join(" ")}`;
  return `${visibleName(tensor.tensor)}, call ${call}: ${dtype}[${shape.join(", ")}]${partner}`;
}

function histogramOf(tensor: ComparedTensor): TextHistogram[] {
  const { histogram } = tensor;
  if (histogram === null) return [];
  const labels = [
    ...HISTOGRAM_EDGES.map((edge, at) => at === 0 ? "equal" : `up to ${edge.toExponential(0)}`),
    "more",
  ];
  return [{
    caption: `${visibleName(tensor.tensor)}, call ${tensor.call}: local |difference| over the ` +
      "reference's largest magnitude, in elements",
    bins: histogram.map((count, at) => ({ label: labels[at] ?? "more", count })),
  }];
}

function factsOf(report: CompareReport): [string, string][] {
  const { reference, candidate, tolerance, memory } = report;
  const modelText = ({ path, nodes, modules, engine, provider, optimization }: ComparedModel) =>
    `${visibleName(path)}: ${plural(nodes, "node")}, ${
      plural(modules, "module")
    }; engine ${engine}, ` +
    `provider ${provider}, optimization ${optimization}`;
  return [
    ["reference", modelText(reference)],
    ["candidate", modelText(candidate)],
    ["structure hashes", `${reference.structureHash} and ${candidate.structureHash}`],
    ...Object.entries(tolerance).map(([dtype, { rtol, atol }]): [string, string] => [
      `tolerance, ${dtype}`,
      `|difference| ≤ ${atol} + ${rtol} × the reference's largest magnitude`,
    ]),
    [
      "activations kept",
      `${memory.peakByteLength} bytes at most of ${memory.budgetByteLength} allowed; ` +
      `${memory.spilledByteLength} bytes went to disk`,
    ],
  ];
}

function unmatchedList(side: string, modules: readonly UnmatchedModule[]): ReportContent["lists"] {
  return listOf(
    `${plural(modules.length, "module")} of ${side} alone`,
    modules.map(({ module, className, why }): Words => [
      moduleWord(module),
      className === null ? "" : ` (${visibleName(className)})`,
      `: ${visibleName(why)}`,
    ]),
  );
}

function shownName(module: string): string {
  return module === "" ? MODEL_NAME : visibleName(module);
}

function worstRatio(errors: readonly (TensorError | null)[]): number | null {
  const ratios = errors.flatMap((error) => error === null ? [] : [error.ratio]);
  return ratios.length === 0 ? null : Math.max(...ratios);
}
