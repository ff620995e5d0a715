// A part of a model that runs alone: any set of nodes, fed with values that somebody knows. Given all
// the values that a set of nodes reads, it need not be convex, so modules that cannot be cut for hooks
// can be run here all the same. Weights stay references into the model's file.
//
// Invariant: one part is one session; who opened it releases it before the next one is opened.

import { HooklineError, internalError } from "../../errors/hookline_error.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import { encodePart, type ValueType } from "../../graph/sub_model.ts";
import { targetSizes } from "../../graph/target_sizes.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import type { ValueTypes } from "../../pipeline/value_types.ts";
import type { Engine, OptimizationLevel } from "../../sessions/engine.ts";
import type { ProviderName } from "../../sessions/providers/descriptor.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";

/** How the sessions of one side are opened. */
export interface PartSettings {
  readonly provider: ProviderName;
  readonly optimization: OptimizationLevel;
  readonly threads: number;
}

/** What all parts of one model share. */
export interface PartHost {
  readonly structure: ModelStructure;
  readonly engine: Engine;
  readonly types: ValueTypes;
  readonly settings: PartSettings;
}

/** Which nodes, and what comes out of them. */
export interface PartChoice {
  /** Indices of live nodes of the top level, in any order. */
  readonly nodes: readonly number[];
  /** Values that come out: computed by the nodes, or constant. */
  readonly outputs: readonly string[];
  /**
   * Sizes of values that will be fed, where they are known. ONNX Runtime infers better from them than
   * from symbolic ones: it refuses a Resize whose target size it followed through a cut.
   */
  readonly shapeOf?: (value: string) => readonly number[] | undefined;
}

/** A part that is encoded and not open. */
export interface PartModel {
  /** Values to feed, in order of first use, with their types as ONNX Runtime infers them. */
  readonly inputs: ReadonlyMap<string, ValueType>;
  /** Values that come out. */
  readonly outputs: readonly string[];
  /** The nodes, ascending. */
  readonly nodes: readonly number[];
  /** The encoded model; its weights are references into files of `weightFolder`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly weightFolder: string | null;
}

/** A part that is open. */
export interface PartRun extends PartModel {
  /**
   * Runs the part.
   *
   * @param feeds The part's inputs by name; others are left out.
   * @throws {HooklineError} a FEED_ code or SESSION_RUN.
   */
  run(feeds: TensorMap): Promise<TensorMap>;
  /** Closes the session; a second call does nothing. */
  release(): Promise<void>;
}

/**
 * Encodes the nodes as a model of their own, without opening it.
 *
 * @throws {HooklineError} PLAN_VALUE_TYPE when a value that would be fed is no plain tensor.
 */
export async function encodeNodes(
  { structure, types }: Pick<PartHost, "structure" | "types">,
  choice: PartChoice,
): Promise<PartModel> {
  const nodes = [...new Set(choice.nodes)].sort((left, right) => left - right);
  const outputs = [...new Set(choice.outputs)];
  const names = boundaryOf(structure.graph, nodes).inputs;
  const sizes = targetSizes(structure.graph, nodes).filter((value) => !names.includes(value));
  const known = await types.require([...names, ...sizes]);
  const typeOf = (name: string): ValueType => known.get(name) ?? untyped(name);
  const inputs = new Map(names.map((name) => {
    const type = typeOf(name);
    return [name, { ...type, shape: choice.shapeOf?.(name) ?? type.shape }];
  }));
  const { bytes } = encodePart(structure.proto, structure.graph, {
    nodes,
    inputs: new Map([...inputs, ...sizes.map((name) => [name, typeOf(name)] as const)]),
    outputs,
  });
  return { inputs, outputs, nodes, bytes, weightFolder: structure.weightFolder };
}

/**
 * Opens the nodes as a session of their own.
 *
 * @throws {HooklineError} PLAN_VALUE_TYPE, SESSION_CREATE, MODEL_CHANGED.
 */
export async function openPart(host: PartHost, choice: PartChoice): Promise<PartRun> {
  const { structure, engine, settings } = host;
  structure.requireUnchanged();
  const open = async (part: PartModel) => ({
    part,
    session: await engine.open(
      { kind: "bytes", bytes: part.bytes, weightFolder: part.weightFolder },
      {
        ...settings,
        prepacking: true, // as in the whole model: other kernels may run without
        arena: false,
        label: `${structure.skeleton.label}, ${part.nodes.length} nodes`,
      },
    ),
  });
  const { part, session } = await open(await encodeNodes(host, choice)).catch(async (error) => {
    if (choice.shapeOf === undefined || !isRefused(error)) throw error;
    // A branch that is not taken may contradict the sizes that are fed: the declared ones will do.
    const { shapeOf: _, ...unsized } = choice;
    return await open(await encodeNodes(host, unsized));
  });
  return {
    ...part,
    run: (feeds) => session.run(pickInputs(part, feeds)),
    release: () => session.release(),
  };
}

function isRefused(error: unknown): boolean {
  return error instanceof HooklineError && error.code === "SESSION_CREATE";
}

function pickInputs(part: PartModel, feeds: TensorMap): TensorMap {
  const picked = emptyTensorMap();
  for (const name of part.inputs.keys()) {
    const value = feeds[name] as Tensor | undefined;
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

function untyped(value: string): never {
  throw internalError(`value "${value}" is fed to a part without a type`);
}
