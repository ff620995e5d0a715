// The options of layerwise offload, checked and worked out before anything is attached.

import { HooklineError, type ModuleSelector, type ResidencyStrategy } from "../../mod.ts";

/** Which blocks keep their weights in memory. */
export type ResidentBlocks =
  /** The first so many. */
  | number
  /** Those at these positions, from 0; negative ones count from the end. */
  | readonly number[]
  /** Every so many, the first one among them. */
  | { readonly stride: number };

/** Options of the plugin. */
export interface LayerwiseOffloadOptions {
  /** The modules whose weights are streamed; the largest run of equal neighbours when left out. */
  readonly blocks?: ModuleSelector;
  /** Which of them stay in memory all the same; none when left out, or as many as `budget` allows. */
  readonly resident?: ResidentBlocks;
  /**
   * Bytes that the model's weights may take in memory at once, as a number or as text: `"512MiB"`,
   * `"2GB"`. Without `resident` as many blocks stay as fit, evenly spread.
   */
  readonly budget?: number | string;
  /**
   * With a device: bytes that streamed weights may take in the process's memory on their way there, as a
   * number or as text. Those of as many blocks as fit stay, the others are read from the file for each call.
   * Half of the machine's memory when left out; without the right to ask how much that is
   * (`--allow-sys=systemMemoryInfo`) none stay.
   */
  readonly hostBudget?: number | string;
  /** How many blocks ahead are fetched while one runs; the strategy's own number when left out. */
  readonly depth?: number;
  /** How weights are streamed; `auto`, the planner's choice, when left out. */
  readonly strategy?: ResidencyStrategy | "auto";
  /**
   * A folder for weights in ONNX Runtime's own layout: twice the size of the streamed weights, written
   * once, and then streamed at full speed with the bits of a resident run.
   */
  readonly cacheFolder?: string;
  /**
   * Sizes of the model's symbolic dimensions, such as `{ batch: 1, tokens: 128 }`: activations are then
   * part of the memory that `explain` foretells.
   */
  readonly dimensions?: Readonly<Record<string, number>>;
}

/** The options worked out. */
export interface OffloadSettings {
  readonly resident: ResidentBlocks | null;
  readonly byteBudget: number | null;
  readonly hostByteBudget: number | null;
  readonly depth: number | null;
  readonly strategy: ResidencyStrategy | "auto";
  readonly cacheFolder: string | null;
  readonly dimensions: Readonly<Record<string, number>>;
}

const OPTIONS: readonly (keyof LayerwiseOffloadOptions)[] = [
  "blocks",
  "resident",
  "budget",
  "hostBudget",
  "depth",
  "strategy",
  "cacheFolder",
  "dimensions",
];
const STRATEGIES: readonly string[] = ["auto", "mapped", "prepacked", "inputs", "sessions"];
const DEPTH_MAX = 64;
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * Checks the options.
 *
 * @throws {HooklineError} OPTION_INVALID.
 */
export function offloadSettings(options: LayerwiseOffloadOptions): OffloadSettings {
  if (typeof options !== "object" || options === null) {
    throw invalid("options", "is no object", "give an object, or nothing");
  }
  const unknown = Object.keys(options).find((name) => !(OPTIONS as string[]).includes(name));
  if (unknown !== undefined) {
    throw invalid(unknown, "is not known", `use some of ${OPTIONS.join(", ")}`);
  }
  const { resident = null, depth = null, strategy = "auto", cacheFolder = null } = options;
  const { dimensions = {} } = options;
  const isMap = typeof dimensions === "object" && dimensions !== null;
  if (
    !isMap || !Object.values(dimensions).every((size) => Number.isSafeInteger(size) && size > 0)
  ) {
    throw invalid("dimensions", "is no map of sizes", "give such as { batch: 1, tokens: 128 }");
  }
  if (depth !== null && !(Number.isSafeInteger(depth) && depth >= 0 && depth <= DEPTH_MAX)) {
    throw invalid("depth", `is ${depth}`, `give a whole number from 0 to ${DEPTH_MAX}`);
  }
  if (!STRATEGIES.includes(strategy)) {
    throw invalid("strategy", `is "${strategy}"`, `give one of ${STRATEGIES.join(", ")}`);
  }
  if (cacheFolder !== null && (typeof cacheFolder !== "string" || cacheFolder === "")) {
    throw invalid("cacheFolder", "is no path", "give the path of a folder");
  }
  checkResident(resident);
  const byteBudget = byteLengthOf(options, "budget");
  const hostByteBudget = byteLengthOf(options, "hostBudget");
  return { resident, byteBudget, hostByteBudget, depth, strategy, cacheFolder, dimensions };
}

function checkResident(resident: ResidentBlocks | null): void {
  const refuse = (): HooklineError =>
    invalid(
      "resident",
      `is ${JSON.stringify(resident)}`,
      "give a number of leading blocks, a list of positions, or { stride: N }",
    );
  if (resident === null) return;
  if (typeof resident === "number") {
    if (!Number.isSafeInteger(resident) || resident < 0) throw refuse();
  } else if (Array.isArray(resident)) {
    if (!resident.every((position) => Number.isSafeInteger(position))) throw refuse();
  } else {
    const { stride } = resident as Partial<{ stride: number }>;
    if (!Number.isSafeInteger(stride) || (stride ?? 0) < 1) throw refuse();
  }
}

/** Bytes of `"512MiB"`, `"1.5 GB"` or a plain number; null for an option that was left out. */
function byteLengthOf(
  options: LayerwiseOffloadOptions,
  option: "budget" | "hostBudget",
): number | null {
  const budget = options[option];
  if (budget === undefined) return null;
  const found = typeof budget === "number"
    ? budget
    : parse(/^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(budget));
  if (Number.isSafeInteger(found) && found > 0) return found;
  throw invalid(
    option,
    `is ${typeof budget === "number" ? budget : JSON.stringify(budget)}`,
    'give bytes, or text such as "512MiB" or "2GB"',
  );
}

function parse(match: RegExpExecArray | null): number {
  const [, digits = "", unit = ""] = match ?? [];
  return Math.floor(Number(digits || NaN) * (UNITS[unit.toLowerCase() || "b"] ?? NaN));
}

function invalid(option: string, found: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot make layerwise offload: option "${option.slice(0, 80)}" ${found}`,
    fix,
    details: { option: option.slice(0, 80) },
  });
}
