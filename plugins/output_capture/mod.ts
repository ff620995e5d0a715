/**
 * Captures values inside a model: hidden states, attention weights, or whatever modules and operators
 * compute, of unmodified ONNX files.
 *
 * @example
 * ```ts
 * import { openModel, randomInputs } from "@hookline/hookline";
 * import { outputCapture } from "@hookline/hookline/plugins/output-capture";
 * await using model = await openModel("bert.onnx");
 * const feeds = randomInputs(1, model.inputs, { batch: 1, seq: 4 });
 * const { captures } = await outputCapture(model).run(feeds, { attentions: true });
 * console.log(captures.attentions[0]?.shape); // [ 1, 4, 4, 4 ]
 * ```
 *
 * @module
 */

export type { KeyDeclarations, NestingPolicy } from "./capture_key.ts";
export type { CaptureOptions } from "./capture_options.ts";
export { OutputCapturePlugin, outputCapturePlugin } from "./capture_plugin.ts";
export type { CaptureFlag, CaptureFlags } from "./capture_request.ts";
export type {
  CapturedRun,
  CaptureList,
  CaptureResult,
  Captures,
  CaptureTuple,
} from "./capture_result.ts";
export type { KeyDeclaration, RecorderSpec } from "./capture_slot.ts";
export { CapturedTensor, type CaptureRecord } from "./captured_tensor.ts";
export { type ClassBases, ClassPatches } from "./class_table.ts";
export {
  type DebugNode,
  type DebugTensor,
  debugTree,
  type DebugTreeOptions,
} from "./debug_tree.ts";
export {
  type CaptureRunOptions,
  type CaptureWant,
  type CollectOptions,
  OutputCapture,
  outputCapture,
  partialCaptures,
  type RequestedKey,
} from "./output_capture.ts";
export { OutputRecorder, type OutputRecorderOptions } from "./output_recorder.ts";
export type { PositionSlice } from "./position_slice.ts";
export type { TensorSummary } from "./tensor_summary.ts";
