// How a record names a tensor: `out` for a module's only output, `out[0]`, `out[1]` for several, `in[0]`
// for inputs. A PyTorch module may return nested tuples or dictionaries, in another order; an ONNX file
// has only the tensors that are used, in the order of its nodes. A label map says what the file cannot.

import type { GraphModule, Model } from "../../mod.ts";
import { invalid } from "./options.ts";

/**
 * Labels by module. A key is a selector, as `Model.select` takes it. A list labels the outputs in the
 * order in which the module has them (`hookline inspect` prints it), with null for an output that is not
 * to be traced; the longer form labels inputs too. Records of a labelled module come in the order of
 * their labels: `out[0]`, `out[1][0]`, `out[1][1]`. Of several keys that find one module the last one
 * counts.
 *
 * A label is `out` or `in` with indices and names behind it: `out[1][0]`, `out.logits`.
 */
export type LabelMap = Readonly<Record<string, LabelList | ModuleLabels>>;

/** Labels in the order of the tensors; null leaves a tensor out. */
export type LabelList = readonly (string | null)[];

/** Labels of both sides of a module. */
export interface ModuleLabels {
  /** Of the inputs. */
  readonly in?: LabelList;
  /** Of the outputs. */
  readonly out?: LabelList;
}

/** One side of a module. */
export type Side = "in" | "out";

/** A tensor of one call of a module: which one, and what it is called. */
export interface LabelledTensor {
  /** Its place among the call's inputs or outputs. */
  readonly index: number;
  /** Its label. */
  readonly label: string;
}

const LABEL = /^(in|out)(\[\d{1,6}\]|\.[A-Za-z0-9_]+)*$/;

/**
 * The labels of the chosen modules: one list for each call, by module path.
 *
 * @throws {HooklineError} OPTION_INVALID when a key finds no chosen module, when a list is not as long as
 * the module's list of tensors, or when a label is malformed or given twice; HOOK_MATCH_EMPTY and
 * SELECTOR_SYNTAX for the key as a selector.
 */
export function resolveLabels(
  model: Model,
  modules: readonly GraphModule[],
  { labels, side }: { readonly labels: LabelMap; readonly side: Side },
): ReadonlyMap<string, readonly (readonly LabelledTensor[])[]> {
  const chosen = new Map<string, LabelList>();
  for (const [selector, entry] of Object.entries(labels)) {
    const list = Array.isArray(entry)
      ? side === "out" ? entry as LabelList : undefined
      : (entry as ModuleLabels)[side];
    const found = model.select(selector).filter((module) => modules.includes(module));
    if (found.length === 0) {
      throw invalid(
        "labels",
        `"${selector}" finds none of the modules that are traced`,
        "leave it out, or trace the modules that it finds",
      );
    }
    if (list === undefined) continue;
    checkList(selector, list, side);
    for (const module of found) chosen.set(module.path, list);
  }
  return new Map(modules.map((module) => {
    const list = chosen.get(module.path);
    const calls = module.calls.map((call) => {
      const names = side === "in" ? call.inputs : call.outputs;
      if (list === undefined) return defaultLabels(names.length, side);
      if (list.length === names.length) return fromList(list);
      throw invalid(
        "labels",
        `"${module.path}" has ${names.length} ${side}puts, its list has ${list.length} labels`,
        `label ${names.map((name) => `"${name}"`).join(", ")} in this order, null for none`,
      );
    });
    return [module.path, calls];
  }));
}

function checkList(selector: string, list: LabelList, side: Side): void {
  const seen = new Set<string>();
  for (const label of list) {
    if (label === null) continue;
    if (typeof label !== "string" || !LABEL.test(label) || !label.startsWith(side)) {
      throw invalid(
        "labels",
        `"${String(label).slice(0, 80)}" of "${selector}" is no label of ${side}puts`,
        `write ${side}, ${side}[0], ${side}[1][0] or ${side}.name`,
      );
    }
    if (seen.has(label)) {
      throw invalid("labels", `"${selector}" has "${label}" twice`, "give every tensor its own");
    }
    seen.add(label);
  }
}

function defaultLabels(count: number, side: Side): LabelledTensor[] {
  if (count === 1 && side === "out") return [{ index: 0, label: side }];
  return Array.from({ length: count }, (_, index) => ({ index, label: `${side}[${index}]` }));
}

function fromList(list: LabelList): LabelledTensor[] {
  return list.flatMap((label, index) => label === null ? [] : [{ index, label }])
    .sort((left, right) => compareLabels(left.label, right.label));
}

/** By their parts from the left: indices as numbers, names by code unit. */
function compareLabels(left: string, right: string): number {
  const [a, b] = [left, right].map((label) => label.split(/[[\].]+/).filter((part) => part !== ""));
  for (let at = 0; at < Math.max(a?.length ?? 0, b?.length ?? 0); at++) {
    const [one, two] = [a?.[at], b?.[at]];
    if (one === two) continue;
    if (one === undefined || two === undefined) return one === undefined ? -1 : 1;
    const difference = Number(one) - Number(two);
    if (!Number.isNaN(difference) && difference !== 0) return difference;
    return one < two ? -1 : 1;
  }
  return 0;
}
