// The functions of ONNX Runtime's C API that Hookline calls: where each stands in the table that
// OrtGetApiBase()->GetApi() returns, and how it is called. The table only grows, so a slot never moves.
// "buffer" is the memory of a typed array, which nothing keeps alive but the caller.
//
// Source: onnxruntime_c_api.h, ONNX Runtime 1.29; each one below was called on that version.

/** One function of the table. */
interface OrtFunction {
  readonly slot: number;
  readonly parameters: readonly Deno.NativeType[];
  readonly result: Deno.NativeResultType;
}

/** Every function in use, by its name in the C header. A result of "pointer" is a status but for names. */
export const ORT_FUNCTIONS = {
  // status
  GetErrorCode: { slot: 1, parameters: ["pointer"], result: "i32" },
  GetErrorMessage: { slot: 2, parameters: ["pointer"], result: "pointer" },
  ReleaseStatus: { slot: 93, parameters: ["pointer"], result: "void" },
  // environment
  CreateEnvWithGlobalThreadPools: {
    slot: 119,
    parameters: ["i32", "buffer", "pointer", "buffer"],
    result: "pointer",
  },
  CreateAndRegisterAllocator: {
    slot: 144,
    parameters: ["pointer", "pointer", "pointer"],
    result: "pointer",
  },
  CreateArenaCfg: {
    slot: 156,
    parameters: ["usize", "i32", "i32", "i32", "buffer"],
    result: "pointer",
  },
  ReleaseArenaCfg: { slot: 157, parameters: ["pointer"], result: "void" },
  CreateThreadingOptions: { slot: 121, parameters: ["buffer"], result: "pointer" },
  ReleaseThreadingOptions: { slot: 122, parameters: ["pointer"], result: "void" },
  SetGlobalIntraOpNumThreads: { slot: 147, parameters: ["pointer", "i32"], result: "pointer" },
  SetGlobalInterOpNumThreads: { slot: 148, parameters: ["pointer", "i32"], result: "pointer" },
  SetGlobalSpinControl: { slot: 149, parameters: ["pointer", "i32"], result: "pointer" },
  // session options
  CreateSessionOptions: { slot: 10, parameters: ["buffer"], result: "pointer" },
  ReleaseSessionOptions: { slot: 100, parameters: ["pointer"], result: "void" },
  AddSessionConfigEntry: {
    slot: 130,
    parameters: ["pointer", "buffer", "buffer"],
    result: "pointer",
  },
  DisableCpuMemArena: { slot: 19, parameters: ["pointer"], result: "pointer" },
  DisablePerSessionThreads: { slot: 120, parameters: ["pointer"], result: "pointer" },
  SetOptimizedModelFilePath: { slot: 11, parameters: ["pointer", "buffer"], result: "pointer" },
  SetSessionLogId: { slot: 20, parameters: ["pointer", "buffer"], result: "pointer" },
  SetSessionLogSeverityLevel: { slot: 22, parameters: ["pointer", "i32"], result: "pointer" },
  SetSessionGraphOptimizationLevel: { slot: 23, parameters: ["pointer", "i32"], result: "pointer" },
  SetIntraOpNumThreads: { slot: 24, parameters: ["pointer", "i32"], result: "pointer" },
  SetInterOpNumThreads: { slot: 25, parameters: ["pointer", "i32"], result: "pointer" },
  AddInitializer: { slot: 150, parameters: ["pointer", "buffer", "pointer"], result: "pointer" },
  // providers
  SessionOptionsAppendExecutionProvider: {
    slot: 216,
    parameters: ["pointer", "buffer", "buffer", "buffer", "usize"],
    result: "pointer",
  },
  CreateCUDAProviderOptions: { slot: 205, parameters: ["buffer"], result: "pointer" },
  UpdateCUDAProviderOptions: {
    slot: 206,
    parameters: ["pointer", "buffer", "buffer", "usize"],
    result: "pointer",
  },
  SessionOptionsAppendExecutionProvider_CUDA_V2: {
    slot: 204,
    parameters: ["pointer", "pointer"],
    result: "pointer",
  },
  RegisterExecutionProviderLibrary: {
    slot: 301,
    parameters: ["pointer", "buffer", "buffer"],
    result: "pointer",
  },
  ReleaseCUDAProviderOptions: { slot: 208, parameters: ["pointer"], result: "void" },
  // sessions
  CreateSession: {
    slot: 7,
    parameters: ["pointer", "buffer", "pointer", "buffer"],
    result: "pointer",
  },
  CreateSessionFromArray: {
    slot: 8,
    parameters: ["pointer", "buffer", "usize", "pointer", "buffer"],
    result: "pointer",
  },
  CreateSessionWithPrepackedWeightsContainer: {
    slot: 168,
    parameters: ["pointer", "buffer", "pointer", "pointer", "buffer"],
    result: "pointer",
  },
  CreateSessionFromArrayWithPrepackedWeightsContainer: {
    slot: 169,
    parameters: ["pointer", "buffer", "usize", "pointer", "pointer", "buffer"],
    result: "pointer",
  },
  CreatePrepackedWeightsContainer: { slot: 166, parameters: ["buffer"], result: "pointer" },
  ReleasePrepackedWeightsContainer: { slot: 167, parameters: ["pointer"], result: "void" },
  ReleaseSession: { slot: 95, parameters: ["pointer"], result: "void" },
  // what a session declares
  SessionGetInputCount: { slot: 30, parameters: ["pointer", "buffer"], result: "pointer" },
  SessionGetOutputCount: { slot: 31, parameters: ["pointer", "buffer"], result: "pointer" },
  SessionGetInputTypeInfo: {
    slot: 33,
    parameters: ["pointer", "usize", "buffer"],
    result: "pointer",
  },
  SessionGetOutputTypeInfo: {
    slot: 34,
    parameters: ["pointer", "usize", "buffer"],
    result: "pointer",
  },
  SessionGetInputName: {
    slot: 36,
    parameters: ["pointer", "usize", "pointer", "buffer"],
    result: "pointer",
  },
  SessionGetOutputName: {
    slot: 37,
    parameters: ["pointer", "usize", "pointer", "buffer"],
    result: "pointer",
  },
  ReleaseTypeInfo: { slot: 98, parameters: ["pointer"], result: "void" },
  GetOnnxTypeFromTypeInfo: { slot: 56, parameters: ["pointer", "buffer"], result: "pointer" },
  CastTypeInfoToTensorInfo: { slot: 55, parameters: ["pointer", "buffer"], result: "pointer" },
  GetTensorElementType: { slot: 60, parameters: ["pointer", "buffer"], result: "pointer" },
  GetDimensionsCount: { slot: 61, parameters: ["pointer", "buffer"], result: "pointer" },
  GetDimensions: { slot: 62, parameters: ["pointer", "buffer", "usize"], result: "pointer" },
  GetSymbolicDimensions: {
    slot: 63,
    parameters: ["pointer", "buffer", "usize"],
    result: "pointer",
  },
  // running
  Run: {
    slot: 9,
    parameters: [
      "pointer",
      "pointer",
      "pointer",
      "pointer",
      "usize",
      "pointer",
      "usize",
      "pointer",
    ],
    result: "pointer",
  },
  RunWithBinding: { slot: 133, parameters: ["pointer", "pointer", "pointer"], result: "pointer" },
  CreateIoBinding: { slot: 134, parameters: ["pointer", "buffer"], result: "pointer" },
  ReleaseIoBinding: { slot: 135, parameters: ["pointer"], result: "void" },
  BindInput: { slot: 136, parameters: ["pointer", "buffer", "pointer"], result: "pointer" },
  BindOutput: { slot: 137, parameters: ["pointer", "buffer", "pointer"], result: "pointer" },
  BindOutputToDevice: {
    slot: 138,
    parameters: ["pointer", "buffer", "pointer"],
    result: "pointer",
  },
  GetBoundOutputValues: {
    slot: 140,
    parameters: ["pointer", "pointer", "buffer", "buffer"],
    result: "pointer",
  },
  CreateRunOptions: { slot: 39, parameters: ["buffer"], result: "pointer" },
  ReleaseRunOptions: { slot: 97, parameters: ["pointer"], result: "void" },
  RunOptionsSetRunLogSeverityLevel: { slot: 41, parameters: ["pointer", "i32"], result: "pointer" },
  AddRunConfigEntry: {
    slot: 165,
    parameters: ["pointer", "buffer", "buffer"],
    result: "pointer",
  },
  RunOptionsSetTerminate: { slot: 46, parameters: ["pointer"], result: "pointer" },
  // devices
  SessionGetMemoryInfoForInputs: {
    slot: 380,
    parameters: ["pointer", "buffer", "usize"],
    result: "pointer",
  },
  SessionGetMemoryInfoForOutputs: {
    slot: 381,
    parameters: ["pointer", "buffer", "usize"],
    result: "pointer",
  },
  MemoryInfoGetDeviceType: { slot: 225, parameters: ["pointer", "buffer"], result: "void" },
  MemoryInfoGetDeviceMemType: { slot: 321, parameters: ["pointer"], result: "i32" },
  CopyTensors: {
    slot: 386,
    parameters: ["pointer", "buffer", "buffer", "pointer", "usize"],
    result: "pointer",
  },
  // values
  CreateCpuMemoryInfo: { slot: 69, parameters: ["i32", "i32", "buffer"], result: "pointer" },
  CreateTensorAsOrtValue: {
    slot: 48,
    parameters: ["pointer", "buffer", "usize", "i32", "buffer"],
    result: "pointer",
  },
  CreateTensorWithDataAsOrtValue: {
    slot: 49,
    parameters: ["pointer", "pointer", "usize", "buffer", "usize", "i32", "buffer"],
    result: "pointer",
  },
  ReleaseValue: { slot: 96, parameters: ["pointer"], result: "void" },
  GetTensorMutableData: { slot: 51, parameters: ["pointer", "buffer"], result: "pointer" },
  GetTensorElementTypeAndShapeDataReference: {
    slot: 414,
    parameters: ["pointer", "buffer", "buffer", "buffer"],
    result: "pointer",
  },
  FillStringTensor: { slot: 52, parameters: ["pointer", "buffer", "usize"], result: "pointer" },
  GetStringTensorDataLength: { slot: 53, parameters: ["pointer", "buffer"], result: "pointer" },
  GetStringTensorContent: {
    slot: 54,
    parameters: ["pointer", "buffer", "usize", "buffer", "usize"],
    result: "pointer",
  },
  GetResizedStringTensorElementBuffer: {
    slot: 252,
    parameters: ["pointer", "usize", "usize", "buffer"],
    result: "pointer",
  },
  // allocators
  GetAllocatorWithDefaultOptions: { slot: 78, parameters: ["buffer"], result: "pointer" },
  CreateAllocator: { slot: 131, parameters: ["pointer", "pointer", "buffer"], result: "pointer" },
  ReleaseAllocator: { slot: 132, parameters: ["pointer"], result: "void" },
  AllocatorFree: { slot: 76, parameters: ["pointer", "pointer"], result: "pointer" },
} as const;

/** The functions that are also called on another thread, so that the event loop stays free. */
export const BACKGROUND_FUNCTIONS = [
  "CreateSession",
  "CreateSessionFromArray",
  "CreateSessionWithPrepackedWeightsContainer",
  "CreateSessionFromArrayWithPrepackedWeightsContainer",
  "ReleaseSession",
  "Run",
  "RunWithBinding",
  "BindInput",
  "CopyTensors",
] as const;

type Functions = typeof ORT_FUNCTIONS;
type Call<Name extends keyof Functions> = Deno.UnsafeFnPointer<Functions[Name]>["call"];
type BackgroundCall<Name extends keyof Functions> = Deno.UnsafeFnPointer<
  Functions[Name] & { readonly nonblocking: true }
>["call"];

/** The functions, called on this thread. */
export type OrtFunctions = { readonly [Name in keyof Functions]: Call<Name> };

/** The functions that compute, called on another thread. The caller keeps every argument alive. */
export type OrtBackgroundFunctions = {
  readonly [Name in (typeof BACKGROUND_FUNCTIONS)[number]]: BackgroundCall<Name>;
};

/** The functions of an API table. */
export function bindFunctions(table: Deno.UnsafePointerView): OrtFunctions {
  const bound: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries<OrtFunction>(ORT_FUNCTIONS)) {
    const bridge = new Deno.UnsafeFnPointer(functionAt(table, definition), definition);
    bound[name] = bridge.call.bind(bridge);
  }
  return bound as OrtFunctions;
}

/** The functions of an API table that run on another thread. */
export function bindBackgroundFunctions(table: Deno.UnsafePointerView): OrtBackgroundFunctions {
  const bound: Record<string, unknown> = {};
  for (const name of BACKGROUND_FUNCTIONS) {
    const definition = { ...ORT_FUNCTIONS[name], nonblocking: true } as const;
    const bridge = new Deno.UnsafeFnPointer(functionAt(table, definition), definition);
    bound[name] = bridge.call.bind(bridge);
  }
  return bound as OrtBackgroundFunctions;
}

/** The address of `RunWithBinding`, for a thread that calls it by itself. */
export function runWithBindingAddress(table: Deno.UnsafePointerView): bigint {
  return Deno.UnsafePointer.value(functionAt(table, ORT_FUNCTIONS.RunWithBinding));
}

const SLOT_BYTES = 8;

function functionAt<Definition>(
  table: Deno.UnsafePointerView,
  { slot }: { readonly slot: number },
): Deno.PointerObject<Definition> {
  const pointer = table.getPointer<Definition>(slot * SLOT_BYTES);
  if (pointer === null) throw new Error(`slot ${slot} of the API table is empty`);
  return pointer;
}
