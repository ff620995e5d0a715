// `hookline diff REFERENCE CANDIDATE`: where two traces begin to differ. The comparison itself is
// parity/trace_diff.ts; here are its options and its words.

import { resolve } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { diffHeat } from "../parity/report/diff_heat.ts";
import { diffReportHtml } from "../parity/report/diff_report_html.ts";
import { diffTraces } from "../parity/trace_diff.ts";
import type {
  ModuleDifference,
  OneSidedRecords,
  TraceDiff,
  TraceDifference,
} from "../parity/trace_verdict.ts";
import type { Style } from "./_console.ts";
import type { Invocation } from "./_invocation.ts";
import { collect, numberOf } from "./_model_options.ts";
import { checkOutputFile, writeOutput } from "./_output_file.ts";
import { plural } from "./_units.ts";

/** How many rows of the table, and how many names, are shown to people. */
const ROWS_SHOWN = 20;
const NAMES_SHOWN = 6;

/** The command. */
export function diffCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("diff")
    .description(
      "Compares two traces (of `hookline trace` or of FastVideo) record by record and names the " +
        "first module, in execution order, whose statistics differ.",
    )
    .argument("<reference>", "the JSONL file to trust")
    .argument("<candidate>", "the JSONL file to judge")
    .addOption(
      new Option("--rtol <number>", "tolerance relative to each tensor's scale, for every dtype")
        .argParser(numberOf),
    )
    .addOption(
      new Option("--atol <number>", "absolute tolerance per element, for every dtype")
        .argParser(numberOf),
    )
    .addOption(
      new Option("--map <old=new>", "the reference's prefix and the candidate's; repeatable")
        .argParser(collect),
    )
    .option("--no-guess", "do not look for a prefix that one side has alone")
    .addOption(
      new Option("--window <records>", "how far apart partners may stand").argParser(numberOf),
    )
    .option("--html <file>", "write a report for people: one HTML file that needs no network")
    .option("--json", "print one JSON document on standard output and nothing else");
  return command.action(async (reference, candidate, options) => {
    const { rtol, atol, map, guess, window, html } = options;
    if (html !== undefined) checkOutputFile(html);
    const heat = html === undefined ? null : diffHeat();
    invocation.progress("comparing");
    const diff = await diffTraces(reference, candidate, {
      rtol,
      atol,
      map: map ?? [],
      guessPrefixes: guess,
      ...(window === undefined ? {} : { window }),
      ...(heat === null ? {} : { onCompared: heat.onCompared }),
    });
    if (html !== undefined && heat !== null) {
      writeOutput(html, new TextEncoder().encode(diffReportHtml(diff, heat.finish())));
    }
    reportDiff(diff, invocation, html === undefined ? null : resolve(html));
  });
}

function reportDiff(diff: TraceDiff, invocation: Invocation, html: string | null): void {
  const { problem, status, ...facts } = diff;
  if (problem !== null && !invocation.isJson) {
    if (status !== "incomparable") invocation.console.out(`${diffText(diff, invocation, html)}\n`);
    const { code, ...init } = problem;
    invocation.fail(new HooklineError(code, init));
    return;
  }
  const error = problem === null ? {} : {
    error: { code: problem.code, message: problem.message, fix: problem.fix, ...problem.details },
  };
  invocation.report({
    document: { status, ...facts, ...(html === null ? {} : { html }), ...error },
    text: () => diffText(diff, invocation, html),
    status: problem !== null ? 2 : status === "diverged" ? 1 : 0,
  });
}

function diffText(
  diff: TraceDiff,
  { console: { outStyle: style } }: Invocation,
  html: string | null,
): string {
  const { status, first, reference, candidate, statistics } = diff;
  const color = status === "same" ? style.green : style.red;
  const headline = style.bold(color(status));
  const about = `${plural(statistics.values, "value")} of ${plural(diff.compared, "record")}`;
  return [
    first === null
      ? `${headline}  ${about} agree`
      : `${headline}  first at ${style.bold(first.module)} ${placeText(first)}`,
    ...(first === null ? [] : [
      `  ${differenceText(first)}`,
      `  lines     ${first.referenceLine} of the reference, ${first.candidateLine} of the candidate`,
    ]),
    ...worstLines(diff),
    `  modules   ${candidate.alignedModules} of the candidate's ${candidate.modules} aligned, the ` +
    `reference has ${reference.modules}`,
    `  records   ${diff.aligned} aligned, ${diff.diverged} diverged`,
    ...oneSidedLines("reference", diff.onlyReference),
    ...oneSidedLines("candidate", diff.onlyCandidate),
    ...statisticLines(diff),
    ...diff.renames.map(({ reference: left, candidate: right, by, modules }) =>
      `  renamed   "${left}" is "${right}" in the candidate, for ${
        plural(modules, "module")
      } (${by})`
    ),
    ...damageLines("reference", diff),
    ...damageLines("candidate", diff),
    ...diff.headers.map(({ field, reference: left, candidate: right }) =>
      `  header    ${field}: ${shortText(left)} and ${shortText(right)}`
    ),
    ...diff.notes.map((note) => `  ${style.yellow("note")}      ${note}`),
    ...(html === null ? [] : [`  report    ${html}`]),
    ...tableLines(diff, style),
  ].join("\n");
}

/** The worst difference, where it is not the first one. */
function worstLines({ first, worst: [worst] }: TraceDiff): string[] {
  if (worst === undefined || worst === first) return [];
  return [`  worst     ${worst.module} ${placeText(worst)}: ${differenceText(worst)}`];
}

function placeText({ tensor, step, call }: TraceDifference): string {
  return `${tensor}, ${step === null ? "" : `step ${step}, `}call ${call}`;
}

function differenceText(found: TraceDifference): string {
  const { stat, reference, candidate, error, tolerance, ratio } = found;
  const values = `${stat.padEnd(8)}  ${shortText(reference)} became ${shortText(candidate)}`;
  if (error === null) return values;
  return `${values}: off by ${numberText(error)}, tolerated ${numberText(tolerance)}` +
    (ratio < Infinity ? ` (${numberText(ratio)} x)` : "");
}

function oneSidedLines(side: string, records: readonly OneSidedRecords[]): string[] {
  if (records.length === 0) return [];
  const count = records.reduce((sum, item) => sum + item.records, 0);
  const names = [...new Set(records.map(({ module }) => module))];
  const more = names.length > NAMES_SHOWN ? `, and ${names.length - NAMES_SHOWN} more` : "";
  return [
    `  only in   the ${side}: ${plural(count, "record")} of ${plural(names.length, "module")}: ` +
    names.slice(0, NAMES_SHOWN).join(", ") + more,
  ];
}

function statisticLines({ statistics }: TraceDiff): string[] {
  const lines = [`  compared  ${statistics.compared.join(", ")}`];
  for (const side of ["reference", "candidate"] as const) {
    const names = statistics[side === "reference" ? "onlyReference" : "onlyCandidate"];
    if (names.length > 0) lines.push(`  only in   the ${side}: statistics ${names.join(", ")}`);
  }
  return lines;
}

function damageLines(side: "reference" | "candidate", diff: TraceDiff): string[] {
  const { damage, damagedLines } = diff[side];
  const more = damagedLines - damage.length;
  return [
    ...damage.map(({ line, reason }) => `  damaged   line ${line} of the ${side}: ${reason}`),
    ...(more > 0 ? [`  damaged   ${plural(more, "further line")} of the ${side}`] : []),
  ];
}

/** The modules that diverge, in execution order, with how far each is off. */
function tableLines({ modules }: TraceDiff, style: Style): string[] {
  const rows = modules.filter(({ diverged }) => diverged > 0);
  if (rows.length === 0) return [];
  const cells = rows.slice(0, ROWS_SHOWN).map((row) => [
    row.module,
    `${row.diverged}/${row.aligned}`,
    worstText(row),
  ]);
  const head = ["module", "diverged", "worst, in tolerances"];
  const widths = [0, 1].map((at) =>
    Math.max(...[head, ...cells].map((line) => (line[at] ?? "").length))
  );
  const lineOf = (line: readonly string[]): string =>
    `  ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd();
  const more = rows.length - ROWS_SHOWN;
  return [
    "",
    style.dim(lineOf(head)),
    ...cells.map(lineOf),
    ...(more > 0 ? [`  and ${plural(more, "further module")}; --json lists all`] : []),
  ];
}

function worstText({ worst }: ModuleDifference): string {
  if (worst === null) return "";
  const size = worst.ratio < Infinity ? numberText(worst.ratio) : "not comparable";
  return `${size} (${worst.stat}${worst.step === null ? "" : `, step ${worst.step}`})`;
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function shortText(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
