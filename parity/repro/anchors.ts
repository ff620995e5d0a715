// Which values of two graphs mean the same, found from what is known at the border inward: operators of
// one kind that read partners are partners, and so are the inputs of partners. Names, orders, attributes
// and weights may differ: a wrong attribute or weight is what is looked for. It knows no session.
//
// Invariant: Identity and casts between floats are looked through, so both values of a pair are sources;
// the given pairs are never looked through. A node has one partner at most.

import { type AnchorSide, COMMUTATIVE, signatureOf, SourceGraph } from "./_anchor_side.ts";

export type { AnchorSide } from "./_anchor_side.ts";

/** What to match. */
export interface AnchorRequest {
  readonly reference: AnchorSide;
  readonly candidate: AnchorSide;
  /** Values that are known to mean the same: the candidate's name, then the reference's. */
  readonly partners: ReadonlyMap<string, string>;
}

/** What a value of the candidate means in the reference. */
export interface Anchor {
  /** The reference's value. */
  readonly reference: string;
  /** Given, found by the operators around it, or by its name alone: then it wants to be verified. */
  readonly by: "given" | "wiring" | "name";
}

/**
 * Pairs values that the candidate's nodes read or compute with the reference's.
 *
 * Where several operators look alike (three projections of one input), those whose names agree are
 * partners, then those whose users are, then those with equal attributes and small constants, and at
 * last those of the same rank in execution order.
 */
export function anchorValues(request: AnchorRequest): ReadonlyMap<string, Anchor> {
  return new Matching(request).run();
}

class Matching {
  readonly #reference: SourceGraph;
  readonly #candidate: SourceGraph;
  readonly #found = new Map<string, Anchor>();
  readonly #taken = new Set<string>();
  /** The reference's nodes by what they are and read: there every value has a name from the start. */
  readonly #bySignature = new Map<string, number[]>();
  readonly #claimed = new Set<number>();
  readonly #matched = new Set<number>();
  /** Candidate nodes whose inputs all have partners, by signature. */
  readonly #ready = new Map<string, Set<number>>();
  readonly #forward: number[] = [];
  readonly #backward: string[] = [];

  constructor({ reference, candidate, partners }: AnchorRequest) {
    this.#reference = new SourceGraph(reference, new Set(partners.values()));
    this.#candidate = new SourceGraph(candidate, new Set(partners.keys()));
    for (const index of this.#reference.nodes) {
      const signature = signatureOf(this.#reference, index, (source) => source) as string;
      const alike = this.#bySignature.get(signature);
      if (alike === undefined) this.#bySignature.set(signature, [index]);
      else alike.push(index);
    }
    for (const [value, partner] of partners) this.#pair(value, partner, "given");
    // Nodes that read constants alone wait for no pair.
    this.#forward.push(
      ...this.#candidate.nodes.filter((index) => this.#candidate.sourcesRead(index).length === 0),
    );
  }

  run(): ReadonlyMap<string, Anchor> {
    do this.#spread(); while (this.#resolveByLook());
    for (const index of this.#candidate.nodes) {
      for (const value of this.#candidate.node(index).outputs) this.#pairByName(value);
    }
    return this.#found;
  }

  #pair(value: string, partner: string, by: Anchor["by"]): void {
    const source = this.#candidate.sourceOf(value);
    if (this.#found.has(source)) return;
    const reference = this.#reference.sourceOf(partner);
    this.#found.set(source, { reference, by });
    this.#taken.add(reference);
    this.#forward.push(...this.#candidate.usersOf(source));
    this.#backward.push(source);
  }

  #spread(): void {
    for (;;) {
      const index = this.#forward.pop();
      if (index !== undefined) {
        this.#matchForward(index);
        continue;
      }
      const value = this.#backward.pop();
      if (value === undefined) return;
      this.#matchBackward(value);
    }
  }

  /** A node whose inputs all have partners: is there one node in the reference that reads these? */
  #matchForward(index: number): void {
    if (this.#matched.has(index)) return;
    const nameOf = (source: string): string | null => this.#found.get(source)?.reference ?? null;
    const signature = signatureOf(this.#candidate, index, nameOf);
    if (signature === null) return;
    const alike = this.#bySignature.get(signature);
    if (alike === undefined) return;
    const rivals = this.#ready.get(signature) ?? new Set();
    this.#ready.set(signature, rivals.add(index));
    const possible = this.#unclaimed(signature);
    if (possible.length === 1) this.#matchNodes(index, possible[0]);
    else {
      const named = possible.filter((other) => this.#sharesName(index, other));
      if (named.length === 1) this.#matchNodes(index, named[0]);
    }
  }

  #unclaimed(signature: string): number[] {
    return (this.#bySignature.get(signature) ?? []).filter((index) => !this.#claimed.has(index));
  }

  #sharesName(index: number, other: number): boolean {
    const [left, right] = [this.#candidate.node(index), this.#reference.node(other)];
    if (left.name !== "" && left.name === right.name) return true;
    if (left.outputs.some((value) => value !== "" && right.outputs.includes(value))) return true;
    const constants = this.#reference.constantsRead(other);
    return this.#candidate.constantsRead(index).some((name) => constants.includes(name));
  }

  /** The outputs of two nodes of one kind mean the same: so do their inputs. */
  #matchBackward(value: string): void {
    const partner = this.#found.get(value)?.reference as string;
    const index = this.#candidate.producerOf(value);
    const other = this.#reference.producerOf(partner);
    if (index === undefined || other === undefined) return;
    if (this.#matched.has(index) || this.#claimed.has(other)) return;
    const [left, right] = [this.#candidate.node(index), this.#reference.node(other)];
    if (left.opType !== right.opType || left.domain !== right.domain) return;
    if (left.outputs.indexOf(value) !== right.outputs.indexOf(partner)) return;
    this.#matchNodes(index, other);
    const isSwappable = COMMUTATIVE.has(left.opType);
    const clean = (sources: readonly (string | null)[]): readonly (string | null)[] =>
      isSwappable ? sources.filter((source) => source !== null) : sources;
    const sources = clean(this.#candidate.inputSources(index));
    const partners = clean(this.#reference.inputSources(other));
    const isPossible = (order: readonly (string | null)[]): boolean =>
      sources.every((source, at) => this.#mayPair(source, order[at] ?? null, isSwappable));
    const orders = isSwappable && partners.length === 2 && sources.length === 2
      ? [partners, partners.toReversed()]
      : [partners];
    const possible = orders.filter(isPossible);
    const order =
      possible.find((one) => sources.every((from, at) => this.#isAlike(from, one[at]))) ??
        (possible.length === 1 ? possible[0] : undefined);
    sources.forEach((source, at) => {
      const wanted = order?.[at] ?? null;
      if (source !== null && wanted !== null) this.#pair(source, wanted, "wiring");
    });
  }

  /**
   * False when a value is known to mean something else, or its partner is known to be another's: sums may
   * add in another order. In a fixed place a second partner is an operator too many, which is an error.
   */
  #mayPair(source: string | null, partner: string | null, isSwappable: boolean): boolean {
    if (source === null || partner === null) return true;
    const known = this.#found.get(source)?.reference;
    if (known !== undefined) return known === partner;
    return !isSwappable || !this.#taken.has(partner);
  }

  /** True when two values are computed by operators of one kind, or both by none. */
  #isAlike(source: string | null, partner: string | null | undefined): boolean {
    const kindOf = (side: SourceGraph, value: string | null | undefined): string | null => {
      const producer = value === null || value === undefined ? undefined : side.producerOf(value);
      return producer === undefined ? null : side.node(producer).opType;
    };
    return kindOf(this.#candidate, source) === kindOf(this.#reference, partner);
  }

  /** Decides among nodes that read the same: by equal attributes and constants, then by order. */
  #resolveByLook(): boolean {
    for (const [signature, nodes] of this.#ready) {
      this.#ready.delete(signature);
      const rivals = [...nodes].filter((index) => !this.#matched.has(index))
        .sort((left, right) => left - right);
      const possible = this.#unclaimed(signature);
      if (rivals.length === 0 || possible.length === 0) continue;
      for (const index of rivals) {
        const form = this.#candidate.formOf(index);
        const same = this.#unclaimed(signature)
          .filter((other) => this.#reference.formOf(other) === form);
        this.#matchNodes(index, same[0]);
      }
      for (const index of rivals) this.#matchNodes(index, this.#unclaimed(signature)[0]);
      return true;
    }
    return false;
  }

  #matchNodes(index: number, other: number | undefined): void {
    if (other === undefined || this.#matched.has(index)) return;
    this.#matched.add(index);
    this.#claimed.add(other);
    const partners = this.#reference.node(other).outputs;
    for (const [at, value] of this.#candidate.node(index).outputs.entries()) {
      const partner = partners[at] ?? "";
      if (value !== "" && partner !== "") this.#pair(value, partner, "wiring");
    }
  }

  #pairByName(value: string): void {
    const isFree = !this.#found.has(value) && !this.#taken.has(value);
    if (value === "" || !isFree || this.#reference.producerOf(value) === undefined) return;
    if (this.#reference.sourceOf(value) !== value) return;
    this.#found.set(value, { reference: value, by: "name" });
    this.#taken.add(value);
  }
}
