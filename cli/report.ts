// `hookline report TRACE`: one trace as an HTML file for people. The page itself is
// parity/report/trace_report_html.ts; here are the option and the words.

import { resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { traceReportHtml } from "../parity/report/trace_report_html.ts";
import type { Invocation } from "./_invocation.ts";
import { checkOutputFile, writeOutput } from "./_output_file.ts";
import { bytesText, plural } from "./_units.ts";

/** What `hookline report --json` prints. */
export interface ReportDocument {
  /** The page, absolute. */
  readonly html: string;
  /** Its size. */
  readonly byteLength: number;
  /** How many records the trace holds. */
  readonly records: number;
  /** Of how many modules they are. */
  readonly modules: number;
  /** How many of them hold a NaN or an infinity. */
  readonly notFinite: number;
  /** Lines that were damaged and left out. */
  readonly damagedLines: number;
}

/** The command. */
export function reportCommand(invocation: Invocation): CommandUnknownOpts {
  const command = new Command("report")
    .description(
      "Draws a trace (of `hookline trace` or of FastVideo) for people: the module tree with a heat " +
        "map by step, in one HTML file that needs no network. `diff` and `compare` have --html.",
    )
    .argument("<trace>", "the JSONL file")
    .requiredOption("--html <file>", "where to write the page")
    .option("--json", "print one JSON document on standard output and nothing else");
  return command.action(async (trace, { html: path }) => {
    checkOutputFile(path);
    invocation.progress("reading");
    const { html, ...counts } = await traceReportHtml(trace);
    const bytes = new TextEncoder().encode(html);
    writeOutput(path, bytes);
    const document: ReportDocument = {
      html: resolve(path),
      byteLength: bytes.length,
      ...counts,
    };
    invocation.report({ document, text: (style) => reportText(document, style.bold) });
  });
}

function reportText(found: ReportDocument, bold: (text: string) => string): string {
  const { html, byteLength, records, modules, notFinite, damagedLines } = found;
  return [
    `${bold(plural(records, "record"))} of ${plural(modules, "module")} in ${html} ` +
    `(${bytesText(byteLength)})`,
    ...(notFinite > 0 ? [`  ${plural(notFinite, "record")} with NaN or infinities`] : []),
    ...(damagedLines > 0 ? [`  ${plural(damagedLines, "damaged line")} left out`] : []),
  ].join("\n");
}
