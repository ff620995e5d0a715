// Checks which outputs of a session are asked for, before native code sees the names. The good path
// allocates nothing.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { ValueSpec } from "./engine.ts";

/** Checks fetches against the declared outputs of one session. */
export class FetchGuard {
  /** Every output's name, in the graph's order: what a run fetches when it is not told. */
  readonly names: readonly string[];
  readonly #tensors: ReadonlySet<string>;
  readonly #label: string;

  /** Makes the guard of a session; `label` names it in errors. */
  constructor(outputs: readonly ValueSpec[], label: string) {
    this.names = outputs.map((spec) => spec.name);
    this.#tensors = new Set(outputs.filter((spec) => spec.isTensor).map((spec) => spec.name));
    this.#label = label;
  }

  /** The outputs that can be fetched. */
  get tensorNames(): readonly string[] {
    return [...this.#tensors];
  }

  /**
   * Returns when every output exists and is a tensor, and there is at least one.
   *
   * @throws {HooklineError} FETCH_UNKNOWN with everything that is wrong.
   */
  check(fetches: readonly string[]): void {
    if (fetches.length === 0) throw this.#error(fetches);
    for (let index = 0; index < fetches.length; index++) {
      if (!this.#tensors.has(fetches[index] as string)) throw this.#error(fetches);
    }
  }

  #error(fetches: readonly string[]): HooklineError {
    const label = this.#label;
    const tensors = this.tensorNames;
    const unknown = fetches.filter((name) => !this.names.includes(name));
    const others = fetches.filter((name) => this.names.includes(name) && !this.#tensors.has(name));
    const why = unknown.length > 0
      ? `no output is called ${quoted(unknown)}`
      : others.length > 0
      ? `output ${quoted(others)} is a sequence, an optional or a map`
      : "no output was asked for";
    const nearest = unknown.flatMap((name) => nearestNames(name, tensors, 1));
    return new HooklineError("FETCH_UNKNOWN", {
      message: `cannot run ${label}: ${why}`,
      fix: nearest.length > 0
        ? `did you mean ${quoted(nearest)}?`
        : `ask for some of ${quoted(tensors)}`,
      details: { label, unknown, notTensors: others, nearest },
    });
  }
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
