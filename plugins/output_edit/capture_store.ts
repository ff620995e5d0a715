// What hooks kept: activations by module, in the order in which they came. It knows no hook.
//
// Invariant: between two runs it holds either everything since the last clear (append) or the values
// of one run, the latest (overwrite).

import { copyTensor, type Tensor } from "../../mod.ts";
import { fault } from "./_fault.ts";

/** An activation that a hook kept. */
export interface CapturedActivation {
  /** The module's path. */
  readonly module: string;
  /** The value's name in the model. */
  readonly name: string;
  /** The whole activation; of gathered shards, all of it. */
  readonly tensor: Tensor;
  /** Whether it was taken before or after the hook's own edit. */
  readonly when: "pre-edit" | "post-edit";
  /** Which call of the module within its run, from 0. */
  readonly callIndex: number;
  /** Which run, from 0: of the model, or of the shard group. */
  readonly runId: number;
  /** The step that `traceStep` set, or null. */
  readonly step: number | null;
  /** The context that `withContext` set. */
  readonly context: string;
  /** Which shard it came from; null when it was whole. */
  readonly shard: number | null;
}

/** How captured values are kept. */
export interface CaptureOptions {
  /** `"overwrite"` (the default) keeps the latest run, `"append"` everything until `clear`. */
  readonly between?: "overwrite" | "append";
  /**
   * `"reference"` (the default) keeps the tensor that the engine made, at no cost; `"copy"` keeps a copy;
   * `"none"` keeps nothing, whatever hooks ask for.
   */
  readonly retention?: "reference" | "copy" | "none";
}

/** Captured activations. */
export class CaptureStore {
  readonly #between: "overwrite" | "append";
  readonly #retention: "reference" | "copy" | "none";
  readonly #values = new Map<string, CapturedActivation[]>();
  #latestRun = -1;

  /**
   * Makes an empty store.
   *
   * @throws {HooklineError} OPTION_INVALID for an unknown option value, which the message names.
   */
  constructor({ between = "overwrite", retention = "reference" }: CaptureOptions = {}) {
    requireOne("between", between, ["overwrite", "append"]);
    requireOne("retention", retention, ["reference", "copy", "none"]);
    this.#between = between;
    this.#retention = retention;
  }

  /** The modules that have values, in the order in which they came first. */
  get modules(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** The values of a module; none when nothing was kept. */
  get(module: string): readonly CapturedActivation[] {
    return [...this.#values.get(module) ?? []];
  }

  /** Forgets everything. */
  clear(): void {
    this.#values.clear();
    this.#latestRun = -1;
  }

  /** Whether {@linkcode add} keeps anything. */
  get keeps(): boolean {
    return this.#retention !== "none";
  }

  /** Keeps a value. With `overwrite`, the first of a later run drops the earlier run's values. */
  add(value: CapturedActivation): void {
    if (this.#retention === "none") return;
    if (this.#between === "overwrite") {
      if (value.runId < this.#latestRun) return; // a run that was overtaken
      if (value.runId > this.#latestRun) this.#values.clear();
      this.#latestRun = value.runId;
    }
    const kept = this.#retention === "copy" ? copyTensor(value.tensor) : value.tensor;
    const list = this.#values.get(value.module) ?? [];
    // Shards run side by side: which of them comes first is chance, in the store it is not.
    const overtaken = list.findLastIndex((earlier) => !comesAfter(earlier, value));
    list.splice(overtaken + 1, 0, Object.freeze({ ...value, tensor: kept }));
    this.#values.set(value.module, list);
  }
}

/** True for what another shard kept of the same run, of a later call or with a higher number. */
function comesAfter(earlier: CapturedActivation, value: CapturedActivation): boolean {
  if (earlier.shard === null || value.shard === null || earlier.shard === value.shard) return false;
  if (earlier.runId !== value.runId) return false;
  if (earlier.callIndex !== value.callIndex) return earlier.callIndex > value.callIndex;
  return earlier.shard > value.shard;
}

function requireOne(option: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return;
  throw fault("OPTION_INVALID", {
    message: `cannot keep captured values with ${option} "${value}"`,
    fix: `use ${allowed.map((name) => `"${name}"`).join(" or ")}`,
    details: { option, value },
  });
}
