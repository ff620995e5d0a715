// Checks what goes into a session before native code sees it: names, element type, rank, fixed
// dimensions, and that the array is what dtype and shape say. Native code trusts these and may read past
// an array's end. The good path allocates nothing; the bad path lists everything that is wrong.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import { type Tensor, tensorFault, type TensorMap } from "../tensor/tensor.ts";
import type { ValueSpec } from "./engine.ts";

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function written(shape: readonly (number | string | null)[]): string {
  return `[${shape.map((size) => size ?? "?").join(", ")}]`;
}

/** Checks feeds against the declared inputs of one session. */
export class FeedGuard {
  readonly #inputs: readonly ValueSpec[];
  readonly #label: string;
  readonly #isElsewhere: (value: unknown) => boolean;

  /**
   * Makes the guard of a session; `label` names it in errors, `isElsewhere` knows values whose data do not
   * lie in the process's memory.
   */
  constructor(
    inputs: readonly ValueSpec[],
    label: string,
    isElsewhere: (value: unknown) => boolean = () => false,
  ) {
    this.#inputs = inputs;
    this.#label = label;
    this.#isElsewhere = isElsewhere;
  }

  /**
   * Returns when the feeds fit.
   *
   * @throws {HooklineError} FEED_MISSING or FEED_UNKNOWN with all names at once; FEED_DATA, FEED_DTYPE,
   * FEED_RANK or FEED_SHAPE for the first input that does not fit; FEED_DATA when `feeds` is no object.
   */
  check(feeds: TensorMap): void {
    if (typeof feeds !== "object" || feeds === null) {
      throw this.#noFeeds(feeds);
    }
    const inputs = this.#inputs;
    let given = 0;
    for (const _name in feeds) given++;
    if (given !== inputs.length) throw this.#namesError(feeds);
    for (let index = 0; index < inputs.length; index++) {
      const spec = inputs[index] as ValueSpec;
      const value = Object.hasOwn(feeds, spec.name) ? feeds[spec.name] : undefined;
      if (value === undefined) throw this.#namesError(feeds);
      this.#checkOne(spec, value);
    }
  }

  #checkOne(spec: ValueSpec, value: Tensor): void {
    const fault = tensorFault(value);
    if (fault !== null && !this.#isElsewhere(value)) {
      throw this.#fault("FEED_DATA", spec, fault, {
        fix:
          "give an array of the dtype's own kind, not shared, with as many elements as the shape says",
      });
    }
    if (value.dtype !== spec.dtype) {
      throw this.#fault(
        "FEED_DTYPE",
        spec,
        spec.isTensor
          ? `has dtype ${value.dtype}, the model declares ${spec.dtype}`
          : "is declared as a sequence, an optional or a map, which cannot be fed",
        {
          fix: spec.isTensor
            ? `convert the data to ${spec.dtype}`
            : "change the model so that its inputs are tensors",
        },
      );
    }
    if (value.dtype === "string") this.#checkStrings(spec, value);
    const declared = spec.shape;
    if (declared === null) return;
    const shape = value.shape;
    if (shape.length !== declared.length) {
      throw this.#fault(
        "FEED_RANK",
        spec,
        `has ${shape.length} dimensions ${written(shape)}, the model declares ${written(declared)}`,
        { fix: "reshape the input to the declared number of dimensions" },
      );
    }
    for (let axis = 0; axis < declared.length; axis++) {
      const size = declared[axis];
      if (typeof size === "number" && size !== shape[axis]) {
        throw this.#fault(
          "FEED_SHAPE",
          spec,
          `has shape ${written(shape)}, the model declares ${written(declared)} (axis ${axis})`,
          { fix: `make axis ${axis} ${size} long` },
        );
      }
    }
  }

  #checkStrings(spec: ValueSpec, value: Tensor): void {
    const data = value.data as readonly unknown[];
    for (let index = 0; index < data.length; index++) {
      if (typeof data[index] !== "string") {
        throw this.#fault(
          "FEED_DATA",
          spec,
          `has a ${typeof data[index]} at element ${index}`,
          { fix: "give strings only" },
        );
      }
    }
  }

  #fault(
    code: "FEED_DATA" | "FEED_DTYPE" | "FEED_RANK" | "FEED_SHAPE",
    spec: ValueSpec,
    fault: string,
    { fix }: { fix: string },
  ): HooklineError {
    return new HooklineError(code, {
      message: `cannot run ${this.#label}: input "${spec.name}" ${fault}`,
      fix,
      details: {
        input: spec.name,
        label: this.#label,
        dtype: spec.dtype,
        shape: spec.shape === null ? null : [...spec.shape],
      },
    });
  }

  #noFeeds(feeds: unknown): HooklineError {
    const known = quoted(this.#inputs.map((spec) => spec.name)) || "no input";
    return new HooklineError("FEED_DATA", {
      message: `cannot run ${this.#label}: the feeds are ${
        feeds === null ? "null" : `of type ${typeof feeds}`
      }, wanted is an object of tensors by input name`,
      fix: `give one tensor for each input by its name; the model takes ${known}`,
      details: { label: this.#label },
    });
  }

  #namesError(feeds: TensorMap): HooklineError {
    const wanted = this.#inputs.map((spec) => spec.name);
    const given = Object.keys(feeds);
    const missing = wanted.filter((name) =>
      !Object.hasOwn(feeds, name) || feeds[name] === undefined
    );
    const unknown = given.filter((name) => !wanted.includes(name));
    const nearest = unknown.flatMap((name) => nearestNames(name, wanted, 1));
    const parts: string[] = [];
    if (missing.length > 0) parts.push(`missing ${quoted(missing)}`);
    if (unknown.length > 0) parts.push(`unknown ${quoted(unknown)}`);
    if (parts.length === 0) {
      parts.push("the feeds inherit names instead of owning them");
    }
    const known = wanted.length === 0 ? "no input" : quoted(wanted);
    return new HooklineError(
      missing.length > 0 ? "FEED_MISSING" : "FEED_UNKNOWN",
      {
        message: `cannot run ${this.#label}: ${parts.join("; ")}`,
        fix: nearest.length > 0 && missing.length === 0
          ? `did you mean ${quoted(nearest)}? The model takes ${known}`
          : `give each input once; the model takes ${known}`,
        details: { label: this.#label, missing, unknown, nearest },
      },
    );
  }
}
