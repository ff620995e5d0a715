/**
 * Edits what modules compute: flex_model's hook functions for ONNX models. A function, or an edit that
 * can be saved and replayed bit for bit, gets the whole activation of a module, of one model or of
 * several shards, and gives back the edited one.
 *
 * @example
 * ```ts
 * import { loadInputs, openModel } from "@hookline/hookline";
 * import { HookFunction, OutputEditor, scale } from "@hookline/hookline/plugins/output-edit";
 * await using model = await openModel("bert.onnx");
 * using editor = new OutputEditor(model);
 * editor.register(new HookFunction("encoder.layer.1", { editingFunction: scale(0.5) }));
 * const feeds = await loadInputs({ dir: "bert" }, model.inputs);
 * const { last_hidden_state } = await model.run(feeds);
 * console.log(last_hidden_state?.shape); // [ 2, 7, 32 ]
 * ```
 *
 * @module
 */

export { type Activation, activationOf } from "./activation.ts";
export { type CapturedActivation, type CaptureOptions, CaptureStore } from "./capture_store.ts";
export {
  type EditEntry,
  type EditSet,
  loadEdits,
  parseEdits,
  type ParseEditsOptions,
  replayEdits,
  saveEdits,
  type SaveEditsOptions,
  serialiseEdits,
} from "./edit_document.ts";
export { ArgumentReader, jsonNumber, jsonRegion } from "./edits/argument_reader.ts";
export {
  addVector,
  clamp,
  editKinds,
  meanAblate,
  patch,
  type RegionOption,
  scale,
  steer,
  zero,
} from "./edits/built_in_edits.ts";
export { Edit, type EditKind, EditKinds, type JsonObject, makeEdit } from "./edits/edit_kind.ts";
export { copyElements, type ElementTask, mapElements, readElement } from "./edits/elements.ts";
export { type AxisRange, broadcastOffset, type Region, regionOffsets } from "./edits/region.ts";
export {
  type FileTensor,
  readFileTensor,
  type TensorReader,
  type TensorWriter,
} from "./edits/stored_tensors.ts";
export { HelperModules } from "./helper_modules.ts";
export {
  type CaptureWhen,
  type EditingFunction,
  type EditResult,
  type EditScope,
  type HelperModule,
  HookFunction,
  type HookFunctionOptions,
  type HookType,
} from "./hook_function.ts";
export type { GroupSelection } from "./hook_groups.ts";
export type { HookPoint } from "./hook_point.ts";
export type { RegisteredFunction } from "./apply_hook.ts";
export { outputEdit, type OutputEditOptions } from "./output_edit.ts";
export type {
  HookGroupOptions,
  HookTarget,
  OutputEditorOptions,
  RegisterHookOptions,
} from "./editor_options.ts";
export { OutputEditor } from "./output_editor.ts";
export { readParameter, type ReadParameterOptions } from "./read_parameter.ts";
export {
  ShardGroup,
  type ShardGroupOptions,
  type ShardInput,
  type ShardOutput,
  type ShardPlace,
} from "./shard_group.ts";
export { ShardedForward, type ShardedForwardOptions } from "./sharded_forward.ts";
export { ShardRun } from "./shard_meeting.ts";
export {
  repackTensors,
  sameStructure,
  type Structure,
  type Unpacked,
  unpackTensors,
} from "./unpack_tensors.ts";
