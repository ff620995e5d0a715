// One comparison, from two open models to errors: records the reference's values, then the candidate's
// own, then runs the candidate's modules one by one on the reference's. What the numbers mean is
// compare_verdict.ts's.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import { dtypeFromOnnx } from "../../tensor/dtype.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import type { BoundaryStore } from "./boundary_store.ts";
import { dtypeClass } from "./cast_tensor.ts";
import type { ComparedCall } from "./_compared_parts.ts";
import type { CompareSide } from "./evidence.ts";
import { type LocalErrors, localErrors, worstError } from "./_local_errors.ts";
import { type ModuleMatch, withoutPairs } from "./module_pairs.ts";
import { movedBorders } from "./_moved_borders.ts";
import { recordRun } from "./recorded_run.ts";
import { type CompareToleranceOptions, type MeasuredError, measureError } from "./tensor_error.ts";
import { type MatchedSides, pairKey, settledSides } from "./match_sides.ts";
import type { TypedSide, ValueMatch } from "./value_match.ts";

/** What is compared. */
export interface ComparisonRequest {
  readonly reference: CompareSide;
  readonly candidate: CompareSide;
  readonly match: ModuleMatch;
  readonly store: BoundaryStore;
  readonly budgetByteLength: number;
  readonly tolerance: CompareToleranceOptions;
  readonly onProgress: (what: string) => void;
}

/** How one call of a module compares. */
export interface CallErrors {
  readonly call: ComparedCall;
  /** In the candidate's own run, by the candidate's output. */
  readonly inherited: ReadonlyMap<string, MeasuredError>;
  readonly local: LocalErrors;
  /** Of the nodes in no matched call inside; null where it was not needed. */
  readonly own: LocalErrors | null;
  /** Modules together with which it is within tolerance, where its border lies elsewhere in the candidate. */
  readonly movedWith?: readonly string[];
}

/** What a comparison measured. */
export interface ComparisonResult {
  /** In the order in which the reference ends the calls; the model itself last. */
  readonly calls: readonly CallErrors[];
  /** What was matched in the end: without pairs that the numbers refuted. */
  readonly match: ModuleMatch;
  readonly values: ValueMatch;
  /** dtype and shape of the reference's and the candidate's values, by `r:NAME` and `c:NAME`. */
  readonly described: ReadonlyMap<string, Pick<Tensor, "dtype" | "shape">>;
  /** Why the candidate's own run ended early, or null. */
  readonly candidateFailure: HooklineError | null;
  readonly notes: readonly string[];
}

/** Runs both models and the candidate's modules. */
export async function runComparison(request: ComparisonRequest): Promise<ComparisonResult> {
  return await new Comparison(request).run();
}

/** Part of the budget that the outputs of one part of a recorded run may take. */
const PART_SHARE = 4;

class Comparison {
  readonly #request: ComparisonRequest;
  #calls: readonly ComparedCall[] = [];
  readonly #described = new Map<string, Pick<Tensor, "dtype" | "shape">>();
  readonly #inherited = new Map<string, MeasuredError>();
  readonly #notes: string[] = [];
  #candidateFailure: HooklineError | null = null;

  constructor(request: ComparisonRequest) {
    this.#request = request;
  }

  async run(): Promise<ComparisonResult> {
    const { reference, candidate, onProgress } = this.#request;
    onProgress("looking at the types of values");
    const { match, values, calls, types } = await settledSides(
      reference,
      candidate,
      this.#request.match,
    );
    this.#calls = calls;
    onProgress("running the reference");
    const isWhole = this.#mayRunWhole();
    if (isWhole) await this.#wholeReference();
    await this.#recordReference(values, isWhole);
    onProgress("running the candidate");
    const whole = isWhole ? await this.#wholeCandidate(values) : null;
    const recorded = await this.#recordCandidate(values, types);
    const outputs = whole ?? recorded;
    const refuted = match.isOneGraph
      ? new Set<string>()
      : refutedPairs(this.#calls, this.#inherited, outputs.byOutput);
    if (refuted.size > 0) {
      const { match } = this.#request;
      const pairs = match.pairs.filter((pair) => refuted.has(pairKey(pair)));
      return await runComparison({
        ...this.#request,
        match: withoutPairs(
          match,
          new Set(pairs),
          "its numbers contradict what its shape suggests",
        ),
      });
    }
    const judged: CallErrors[] = [];
    for (const [index, call] of calls.entries()) {
      onProgress(`running module ${index + 1} of ${calls.length}: ${call.pair.module}`);
      judged.push(await this.#judge(call, values, outputs));
    }
    if (!match.isOneGraph) {
      const host = {
        candidate,
        values,
        store: this.#request.store,
        candidateShapes: this.#shapes(),
      };
      const { tolerance } = this.#request;
      const moved = await movedBorders(judged, { ...host, tolerance }, onProgress);
      for (const [index, errors] of judged.entries()) {
        const neighbours = moved.get(errors.call);
        if (neighbours !== undefined) judged[index] = { ...errors, movedWith: neighbours };
      }
    }
    return {
      calls: judged,
      match,
      values,
      described: this.#described,
      candidateFailure: this.#candidateFailure,
      notes: this.#notes,
    };
  }

  /** The model's outputs are those of the untouched file: cuts may keep ONNX Runtime from fusing. */
  async #wholeReference(): Promise<void> {
    const { reference, store } = this.#request;
    const outputs = await runWhole(reference);
    for (const [name, value] of Object.entries(outputs)) {
      this.#described.set(`w:${name}`, value);
      await store.put(`w:${name}`, value);
    }
  }

  /** Whether both fit into the budget as wholes; else their outputs are those of their parts. */
  #mayRunWhole(): boolean {
    const { reference, candidate, budgetByteLength } = this.#request;
    const largest = Math.max(
      ...[reference, candidate].map(({ structure }) => weightByteLength(structure.graph)),
    );
    if (largest <= budgetByteLength) return true;
    this.#notes.push(
      `${largest} bytes of weights are more than the budget for memory: neither model runs as a whole, their outputs are those of their parts`,
    );
    return false;
  }

  async #recordReference(values: ValueMatch, isWhole: boolean): Promise<void> {
    const { reference, store, budgetByteLength, tolerance } = this.#request;
    const kept = new Set(values.pairs.values());
    const wanted = new Set(kept);
    for (const { pair } of this.#calls) for (const name of pair.reference.outputs) wanted.add(name);
    const run = await recordRun(reference, {
      feeds: reference.feeds,
      wanted,
      store,
      prefix: "r:",
      partByteLength: Math.max(1, budgetByteLength / PART_SHARE),
      onValue: async (name, value) => {
        this.#describe(`r:${name}`, value);
        if (!isWhole && reference.structure.graph.outputs.includes(name)) {
          this.#describe(`w:${name}`, value);
          await store.put(`w:${name}`, value);
        }
        const whole = isWhole ? await store.get(`w:${name}`) : undefined;
        if (whole !== undefined) {
          const { error } = measureError(whole, value, tolerance);
          if (error.ratio > 1) this.#noteCut("reference", name, error.maxAbs);
        }
        return kept.has(name);
      },
    });
    if (run.failure !== null) throw run.failure;
  }

  #noteCut(side: string, name: string, maxAbs: number): void {
    this.#notes.push(
      `the ${side}'s output "${name}" is ${maxAbs} off when the model runs module by module: ONNX Runtime rewrites the whole model in other ways`,
    );
  }

  /** The model's outputs, by the candidate's name; what the whole file computes. */
  async #wholeCandidate(values: ValueMatch): Promise<LocalErrors> {
    const { candidate } = this.#request;
    const byOutput = new Map<string, MeasuredError>();
    try {
      for (const [name, value] of Object.entries(await runWhole(candidate))) {
        this.#describe(`w:c:${name}`, value);
        const error = await this.#outputError(name, value, values);
        if (error !== null) byOutput.set(name, error);
      }
      return { byOutput, inheritedInputs: [], failure: null };
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "SESSION_RUN") throw error;
      return { byOutput, inheritedInputs: [], failure: error };
    }
  }

  async #recordCandidate(
    values: ValueMatch,
    { reference: left, candidate: right }: MatchedSides["types"],
  ): Promise<LocalErrors> {
    const byOutput = new Map<string, MeasuredError>();
    const { candidate, store, budgetByteLength, tolerance } = this.#request;
    const outputs = new Map<string, boolean>();
    const fallbacks = new Set<string>();
    const inputs = new Set<string>();
    for (const { pair, own, isSameStructure } of [...this.#calls].reverse()) {
      for (const name of pair.candidate.outputs) outputs.set(name, isSameStructure);
      for (const name of [...pair.candidate.inputs, ...own?.inputs ?? []]) {
        inputs.add(name);
        if (mayNotFit(name, values, left, right)) fallbacks.add(name);
      }
    }
    const run = await recordRun(candidate, {
      feeds: candidate.feeds,
      wanted: new Set([...outputs.keys(), ...inputs]),
      store,
      prefix: "c:",
      partByteLength: Math.max(1, budgetByteLength / PART_SHARE),
      onValue: async (name, value) => {
        this.#describe(`c:${name}`, value);
        const isSame = outputs.get(name);
        const partner = isSame === undefined ? undefined : values.partnerOf(name);
        const wanted = partner === undefined ? undefined : await store.get(`r:${partner}`);
        if (wanted !== undefined) {
          const options = { ...tolerance, ignoresShape: isSame === false };
          const error = await store.using([wanted], () => measureError(wanted, value, options));
          this.#inherited.set(name, error);
        }
        if (candidate.structure.graph.outputs.includes(name)) {
          this.#describe(`w:c:${name}`, value);
          const error = await this.#outputError(name, value, values);
          if (error !== null) byOutput.set(name, error);
        }
        if (fallbacks.has(name)) return true;
        const expected = this.#described.get(`r:${values.partnerOf(name)}`);
        return inputs.has(name) && String(expected?.shape) !== String(value.shape);
      },
    });
    this.#candidateFailure = run.failure;
    return { byOutput, inheritedInputs: [], failure: run.failure };
  }

  /** How far an output of the candidate is from its partner; null when it has none. */
  async #outputError(
    name: string,
    value: Tensor,
    values: ValueMatch,
  ): Promise<MeasuredError | null> {
    const { store, tolerance } = this.#request;
    const partner = values.partnerOf(name);
    const wanted = partner === undefined ? undefined : await store.get(`w:${partner}`);
    return wanted === undefined
      ? null
      : measureError(wanted, value, { ...tolerance, precision: values.precisionOf(name) });
  }

  #describe(key: string, { dtype, shape }: Tensor): void {
    this.#described.set(key, { dtype, shape });
  }

  async #judge(
    call: ComparedCall,
    values: ValueMatch,
    outputs: LocalErrors,
  ): Promise<CallErrors> {
    const { candidate, store, tolerance } = this.#request;
    const { pair, own, inside, isSameStructure } = call;
    const host = { candidate, values, store, tolerance, candidateShapes: this.#shapes() };
    const isRoot = pair.module === "";
    const local = isRoot ? outputs : await localErrors(host, pair.candidate, {
      isSameStructure,
      isOwn: false,
    });
    const inherited = isRoot ? outputs.byOutput : new Map(
      pair.candidate.outputs.flatMap((name) => {
        const error = this.#inherited.get(name);
        return error === undefined ? [] : [[name, error] as const];
      }),
    );
    const isOff = local.failure !== null ||
      (worstError(local.byOutput.values())?.error.ratio ?? 0) > 1;
    const isJudged = isOff && inside.length > 0 && own !== null;
    return {
      call,
      inherited,
      local,
      own: isJudged ? await localErrors(host, own, { isSameStructure, isOwn: true }) : null,
    };
  }

  #shapeMap: ReadonlyMap<string, readonly number[]> | null = null;

  #shapes(): ReadonlyMap<string, readonly number[]> {
    return this.#shapeMap ??= new Map(
      [...this.#described].flatMap(([key, { shape }]) =>
        key.startsWith("c:") ? [[key.slice(2), shape] as const] : []
      ),
    );
  }
}

/**
 * Keys of pairs that were matched by structure alone and are off, although what reads them, what holds them, or
 * the whole model is not: then they do not belong together.
 */
function refutedPairs(
  calls: readonly ComparedCall[],
  inherited: ReadonlyMap<string, MeasuredError>,
  outputs: ReadonlyMap<string, MeasuredError>,
): ReadonlySet<string> {
  const isGood = ({ pair }: ComparedCall): boolean => {
    const errors = pair.module === ""
      ? [...outputs.values()]
      : pair.candidate.outputs.flatMap((name) => inherited.get(name) ?? []);
    return errors.length > 0 && errors.every(({ error }) => error.ratio <= 1);
  };
  const isOff = ({ pair }: ComparedCall): boolean =>
    pair.candidate.outputs.some((name) => (inherited.get(name)?.error.ratio ?? 0) > 1);
  const good = calls.filter(isGood);
  const read = new Set(good.flatMap(({ pair }) => pair.candidate.inputs));
  const held = new Set(good.flatMap(({ inside }) => inside));
  return new Set(
    calls.filter((call) =>
      call.pair.by === "structure" && isOff(call) &&
      (held.has(call) || call.pair.candidate.outputs.some((name) => read.has(name)))
    ).map(({ pair }) => pairKey(pair)),
  );
}

/** True when the reference may have nothing that fits an input of the candidate. */
function mayNotFit(name: string, values: ValueMatch, left: TypedSide, right: TypedSide): boolean {
  const partner = values.partnerOf(name);
  const type = right.types.get(name);
  const wanted = partner === undefined ? undefined : left.types.get(partner);
  if (type === undefined || wanted === undefined) return true;
  if (dtypeClass(type.dtype) !== "float") return true;
  return type.shape?.length !== wanted.shape?.length;
}

/** Bytes of a model's weights, wherever they lie. */
function weightByteLength({ initializers }: ModelGraph): number {
  let byteLength = 0;
  for (const { dims, dataType } of initializers.values()) {
    const bits = dtypeFromOnnx(dataType)?.bitWidth ?? 0;
    byteLength += dims.reduce((product, size) => product * Number(size), bits / 8);
  }
  return byteLength;
}

async function runWhole(side: CompareSide): Promise<TensorMap> {
  const { structure, engine, settings, feeds } = side;
  structure.requireUnchanged();
  const session = await engine.open(structure.wholeSource, {
    ...settings,
    prepacking: true,
    arena: false,
    label: structure.skeleton.label,
  });
  try {
    const tensors = session.outputs.filter(({ isTensor }) => isTensor).map(({ name }) => name);
    return tensors.length === 0 ? emptyTensorMap() : await session.run(feeds, tensors);
  } finally {
    await session.release();
  }
}
