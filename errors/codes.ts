// The one catalogue of error codes. A code is stable: scripts and CI jobs match on it. It knows
// nothing of who throws; a test holds that every code here is thrown and tested somewhere.

/** Every error code of Hookline with its meaning in one line. */
export const ERROR_CODES = {
  MODEL_NOT_FOUND: "the model file does not exist or is not a file",
  MODEL_READ_DENIED:
    "the process may not read the model or one of its weight files",
  MODEL_NOT_ONNX: "the bytes are not an ONNX ModelProto",
  MODEL_TRUNCATED: "the file ends inside a field",
  MODEL_MALFORMED:
    "a field of the file breaks the protobuf encoding or the ONNX schema",
  MODEL_TOO_DEEP: "graphs nest deeper than the reader allows",
  MODEL_TOO_LARGE:
    "the structure without its weights is larger than the reader allows",
  MODEL_EMPTY: "the model holds no graph or the graph computes nothing",
  MODEL_CYCLE: "nodes depend on one another in a circle",
  MODEL_DUPLICATE_NAME:
    "two producers or two declarations share one value name",
  MODEL_VALUE_MISSING: "a node or an output uses a value that nothing produces",
  MODEL_DTYPE_UNKNOWN:
    "a tensor declares an element type that ONNX does not define",
  MODEL_EXTERNAL_MISSING: "a weight file that the model names does not exist",
  MODEL_EXTERNAL_OUTSIDE: "a weight file lies outside the model's folder",
  MODEL_EXTERNAL_RANGE: "a weight's offset or length lies outside its file",
  MODEL_UNSUPPORTED: "the model uses a construct that cannot be cut or tapped",
  MODEL_CLOSED: "the model was closed before this call",
  MODULE_UNKNOWN: "no module has this path",
  MODULE_NOT_CUTTABLE:
    "the module cannot run alone, so it can be observed but not changed",
  MODULE_INSIDE_BODY: "the module lies inside an If, Loop or Scan body",
  MODULE_SPAN_INVALID:
    "a span does not name consecutive modules that can run as one",
  SELECTOR_SYNTAX: "a module pattern cannot be parsed",
  HOOK_MATCH_EMPTY: "a module pattern matches nothing",
  HOOK_NAME_INVALID: "a hook's name breaks the grammar",
  HOOK_NAME_DUPLICATE: "the module already has a hook of this name",
  HOOK_UNKNOWN: "the module has no hook of this name",
  HOOK_ACCESS: "a hook implements or does more than its declared access allows",
  HOOK_ATTACH: "a hook's onAttach threw, so the hook was not registered",
  HOOK_REPLACE_CONFLICT: "a second hook wants to replace the module's forward",
  HOOK_ORDER_CYCLE: "before and after edges form a circle",
  HOOK_ORDER_UNKNOWN: "a hook requires another one that is not registered",
  HOOK_THROWN: "a hook threw",
  HOOK_RESULT:
    "a hook returned something that is not a map of the module's tensors",
  HOOK_SHAPE: "a hook returned a tensor of another dtype, rank or shape",
  HOOK_REENTRANT: "a hook called the module that it hooks",
  HOOK_ORIGINAL_MISUSED:
    "a replacing hook called the original twice or did not await it",
  HOOK_UNSUPPORTED: "the kind of hook cannot exist on an inference model",
  STATE_CONTEXT_LIMIT: "more state contexts are alive than the manager allows",
  STATE_CONTEXT_MISSING:
    "per-context state was asked for outside any context in strict mode",
  STATE_CONTEXT_INVALID: "a context or step is not of the expected form",
  FEED_MISSING: "an input of the model was not given",
  FEED_UNKNOWN: "a given tensor is no input of the model",
  FEED_DTYPE: "an input has another element type than the model declares",
  FEED_RANK:
    "an input has another number of dimensions than the model declares",
  FEED_SHAPE: "an input's fixed dimension differs from the model's",
  FEED_DATA: "a tensor's data do not fit its dtype and shape",
  FETCH_UNKNOWN: "an output was asked for that the model does not have",
  TENSOR_DTYPE: "a dtype is unknown or cannot be held by JavaScript",
  PROVIDER_UNKNOWN: "no execution provider has this name",
  PROVIDER_UNAVAILABLE: "the execution provider cannot run here",
  ENGINE_UNKNOWN: "no engine has this name",
  ENGINE_UNAVAILABLE: "the engine cannot run here",
  ORT_TOO_OLD:
    "the ONNX Runtime that was found is older than Hookline can trust",
  SESSION_CREATE: "ONNX Runtime refused a model",
  SESSION_RUN: "ONNX Runtime failed while it ran a segment",
  SESSION_RELEASED: "a session was used after its release",
  OPTION_INVALID: "an option has a value that is not allowed",
  PLAN_CYCLE:
    "the chosen modules cannot be cut apart because they depend on one another",
  PLAN_VALUE_TYPE: "a value at a cut has a type that cannot cross it",
  PIPELINE_INVALID:
    "a pipeline's definition is not complete or names something twice",
  FILE_FORMAT: "a data file is damaged or of an unsupported kind",
  FILE_READ: "a data file cannot be read",
  FILE_WRITE: "a data file cannot be written",
  CLI_USAGE: "the command line was called wrongly",
  INTERNAL: "Hookline broke one of its own rules; please report it",
} as const;

/** The code of a {@linkcode HooklineError}: stable, upper case, one per case. */
export type ErrorCode = keyof typeof ERROR_CODES;
