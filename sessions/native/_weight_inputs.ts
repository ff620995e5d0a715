// The inputs of a session that are weights: given as a set of values with each run, not as tensors. A set
// is checked against what the model declares once, and its addresses are kept as long as the set lives.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ValueSpec } from "../engine.ts";
import type { WeightSource, WeightValues } from "./weight_values.ts";

/** The weight inputs of one session. */
export class WeightInputs {
  /** The inputs that are fed as tensors, in the graph's order. */
  readonly fed: readonly ValueSpec[];
  /** The inputs that are weights, in the graph's order. */
  readonly weights: readonly ValueSpec[];
  readonly #label: string;
  readonly #known = new WeakMap<WeightValues, BigUint64Array<ArrayBuffer>>();

  /**
   * Parts the inputs of a session.
   *
   * @throws {HooklineError} OPTION_INVALID when a name is no input.
   */
  constructor(inputs: readonly ValueSpec[], names: readonly string[], label: string) {
    const unknown = names.filter((name) => !inputs.some((spec) => spec.name === name));
    if (unknown.length > 0) {
      throw new HooklineError("OPTION_INVALID", {
        message: `cannot open ${label}: it has no input "${unknown[0]}" to take a weight`,
        fix: "name inputs of the model",
        details: { option: "weightInputs", unknown },
      });
    }
    this.fed = inputs.filter((spec) => !names.includes(spec.name));
    this.weights = inputs.filter((spec) => names.includes(spec.name));
    this.#label = label;
  }

  /** Names of all inputs: those fed, then the weights. */
  get names(): readonly string[] {
    return [...this.fed, ...this.weights].map((spec) => spec.name);
  }

  /**
   * The addresses of a set's values, in the order of {@linkcode weights}.
   *
   * @throws {HooklineError} FEED_MISSING, FEED_DTYPE, FEED_RANK or FEED_SHAPE when the set does not fit.
   */
  addresses(values: WeightValues): BigUint64Array<ArrayBuffer> {
    const known = this.#known.get(values);
    if (known !== undefined) return known;
    const addresses = values.addresses(this.weights.map((spec) => spec.name));
    const sources = new Map(values.sources.map((source) => [source.name, source]));
    for (const spec of this.weights) {
      const source = sources.get(spec.name);
      if (source !== undefined) this.#check(spec, source);
    }
    this.#known.set(values, addresses);
    return addresses;
  }

  /** The values of a set that was checked, by the names of their inputs. */
  handles(values: WeightValues): readonly (readonly [string, Deno.PointerObject])[] {
    return this.weights.map(({ name }) => [name, values.handle(name)]);
  }

  /** The error for a run without the weights that the session takes. */
  missing(): HooklineError {
    const names = this.weights.map((spec) => spec.name);
    return new HooklineError("FEED_MISSING", {
      message: `cannot run ${this.#label}: it takes ${names.length} weights and none were given`,
      fix: "run it with a set of weights",
      details: { label: this.#label, missing: names.slice(0, 20) },
    });
  }

  #check(spec: ValueSpec, { dtype, shape }: WeightSource): void {
    if (dtype !== spec.dtype) {
      throw this.#unfit("FEED_DTYPE", spec, `has dtype ${dtype}, declared is ${spec.dtype}`);
    }
    if (spec.shape === null) return;
    if (shape.length !== spec.shape.length) {
      throw this.#unfit("FEED_RANK", spec, `has ${shape.length} dimensions`);
    }
    spec.shape.forEach((size, axis) => {
      if (typeof size === "number" && size !== shape[axis]) {
        throw this.#unfit(
          "FEED_SHAPE",
          spec,
          `is ${shape[axis]} long on axis ${axis}, not ${size}`,
        );
      }
    });
  }

  #unfit(
    code: "FEED_DTYPE" | "FEED_RANK" | "FEED_SHAPE",
    spec: ValueSpec,
    why: string,
  ): HooklineError {
    return new HooklineError(code, {
      message: `cannot run ${this.#label}: weight "${spec.name}" ${why}`,
      fix: "give the weights of a block of equal structure",
      details: { label: this.#label, input: spec.name, dtype: spec.dtype },
    });
  }
}
