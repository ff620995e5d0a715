// The keys of a model and of its sub-models, each with its slots. A level is the model itself or a
// sub-model that has keys of its own; a module belongs to the innermost level around it.

import { type GraphModule, HooklineError, type Model } from "../../mod.ts";
import {
  type CaptureSlot,
  type KeyDeclaration,
  slotOfValue,
  slotsOf,
  specsOf,
} from "./capture_slot.ts";
import type { ClassTable } from "./class_table.ts";

/** Capture keys by name. */
export type KeyDeclarations = Readonly<Record<string, KeyDeclaration>>;

/** A key of one level. */
export interface CaptureKey {
  /** The level's path; `""` for the model itself. */
  readonly level: string;
  /** The key's name. */
  readonly name: string;
  /** Its places; null where a layer has nothing to record. Found on first use. */
  readonly slots: () => readonly (CaptureSlot | null)[];
}

/** How levels see the captures of those inside them. */
export type NestingPolicy = "shadow" | "stack";

/** What {@linkcode captureKeys} takes. */
export interface LevelsRequest {
  readonly model: Model;
  readonly classes: ClassTable;
  readonly keys: KeyDeclarations;
  /** Keys of sub-models by the path of their module. */
  readonly submodels: Readonly<Record<string, KeyDeclarations>>;
  readonly nesting: NestingPolicy;
  /** What the last hidden state is tied to: see {@linkcode tiedSlots}. */
  readonly tie: boolean | string;
}

/**
 * The keys of all levels, in declaration order, the model's own first.
 *
 * @throws {HooklineError} OPTION_INVALID when a sub-model's path is no module or a key's name is none.
 */
export function captureKeys(request: LevelsRequest): readonly CaptureKey[] {
  const { model, classes, keys, submodels, nesting, tie } = request;
  const paths = Object.keys(submodels);
  const known = new Set(model.modules.map(({ path }) => path));
  for (const path of paths) {
    if (path !== "" && known.has(path)) continue;
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot give the sub-model "${path}" keys: the model has no such module`,
      fix: "use the path of a module as `hookline inspect` lists it",
      details: { option: "submodels", module: path },
    });
  }
  const levelOf = ({ path }: GraphModule): string => {
    const around = paths.filter((level) => isWithin(path, level));
    return around.reduce((longest, level) => level.length > longest.length ? level : longest, "");
  };
  const levels: readonly (readonly [string, KeyDeclarations])[] = [
    ["", keys],
    ...Object.entries(submodels),
  ];
  return levels.flatMap(([level, declared]) =>
    Object.entries(declared).flatMap(([name, declaration]) =>
      splitAttentions(name, declaration, declared).map(([key, specs]): CaptureKey => {
        requireName(key);
        const source = {
          model,
          classes,
          isOwn: (module: GraphModule) => levelOf(module) === level,
        };
        const own = lazily(() => {
          const slots = slotsOf(key, specs, source);
          return level === "" && key === "hidden_states" ? tiedSlots(model, slots, tie) : slots;
        });
        if (nesting === "shadow") return { level, name: key, slots: own };
        const inner = Object.entries(submodels).filter(([path, other]) =>
          path !== level && isWithin(path, level) && Object.hasOwn(other, key)
        );
        return {
          level,
          name: key,
          slots: lazily(() => [
            ...own(),
            ...inner.flatMap(([path, other]) =>
              slotsOf(key, specsOf(other[key] as KeyDeclaration), {
                model,
                classes,
                isOwn: (module) => levelOf(module) === path,
              })
            ),
          ]),
        };
      })
    )
  );
}

/**
 * The slots with the last one tied: it shows the output `vision_hidden_states` or `last_hidden_state`
 * where the model has one (true), or the output or the module of that name; false leaves it.
 *
 * @throws {HooklineError} OPTION_INVALID when the model has neither an output nor a module of the name.
 */
function tiedSlots(
  model: Model,
  slots: readonly (CaptureSlot | null)[],
  tie: boolean | string,
): readonly (CaptureSlot | null)[] {
  const last = slots.at(-1);
  if (tie === false || last === undefined || last === null) return slots;
  const outputs = model.outputs.map(({ name }) => name);
  const value = tie === true
    ? ["vision_hidden_states", "last_hidden_state"].find((name) => outputs.includes(name))
    : outputs.includes(tie)
    ? tie
    : model.modules.find(({ path }) => path === tie)?.calls.at(-1)?.outputs.at(-1);
  if (value === undefined && tie !== true) {
    throw new HooklineError("OPTION_INVALID", {
      message:
        `cannot tie the last hidden state to "${tie}": the model has no such output or module`,
      fix: `use one of the outputs ${outputs.join(", ")}, or a module's path`,
      details: { option: "tieLastHiddenStates", outputs },
    });
  }
  if (value === undefined || value === last.value) return slots;
  const tied = slotOfValue(model, value, last);
  return tied === null ? slots : Object.freeze([...slots.slice(0, -1), tied]);
}

/** Whether a path is a module or lies inside it; everything lies inside `""`. */
function isWithin(path: string, level: string): boolean {
  return level === "" || path === level || path.startsWith(`${level}.`) ||
    path.startsWith(`${level}::`);
}

/** `attentions` with exactly two specs means self- and cross-attention, as transformers has it. */
function splitAttentions(
  name: string,
  declaration: KeyDeclaration,
  all: KeyDeclarations,
): readonly (readonly [string, ReturnType<typeof specsOf>])[] {
  const specs = specsOf(declaration);
  const [self, cross] = specs;
  const isPair = name === "attentions" && specs.length === 2 &&
    !Object.hasOwn(all, "cross_attentions");
  if (!isPair || self === undefined || cross === undefined) return [[name, specs]];
  return [["attentions", [self]], ["cross_attentions", [cross]]];
}

function requireName(name: string): void {
  if (name !== "" && !/[\s/]/.test(name)) return;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot declare the capture key "${name}": a key is a word without spaces and slashes`,
    fix: 'name it like "hidden_states"',
    details: { option: "keys", key: name },
  });
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
