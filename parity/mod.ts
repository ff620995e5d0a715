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
export { recordModule, type RecordOptions } from "./replay/record_module.ts";
export type { RecordedCall, RecordingFacts } from "./replay/recording.ts";
export {
  type Replay,
  type ReplayedCall,
  type ReplayedOutput,
  replayModule,
  type ReplayOptions,
} from "./replay/replay_module.ts";
export {
  type ModuleEffect,
  moduleSensitivity,
  type OutputEffect,
  type Sensitivity,
  type SensitivityOptions,
} from "./sensitivity/module_sensitivity.ts";
export type { Rounding } from "./sensitivity/rounded_weights.ts";
export type { FeedsOption } from "./compare/open_host.ts";
export type { CompareToleranceOptions } from "./compare/tensor_error.ts";
export { type ComparedRecords, diffTraces, type TraceDiffOptions } from "./trace_diff.ts";
export type {
  ModuleDifference,
  OneSidedRecords,
  Rename,
  TraceDiff,
  TraceDifference,
  TraceFileFacts,
  TraceProblem,
} from "./trace_verdict.ts";
export type { HeaderDifference } from "./trace_headers.ts";
export type { NameRule } from "./trace_names.ts";
export type { LineDamage } from "./trace_lines.ts";
export type { Finding as TraceFinding } from "./trace_statistics.ts";
export type { ToleranceOptions } from "./trace_tolerance.ts";
