// Which value of the candidate is which value of the reference, so that the candidate's modules can be
// fed with the reference's values. Evidence, the first that answers wins: the models' own inputs and
// outputs; outputs of calls that belong together; producers that belong together; inputs of calls that
// belong together, where the rest agrees. Identity and Cast are looked through.
//
// Invariant: partners hold the same kind of numbers (a float is never the partner of an integer).

import type { ValueType } from "../../graph/sub_model.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import type { DType } from "../../tensor/dtype.ts";
import { coarserDType, dtypeClass } from "./cast_tensor.ts";
import { type ComparedCall, comparedCalls } from "./_compared_parts.ts";
import { matchInputs } from "./input_match.ts";
import type { ModuleMatch } from "./module_pairs.ts";
import { canonicalValue } from "./node_alignment.ts";

/** The values of one side: its structure and the types of the values at the borders of calls. */
export interface TypedSide {
  readonly structure: ModelStructure;
  readonly types: ReadonlyMap<string, ValueType>;
}

/** For values of the candidate their partners in the reference. */
export interface ValueMatch {
  /** The partner of a value, or of the value that it is a copy or a cast of; undefined for none. */
  readonly partnerOf: (candidate: string) => string | undefined;
  /**
   * The coarsest float that a value or its partner has gone through in a chain of casts: a float32 that
   * was a float16 is no more precise than one. Undefined for what is no float.
   */
  readonly precisionOf: (candidate: string) => DType | undefined;
  /** What a Cast from a float to a float casts; null for any other value of the candidate. */
  readonly castSourceOf: (candidate: string) => string | null;
  /** True for pairs that only places at the border of a module speak for. */
  readonly isGuessed: (candidate: string) => boolean;
  /** All pairs that were found, by the candidate's value. */
  readonly pairs: ReadonlyMap<string, string>;
  /** For inputs of the candidate the reference's input that feeds it. */
  readonly inputs: ReadonlyMap<string, string>;
}

/**
 * Matches the values at the borders of calls.
 *
 * @param calls What `comparedCalls` makes of the match; made here when left out.
 * @throws {HooklineError} COMPARE_INCOMPARABLE when the candidate takes other inputs than the reference.
 */
export function matchValues(
  reference: TypedSide,
  candidate: TypedSide,
  match: ModuleMatch,
  calls: readonly ComparedCall[] = comparedCalls(
    reference.structure,
    candidate.structure,
    match.pairs,
  ),
): ValueMatch {
  return new ValueMatcher(reference, candidate, match, calls).match();
}

/** The share of partner nodes whose values must have one name, to take equal names for equal values. */
const NAMES_AGREE = 0.8;

const KINDS = ["float", "integer", "bool", "string"] as const;
type Kind = (typeof KINDS)[number];

/** Values of one call that have no partner yet. */
interface OpenValues {
  readonly which: "inputs" | "outputs";
  readonly left: Set<string>;
  readonly right: Set<string>;
  readonly kinds: readonly Kind[];
}

class ValueMatcher {
  readonly #reference: TypedSide;
  readonly #candidate: TypedSide;
  readonly #match: ModuleMatch;
  readonly #calls: readonly ComparedCall[];
  readonly #partners = new Map<string, string>();
  /** For values of the reference their first partner. */
  readonly #paired = new Map<string, string>();
  /** Values of the candidate whose partner is sure. */
  readonly #sure = new Set<string>();
  /** Whether values of one name are one value. */
  #hasNames = false;

  constructor(
    reference: TypedSide,
    candidate: TypedSide,
    match: ModuleMatch,
    calls: readonly ComparedCall[],
  ) {
    this.#reference = reference;
    this.#candidate = candidate;
    this.#match = match;
    this.#calls = calls;
  }

  match(): ValueMatch {
    const inputs = matchInputs(this.#reference.structure, this.#candidate.structure);
    for (const [name, partner] of inputs) this.#partners.set(name, partner);
    this.#matchGraphOutputs();
    for (const name of this.#partners.keys()) this.#sure.add(name);
    if (!this.#match.isOneGraph) this.#matchNames();
    // Inner calls first: what leaves a container leaves a module inside it, which has fewer outputs.
    for (const call of this.#calls) this.#matchGroup(call, "outputs");
    for (const call of [...this.#calls].reverse()) this.#matchGroup(call, "inputs");
    this.#matchOtherOutputs();
    return {
      partnerOf: (value) => this.#partnerOf(value),
      castSourceOf: (value) => castSource(this.#candidate, value),
      precisionOf: (value) => this.#precisionOf(value),
      isGuessed: (value) => this.#isGuessed(value),
      pairs: this.#partners,
      inputs,
    };
  }

  /** The partner of a value or of what it is a copy of. */
  #directPartner(value: string): string | undefined {
    return this.#partners.get(value) ??
      this.#partners.get(canonicalValue(this.#candidate.structure.graph, value));
  }

  #partnerOf(value: string): string | undefined {
    for (let at: string | null = value; at !== null; at = castSource(this.#candidate, at)) {
      const partner = this.#directPartner(at);
      if (partner !== undefined) return partner;
    }
    return undefined;
  }

  /** The coarsest float on the way to a value and to its partner. */
  #precisionOf(value: string): DType | undefined {
    const partner = this.#partnerOf(value);
    const one = partner === undefined ? undefined : coarsestSource(this.#reference, partner);
    const other = coarsestSource(this.#candidate, value);
    return one === undefined || other === undefined ? other : coarserDType(one, other);
  }

  #isGuessed(value: string): boolean {
    for (let at: string | null = value; at !== null; at = castSource(this.#candidate, at)) {
      const source = canonicalValue(this.#candidate.structure.graph, at);
      if (this.#partners.has(at) || this.#partners.has(source)) {
        return !this.#sure.has(at) && !this.#sure.has(source);
      }
    }
    return true;
  }

  /**
   * Values of one name, where names are worth something: tools that rewrite a file, ONNX Runtime's own
   * optimiser among them, keep the names of the values that they keep, and give others fresh ones.
   */
  #matchNames(): void {
    const [left, right] = [this.#reference.structure.graph, this.#candidate.structure.graph];
    const isShared = (name: string): boolean =>
      left.producerOf(name) !== undefined && right.producerOf(name) !== undefined;
    let agreeing = 0;
    let judged = 0;
    for (const [index, partner] of this.#match.alignment) {
      for (const [place, name] of (right.nodes[index]?.outputs ?? []).entries()) {
        const other = left.nodes[partner]?.outputs[place];
        if (name === "" || other === undefined || (!isShared(name) && !isShared(other))) continue;
        judged++;
        if (name === other) agreeing++;
      }
    }
    if (judged === 0 || agreeing < NAMES_AGREE * judged) return;
    this.#hasNames = true;
    for (const name of this.#candidate.types.keys()) {
      if (!this.#partners.has(name) && isShared(name) && this.#pair(name, name)) {
        this.#sure.add(name);
      }
    }
  }

  #matchGraphOutputs(): void {
    const left = this.#reference.structure.graph.outputs;
    const right = this.#candidate.structure.graph.outputs;
    const hasNames = right.some((name) => left.includes(name));
    for (const [index, name] of right.entries()) {
      const partner = hasNames ? name : left.length === right.length ? left[index] : undefined;
      if (partner === undefined || !left.includes(partner)) continue;
      // Also one that is constant, or of another type: then that is what a comparison says.
      if (!this.#pair(partner, name)) this.#partners.set(name, partner);
    }
  }

  /** Outputs whose names are one side's alone, in order, where both sides have as many of them. */
  #matchOtherOutputs(): void {
    const used = new Set(this.#partners.values());
    const { outputs } = this.#candidate.structure.graph;
    const right = outputs.filter((name) => this.#partnerOf(name) === undefined);
    const left = this.#reference.structure.graph.outputs.filter((name) => !used.has(name));
    if (left.length !== right.length) return;
    for (const [index, name] of right.entries()) this.#pair(left[index] as string, name);
  }

  /** Pairs the inputs or outputs of one call that have no partner yet. */
  #matchGroup({ pair, isSameStructure }: ComparedCall, which: "inputs" | "outputs"): void {
    const { module, reference, candidate } = pair;
    if (module === "") return;
    const taken = new Set(candidate[which].map((name) => this.#directPartner(name)));
    const here = new Set(candidate.nodes);
    if (which === "outputs") {
      for (const name of reference.outputs) {
        const partner = this.#paired.get(name) ?? "";
        const producer = this.#candidate.structure.graph.producerOf(partner);
        if (producer !== undefined && here.has(producer)) taken.add(name);
      }
    }
    const open: OpenValues = {
      which,
      left: new Set(reference[which].filter((name) => !taken.has(name))),
      right: new Set(
        candidate[which].filter((name) => this.#directPartner(name) === undefined),
      ),
      // Exporters differ in which sizes they compute where; floats are what a module is for.
      kinds: isSameStructure ? KINDS : KINDS.slice(0, 1),
    };
    if (this.#match.isOneGraph) this.#pairAligned(open);
    else if (which === "outputs") this.#pairNamesakes(open, here);
    this.#pairInOrder(open, 1);
    this.#pairAligned(open);
    this.#pairInOrder(open, Infinity);
  }

  #pairAligned(open: OpenValues): void {
    for (const other of open.right) {
      const one = this.#alignedWith(other);
      if (one !== undefined && open.left.has(one)) this.#pairOpen(open, one, other);
    }
  }

  /**
   * Values of one name and one operator, wherever in the call: tools that rewrite a file keep the names of
   * what they do not touch, and may name the nodes that they put behind a value after it.
   */
  #pairNamesakes(open: OpenValues, nodes: ReadonlySet<number>): void {
    const { graph } = this.#candidate.structure;
    for (const name of open.left) {
      const producer = graph.producerOf(name);
      if (producer === undefined || !nodes.has(producer) || this.#partners.has(name)) continue;
      const partner = this.#reference.structure.graph.producerOf(name);
      const operator = this.#reference.structure.graph.nodes[partner ?? -1]?.opType;
      if (operator === graph.nodes[producer]?.opType) this.#pairOpen(open, name, name);
    }
  }

  /** Pairs values of a kind in order, where both sides have as many, at most `most`. */
  #pairInOrder(open: OpenValues, most: number): void {
    for (const kind of open.kinds) {
      const ones = [...open.left].filter((name) => kindOf(this.#reference, name) === kind);
      const others = [...open.right].filter((name) => kindOf(this.#candidate, name) === kind);
      if (ones.length !== others.length || ones.length > most) continue;
      for (const [index, one] of ones.entries()) {
        this.#pairOpen(open, one, others[index] as string);
      }
    }
  }

  #pairOpen(open: OpenValues, one: string, other: string): void {
    // An input that has a partner gets a second one only where that looks the same: a copy.
    const [left, right] = [this.#reference.types.get(one), this.#candidate.types.get(other)];
    const isCopy = left?.shape != null && left.shape.length === right?.shape?.length;
    const known = this.#paired.get(one);
    if (open.which === "inputs" && known !== undefined) {
      if (!isCopy || (this.#hasNames && this.#sure.has(known))) return;
    }
    if (!this.#pair(one, other)) return;
    open.left.delete(one);
    open.right.delete(other);
  }

  /** The reference's value that the partner of a value's producer computes. */
  #alignedWith(value: string): string | undefined {
    const { graph } = this.#candidate.structure;
    const source = canonicalValue(graph, value);
    const producer = graph.producerOf(source);
    const partner = producer === undefined ? undefined : this.#match.alignment.get(producer);
    if (producer === undefined || partner === undefined) return undefined;
    const output = graph.nodes[producer]?.outputs.indexOf(source) ?? 0;
    const name = this.#reference.structure.graph.nodes[partner]?.outputs[output];
    return name === "" ? undefined : name;
  }

  #pair(reference: string, candidate: string): boolean {
    const [left, right] = [
      this.#reference.types.get(reference),
      this.#candidate.types.get(candidate),
    ];
    if (left === undefined || right === undefined) return false;
    if (dtypeClass(left.dtype) !== dtypeClass(right.dtype)) return false;
    this.#partners.set(candidate, reference);
    if (!this.#paired.has(reference)) this.#paired.set(reference, candidate);
    return true;
  }
}

function kindOf({ types }: TypedSide, value: string): string {
  const type = types.get(value);
  return type === undefined ? "" : dtypeClass(type.dtype);
}

/** What a Cast from a float to a float casts; null for any other value. */
function castSource(side: TypedSide, value: string): string | null {
  const { graph } = side.structure;
  const source = canonicalValue(graph, value);
  const producer = graph.producerOf(source);
  const node = producer === undefined ? undefined : graph.nodes[producer];
  if (node === undefined || node.opType !== "Cast" || node.domain !== "") return null;
  const [input = ""] = node.inputs;
  return kindOf(side, source) === "float" && kindOf(side, canonicalValue(graph, input)) === "float"
    ? input
    : null;
}

function coarsestSource(side: TypedSide, value: string): DType | undefined {
  let coarsest: DType | undefined;
  for (let at: string | null = value; at !== null; at = castSource(side, at)) {
    const { graph } = side.structure;
    const dtype = (side.types.get(at) ?? side.types.get(canonicalValue(graph, at)))?.dtype;
    if (dtype === undefined || dtypeClass(dtype) !== "float") return coarsest;
    coarsest = coarsest === undefined ? dtype : coarserDType(coarsest, dtype);
  }
  return coarsest;
}
