// Which modules of a model can be tapped and which it can be cut after, all at once: those whose values
// can leave ONNX Runtime. The others are left out and counted by reason.

import { HooklineError } from "../errors/hookline_error.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { dtypeFromOnnx } from "../tensor/dtype.ts";
import type { Model } from "./model.ts";
import type { ModelStructure } from "./model_structure.ts";
import { type Plan, segmentsOf } from "./plan.ts";
import type { ValueTypes } from "./value_types.ts";

/** A plan and what had to be left out of it. */
export interface ChosenPlan {
  readonly plan: Plan;
  /** The modules that it taps or is cut after. */
  readonly modules: readonly GraphModule[];
  /** How many values or modules were left out, by reason. */
  readonly skippedBecause: Readonly<Record<string, number>>;
}

const INSIDE_BODY = "lies in the body of control flow";

/** Makes the plans of one model. */
export class SplitChoice {
  readonly #model: Model;
  readonly #structure: ModelStructure;
  readonly #types: ValueTypes;

  /** `structure` is that of the model. */
  constructor(model: Model, structure: ModelStructure, types: ValueTypes) {
    this.#model = model;
    this.#structure = structure;
    this.#types = types;
  }

  /** Every module's outputs that can be tapped; left out are values. */
  async tapEverything(): Promise<ChosenPlan> {
    const skipped = new Counts();
    const candidates: GraphModule[] = [];
    for (const module of this.#model.modules) {
      if (module.path === "" || module.calls.length === 0) continue;
      if (module.insideBody === null) candidates.push(module);
      else skipped.add(INSIDE_BODY, new Set(module.calls.flatMap((call) => call.outputs)).size);
    }
    const bad = await this.#impossible(candidates.flatMap(outputsOf));
    const modules = candidates.filter((module) => !outputsOf(module).some((name) => bad.has(name)));
    const tapped = new Set(modules.flatMap(outputsOf));
    for (const value of new Set(candidates.flatMap(outputsOf))) {
      if (bad.has(value)) skipped.add(this.#reasonFor(value));
      else if (!tapped.has(value)) skipped.add("leaves its module beside a value that cannot");
    }
    return { plan: this.#plan("tap", modules), modules, skippedBecause: skipped.byReason() };
  }

  /** Cut after those of the modules where that is possible; left out are modules. */
  async cutAfter(wanted: readonly GraphModule[]): Promise<ChosenPlan> {
    const skipped = new Counts();
    const candidates: GraphModule[] = [];
    for (const module of wanted) {
      if (module.isCuttable) candidates.push(module);
      else if (module.insideBody !== null) skipped.add(INSIDE_BODY);
      else if (module.calls.length > 0) skipped.add("cannot run alone");
    }
    const bad = await this.#impossible(candidates.flatMap(outputsOf));
    let modules = candidates.filter((module) => {
      const value = outputsOf(module).find((name) => bad.has(name));
      if (value !== undefined) skipped.add(this.#reasonFor(value));
      return value === undefined;
    });
    for (;;) {
      const { plan, circle } = this.#tryCut(modules);
      if (plan === null) {
        skipped.add("depends in a circle on another module that is cut", circle.size);
        modules = modules.filter((module) => !circle.has(module.path));
        continue;
      }
      const crossing = segmentsOf(plan.steps).flatMap((segment) =>
        segment.isWhole ? [] : segment.inputs
      );
      const [value] = await this.#impossible(crossing);
      if (value === undefined) return { plan, modules, skippedBecause: skipped.byReason() };
      const kept = modules.filter((module) => !this.#isCutWithin(module, value));
      // Every cut between its producer and its last consumer is gone; were it to cross all the same,
      // nothing better is known than to make no cut at all.
      const next = kept.length < modules.length ? kept : [];
      skipped.add(`a cut here is crossed by ${this.#kindOf(value)}`, modules.length - next.length);
      modules = next;
    }
  }

  #plan(kind: "tap" | "split", modules: readonly GraphModule[]): Plan {
    if (modules.length === 0) return this.#model.plan();
    const paths = new Set(modules.map((module) => module.path));
    return this.#model.plan({ [kind]: (module: GraphModule) => paths.has(module.path) });
  }

  #tryCut(modules: readonly GraphModule[]): { plan: Plan | null; circle: ReadonlySet<string> } {
    try {
      return { plan: this.#plan("split", modules), circle: new Set() };
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "PLAN_CYCLE") throw error;
      const named = error.details["modules"];
      const paths = modules.map((module) => module.path);
      const circle = Array.isArray(named) ? paths.filter((path) => named.includes(path)) : [];
      // All but one of them: that one alone is in no circle any more.
      const dropped = circle.length > 1 ? circle.slice(1) : circle.length === 1 ? circle : paths;
      return { plan: null, circle: new Set(dropped) };
    }
  }

  /** True when a cut after the module may fall between a value's producer and its last consumer. */
  #isCutWithin(module: GraphModule, value: string): boolean {
    const { graph } = this.#structure;
    const from = graph.producerOf(value) ?? -1;
    const to = graph.consumersOf(value).at(-1) ?? graph.nodes.length;
    return module.calls.some((call) => {
      const last = call.nodes.at(-1) ?? -1;
      return last >= from && last < to;
    });
  }

  /** Those of the values that cannot leave ONNX Runtime. */
  async #impossible(values: readonly string[]): Promise<ReadonlySet<string>> {
    if (values.length === 0) return new Set();
    try {
      await this.#types.require([...new Set(values)]);
      return new Set();
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "PLAN_VALUE_TYPE") throw error;
      return new Set(error.details["values"] as readonly string[]);
    }
  }

  #reasonFor(value: string): string {
    return `${this.#kindOf(value)} cannot leave ONNX Runtime`;
  }

  #kindOf(value: string): string {
    const type = this.#structure.graph.declaredType(value)?.type?.value;
    switch (type?.case) {
      case "sequenceType":
        return "a sequence";
      case "optionalType":
        return "an optional";
      case "mapType":
        return "a map";
      case "sparseTensorType":
        return "a sparse tensor";
      case "tensorType": {
        const dtype = dtypeFromOnnx(type.value.elemType)?.dtype;
        return dtype === undefined ? "a tensor of no known type" : `a ${dtype} tensor`;
      }
      default:
        return "a value of a type that JavaScript cannot hold";
    }
  }
}

function outputsOf(module: GraphModule): string[] {
  return module.calls.flatMap((call) => call.outputs);
}

class Counts {
  readonly #counts = new Map<string, number>();

  add(reason: string, count = 1): void {
    if (count > 0) this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }

  byReason(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([left], [right]) => left < right ? -1 : 1));
  }
}
