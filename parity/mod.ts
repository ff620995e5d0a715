/**
 * Parity: which module of a model goes wrong? Compares two models live, or two traces of them, hands over
 * a small repro of what differs, replays one module alone, and ranks modules by what a coarser precision
 * does to the outputs. Everything works on unmodified files.
 *
 * @example
 * ```ts
 * import { loadInputs, openModel } from "@hookline/hookline";
 * import { compareModels } from "@hookline/hookline/parity";
 * const report = await compareModels("bert.onnx", null, {
 *   feeds: (inputs) => loadInputs({ dir: "bert" }, inputs),
 *   optimization: "disabled",
 *   candidateOptimization: "all",
 * });
 * console.log(report.status); // same
 * ```
 *
 * @module
 */

export { compareModels, type CompareOptions } from "./compare/compare_models.ts";
export {
  type ComparedModel,
  type ComparedTensor,
  type CompareReport,
  HISTOGRAM_EDGES,
  type IntroducingModule,
  type TensorError,
  type UnmatchedModule,
} from "./compare/compare_report.ts";
export { compareReportHtml } from "./report/compare_report_html.ts";
export { diffReportHtml } from "./report/diff_report_html.ts";
export {
  type DiffHeat,
  diffHeat,
  type DiffHeatTable,
  type GridSeries,
  type GridTable,
} from "./report/diff_heat.ts";
export { type TraceReport, traceReportHtml } from "./report/trace_report_html.ts";
