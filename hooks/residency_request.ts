// What a hook of access `residency` asks for its module: whether the module's weights stay in memory or
// are brought near for each call and let go behind it. It is a wish in plain data; who grants it, and
// how weights move, is decided elsewhere. Invariant: a request that was admitted is frozen and complete.

import { HooklineError } from "../errors/hookline_error.ts";

/** Where a module's weights are between its calls. */
export type ResidencyPlacement = "resident" | "streamed" | "auto";

/**
 * How weights are streamed: `mapped` (the operating system maps them from the model's file),
 * `prepacked` (the same over files that ONNX Runtime wrote in its own layout), `inputs` (equal modules
 * share one session whose weights are fed), `sessions` (a session is opened for each call).
 */
export type ResidencyStrategy = "mapped" | "prepacked" | "inputs" | "sessions";

/** What a residency hook asks for its module. */
export interface ResidencyRequest {
  /**
   * `streamed`: in memory only while the module runs. `resident`: always, which costs nothing beside
   * the memory. `auto`: resident as far as `byteBudget` reaches, else streamed.
   */
  readonly placement: ResidencyPlacement;
  /** How many streamed modules ahead are fetched while one runs; null leaves it to the strategy. */
  readonly ahead?: number | null;
  /** The strategy to take or to refuse; `auto`, the planner's choice, when left out. */
  readonly strategy?: ResidencyStrategy | "auto";
  /** Bytes that all weights of the model may take in memory at once; no limit when left out. */
  readonly byteBudget?: number | null;
  /**
   * On a device: bytes that streamed weights may take in the process's memory on their way there. Those of
   * as many modules as fit stay, the others are read from their files for each call. Null, the default: half
   * of the machine's memory where that may be asked for, else none stays.
   */
  readonly hostByteBudget?: number | null;
  /** Folder for files in ONNX Runtime's own layout; null, the default, does without. */
  readonly cacheFolder?: string | null;
  /** Sizes of the model's symbolic dimensions, to foretell memory for activations with. */
  readonly dimensions?: Readonly<Record<string, number>>;
}

/** A request with its defaults worked out; frozen. */
export type AdmittedResidency = Required<ResidencyRequest>;

const PLACEMENTS: readonly string[] = ["resident", "streamed", "auto"];
const STRATEGIES: readonly string[] = ["auto", "mapped", "prepacked", "inputs", "sessions"];
const AHEAD_MAX = 64;

/**
 * Checks a request and works out its defaults.
 *
 * @throws {HooklineError} OPTION_INVALID when a field is of the wrong kind.
 */
export function admitResidency(
  request: ResidencyRequest,
  names: { readonly hook: string; readonly module: string },
): AdmittedResidency {
  const refuse = (field: string, wanted: string): HooklineError =>
    new HooklineError("OPTION_INVALID", {
      message:
        `cannot register hook "${names.hook}" on "${names.module}": its residency.${field} is not ${wanted}`,
      fix: `set residency.${field} to ${wanted}`,
      details: { hook: names.hook, module: names.module, field: `residency.${field}` },
    });
  const { placement, ahead = null, strategy = "auto" } = request;
  const { byteBudget = null, hostByteBudget = null, cacheFolder = null, dimensions = {} } = request;
  if (!PLACEMENTS.includes(placement)) {
    throw refuse("placement", `one of ${PLACEMENTS.join(", ")}`);
  }
  if (!STRATEGIES.includes(strategy)) throw refuse("strategy", `one of ${STRATEGIES.join(", ")}`);
  if (ahead !== null && !(Number.isSafeInteger(ahead) && ahead >= 0 && ahead <= AHEAD_MAX)) {
    throw refuse("ahead", `a whole number from 0 to ${AHEAD_MAX}, or null`);
  }
  for (const [field, budget] of Object.entries({ byteBudget, hostByteBudget })) {
    if (budget !== null && !(Number.isSafeInteger(budget) && budget > 0)) {
      throw refuse(field, "a whole number of bytes above 0, or null");
    }
  }
  if (cacheFolder !== null && (typeof cacheFolder !== "string" || cacheFolder === "")) {
    throw refuse("cacheFolder", "the path of a folder, or null");
  }
  for (const size of Object.values(dimensions)) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw refuse("dimensions", "a map of whole numbers from 1");
    }
  }
  return Object.freeze({
    placement,
    ahead,
    strategy,
    byteBudget,
    hostByteBudget,
    cacheFolder,
    dimensions: Object.freeze({ ...dimensions }),
  });
}
