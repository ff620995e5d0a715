// One place of a capture key: which value of which call of which module fills it. It is decided from the
// model's structure before anything runs, so a module that is skipped leaves a hole and shifts nothing.

import type { GraphModule, Model, ModuleCall } from "../../mod.ts";
import type { ClassTable } from "./class_table.ts";
import {
  invalidRecorder,
  matchRecorder,
  operatorsInside,
  OutputRecorder,
  type OutputRecorderOptions,
} from "./output_recorder.ts";
import type { PositionSlice } from "./position_slice.ts";

/** What one key records: recorders, their options, or class names and selectors as shorthand. */
export type RecorderSpec =
  | OutputRecorder
  | OutputRecorderOptions
  | string
  | ((module: GraphModule) => boolean);

/** What a capture key records: one spec, or a list whose records are joined in execution order. */
export type KeyDeclaration = RecorderSpec | readonly RecorderSpec[];

/** One place of a key. */
export interface CaptureSlot {
  /** The module's path. */
  readonly module: string;
  /** Which of the module's calls. */
  readonly callIndex: number;
  /** Output or input. */
  readonly of: "output" | "input";
  /** The value's position among the call's outputs or inputs. */
  readonly index: number;
  /** The value's name in the file. */
  readonly value: string;
  /** Before or after edits. */
  readonly observes: "raw" | "final";
  /** Positions to keep. */
  readonly slices: readonly PositionSlice[];
  /** `MODULE`, with `:in`, and `#k` and `[i]` where there are several: unique within the key. */
  readonly label: string;
}

/** What matching and naming need to know. */
export interface SlotSource {
  readonly model: Model;
  readonly classes: ClassTable;
  /** Whether a module belongs to the level whose keys are made. */
  readonly isOwn: (module: GraphModule) => boolean;
}

interface Firing {
  readonly slot: CaptureSlot;
  /** Half steps before the first and after the last node, as the model computes. */
  readonly order: number;
  readonly call: ModuleCall;
  readonly path: string;
}

/** The recorder that a spec means for a key: the shorthand's defaults depend on the key's name. */
export function recorderOf(spec: RecorderSpec): OutputRecorder {
  if (spec instanceof OutputRecorder) return spec;
  if (typeof spec === "string" || typeof spec === "function") {
    return new OutputRecorder({ target: spec });
  }
  return new OutputRecorder(spec);
}

/**
 * The slots that a spec fills, in execution order. null stands for a numbered layer that has nothing to
 * record, where the key counts by layer (`attentions` and its kin do).
 *
 * @throws {HooklineError} HOOK_MATCH_EMPTY, SELECTOR_SYNTAX, OPTION_INVALID.
 */
export function slotsOf(
  key: string,
  specs: readonly RecorderSpec[],
  source: SlotSource,
): readonly (CaptureSlot | null)[] {
  const firings: Firing[] = [];
  let first: CaptureSlot | null = null;
  for (const spec of specs) {
    const recorder = recorderOf(spec);
    const modules = modulesOf(key, spec, recorder, source).filter(source.isOwn);
    const index = isShorthand(spec) && !/hidden_states|attentions/.test(key) ? 1 : recorder.index;
    const made = firingsOf(modules, recorder, index);
    firings.push(...made);
    const wantsFirst = recorder.firstInput ?? (key === "hidden_states" && recorder.of === "output");
    if (wantsFirst !== false && first === null) first = firstInputOf(made, recorder, wantsFirst);
  }
  if (firings.length === 0) {
    throw invalidRecorder(
      `the key "${key}" finds only modules inside a sub-model that has keys of its own`,
      "ask that sub-model for the key, or declare other modules",
    );
  }
  firings.sort((left, right) => left.order - right.order);
  const aligned = /attentions$/.test(key) ? byLayer(firings, source.model) : null;
  const slots = aligned ?? firings.map(({ slot }) => slot);
  return Object.freeze(uniqueLabels(first === null ? slots : [first, ...slots]));
}

function isShorthand(spec: RecorderSpec): boolean {
  return typeof spec === "string" || typeof spec === "function";
}

/**
 * The modules of a spec. For `attentions` and its kin the shorthand means the Softmax inside the named
 * modules: the weights that a PyTorch module returns beside its output are no output of the ONNX module.
 */
function modulesOf(
  key: string,
  spec: RecorderSpec,
  recorder: OutputRecorder,
  { model, classes }: SlotSource,
): readonly GraphModule[] {
  const modules = matchRecorder(model, recorder, classes);
  if (!isShorthand(spec) || !/attentions$/.test(key)) return modules;
  if (modules.every(({ path }) => path.includes("::"))) return modules;
  const inside = modules.flatMap(({ path }) => operatorsInside(model, path, "Softmax") ?? []);
  if (inside.length > 0) return inside;
  throw invalidRecorder(
    `"${modules[0]?.path}" holds no Softmax operator whose output would be its "${key}"`,
    "the exporter fused the attention; name the weights with { target, index } if they are an output",
  );
}

function firingsOf(
  modules: readonly GraphModule[],
  recorder: OutputRecorder,
  index: number | string | null,
): Firing[] {
  const calls = modules.flatMap((module) =>
    module.calls.map((call, callIndex) => ({ module, call, callIndex }))
  ).sort((left, right) => (left.call.nodes[0] ?? 0) - (right.call.nodes[0] ?? 0));
  return calls.flatMap(({ module, call, callIndex }, at) => {
    const isOutput = recorder.of === "output";
    const names = isOutput ? call.outputs : call.inputs;
    const next = calls[at + 1]?.call.inputs ?? [];
    const main = () => isOutput ? mainOutput(names, next) : 0;
    const chosen = index === "*"
      ? names.map((_, each) => each)
      : [chooseValue(names, index, main, module.path)];
    return chosen.map((each) => ({
      slot: slot(module, callIndex, call, recorder, each),
      order: isOutput ? (call.nodes.at(-1) ?? 0) + 0.5 : (call.nodes[0] ?? 0) - 0.5,
      call,
      path: module.path,
    }));
  });
}

function slot(
  module: { readonly path: string },
  callIndex: number,
  call: ModuleCall,
  recorder: Pick<OutputRecorder, "of" | "observes" | "slices">,
  index: number,
): CaptureSlot {
  const { of, observes, slices } = recorder;
  const names = of === "output" ? call.outputs : call.inputs;
  const label = `${module.path}${of === "input" ? ":in" : ""}${
    callIndex > 0 ? `#${callIndex}` : ""
  }${names.length > 1 ? `[${index}]` : ""}`;
  return Object.freeze({
    module: module.path,
    callIndex,
    of,
    index,
    value: names[index] ?? "",
    observes,
    slices,
    label,
  });
}

/** What is computed last among those that the next module reads: the residual stream, not its company. */
function mainOutput(names: readonly string[], next: readonly string[]): number {
  const passedOn = names.filter((name) => next.includes(name));
  return names.lastIndexOf((passedOn.length > 0 ? passedOn : names).at(-1) ?? "");
}

function chooseValue(
  names: readonly string[],
  index: number | string | null,
  main: () => number,
  path: string,
): number {
  const listed = names.join(", ");
  if (names.length === 0) {
    throw invalidRecorder(`"${path}" has no such value`, "record another module");
  }
  if (typeof index === "string") {
    const fits = names.filter((name) => name === index || name.endsWith(index));
    const [only] = fits;
    if (only !== undefined && fits.length === 1) return names.indexOf(only);
    throw invalidRecorder(
      `${fits.length} values of "${path}" end in "${index}"`,
      `use one of ${listed}`,
    );
  }
  if (names.length === 1) return 0;
  if (index === null) return main();
  if (index < names.length) return index;
  throw invalidRecorder(
    `"${path}" has ${names.length} values and none at index ${index}`,
    `use 0 to ${names.length - 1}: ${listed}`,
  );
}

/** The main input of the first module: what it reads where the second one reads the first one's output. */
function firstInputOf(
  firings: readonly Firing[],
  recorder: OutputRecorder,
  wanted: true | number | string,
): CaptureSlot | null {
  const ordered = [...firings].sort((left, right) => left.order - right.order);
  const [first, second] = ordered;
  if (first === undefined || first.call.inputs.length === 0) return null;
  const { inputs } = first.call;
  const passed = second?.call.inputs.indexOf(first.slot.value) ?? -1;
  const index = chooseValue(
    inputs,
    wanted === true ? null : wanted,
    () => passed >= 0 && passed < inputs.length ? passed : 0,
    first.path,
  );
  return slot(
    { path: first.path },
    first.slot.callIndex,
    first.call,
    { of: "input", observes: recorder.observes, slices: recorder.slices },
    index,
  );
}

/**
 * The slot of one value by name: of the outermost module inside the model that gives it, so that edits
 * of the modules within show.
 */
export function slotOfValue(
  model: Model,
  value: string,
  like: Pick<CaptureSlot, "observes" | "slices">,
): CaptureSlot | null {
  const owners = model.modules.filter(({ insideBody, calls }) =>
    insideBody === null && calls.some(({ outputs }) => outputs.includes(value))
  );
  const owner = owners.find(({ path }) => path !== "") ?? owners[0];
  const callIndex = owner?.calls.findIndex(({ outputs }) => outputs.includes(value)) ?? -1;
  const call = owner?.calls[callIndex];
  if (owner === undefined || call === undefined) return null;
  return slot(owner, callIndex, call, { of: "output", ...like }, call.outputs.indexOf(value));
}

/**
 * The firings by the number of their layer, null where a numbered sibling has none; null altogether
 * where they do not lie in one row of numbered modules, one firing each.
 */
function byLayer(firings: readonly Firing[], model: Model): (CaptureSlot | null)[] | null {
  const rows = firings.map(({ path, slot: one }) => ({ row: layerRow(path, model), slot: one }));
  const parent = rows[0]?.row?.parent;
  const layers = rows[0]?.row?.layers;
  if (parent === undefined || layers === undefined) return null;
  const found = new Map<string, CaptureSlot>();
  for (const { row, slot: one } of rows) {
    if (row === null || row.parent !== parent || found.has(row.layer)) return null;
    found.set(row.layer, one);
  }
  return layers.map((layer) => found.get(layer) ?? null);
}

/** The outermost row of numbered siblings that a path goes through. */
function layerRow(
  path: string,
  model: Model,
): { parent: string; layer: string; layers: readonly string[] } | null {
  const segments = path.replace(/::\w+$/, "").split(".");
  for (let end = 1; end <= segments.length; end++) {
    const layer = segments.slice(0, end).join(".");
    const [, parent] = /^(.*?)\d+$/.exec(layer) ?? [];
    if (parent === undefined) continue;
    const layers = model.modules.filter((module) =>
      module.path.startsWith(parent) && /^\d+$/.test(module.path.slice(parent.length)) &&
      module.calls.length > 0
    ).map((module) => module.path);
    if (layers.length > 1 && layers.includes(layer)) return { parent, layer, layers };
  }
  return null;
}

function uniqueLabels(slots: readonly (CaptureSlot | null)[]): (CaptureSlot | null)[] {
  const seen = new Map<string, number>();
  return slots.map((one) => {
    if (one === null) return null;
    const count = (seen.get(one.label) ?? 0) + 1;
    seen.set(one.label, count);
    return count === 1 ? one : Object.freeze({ ...one, label: `${one.label}~${count}` });
  });
}

/** What {@linkcode RecorderSpec} may be told apart from a list by. */
export function specsOf(declaration: KeyDeclaration): readonly RecorderSpec[] {
  return Array.isArray(declaration)
    ? declaration as readonly RecorderSpec[]
    : [declaration as RecorderSpec];
}
