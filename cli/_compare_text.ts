// A comparison of two models in words, for people.

import type {
  ComparedTensor,
  CompareReport,
  IntroducingModule,
  TensorError,
} from "../parity/compare/compare_report.ts";
import type { Style } from "./_console.ts";
import type { CompareDocument } from "./compare.ts";
import { plural } from "./_units.ts";

/** How many rows and names are shown. */
const ROWS_SHOWN = 20;
const NAMES_SHOWN = 6;

/** The report as text, without a line end at the end. */
export function compareText(document: CompareDocument, style: Style): string {
  const { status, introducedBy: [first], modules, matchedBy, memory, notes } = document;
  const color = status === "same" ? style.green : style.red;
  const headline = style.bold(color(status));
  const matched = matchedBy.path + matchedBy.prefix + matchedBy.structure;
  const compared = modules.filter(({ local }) => local !== null).length;
  const others = [
    ...(matchedBy.prefix > 0 ? [`${matchedBy.prefix} by a prefix`] : []),
    ...(matchedBy.structure > 0 ? [`${matchedBy.structure} by structure`] : []),
  ];
  return [
    first === undefined
      ? `${headline}  ${agreementText(document, compared, matched)}`
      : `${headline}  brought in by ${style.bold(nameOf(first.module))} ${classText(first)}`,
    ...sideLines(document),
    `  modules   ${matched} matched${others.length === 0 ? "" : `, ${others.join(", ")}`}`,
    ...oneSidedLines("reference", document.onlyReference),
    ...oneSidedLines("candidate", document.onlyCandidate),
    ...(memory.spilledByteLength > 0
      ? [`  memory    ${memory.spilledByteLength} bytes of activations went to a file`]
      : []),
    ...outputLines(modules),
    ...reproLines(document),
    ...(document.html === undefined ? [] : [`  report    ${document.html}`]),
    ...notes.map((note) => `  ${style.yellow("note")}      ${note}`),
    ...tableLines(document, style),
  ].join("\n");
}

/** What agrees; where the verdict is another one all the same, what is missing. */
function agreementText(
  { status, modules }: CompareReport,
  tensors: number,
  matched: number,
): string {
  const missing = modules.filter(({ module, inherited }) => module === "" && inherited === null)
    .map(({ tensor }) => tensor);
  const agree = `${plural(tensors, "tensor")} of ${plural(matched, "module")} agree`;
  if (status === "same" || missing.length === 0) return agree;
  return `nothing was found for the output${missing.length === 1 ? "" : "s"} ${
    missing.join(", ")
  }; ${agree}`;
}

function nameOf(module: string): string {
  return module === "" ? "the model itself" : module;
}

function classText({ className, nodes, call }: IntroducingModule): string {
  const parts = [
    ...(className === null ? [] : [className]),
    plural(nodes, "node"),
    ...(call === 0 ? [] : [`call ${call}`]),
  ];
  return `(${parts.join(", ")})`;
}

function sideLines({ reference, candidate }: CompareReport): string[] {
  return [["reference", reference], ["candidate", candidate]].map(([name, side]) => {
    const { path, engine, provider, optimization } = side as CompareReport["reference"];
    return `  ${name} ${path} on ${provider} (${engine}), optimization ${optimization}`;
  });
}

function oneSidedLines(side: string, modules: CompareReport["onlyReference"]): string[] {
  if (modules.length === 0) return [];
  const names = modules.slice(0, NAMES_SHOWN).map(({ module }) => module).join(", ");
  const more = modules.length - NAMES_SHOWN;
  return [
    `  only in   the ${side}: ${plural(modules.length, "module")}: ${names}` +
    (more > 0 ? `, and ${more} more` : ""),
  ];
}

/** How far the model's own outputs are off. */
function outputLines(modules: readonly ComparedTensor[]): string[] {
  return modules.filter(({ module }) => module === "").map(({ tensor, inherited, problem }) =>
    `  output    ${tensor}: ${
      inherited === null ? problem ?? "not compared" : errorText(inherited)
    }`
  );
}

function errorText({ maxAbs, ratio, cosine, nanCandidate }: TensorError): string {
  if (ratio === 0) return "equal";
  const nan = nanCandidate > 0 ? `, ${nanCandidate} NaN` : "";
  return `off by ${numberText(maxAbs)} (${numberText(ratio)} x the tolerance), cosine ${
    numberText(cosine)
  }${nan}`;
}

function reproLines({ repro }: CompareDocument): string[] {
  if (repro === undefined) return [];
  if (repro === null) return ["  repro     none: no part of a module shows an error alone"];
  return [
    `  repro     ${repro.directory}: ${plural(repro.nodes, "node")} of ${repro.nodesOfModel}, ${
      repro.operators.join(", ")
    }`,
  ];
}

/** The modules that bring an error in, worst first. */
function tableLines({ introducedBy }: CompareReport, style: Style): string[] {
  if (introducedBy.length === 0) return [];
  const cells = introducedBy.slice(0, ROWS_SHOWN).map(({ module, local, own }) => [
    nameOf(module),
    numberText((own ?? local).ratio),
    numberText((own ?? local).maxAbs),
    `${numberText((own ?? local).sqnrDb)} dB`,
  ]);
  const head = ["brings an error in", "in tolerances", "max abs", "signal to noise"];
  const widths = head.map((_, at) =>
    Math.max(...[head, ...cells].map((line) => (line[at] ?? "").length))
  );
  const lineOf = (line: readonly string[]): string =>
    `  ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd();
  const more = introducedBy.length - ROWS_SHOWN;
  return [
    "",
    style.dim(lineOf(head)),
    ...cells.map(lineOf),
    ...(more > 0 ? [`  and ${plural(more, "further module")}; --json lists all`] : []),
  ];
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(3)));
}
