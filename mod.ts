/**
 * Hookline brings PyTorch-style forward hooks to ONNX models: an unmodified `.onnx` file becomes a tree
 * of named modules, hooks observe, edit or replace them, and a planner runs the model on ONNX Runtime in
 * the cheapest way that the hooks allow.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * await using model = await openModel("bert.onnx");
 * for (const module of model.modules.slice(0, 5)) console.log(module.path, module.className);
 * ```
 *
 * @module
 */

export { ERROR_CODES, type ErrorCode } from "./errors/codes.ts";
export {
  type ErrorDetail,
  HooklineError,
  type HooklineErrorInit,
} from "./errors/hookline_error.ts";
export type {
  EvidenceCounts,
  EvidenceKind,
  GraphModule,
  ModuleCall,
  ModuleTree,
} from "./graph/graph_module.ts";
export type { ModuleSelector } from "./graph/selector.ts";
export {
  openSkeleton,
  type ReadSkeletonOptions,
  type Skeleton,
  type SkeletonOrigin,
} from "./graph/skeleton.ts";
export { readInitializer } from "./graph/read_initializer.ts";
export type { ModuleBoundary } from "./graph/user_boundaries.ts";
export { currentContext, currentStep, traceStep, withContext } from "./hooks/forward_context.ts";
export type { HookMethods, RegisteredHook, RegisterOptions } from "./hooks/admission.ts";
export { HookHandle, HookLease } from "./hooks/hook_handle.ts";
export { HookRegistry, type RegistryOptions } from "./hooks/hook_registry.ts";
export type { HookOrder, HookPlace, OrderLine } from "./hooks/order.ts";
export {
  type ForwardCall,
  type HookAccess,
  type HookPhase,
  hookPhases,
  ModelHook,
  type ModuleFacts,
  type OriginalForward,
  type PhaseResult,
} from "./hooks/model_hook.ts";
export type {
  AdmittedResidency,
  ResidencyPlacement,
  ResidencyRequest,
  ResidencyStrategy,
} from "./hooks/residency_request.ts";
export { StateManager, type StateManagerOptions } from "./hooks/state_manager.ts";
export { JsonlSink, type JsonlSinkOptions } from "./formats/jsonl_sink.ts";
export {
  type DeclaredInput,
  inputSource,
  type InputSources,
  loadInputs,
} from "./formats/tensor_inputs.ts";
export { decodeNpy, encodeNpy } from "./formats/npy.ts";
export { decodeNpz, encodeNpz } from "./formats/npz.ts";
export { randomInputs } from "./formats/random_inputs.ts";
export { openNpzWriter, recoverNpz } from "./formats/npz_writer.ts";
export { decodeSafetensors, encodeSafetensors } from "./formats/safetensors.ts";
export {
  openSafetensors,
  type SafetensorsEntry,
  type SafetensorsFile,
} from "./formats/safetensors_file.ts";
export {
  openSafetensorsWriter,
  recoverSafetensors,
  type SafetensorsWriterOptions,
} from "./formats/safetensors_writer.ts";
export type { RecoveredTensors, TensorWriter } from "./formats/tensor_writer.ts";
export { decodeJsonTensors } from "./formats/json_tensors.ts";
export { fromJsonBigint, fromJsonNumber, type JsonValue, toJson } from "./formats/json_numbers.ts";
export { tensorDigest } from "./formats/tensor_digest.ts";
export type {
  ChainLink,
  ChainRunOptions,
  CommonWeights,
  DeviceRun,
  Engine,
  EngineSession,
  FileWeight,
  MappedWeights,
  OptimizationLevel,
  SessionChain,
  SessionRunOptions,
  SessionSettings,
  SessionSource,
  ValueSpec,
} from "./sessions/engine.ts";
export type { DeviceUploads, HostStage, Upload, UploadForm } from "./sessions/device_uploads.ts";
export type { DeviceTensor, DeviceValue, RunValue, RunValueMap } from "./sessions/device_tensor.ts";
export type { FileRange } from "./sessions/mapped_weights/weight_memory.ts";
export type { CudaOptions } from "./sessions/providers/cuda_options.ts";
export type { ProviderName } from "./sessions/providers/descriptor.ts";
export { harden, type HardenOptions, type HardenReport } from "./sessions/harden.ts";
export type { RevocablePermission } from "./host/revocation.ts";
export { type OpenSession, openSessions } from "./sessions/session_ledger.ts";
export { Model, type RunOptions } from "./pipeline/model.ts";
export type { ModelSource, ModuleBoundaries } from "./pipeline/model_structure.ts";
export { openModel, type OpenOptions } from "./pipeline/open_model.ts";
export {
  definePipeline,
  Pipeline,
  type PipelineDefinition,
  type PipelineModel,
  type PipelineRecipe,
} from "./pipeline/pipeline.ts";
export type {
  EventStep,
  ModuleStep,
  Plan,
  PlanKind,
  PlanStep,
  SegmentStep,
} from "./pipeline/plan.ts";
export type { PlanOptions } from "./pipeline/plan_maker.ts";
export type { ResidencyForecast } from "./pipeline/residency/forecast.ts";
export type { HostPlacement } from "./pipeline/residency/host_placement.ts";
export type { ResidencySchedule, ScheduledBlock } from "./pipeline/residency/schedule.ts";
export type { PlanDocument } from "./pipeline/planner.ts";
export type { Plugin, PluginContext } from "./pipeline/plugin.ts";
export { attachPlugins } from "./pipeline/attach_plugins.ts";
export { type LoadedPlugin, loadPlugin, type LoadPluginOptions } from "./pipeline/load_plugin.ts";
export {
  checkPlugin,
  type CheckPluginOptions,
  type PluginCheck,
  type PluginFinding,
} from "./pipeline/check_plugin.ts";
export {
  type Audit,
  type AuditEntry,
  type AuditLog,
  type AuditLogOptions,
  type AuditRecord,
  createAuditLog,
} from "./manifest/audit.ts";
export type { EffectiveRights, ReadLevel, RightSource } from "./manifest/effective_rights.ts";
export {
  type GrantOptions,
  grantRequested,
  type Grants,
  type PluginGrant,
  readGrants,
  writeGrants,
} from "./manifest/grants.ts";
export type { PluginTally } from "./manifest/guarded_hook.ts";
export { HOOK_API_VERSION } from "./manifest/hook_api.ts";
export type { IntegrityState } from "./manifest/integrity.ts";
export type { PermissionId } from "./manifest/permission_scope.ts";
export type {
  Budgets,
  DeclaredHook,
  Grant,
  IsolationLevel,
  Numerics,
  PermissionRequest,
  PluginKind,
  PluginManifest,
} from "./manifest/plugin_manifest.ts";
export type {
  PluginCall,
  PluginHook,
  PluginHost,
  PluginModule,
  PluginOptions,
  PluginPhase,
  PluginResult,
  PluginSink,
} from "./manifest/plugin_module.ts";
export { type PluginFolder, readManifest } from "./manifest/read_manifest.ts";
export type { CallTensors, TensorFacts, TensorStatistics } from "./manifest/tensor_facts.ts";
export type { ModelProvenance, ProvenanceOptions } from "./pipeline/provenance.ts";
export { type DType } from "./tensor/dtype.ts";
export { type NdArray, ndarrayView } from "./tensor/ndarray_view.ts";
export {
  copyTensor,
  elementCount,
  float32,
  type Tensor,
  tensor,
  type TensorData,
  type TensorMap,
} from "./tensor/tensor.ts";
