// What the numbers of a comparison say: which modules bring an error in, and which only pass one on. It
// knows no session and no model, only errors by call.

import type { Tensor } from "../../tensor/tensor.ts";
import type { ComparedTensor, IntroducingModule, TensorError } from "./compare_report.ts";
import type { CallErrors, ComparisonResult } from "./_comparison.ts";
import { worstError } from "./_local_errors.ts";
import type { MeasuredError } from "./tensor_error.ts";

/** What a comparison says. */
export interface CompareVerdict {
  readonly introducedBy: readonly IntroducingModule[];
  readonly rows: readonly ComparedTensor[];
  readonly notes: readonly string[];
}

/** Draws the conclusions. */
export function compareVerdict(result: ComparisonResult): CompareVerdict {
  const notes: string[] = [];
  const found = introducingCalls(result, notes);
  const introducing = found.length > 0 ? found : firstStranded(result, notes);
  return {
    introducedBy: worstFirst(introducing),
    rows: result.calls.flatMap((errors) => rowsOf(errors, result)),
    notes,
  };
}

interface Introducing {
  readonly errors: CallErrors;
  /** What it is ranked by. */
  readonly ratio: number;
  readonly worst: TensorError;
  readonly own: TensorError | null;
}

/**
 * A call brings an error in when it is off although it was fed with the reference's values, and either
 * no matched call inside it is, or its own nodes are off by themselves.
 */
function introducingCalls(result: ComparisonResult, notes: string[]): Introducing[] {
  const found = new Map<CallErrors["call"], Introducing>();
  let isCleanSoFar = true;
  for (const errors of result.calls) {
    if (errors.movedWith !== undefined) continue; // what stands at its border is another value
    const { call, local, own, inherited } = errors;
    const worst = localOf(errors, result);
    const isTrusted = local.inheritedInputs.length === 0 || isCleanSoFar;
    if (worst !== null && worst.ratio > 1 && isTrusted) {
      const ownError = own === null ? null : worstError(own.byOutput.values())?.error ?? null;
      const ownRatio = ownError?.ratio ?? 0;
      const blamed = call.inside.filter((inner) => found.has(inner));
      if (blamed.length === 0 || ownRatio > 1) {
        const ratio = call.inside.length > 0 && ownRatio > 1 ? ownRatio : worst.ratio;
        const isOwn = call.inside.length > 0 && ownRatio > 1;
        found.set(call, { errors, ratio, worst, own: isOwn ? ownError : null });
        if (call.inside.length > 0 && ownRatio <= 1) {
          notes.push(
            `nothing inside ${
              nameOf(call.pair.module)
            } is off by itself: small differences add up in it, or what differs lies in no module`,
          );
        }
      }
    }
    if ((worstError(inherited.values())?.error.ratio ?? 0) > 1) isCleanSoFar = false;
  }
  return [...found.values()];
}

/** Where the candidate's own run ended, when no module can be blamed for it by numbers. */
function firstStranded(result: ComparisonResult, notes: string[]): Introducing[] {
  if (result.candidateFailure === null) return [];
  const errors =
    result.calls.find(({ call, inherited }) =>
      call.pair.module !== "" && inherited.size === 0 && call.pair.candidate.outputs.length > 0
    ) ?? result.calls.at(-1);
  if (errors === undefined) return [];
  notes.push(
    `the candidate's own run ends at ${
      nameOf(errors.call.pair.module)
    }, which is within tolerance when it runs alone`,
  );
  return [{ errors, ratio: Infinity, worst: FAILED, own: null }];
}

function nameOf(path: string): string {
  return path === "" ? "the model" : path;
}

/** The worst local error; infinite where the call fails on the reference's values and in its own run. */
function localOf(errors: CallErrors, result: ComparisonResult): TensorError | null {
  const { local, inherited } = errors;
  const worst = worstError(local.byOutput.values());
  if (worst !== null) return worst.error;
  const fails = local.failure?.code === "SESSION_RUN" && inherited.size === 0 &&
    (result.candidateFailure !== null || errors.call.pair.module === "");
  return fails ? FAILED : null;
}

/** The error of what cannot be computed. */
const FAILED: TensorError = Object.freeze({
  maxAbs: Infinity,
  maxRel: Infinity,
  cosine: 0,
  sqnrDb: -Infinity,
  maxUlp: null,
  nanCandidate: 0,
  nanReference: 0,
  differing: 0,
  elements: 0,
  scale: 0,
  ratio: Infinity,
});

/** One entry per module, its worst call; the worst module first. */
function worstFirst(found: readonly Introducing[]): IntroducingModule[] {
  const ofModule = new Map<string, Introducing>();
  for (const one of found) {
    const { module } = one.errors.call.pair;
    const known = ofModule.get(module);
    if (known === undefined || one.ratio > known.ratio) ofModule.set(module, one);
  }
  return [...ofModule.values()].sort(byRatio).map(({ errors, worst, own }) => {
    const { module, candidateModule, className, call, candidate } = errors.call.pair;
    return {
      module,
      ...(candidateModule === module ? {} : { candidateModule }),
      className,
      call,
      local: worst,
      ...(own === null ? {} : { own }),
      nodes: candidate.nodes.length,
    };
  });
}

function byRatio(left: Introducing, right: Introducing): number {
  if (left.ratio !== right.ratio) return right.ratio > left.ratio ? 1 : -1;
  // Where nothing is tolerated every error is infinitely too large, and some are larger all the same.
  const [one, other] = [left, right].map(({ own, worst }) => (own ?? worst).sqnrDb);
  return one === other ? 0 : (one as number) - (other as number);
}

function rowsOf(errors: CallErrors, result: ComparisonResult): ComparedTensor[] {
  const { pair } = errors.call;
  const { described, values } = result;
  const isRoot = pair.module === "";
  const candidateOf = new Map<string, string>();
  const candidates = isRoot ? [...errors.local.byOutput.keys()] : pair.candidate.outputs;
  for (const name of candidates) {
    const partner = values.partnerOf(name);
    if (partner !== undefined && !candidateOf.has(partner)) candidateOf.set(partner, name);
  }
  const outputs = isRoot
    ? [...described.keys()].flatMap((key) =>
      key.startsWith("w:") && !key.startsWith("w:c:") ? [key.slice(2)] : []
    )
    : pair.reference.outputs;
  return outputs.flatMap((tensor) => {
    const wanted = described.get(`${isRoot ? "w:" : "r:"}${tensor}`);
    if (wanted === undefined) return [];
    const name = candidateOf.get(tensor);
    const found = name === undefined
      ? undefined
      : described.get(`${isRoot ? "w:c:" : "c:"}${name}`);
    return [rowOf(errors, result, { tensor, name, wanted, found })];
  });
}

type Description = Pick<Tensor, "dtype" | "shape">;

function rowOf(
  errors: CallErrors,
  result: ComparisonResult,
  { tensor, name, wanted, found }: {
    readonly tensor: string;
    readonly name: string | undefined;
    readonly wanted: Description;
    readonly found: Description | undefined;
  },
): ComparedTensor {
  const { module, candidateModule, className, call } = errors.call.pair;
  const isMeasured = name !== undefined && errors.movedWith === undefined;
  const local = isMeasured ? errors.local.byOutput.get(name) : undefined;
  const inherited = isMeasured ? errors.inherited.get(name) : undefined;
  const own = errors.own === null ? null : worstError(errors.own.byOutput.values());
  const problem = problemOf(errors, result, { name, local, inherited });
  return {
    module,
    ...(candidateModule === module ? {} : { candidateModule }),
    className,
    call,
    tensor,
    ...(name === undefined || name === tensor ? {} : { candidateTensor: name }),
    dtype: wanted.dtype,
    shape: [...wanted.shape],
    ...(found === undefined || found.dtype === wanted.dtype ? {} : { candidateDtype: found.dtype }),
    ...(found === undefined || String(found.shape) === String(wanted.shape)
      ? {}
      : { candidateShape: [...found.shape] }),
    inherited: inherited?.error ?? null,
    local: local?.error ?? null,
    own: own?.error ?? null,
    histogram: local?.histogram ?? null,
    ...(problem === null ? {} : { problem }),
  };
}

function problemOf(
  { call, local, movedWith }: CallErrors,
  { candidateFailure }: ComparisonResult,
  row: {
    readonly name: string | undefined;
    readonly local: MeasuredError | undefined;
    readonly inherited: MeasuredError | undefined;
  },
): string | null {
  if (movedWith !== undefined) {
    return `its border lies elsewhere in the candidate: it is within tolerance together with ${
      movedWith.map(nameOf).join(", ")
    }`;
  }
  if (row.name === undefined && local.failure === null) {
    return "the candidate has no value that belongs to it";
  }
  const parts: string[] = [];
  if (row.local?.problem != null) parts.push(row.local.problem);
  if (row.local === undefined && local.failure !== null) {
    parts.push(`the candidate's part cannot run: ${local.failure.message}`);
  }
  if (row.inherited === undefined && candidateFailure !== null) {
    parts.push(`the candidate's own run failed before: ${candidateFailure.message}`);
  }
  if (local.inheritedInputs.length > 0) {
    const { inputs } = call.pair.candidate;
    const named = local.inheritedInputs.filter((name) => inputs.includes(name)).slice(0, 3);
    parts.push(
      `the local error may hold what came in by ${
        named.join(", ")
      }, which has no partner in the reference`,
    );
  }
  return parts.length === 0 ? null : parts.join("; ");
}
