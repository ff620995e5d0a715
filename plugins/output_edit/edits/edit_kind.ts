// What a kind of edit is: a name, a way to write its arguments as JSON and to read them back, and what
// it does to an activation. It knows no module and no model.
//
// Invariant: an edit exists only if its arguments survive being written and read, all of them: it is
// checked when the edit is made, not when somebody needs the file.

import { isDeepStrictEqual } from "node:util";
import { HooklineError, type JsonValue, type Tensor } from "../../../mod.ts";
import { fault, listText } from "../_fault.ts";
import type { EditResult, EditScope } from "../hook_function.ts";
import { ArgumentReader } from "./argument_reader.ts";
import { MemoryTensors, type TensorReader, type TensorWriter } from "./stored_tensors.ts";

/** An object of JSON values. */
export type JsonObject = { readonly [key: string]: JsonValue };

/** A kind of edit: one of the built-in ones, or your own. */
export interface EditKind<Args extends object = Record<string, unknown>> {
  /** The name in documents: `[a-z][a-z0-9_]*`. */
  readonly kind: string;
  /** Whether {@linkcode apply} uses `scope.inputs`; then the module's inputs are fetched. */
  readonly readsInputs?: boolean;
  /** The arguments as JSON; tensors through `tensors.write`, numbers through `jsonNumber`. */
  serialise(args: Args, tensors: TensorWriter): JsonObject;
  /** The arguments from JSON; everything that is not asked of `reader` is refused afterwards. */
  parse(reader: ArgumentReader): Args;
  /** What the edit does; it must not write into the activation. */
  apply(activation: Tensor, args: Args, scope: EditScope): EditResult | Promise<EditResult>;
}

const KIND_NAME = /^[a-z][a-z0-9_]*$/;

/** One edit with its arguments: it does the same wherever and whenever it is applied. */
export class Edit {
  /** The kind's name. */
  readonly kind: string;
  /** Whether it uses the module's inputs. */
  readonly readsInputs: boolean;
  readonly #serialise: (tensors: TensorWriter) => JsonObject;
  readonly #apply: (activation: Tensor, scope: EditScope) => EditResult | Promise<EditResult>;

  /** Use {@linkcode makeEdit}. */
  constructor(
    kind: Pick<EditKind, "kind" | "readsInputs">,
    methods: {
      readonly serialise: (tensors: TensorWriter) => JsonObject;
      readonly apply: (
        activation: Tensor,
        scope: EditScope,
      ) => EditResult | Promise<EditResult>;
    },
  ) {
    this.kind = kind.kind;
    this.readsInputs = kind.readsInputs === true;
    this.#serialise = methods.serialise;
    this.#apply = methods.apply;
  }

  /** The kind and the arguments as JSON. */
  serialise(tensors: TensorWriter): JsonObject {
    return { ...this.#serialise(tensors), kind: this.kind };
  }

  /** Does the edit. */
  apply(activation: Tensor, scope: EditScope): EditResult | Promise<EditResult> {
    return this.#apply(activation, scope);
  }
}

/**
 * Makes an edit of a kind.
 *
 * @throws {HooklineError} OPTION_INVALID when the kind's name breaks the grammar, the arguments are
 * refused by the kind, or they do not survive being serialised and parsed.
 *
 * @example
 * ```ts
 * import { type EditKind, makeEdit } from "@hookline/hookline/plugins/output-edit";
 * const KEEP: EditKind<{ readonly note: string }> = {
 *   kind: "keep",
 *   serialise: ({ note }) => ({ note }),
 *   parse: (reader) => ({ note: reader.text("note") }),
 *   apply: (activation) => activation,
 * };
 * console.log(makeEdit(KEEP, { note: "nothing changes" }).kind); // keep
 * ```
 */
export function makeEdit<Args extends object>(kind: EditKind<Args>, args: Args): Edit {
  checkKindName(kind.kind);
  const given = withoutUndefined(args);
  const memory = new MemoryTensors();
  const json = kind.serialise(given, memory);
  if (!isDeepStrictEqual(asJson(json), { ...json })) {
    throw fault("OPTION_INVALID", {
      message: `cannot make an edit of kind "${kind.kind}": its arguments are written as ` +
        "something that JSON cannot hold",
      fix: "write numbers through jsonNumber and tensors through tensors.write",
      details: { kind: kind.kind },
    });
  }
  const back = readArguments(kind, json, memory);
  const lost = differing(given, withoutUndefined(back));
  if (lost.length > 0 || "kind" in json) {
    throw fault("OPTION_INVALID", {
      message: `cannot make an edit of kind "${kind.kind}": ${
        lost.length > 0
          ? `its argument ${listText(lost)} does not come back from JSON as it was`
          : 'it writes an argument called "kind"'
      }`,
      fix: "mend the kind's serialise and parse, so that a saved edit does what this one does",
      details: { kind: kind.kind, arguments: lost },
    });
  }
  return new Edit(kind, {
    serialise: (tensors) => kind.serialise(given, tensors),
    apply: (activation, scope) => kind.apply(activation, given, scope),
  });
}

/** Kinds of edits by name, for reading documents. */
export class EditKinds {
  readonly #kinds = new Map<string, EditKind<object>>();

  /** Makes a registry of these kinds. */
  constructor(kinds: readonly EditKind<object>[] = []) {
    for (const kind of kinds) this.register(kind);
  }

  /** The names, sorted. */
  get names(): readonly string[] {
    return [...this.#kinds.keys()].sort();
  }

  /**
   * Adds a kind.
   *
   * @throws {HooklineError} OPTION_INVALID when the name breaks the grammar or is taken by another one.
   */
  register(kind: EditKind<object>): void {
    checkKindName(kind.kind);
    const known = this.#kinds.get(kind.kind);
    if (known !== undefined && known !== kind) {
      throw fault("OPTION_INVALID", {
        message: `cannot register the edit kind "${kind.kind}": the name is taken`,
        fix: "choose another name, such as one with your project's name before it",
        details: { kind: kind.kind },
      });
    }
    this.#kinds.set(kind.kind, kind);
  }

  /**
   * An edit from JSON.
   *
   * @throws {HooklineError} OPTION_INVALID when the kind is unknown or an argument is missing, unknown
   * or of the wrong form.
   */
  parse(json: JsonObject, tensors: TensorReader): Edit {
    const { kind: name, ...rest } = json;
    const kind = typeof name === "string" ? this.#kinds.get(name) : undefined;
    if (kind === undefined) {
      throw fault("OPTION_INVALID", {
        message: `cannot read an edit of kind ${
          JSON.stringify(name ?? null)
        }: no such kind is known`,
        fix: `register the kind, or use one of ${this.names.join(", ")}`,
        details: { kind: String(name), known: [...this.names] },
      });
    }
    const args = readArguments(kind, rest, tensors);
    return makeEdit(kind, args);
  }
}

function readArguments<Args extends object>(
  kind: EditKind<Args>,
  json: JsonObject,
  tensors: TensorReader,
): Args {
  const reader = new ArgumentReader(kind.kind, json, tensors);
  let args: Args;
  try {
    args = kind.parse(reader);
  } catch (cause) {
    if (cause instanceof HooklineError) throw cause;
    throw fault("OPTION_INVALID", {
      message: `cannot read an edit of kind "${kind.kind}": ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      fix: "give the arguments that the kind wants",
      details: { kind: kind.kind },
      cause,
    });
  }
  reader.end();
  return args;
}

function checkKindName(kind: unknown): void {
  if (typeof kind === "string" && KIND_NAME.test(kind)) return;
  throw fault("OPTION_INVALID", {
    message:
      `cannot use the edit kind ${JSON.stringify(kind ?? null)}: wanted is a name of a-z, 0-9 ` +
      "and _ that begins with a letter",
    fix: 'name the kind like "mean_ablate"',
    details: { kind: String(kind) },
  });
}

function asJson(json: JsonObject): unknown {
  return JSON.parse(JSON.stringify(json));
}

function withoutUndefined<Args extends object>(args: Args): Args {
  return Object.fromEntries(
    Object.entries(args).filter(([, value]) => value !== undefined),
  ) as Args;
}

function differing(left: object, right: object): string[] {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].filter((name) =>
    !isDeepStrictEqual(
      (left as Record<string, unknown>)[name],
      (right as Record<string, unknown>)[name],
    )
  ).sort();
}
