// The error that a part of the candidate makes by itself: fed with the reference's values, how far is
// what comes out from the reference's. One session is open at a time.

import { HooklineError } from "../../errors/hookline_error.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import type { ValueType } from "../../graph/sub_model.ts";
import { elementCount, emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import type { BoundaryStore } from "./boundary_store.ts";
import { castTensor, dtypeClass } from "./cast_tensor.ts";
import type { CallPart } from "./module_pairs.ts";
import { canonicalValue } from "./node_alignment.ts";
import { openPart, type PartHost, type PartRun } from "./part_run.ts";
import { type CompareToleranceOptions, type MeasuredError, measureError } from "./tensor_error.ts";
import type { ValueMatch } from "./value_match.ts";

/** What parts are judged by. */
export interface LocalErrorHost {
  readonly candidate: PartHost;
  readonly values: ValueMatch;
  /** `r:NAME` of the reference, `c:NAME` of the candidate. */
  readonly store: BoundaryStore;
  /** What the candidate's own run showed of a value. */
  readonly candidateShapes: ReadonlyMap<string, readonly number[]>;
  readonly tolerance: CompareToleranceOptions;
}

/** What one part does by itself. */
export interface LocalErrors {
  /** By the candidate's output. */
  readonly byOutput: ReadonlyMap<string, MeasuredError>;
  /** Floats that had to be taken from the candidate's own run. */
  readonly inheritedInputs: readonly string[];
  /** Why it could not run, or null. */
  readonly failure: HooklineError | null;
}

/** The worst of some errors: the largest ratio, and of equal ones the first. */
export function worstError(errors: Iterable<MeasuredError>): MeasuredError | null {
  let worst: MeasuredError | null = null;
  for (const one of errors) {
    if (worst === null || one.error.ratio > worst.error.ratio) worst = one;
  }
  return worst;
}

/** How a part is judged. */
export interface PartJudgement {
  /** True when even shapes must agree. */
  readonly isSameStructure: boolean;
  /** True for what lies between the modules of a container, where a float that is only cast is no error. */
  readonly isOwn: boolean;
}

/** Runs a part of the candidate on the reference's values and measures what comes out. */
export async function localErrors(
  host: LocalErrorHost,
  part: CallPart,
  { isSameStructure, isOwn }: PartJudgement,
): Promise<LocalErrors> {
  const { candidate, values, store, tolerance } = host;
  const partners = new Map<string, string>();
  for (const output of part.outputs) {
    const partner = values.partnerOf(output);
    if (partner === undefined || !store.has(`r:${partner}`)) continue;
    if (!isOwn || !isCastOfInput(host, part, output)) partners.set(output, partner);
  }
  const inheritedInputs: string[] = [];
  const byOutput = new Map<string, MeasuredError>();
  if (partners.size === 0) return { byOutput, inheritedInputs, failure: null };
  let run: PartRun | null = null;
  try {
    const feeds = await feedsOf(host, part, { isSameStructure, inherited: inheritedInputs });
    const open = run = await openPart(candidate, {
      nodes: part.nodes,
      outputs: [...partners.keys()],
      shapeOf: (name) => feeds[name]?.shape,
    });
    const made = await store.using(Object.values(feeds), () => open.run(feeds));
    await store.using(Object.values(made), async () => {
      for (const [output, partner] of partners) {
        const reference = await store.get(`r:${partner}`);
        const found = made[output];
        if (reference === undefined || found === undefined) continue;
        byOutput.set(
          output,
          await store.using(
            [reference],
            () => measureError(reference, found, { ...tolerance, ignoresShape: !isSameStructure }),
          ),
        );
      }
    });
    return { byOutput, inheritedInputs, failure: null };
  } catch (error) {
    if (!(error instanceof HooklineError)) throw error;
    return { byOutput, inheritedInputs, failure: error };
  } finally {
    await run?.release();
  }
}

/** True for what a part only casts: it would be compared with its own rounding. */
function isCastOfInput(
  { candidate, values }: LocalErrorHost,
  { nodes }: CallPart,
  output: string,
): boolean {
  const { graph } = candidate.structure;
  const here = new Set(nodes);
  let source = values.castSourceOf(output);
  for (let next = source; next !== null; next = values.castSourceOf(next)) source = next;
  if (source === null) return false;
  return !here.has(graph.producerOf(canonicalValue(graph, source)) ?? -1);
}

async function feedsOf(
  { candidate, values, store, candidateShapes }: LocalErrorHost,
  { nodes }: CallPart,
  { isSameStructure, inherited }: {
    readonly isSameStructure: boolean;
    readonly inherited: string[];
  },
): Promise<TensorMap> {
  const feeds = emptyTensorMap();
  const { inputs } = boundaryOf(candidate.structure.graph, nodes);
  for (const [name, type] of await candidate.types.require(inputs)) {
    const partner = values.partnerOf(name);
    const value = partner === undefined ? undefined : await store.get(`r:${partner}`);
    const fitting = value === undefined ? null : fit(value, type, {
      isAnyShape: isSameStructure,
      shape: candidateShapes.get(name),
    });
    if (fitting !== null) {
      feeds[name] = fitting;
      continue;
    }
    const own = await store.get(`c:${name}`);
    if (own === undefined) continue; // the guard names what is missing
    feeds[name] = own;
    // Whole numbers here are sizes and places: the same in both runs unless something else differs.
    if (dtypeClass(own.dtype) === "float") inherited.push(name);
  }
  return feeds;
}

/**
 * The reference's value in the form that the candidate's part wants, or null. Parts of one structure take
 * what the reference's part takes; others may want the same elements in another shape.
 */
function fit(
  value: Tensor,
  type: ValueType,
  { isAnyShape, shape }: {
    readonly isAnyShape: boolean;
    readonly shape: readonly number[] | undefined;
  },
): Tensor | null {
  const cast = castTensor(value, type.dtype);
  if (cast === null || isAnyShape || type.shape === null) return cast;
  const isFitting = type.shape.length === cast.shape.length &&
    type.shape.every((size, axis) => typeof size !== "number" || size === cast.shape[axis]);
  if (isFitting) return cast;
  if (shape === undefined || elementCount(shape) !== cast.data.length) return null;
  return { dtype: cast.dtype, shape, data: cast.data };
}
