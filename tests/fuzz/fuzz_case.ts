// One case of the fuzz: a damaged model by its number, and everything that Hookline does with a model
// before ONNX Runtime sees it. A case is right when it ends fine or with a HooklineError that is not
// INTERNAL; whatever else comes out is a finding.

import { writeFileSync } from "node:fs";
import process from "node:process";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { HooklineError } from "../../errors/hookline_error.ts";
import type { GraphModule } from "../../graph/graph_module.ts";
import { encodePart, type ValueType } from "../../graph/sub_model.ts";
import { type ModuleDemand, splitDemand } from "../../pipeline/demand.ts";
import { ModelStructure } from "../../pipeline/model_structure.ts";
import { ModuleFinder } from "../../pipeline/module_finder.ts";
import { type Plan, type PlanStep, segmentsOf } from "../../pipeline/plan.ts";
import { PlanMaker } from "../../pipeline/plan_maker.ts";
import { makePlan, planDocument } from "../../pipeline/planner.ts";
import { executionPositions } from "../../pipeline/run_order.ts";
import type { CorpusModel } from "./corpus.ts";
import { SeededRandom } from "./seeded_random.ts";
import { mutateStructure } from "./structure_mutations.ts";
import { mutateBytes } from "./wire_mutations.ts";

/** A damaged model. */
export interface FuzzModel {
  readonly base: CorpusModel;
  readonly bytes: Uint8Array;
}

/** How a case ended. */
export interface CaseResult {
  /** `fine`, the code of a HooklineError, or `FINDING`. */
  readonly outcome: string;
  /** What the finding is. */
  readonly finding?: string;
  /** Processor time. */
  readonly elapsedMs: number;
}

/** The damaged model with this number: always the same. */
export function fuzzModel(corpus: readonly CorpusModel[], seed: number, index: number): FuzzModel {
  const random = new SeededRandom(seed * 1_000_003 + index);
  for (let count = 0; count < 3; count++) random.next();
  let at = random.below(corpus.reduce((sum, model) => sum + model.weight, 0));
  const base = corpus.find((model) => (at -= model.weight) < 0) as CorpusModel;
  let { bytes } = base;
  const count = random.chance(0.7) ? 1 : 2 + random.below(3);
  if (random.chance(0.6)) {
    const model = fromBinary(ModelProtoSchema, bytes);
    for (let done = 0; done < count; done++) mutateStructure(model, random);
    bytes = toBinary(ModelProtoSchema, model);
    if (random.chance(0.05)) bytes = mutateBytes(bytes, random);
  } else {
    for (let done = 0; done < count; done++) bytes = mutateBytes(bytes, random);
  }
  return { base, bytes };
}

/** Runs one case. */
export function runCase({ base, bytes }: FuzzModel): CaseResult {
  // Processor time, not the clock: other processes must not make a case slow.
  const start = process.cpuUsage();
  const end = (outcome: string, finding?: string): CaseResult => ({
    outcome,
    ...(finding === undefined ? {} : { finding }),
    elapsedMs: milliseconds(process.cpuUsage(start)),
  });
  try {
    return end(explore(new ModelStructure(bytes, { weightFolder: base.folder })));
  } catch (error) {
    if (error instanceof HooklineError && error.code !== "INTERNAL") {
      const flaw = flawOf(error);
      return flaw === undefined ? end(error.code) : end("FINDING", flaw);
    }
    return end("FINDING", error instanceof Error ? error.stack ?? error.message : String(error));
  }
}

function milliseconds({ user, system }: { user: number; system: number }): number {
  return (user + system) / 1000;
}

/**
 * The same case read from a file, for every eighth: it must end as it does from memory, weight files
 * apart, which lie elsewhere. Undefined when it does.
 */
export function fileDifference(
  model: FuzzModel,
  path: string,
  outcome: string,
): string | undefined {
  if (model.bytes.length % 8 !== 0) return undefined;
  writeFileSync(path, model.bytes);
  let found = "fine";
  try {
    new ModelStructure(path);
  } catch (error) {
    if (!(error instanceof HooklineError)) return `from a file: ${error}`;
    found = error.code;
  }
  const isComparable = [found, outcome].every((code) => !code.startsWith("MODEL_EXTERNAL"));
  const isRefused = outcome.startsWith("MODEL_");
  return isComparable && found !== (isRefused ? outcome : "fine")
    ? `${outcome} from memory, ${found} from a file`
    : undefined;
}

/** What is wrong with an error message that a person is to read. */
function flawOf(error: HooklineError): string | undefined {
  if (error.fix === "" || error.message === "") return `${error.code} says nothing`;
  JSON.stringify(error);
  return undefined;
}

const ANY_TYPE: ValueType = { dtype: "float32", shape: null };

/** Everything short of a session: tree, plans of every kind, encoded parts. */
function explore(structure: ModelStructure): string {
  const { tree, graph } = structure;
  const hookable = tree.modules.filter((module) =>
    module.insideBody === null && module.calls.length > 0
  );
  const leaves = hookable.filter((module) => module.children.length === 0);
  const planner = new PlanMaker(structure, new ModuleFinder(structure), new Map());
  const isLeaf = (module: GraphModule): boolean => leaves.includes(module);
  const positions = executionPositions(graph, tree.modules);
  const isolate = (modules: readonly GraphModule[]): Plan =>
    makePlan({
      graph,
      positions,
      demands: modules.map((module) => isolatedDemand(module)),
      structureHash: structure.hash,
      orderKeys: {},
    });
  check(structure, planner.make({}));
  const outcomes = [
    attempt(() => check(structure, isolate(hookable.filter(isCuttable)))),
    attempt(() => check(structure, planner.make({ tap: "**" }))),
    attempt(() => {
      check(structure, planner.make({ tap: "**", outputs: graph.outputs.slice(0, 1) }));
    }),
  ];
  if (leaves.length > 0) {
    outcomes.push(attempt(() => check(structure, planner.make({ split: isLeaf }))));
  }
  for (const module of [leaves[0], leaves.at(-1), leaves[leaves.length >> 1]]) {
    if (module?.isCuttable) outcomes.push(attempt(() => check(structure, isolate([module]))));
  }
  const taps = hookable.flatMap((module) => module.calls.flatMap((call) => call.outputs));
  structure.tappedSource(
    [...new Set(taps)].filter((value) => graph.producerOf(value) !== undefined),
  );
  return outcomes.find((outcome) => outcome !== "fine") ?? "fine";
}

/** A plan that is refused with a reason is as good as one that is made; anything else is a finding. */
function attempt(action: () => void): string {
  try {
    action();
    return "fine";
  } catch (error) {
    if (error instanceof HooklineError && error.code !== "INTERNAL") return error.code;
    throw error;
  }
}

function isCuttable(module: GraphModule): boolean {
  return module.isCuttable;
}

function isolatedDemand(module: GraphModule): ModuleDemand {
  return { ...splitDemand(module, "fuzz"), isolation: "split", tapsInputs: true };
}

/** Prints a plan, follows its data, and encodes its parts. */
function check(structure: ModelStructure, made: Plan): void {
  JSON.stringify(planDocument(made, structure.tree.modules));
  if (made.kind === "whole") {
    void structure.wholeSource;
    return;
  }
  checkDataFlow(structure, made);
  for (const segment of segmentsOf(made.steps)) {
    if (segment.isWhole) continue;
    encodePart(structure.proto, structure.graph, {
      nodes: segment.nodes,
      inputs: new Map(segment.inputs.map((value) => [value, ANY_TYPE])),
      outputs: segment.outputs,
    });
  }
}

/** Every segment finds its inputs, no node runs twice, and the outputs of the plan come out. */
function checkDataFlow(structure: ModelStructure, made: Plan): void {
  const known = new Set(structure.graph.inputs);
  const ran = new Set<number>();
  const run = (steps: readonly PlanStep[]): void => {
    for (const step of steps) {
      if (step.kind === "module") run(step.steps);
      if (step.kind !== "segment") continue;
      for (const value of step.inputs) {
        if (!known.has(value)) throw new Error(`segment ${step.index} misses "${value}"`);
      }
      for (const node of step.nodes) {
        if (ran.has(node)) throw new Error(`node ${node} runs twice`);
        ran.add(node);
      }
      for (const value of step.outputs) known.add(value);
    }
  };
  run(made.steps);
  for (const value of made.outputs) {
    if (!known.has(value)) throw new Error(`output "${value}" never comes out`);
  }
}
