// The one list of sources without a test file of their own, and of test files without a source of
// their own, each with its reason. A folder-private `_x.ts` is tested through its neighbours.

/** The folders that hold sources. */
export const SOURCE_FOLDERS: readonly string[] = [
  "errors",
  "tensor",
  "host",
  "graph",
  "hooks",
  "sessions",
  "formats",
  "manifest",
  "testing",
  "pipeline",
  "parity",
  "plugins",
  "cli",
  "lint",
];

/** Sources that need no test file of their own. */
export const UNTESTED_SOURCES: Readonly<Record<string, string>> = {
  "errors/codes.ts": "tests/docs/error_codes_test.ts holds it against pages, sources and tests",
  "formats/tensor_writer.ts": "types alone, tested through both writers",
  "graph/function_frame.ts": "a type alone, tested through inline_functions_test.ts",
  "graph/graph_module.ts": "types alone, tested through module_tree_test.ts",
  "lint/free_names.ts": "tested through determinism_test.ts and deno_edges_test.ts",
  "lint/import_visitor.ts": "tested through layering_test.ts",
  "lint/location.ts": "tested through layering_test.ts",
  "parity/mod.ts": "exports alone, held by public_exports_test.ts",
  "manifest/isolation/guest_core.ts":
    "runs in another realm, tested through worker_host_test.ts and process_host_test.ts",
  "manifest/isolation/guest_doors.ts": "runs in another realm, tested through evil_plugin_test.ts",
  "manifest/isolation/guest_process.ts":
    "runs in another realm, tested through process_host_test.ts",
  "manifest/isolation/guest_watch.ts": "runs in another realm, tested through evil_plugin_test.ts",
  "manifest/isolation/guest_worker.ts": "runs in another realm, tested through worker_host_test.ts",
  "manifest/isolation/host_spec.ts": "types and two numbers, tested through both hosts",
  "manifest/isolation/hosted_module.ts":
    "tested through worker_host_test.ts and process_host_test.ts",
  "manifest/plugin_module.ts": "types alone, tested through hosted_plugin_test.ts",
  "manifest/effective_rights.ts": "types alone, tested through resolve_rights_test.ts",
  "manifest/plugin_manifest.ts": "types alone, tested through manifest_schema_test.ts",
  "parity/compare/compare_report.ts":
    "types and a list of edges, tested through tensor_error_test.ts",
  "parity/compare/evidence.ts": "types alone, tested through compare_models_test.ts",
  "parity/compare/module_pairs.ts":
    "types and what takes pairs away, tested through module_match_test.ts",
  "pipeline/plan.ts": "types and a hash, tested through planner_test.ts",
  "pipeline/plugin.ts": "types alone, tested through pipeline_test.ts",
  "pipeline/residency/device_stream.ts":
    "needs a device, tested through plugins/layerwise_offload/device_test.ts",
  "pipeline/residency/weight_stream.ts": "types alone, tested through the four streams",
  "sessions/device_uploads.ts":
    "types alone, tested through cuda_runtime_test.ts and webgpu_test.ts",
  "sessions/engine.ts": "types alone, tested through engine_conformance.ts",
  "sessions/native/native_availability.ts": "tested through engine_choice_test.ts",
  "sessions/native/shared_weights.ts": "tested through weight_values_test.ts",
  "sessions/providers/cpu.ts": "tested through provider_test.ts",
  "sessions/providers/cuda.ts": "tested through provider_test.ts",
  "sessions/providers/descriptor.ts": "types alone, tested through provider_test.ts",
  "sessions/providers/webgpu.ts": "tested through provider_test.ts",
  "testing/mod.ts": "a list of exports, held by public_exports_test.ts",
};

/** Test files that mirror no single source. */
export const UNMIRRORED_TESTS: Readonly<Record<string, string>> = {
  "tests/graph/module_outputs_test.ts":
    "every module's values against PyTorch's, through ONNX Runtime",
  "tests/manifest/isolation/evil_plugin_test.ts":
    "the evil plugin at every level, through all of manifest/isolation",
  "tests/parity/compare/compare_memory_test.ts": "the byte budget as the system sees it",
  "tests/parity/compare/harmless_test.ts": "what a comparison must not take for a difference",
  "tests/parity/compare/optimised_files_test.ts":
    "what an optimiser does to the borders of modules",
  "tests/parity/compare/seeded_faults_test.ts": "what a comparison must name",
  "tests/parity/compare/silero_precision_test.ts": "a comparison of one real network's precisions",
  "tests/parity/report/report_browser_test.ts": "the pages of all three reports, in a real browser",
  "tests/sessions/native/bit_equality_test.ts": "every exported fixture on both engines",
  "tests/manifest/first_party_test.ts": "the manifests of plugins/ against their code",
  "tests/plugins/all_together_test.ts": "all plugins on one model",
  "tests/plugins/layerwise_offload/composition_test.ts":
    "offload beside other plugins, and on 4-bit weights",
  "tests/plugins/layerwise_offload/device_test.ts": "offload to a device, in a process of its own",
  "tests/plugins/layerwise_offload/memory_test.ts": "the memory of processes that offload",
  "tests/sessions/native/cuda_test.ts": "the native engine on CUDA, where there is a device",
  "tests/sessions/native/feeds_transferred_test.ts":
    "who owns feeds meanwhile, through every way of running",
  "tests/sessions/native/native_in_worker_test.ts": "the native engine in workers that are ended",
  "tests/sessions/passed_on_test.ts": "outputs that no node makes, on both engines",
  "tests/sessions/native/webgpu_test.ts": "the native engine on WebGPU, in a process of its own",
};

/** Folders of tests/ that mirror no source folder: they test the repo, not a module. */
export const UNMIRRORED_FOLDERS: readonly string[] = [
  "bench",
  "demo",
  "docs",
  "fixtures",
  "fuzz",
  "packages",
  "verify",
];
