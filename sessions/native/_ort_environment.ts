// The process's one OrtEnv. Whoever makes it first decides whether it has a pool of threads for all
// sessions; everybody after gets the same one and the settings given are dropped without a word. So after
// asking for a pool, a tiny session without threads of its own shows whether there is one.

import { availableCores } from "../thread_budget.ts";
import { unaryModel } from "../_tiny_model.ts";
import type { NativeLibrary } from "./_native_library.ts";
import { encodeText, handleIn, outCell } from "./_native_text.ts";

/** ONNX Runtime's log level for errors alone. */
const LOG_ERRORS = 3;

/** The environment and what sessions share. */
export interface OrtEnvironment {
  /** The OrtEnv, which lives as long as the process. */
  readonly handle: Deno.PointerObject;
  /**
   * Threads of the pool that all sessions share, the caller's included; null when the environment was
   * made without one, by another engine that opened a session first.
   */
  readonly poolThreads: number | null;
  /** OrtMemoryInfo of the CPU's memory. */
  readonly cpuMemory: Deno.PointerObject;
  /** The allocator that names are freed with; never released. */
  readonly allocator: Deno.PointerObject;
}

let environment: OrtEnvironment | undefined;

/** The environment, made on the first call: before the first session, if nobody else opened one. */
export function ortEnvironment(library: NativeLibrary): OrtEnvironment {
  return environment ??= makeEnvironment(library);
}

function makeEnvironment(library: NativeLibrary): OrtEnvironment {
  const { api, check } = library;
  const cell = outCell();
  const threads = availableCores();
  check(api.CreateThreadingOptions(cell));
  const options = handleIn(cell);
  try {
    check(api.SetGlobalIntraOpNumThreads(options, threads));
    check(api.SetGlobalInterOpNumThreads(options, 1));
    check(api.SetGlobalSpinControl(options, 0));
    check(api.CreateEnvWithGlobalThreadPools(LOG_ERRORS, encodeText("hookline"), options, cell));
  } finally {
    api.ReleaseThreadingOptions(options);
  }
  const handle = handleIn(cell);
  check(api.CreateCpuMemoryInfo(0, 0, cell));
  const cpuMemory = handleIn(cell);
  check(api.GetAllocatorWithDefaultOptions(cell));
  const allocator = handleIn(cell);
  registerArena(library, handle);
  const poolThreads = hasPool(library, handle) ? threads : null;
  return Object.freeze({ handle, poolThreads, cpuMemory, allocator });
}

/** `OrtArenaAllocator`, and an arena that grows by what is asked for. Source: onnxruntime_c_api.h. */
const ARENA_ALLOCATOR = 1;
const GROW_AS_REQUESTED = 1;
const USUAL = -1;

/**
 * One arena for the activations of sessions that ask for it (`use_env_allocators`): many sessions that run
 * one after another then reuse the same memory, whichever threads run them.
 */
function registerArena({ api, check }: NativeLibrary, env: Deno.PointerObject): void {
  const cell = outCell();
  check(api.CreateArenaCfg(0n, GROW_AS_REQUESTED, USUAL, USUAL, cell));
  const config = handleIn(cell);
  check(api.CreateCpuMemoryInfo(ARENA_ALLOCATOR, 0, cell));
  const memory = handleIn(cell);
  // A second registration is refused: then the arena that is there serves.
  const status = api.CreateAndRegisterAllocator(env, memory, config);
  if (status !== null) api.ReleaseStatus(status);
  api.ReleaseArenaCfg(config);
}

/** Whether a session without threads of its own can be opened. Creation fails where there is no pool. */
function hasPool({ api, check }: NativeLibrary, env: Deno.PointerObject): boolean {
  const cell = outCell();
  check(api.CreateSessionOptions(cell));
  const options = handleIn(cell);
  try {
    check(api.SetSessionLogSeverityLevel(options, LOG_ERRORS + 1));
    check(api.DisablePerSessionThreads(options));
    const model = unaryModel([{ name: "y", op: "Neg" }]);
    const status = api.CreateSessionFromArray(
      env,
      model as Uint8Array<ArrayBuffer>,
      BigInt(model.length),
      options,
      cell,
    );
    if (status !== null) {
      api.ReleaseStatus(status);
      return false;
    }
    api.ReleaseSession(handleIn(cell));
    return true;
  } finally {
    api.ReleaseSessionOptions(options);
  }
}
