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
  "pipeline/plan.ts": "types and a hash, tested through planner_test.ts",
  "pipeline/plugin.ts": "types alone, tested through pipeline_test.ts",
  "sessions/engine.ts": "types alone, tested through engine_conformance.ts",
  "sessions/providers/cpu.ts": "tested through provider_test.ts",
  "sessions/providers/cuda.ts": "tested through provider_test.ts",
  "sessions/providers/descriptor.ts": "types alone, tested through provider_test.ts",
  "sessions/providers/webgpu.ts": "tested through provider_test.ts",
};

/** Test files that mirror no single source. */
export const UNMIRRORED_TESTS: Readonly<Record<string, string>> = {
  "tests/graph/module_outputs_test.ts":
    "every module's values against PyTorch's, through ONNX Runtime",
  "tests/plugins/all_together_test.ts": "all plugins on one model",
};

/** Folders of tests/ that mirror no source folder: they test the repo, not a module. */
export const UNMIRRORED_FOLDERS: readonly string[] = [
  "bench",
  "demo",
  "docs",
  "fixtures",
  "fuzz",
  "verify",
];
