// `hookline compare REFERENCE [CANDIDATE]`: which module brings an error in. The comparison itself is
// parity/compare/compare_models.ts; here are its options and its words.

import { resolve } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HooklineError } from "../errors/hookline_error.ts";
import { type CompareOptions, compareWithEvidence } from "../parity/compare/compare_models.ts";
import type { CompareReport, TensorError } from "../parity/compare/compare_report.ts";
import { compareReportHtml } from "../parity/report/compare_report_html.ts";
import type { Repro } from "../parity/repro/call_repro.ts";
import { writeRepro } from "../parity/repro/repro.ts";
import { compareText } from "./_compare_text.ts";
import { addInputOptions, chosenInputs, readInputChoice } from "./_input_options.ts";
import type { Invocation } from "./_invocation.ts";
import { addModelOptions, collect, numberOf, readModelOptions } from "./_model_options.ts";
import { checkOutputFile, checkOutputFolder, writeOutput } from "./_output_file.ts";

/** What `hookline compare --json` prints. */
export interface CompareDocument extends CompareReport {
  /** What `--repro` wrote; null when it wrote nothing, because nothing is off or nothing shows alone. */
  readonly repro?: {
    readonly directory: string;
    readonly module: string;
    readonly nodes: number;
    readonly nodesOfModel: number;
    readonly operators: readonly string[];
    readonly error: TensorError | null;
  } | null;
  /** The report that `--html` wrote, absolute. */
  readonly html?: string;
}

/** The command. */
export function compareCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("compare")
    .description(
      "Runs two models on the same inputs, or one model under two settings, and names the modules " +
        "that bring an error in: those that are off although they are fed with the reference's values. " +
        "Inputs that no file gives are made up (--random 0).",
    )
    .argument("<reference>", "the .onnx file to trust")
    .argument("[candidate]", "the .onnx file to judge; the reference itself when left out")
    .option("--candidate-provider <name>", "execution provider of the candidate")
    .option("--candidate-engine <name>", "engine of the candidate")
    .option("--candidate-optimization <level>", "optimization level of the candidate")
    .addOption(
      new Option("--rtol <number>", "tolerance relative to each tensor's scale, for every float")
        .argParser(numberOf),
    )
    .addOption(
      new Option("--atol <number>", "absolute tolerance per element, for every float")
        .argParser(numberOf),
    )
    .addOption(
      new Option("--map <old=new>", "the reference's prefix and the candidate's; repeatable")
        .argParser(collect),
    )
    .addOption(
      new Option("--memory <bytes>", "bytes of activations kept in memory; more go to a file")
        .argParser(numberOf),
    )
    .option("--repro <dir>", "write the smallest part that shows the error, to hand over")
    .option("--html <file>", "write a report for people: one HTML file that needs no network");
  addModelOptions(addInputOptions(command));
  return command.action(async (reference, candidate, options) => {
    const values = command.opts();
    const choice = readInputChoice(values);
    const inputs = choice.inputs === undefined ? { random: 0, ...choice } : choice;
    const { candidateProvider, candidateEngine, candidateOptimization, repro: folder } = options;
    const { html } = options;
    if (html !== undefined) checkOutputFile(html);
    if (folder !== undefined) checkOutputFolder(folder);
    let repro: Repro | null = null;
    const report = await compareWithEvidence(reference, candidate ?? null, {
      ...readModelOptions(values),
      feeds: (declared) => chosenInputs(inputs, declared),
      // Their values are checked where they are used, as those of the reference are.
      candidateProvider: candidateProvider as CompareOptions["candidateProvider"],
      candidateEngine: candidateEngine as CompareOptions["candidateEngine"],
      candidateOptimization: candidateOptimization as CompareOptions["candidateOptimization"],
      rtol: options.rtol,
      atol: options.atol,
      map: options.map ?? [],
      memory: options.memory,
      onProgress: (what) => invocation.progress(what),
      evidence: async (evidence) => {
        if (folder === undefined || evidence.report.introducedBy.length === 0) return;
        invocation.progress("writing a repro");
        repro = await shownRepro(() => writeRepro(evidence, folder));
      },
    });
    if (html !== undefined) {
      writeOutput(html, new TextEncoder().encode(compareReportHtml(report)));
    }
    const document: CompareDocument = {
      ...report,
      ...(folder === undefined ? {} : { repro: reproDocument(repro) }),
      ...(html === undefined ? {} : { html: resolve(html) }),
    };
    invocation.report({
      document,
      text: (style) => compareText(document, style),
      status: report.status === "same" ? 0 : 1,
    });
  });
}

/** An error that only shows in the whole module is worth a report all the same. */
async function shownRepro(write: () => Promise<Repro>): Promise<Repro | null> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof HooklineError && error.code === "REPRO_NOT_SHOWN") return null;
    throw error;
  }
}

function reproDocument(repro: Repro | null): NonNullable<CompareDocument["repro"]> | null {
  if (repro === null) return null;
  const { directory, module, nodes, nodesOfModel, operators, error } = repro;
  return { directory: resolve(directory), module, nodes, nodesOfModel, operators, error };
}
