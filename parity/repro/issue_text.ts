// The one page that comes with a repro: what differs, by how much, with which versions, how to see it. It
// is meant to be pasted into an issue, so it names no file outside the folder and no path of the machine.

import type { TensorError } from "../compare/compare_report.ts";

/** What the page tells. */
export interface IssueFacts {
  /** The module that errs, by its path; `""` is the model itself. */
  readonly module: string;
  readonly className: string | null;
  readonly call: number;
  /** Operators of the group by how often they stand in it, in execution order. */
  readonly operators: readonly string[];
  readonly referenceOperators: readonly string[];
  /** Nodes of the group, and of the whole candidate. */
  readonly nodes: number;
  readonly nodesOfModel: number;
  /** File names of the two models, without their folders. */
  readonly referenceModel: string;
  readonly candidateModel: string;
  readonly inputs: readonly { readonly name: string; readonly type: string }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly type: string;
    readonly error: TensorError | null;
    readonly tolerance: { readonly rtol: number; readonly atol: number };
  }[];
  /** Why the group cannot run, or null. */
  readonly problem: string | null;
  /** One line each: versions, provider, optimization. */
  readonly settings: readonly string[];
  /** The command that installs onnxruntime-node. Its scripts only fetch GPU libraries, often in vain. */
  readonly installs: string;
  /** True when the reference's nodes lie beside the candidate's. */
  readonly hasReference: boolean;
}

/** The text of `ISSUE.md`. */
export function issueText(facts: IssueFacts): string {
  const { operators, referenceOperators, outputs, problem, hasReference } = facts;
  const [worst] = outputs;
  const where = facts.module === "" ? "the model" : `\`${facts.module}\``;
  const type = facts.className === null ? "" : ` (${facts.className})`;
  const share = (100 * facts.nodes / facts.nodesOfModel).toFixed(1);
  return `# ${headline(operators, worst?.error ?? null)} in ${where}

\`${facts.candidateModel}\` differs from \`${facts.referenceModel}\`: ${where}${type}, call ${facts.call},
brings an error in by itself. The smallest part of it that shows the error has ${facts.nodes} of the model's
${facts.nodesOfModel} nodes (${share} %, constants included): ${list(operators)}.
${
    hasReference
      ? `The reference computes the same with ${list(referenceOperators)}.\n`
      : ""
  }It was fed with the reference's values, so nothing before it takes part.
${problem === null ? "" : `\nIt does not run on them: ${problem}\n`}
## What differs

| output | type | max abs | max rel | SQNR | ulp | NaN | tolerated | times too much |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
${outputs.map(row).join("\n")}

Tolerated is atol + rtol · the reference's largest magnitude${
    worst === undefined ? "" : ` (atol ${worst.tolerance.atol}, rtol ${worst.tolerance.rtol})`
  }.

## How to see it

\`\`\`sh
${facts.installs} && node run.mjs   # prints the error, exits 1 while it is there
\`\`\`

Files: \`candidate.onnx\`${
    hasReference ? ", `reference.onnx`" : ""
  } with their weights inside, inputs and outputs of both as \`.npy\`, \`repro.json\` (which
file is which), \`run.mjs\` (onnxruntime-node alone).

Inputs: ${facts.inputs.map(({ name, type }) => `\`${name}\` ${type}`).join(", ") || "none"}.

## Versions and settings

${facts.settings.map((line) => `- ${line}`).join("\n")}
`;
}

function headline(operators: readonly string[], error: TensorError | null): string {
  const [first = "A part"] = operators;
  const what = operators.length === 1 ? first : `${first} and what follows it`;
  if (error === null) return `${what} cannot run`;
  if (error.nanCandidate > 0) return `${what} gives NaN`;
  return `${what} is off by ${numberText(error.maxAbs)}`;
}

function list(operators: readonly string[]): string {
  const shown = operators.slice(0, 12).map((operator) => `\`${operator}\``).join(", ");
  return operators.length > 12 ? `${shown} and ${operators.length - 12} more` : shown;
}

function row({ name, type, error, tolerance }: IssueFacts["outputs"][number]): string {
  if (error === null) return `| \`${name}\` | ${type} | not computed | | | | | | |`;
  const cells = [
    numberText(error.maxAbs),
    numberText(error.maxRel),
    Number.isFinite(error.sqnrDb) ? `${error.sqnrDb.toFixed(1)} dB` : String(error.sqnrDb),
    error.maxUlp === null ? "" : numberText(error.maxUlp),
    String(error.nanCandidate),
    numberText(tolerance.atol + tolerance.rtol * error.scale),
    numberText(error.ratio),
  ];
  return `| \`${name}\` | ${type} | ${cells.join(" | ")} |`;
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(3)));
}
