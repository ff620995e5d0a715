// The inputs of a session that come as a set of weights with a run, not as tensors. A set is checked against
// what the model declares once, and its addresses are kept as long as the set lives.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ValueSpec } from "../engine.ts";
import type { WeightSource, WeightValues } from "./weight_values.ts";

/** The inputs of one session that come as weights, by their names. */
export class WeightInputs {
  /** The inputs that are fed as tensors, in the graph's order. */
  readonly fed: readonly ValueSpec[];
  readonly #weights: readonly ValueSpec[];
  readonly #label: string;
  readonly #addresses = new WeakMap<WeightValues, BigUint64Array<ArrayBuffer>>();

  /**
   * Parts the inputs of a session; the weights stay in the order of `names`.
   *
   * @throws {HooklineError} FEED_UNKNOWN when a name is no input.
   */
  constructor(inputs: readonly ValueSpec[], names: readonly string[], label: string) {
    const specs = new Map(inputs.map((spec) => [spec.name, spec]));
    const unknown = names.filter((name) => !specs.has(name));
    if (unknown.length > 0) {
      throw new HooklineError("FEED_UNKNOWN", {
        message: `cannot run ${label}: it has no input "${unknown[0]}" to take a weight`,
        fix: "give weights under the names of the model's inputs",
        details: { label, unknown },
      });
    }
    this.fed = inputs.filter((spec) => !names.includes(spec.name));
    this.#weights = names.flatMap((name) => specs.get(name) ?? []);
    this.#label = label;
  }

  /**
   * Returns when a set of these names fits what the model declares.
   *
   * @throws {HooklineError} FEED_DTYPE, FEED_RANK or FEED_SHAPE.
   */
  check(values: WeightValues): void {
    const sources = new Map(values.sources.map((source) => [source.name, source]));
    for (const spec of this.#weights) {
      const source = sources.get(spec.name);
      if (source !== undefined) this.#check(spec, source);
    }
  }

  /** The addresses of a set's values, in the order of the weights. */
  addresses(values: WeightValues): BigUint64Array<ArrayBuffer> {
    const known = this.#addresses.get(values);
    if (known !== undefined) return known;
    const addresses = values.addresses(this.#weights.map((spec) => spec.name));
    this.#addresses.set(values, addresses);
    return addresses;
  }

  /** The values of a set, by the names of their inputs. */
  handles(values: WeightValues): readonly (readonly [string, Deno.PointerObject])[] {
    return this.#weights.map(({ name }) => [name, values.handle(name)]);
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
