// Runs a model in parts, one after another, and hands out the values that were asked for as they come.
// At any time one part is open, and what later parts need waits in a store with a byte budget, so memory
// is the budget and one part, however many values are asked for.
//
// How: the live nodes in the order of execution are cut into runs. Every prefix of a topological order
// can run before its rest, so any place between two nodes will do; places inside the innermost module
// call are avoided, because a cut there would keep ONNX Runtime from fusing what belongs together.

import { HooklineError } from "../../errors/hookline_error.ts";
import { boundaryOf } from "../../graph/module_boundary.ts";
import type { ValueType } from "../../graph/sub_model.ts";
import { executionPositions } from "../../pipeline/run_order.ts";
import { dtypeInfo } from "../../tensor/dtype.ts";
import { copyTensor, emptyTensorMap, type Tensor, type TensorMap } from "../../tensor/tensor.ts";
import { type BoundaryStore, tensorByteLength } from "./boundary_store.ts";
import { openPart, type PartHost } from "./part_run.ts";

/** What to record. */
export interface RecordRequest {
  readonly feeds: TensorMap;
  /** Values of the top level that are handed out: computed ones and graph inputs. */
  readonly wanted: ReadonlySet<string>;
  /** Where values wait between parts, under `prefix` and their name. */
  readonly store: BoundaryStore;
  readonly prefix: string;
  /** Bytes that the outputs of one part should not exceed. */
  readonly partByteLength: number;
  /** Called once per wanted value. True to keep it in the store for good. */
  readonly onValue: (name: string, value: Tensor) => Promise<boolean>;
}

/** How a recorded run ended. */
export interface RecordedRun {
  /** Parts that ran. */
  readonly parts: number;
  /** Wanted values that cannot leave ONNX Runtime. */
  readonly impossible: ReadonlySet<string>;
  /** Why it ended early, or null. Wanted values that had not come until then never will. */
  readonly failure: HooklineError | null;
}

/** Nodes of the first part whose outputs' sizes nobody knows beforehand; later ones learn from it. */
const FIRST_PART_NODES = 4;
const MOST_PART_NODES = 4096;

/** Runs the model and hands out values. A part that fails ends the run without throwing. */
export async function recordRun(host: PartHost, request: RecordRequest): Promise<RecordedRun> {
  const run = new Recorder(host, request);
  return await run.run();
}

function firstCut(cuts: ReadonlySet<number>, from: number): number {
  let place = from + 1;
  while (!cuts.has(place)) place++;
  return place;
}

class Recorder {
  readonly #host: PartHost;
  readonly #request: RecordRequest;
  readonly #order: readonly number[];
  /** For each value the place of its last reader in the order; Infinity for none known. */
  readonly #lastRead = new Map<string, number>();
  readonly #impossible = new Set<string>();
  #types: ReadonlyMap<string, ValueType> = new Map();
  /** The sizes of symbolic dimensions. */
  readonly #sizes = new Map<string, number>();
  /** Values in the store that must not be dropped. */
  readonly #kept = new Set<string>();

  constructor(host: PartHost, request: RecordRequest) {
    this.#host = host;
    this.#request = request;
    const { graph, tree } = host.structure;
    const positions = executionPositions(graph, tree.modules);
    this.#order = graph.nodes.filter((node) => !node.isConstant).map((node) => node.index)
      .sort((left, right) => (positions[left] ?? 0) - (positions[right] ?? 0));
  }

  async run(): Promise<RecordedRun> {
    const { graph } = this.#host.structure;
    await this.#learnTypes();
    for (const [place, node] of this.#order.entries()) {
      for (const value of boundaryOf(graph, [node]).inputs) this.#lastRead.set(value, place);
    }
    for (const name of graph.inputs) {
      const value = this.#request.feeds[name];
      if (value !== undefined) await this.#handOut(name, value, 0);
    }
    const cuts = this.#cuts();
    let parts = 0;
    let most = FIRST_PART_NODES;
    let isCareful = false;
    for (let from = 0; from < this.#order.length;) {
      const least = firstCut(cuts, from);
      const to = isCareful ? least : this.#nextCut(cuts, from, most);
      let byteLength: number;
      try {
        byteLength = await this.#part(from, to);
      } catch (error) {
        if (!(error instanceof HooklineError) || error.code === "FILE_WRITE") throw error;
        if (to > least) { // what does not fail in it is still worth having
          isCareful = true;
          continue;
        }
        return { parts, impossible: this.#impossible, failure: error };
      }
      parts++;
      // As many nodes as would have filled the allowance, at most twice as many as before.
      const fitting = (to - from) * this.#request.partByteLength / Math.max(1, byteLength);
      most = Math.max(1, Math.min(MOST_PART_NODES, 2 * most, Math.floor(fitting)));
      from = to;
    }
    for (const name of this.#lastRead.keys()) this.#dropUnkept(name);
    return { parts, impossible: this.#impossible, failure: null };
  }

  async #learnTypes(): Promise<void> {
    const { structure, types } = this.#host;
    let computed = structure.graph.nodes.filter((node) => !node.isConstant).flatMap((node) =>
      node.outputs.filter((value) => value !== "")
    );
    try {
      this.#types = await types.require(computed);
    } catch (error) {
      if (!(error instanceof HooklineError) || error.code !== "PLAN_VALUE_TYPE") throw error;
      for (const name of error.details["values"] as readonly string[]) this.#impossible.add(name);
      computed = computed.filter((name) => !this.#impossible.has(name));
      this.#types = await types.require(computed);
    }
    for (const { name, shape } of structure.inputs) {
      for (const [axis, size] of (shape ?? []).entries()) {
        const known = this.#request.feeds[name]?.shape[axis];
        if (typeof size === "string" && known !== undefined) this.#sizes.set(size, known);
      }
    }
  }

  /** Places where the order may be cut: before the node at that place. */
  #cuts(): ReadonlySet<number> {
    const { graph, tree } = this.#host.structure;
    const innermost = new Map<number, object>();
    for (const module of tree.modules) { // outer modules come first: inner ones overwrite them
      if (module.insideBody !== null || module.path === "") continue;
      for (const call of module.calls) for (const node of call.nodes) innermost.set(node, call);
    }
    const cuts = new Set<number>([this.#order.length]);
    const open = new Set<string>();
    for (const [place, node] of this.#order.entries()) {
      const around = innermost.get(node);
      const before = innermost.get(this.#order[place - 1] ?? -1);
      if (open.size === 0 && (around === undefined || around !== before)) cuts.add(place);
      for (const value of graph.nodes[node]?.outputs ?? []) {
        if (this.#impossible.has(value) && this.#lastRead.has(value)) open.add(value);
      }
      for (const value of open) if ((this.#lastRead.get(value) ?? -1) <= place) open.delete(value);
    }
    return cuts;
  }

  /** The last cut that keeps the part's outputs within what is allowed; at least the next one. */
  #nextCut(cuts: ReadonlySet<number>, from: number, most: number): number {
    const { wanted, partByteLength } = this.#request;
    let found = from;
    let byteLength = 0;
    let isGuess = false;
    for (let place = from; place < this.#order.length; place++) {
      const node = this.#host.structure.graph.nodes[this.#order[place] as number];
      for (const value of node?.outputs ?? []) {
        if (!wanted.has(value) && !this.#lastRead.has(value)) continue;
        const size = this.#byteLengthOf(value);
        isGuess ||= size === null;
        byteLength += size ?? 0;
      }
      const isTooMuch = byteLength > partByteLength || place - from >= MOST_PART_NODES ||
        (isGuess && place - from >= most);
      if (isTooMuch && found > from) return found;
      if (cuts.has(place + 1)) found = place + 1;
    }
    return found;
  }

  /** Bytes of a value, from its inferred type and the sizes of the feeds; null when that does not tell. */
  #byteLengthOf(value: string): number | null {
    const type = this.#types.get(value);
    if (type === undefined || type.shape === null) return null;
    let elements = 1;
    for (const size of type.shape) {
      const known = typeof size === "string" ? this.#sizes.get(size) : size;
      if (typeof known !== "number") return null;
      elements *= known;
    }
    return Math.ceil(elements * (dtypeInfo(type.dtype)?.bitWidth ?? 0) / 8);
  }

  /** Runs the nodes from one place to another; returns the bytes that came out. */
  async #part(from: number, to: number): Promise<number> {
    const { wanted, store, prefix } = this.#request;
    const nodes = this.#order.slice(from, to);
    const outputs = nodes.flatMap((node) =>
      (this.#host.structure.graph.nodes[node]?.outputs ?? []).filter((value) =>
        value !== "" && !this.#impossible.has(value) &&
        (wanted.has(value) || (this.#lastRead.get(value) ?? -1) >= to)
      )
    );
    if (outputs.length === 0) return 0; // nothing that is wanted needs them
    const part = await openPart(this.#host, {
      nodes,
      outputs,
      shapeOf: (name) => store.describe(prefix + name)?.shape,
    });
    try {
      const feeds = emptyTensorMap();
      for (const name of part.inputs.keys()) {
        const value = await store.get(prefix + name);
        if (value !== undefined) feeds[name] = value;
      }
      const made = await store.using(Object.values(feeds), () => part.run(feeds));
      let byteLength = 0;
      const values = Object.entries(made);
      for (const [, value] of values) byteLength += tensorByteLength(value);
      await store.using(values.map(([, value]) => value), async () => {
        for (const [name, value] of values) await this.#handOut(name, value, to);
      });
      for (const name of part.inputs.keys()) {
        if ((this.#lastRead.get(name) ?? -1) < to) this.#dropUnkept(name);
      }
      return byteLength;
    } finally {
      await part.release();
    }
  }

  async #handOut(name: string, value: Tensor, place: number): Promise<void> {
    const { wanted, store, prefix, onValue } = this.#request;
    const isKept = wanted.has(name) && await onValue(name, value);
    if (isKept) this.#kept.add(name);
    if (!isKept && (this.#lastRead.get(name) ?? -1) < place) return;
    const isFeed = this.#request.feeds[name] === value;
    await store.put(prefix + name, isFeed ? copyTensor(value) : value);
  }

  #dropUnkept(name: string): void {
    if (!this.#kept.has(name)) this.#request.store.drop(this.#request.prefix + name);
  }
}
