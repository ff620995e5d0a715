// The answer of a comparison in words: who brings the error in, who passes it on, what becomes of the outputs.

import type { ComparedTensor, CompareReport, TensorError } from "../compare/compare_report.ts";
import { plural } from "./_page_text.ts";
import { numberText } from "./_page_values.ts";
import type { Words } from "./_report_content.ts";

/** The sentences on top of the page, the verdict first. */
export function compareAnswer(report: CompareReport): Words[] {
  const { status, introducedBy, modules, matchedBy } = report;
  const [worst] = introducedBy;
  const count = new Set(modules.map(({ module }) => module)).size;
  const said: Words[] = [];
  if (worst !== undefined) {
    const isOnly = introducedBy.length === 1;
    said.push([moduleWord(worst.module), ` introduces the ${isOnly ? "" : "largest "}error.`]);
    said.push([
      `Fed with the reference's inputs, its output is ${errorText(worst.local)}.`,
    ]);
    const first = modules.find(({ module, call }) =>
      introducedBy.some((item) => item.module === module && item.call === call)
    );
    if (!isOnly && first !== undefined) {
      said.push([
        `${introducedBy.length} modules introduce an error of their own; the first to run is `,
        moduleWord(first.module),
        ".",
      ]);
    }
  } else if (modules.some(({ module, inherited }) => module === "" && inherited === null)) {
    said.push([
      "The candidate's own run gave nothing to compare with an output: its row says why.",
    ]);
  } else if (status === "diverged") {
    said.push([
      "The models differ, and no single module does: each is within tolerance on the reference's " +
      "inputs, and small errors add up.",
    ]);
  } else if (status === "same") {
    said.push([
      `All ${plural(modules.length, "compared output")} of ${
        plural(count, "module")
      } agree within ` +
      "tolerance.",
    ]);
  } else said.push(["The two models have too little in common to be compared."]);
  const passing = new Set(
    modules.filter(({ inherited, local }) => isBad(inherited) && local !== null && !isBad(local))
      .map(({ module }) => module),
  );
  if (passing.size > 0) {
    said.push([
      `${plural(passing.size, "module")} ${
        passing.size === 1 ? "passes" : "pass"
      } an error on: right ` +
      "on the reference's inputs, off in the candidate's own run.",
    ]);
  }
  said.push(...outputWords(modules));
  const { path, prefix, structure } = matchedBy;
  said.push([
    `Matched: ${path} by path, ${prefix} by prefix, ${structure} by structure; without a partner: ` +
    `${report.onlyReference.length} of the reference, ${report.onlyCandidate.length} of the candidate.`,
  ]);
  return said;
}

/** What became of the model's own outputs. */
function outputWords(modules: readonly ComparedTensor[]): Words[] {
  const outputs = modules.filter(({ module }) => module === "");
  return outputs.filter(({ inherited }) => isBad(inherited)).slice(0, 3).map(
    ({ tensor, inherited }): Words => [
      "The model's output ",
      { name: tensor },
      ` is ${inherited === null ? "" : errorText(inherited)}.`,
    ],
  );
}

function errorText({ maxAbs, ratio, cosine, sqnrDb, nanCandidate }: TensorError): string {
  const nan = nanCandidate > 0 ? `, ${plural(nanCandidate, "element")} NaN` : "";
  if (!(maxAbs < Infinity)) {
    return `not comparable: of another shape, or NaN or infinite on one side alone${nan}`;
  }
  return `off by ${numberText(maxAbs)}, ${numberText(ratio)} times the tolerance (cosine ` +
    `${cosineText(cosine)}, SQNR ${numberText(sqnrDb)} dB${nan})`;
}

/** A module as a word of a sentence. */
export function moduleWord(module: string): Words[number] {
  return module === "" ? "the model itself" : { name: module };
}

/** A cosine in six digits: the last ones are what matters in it. */
export function cosineText(cosine: number): string {
  return String(Number(cosine.toPrecision(6)));
}

function isBad(error: TensorError | null): boolean {
  return error !== null && !(error.ratio <= 1);
}
