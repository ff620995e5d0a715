// One level of a model as a graph: who produces a value, who consumes it, what is constant, and what
// the bodies of If, Loop and Scan capture from outside. A body is a ModelGraph of its own with an
// outer one. It knows nothing of modules. Invariant: once built, the graph is acyclic, every used
// value has exactly one origin, and `nodes` is in topological order (the file's own order where that
// is topological already).

import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { dtypeFromOnnx } from "../tensor/dtype.ts";
import { capturesOf } from "./_captures.ts";

/** A graph held by a node's attribute: a branch, a loop body. */
export interface GraphBody {
  /** `then_branch`, `body`, … */
  readonly attributeName: string;
  readonly graph: ModelGraph;
}

/** A node with everything that it reads and writes. */
export interface GraphNode {
  /** Position in {@linkcode ModelGraph.nodes}: topological. */
  readonly index: number;
  /** The node's name, possibly empty and possibly not unique. */
  readonly name: string;
  readonly opType: string;
  /** The operator's domain; `""` for the standard one. */
  readonly domain: string;
  /** Declared inputs; an absent optional one is `""`. */
  readonly inputs: readonly string[];
  /** Outer values that the node's bodies use, each once, in order of first use. */
  readonly captures: readonly string[];
  /** Declared outputs; an absent optional one is `""`. */
  readonly outputs: readonly string[];
  readonly bodies: readonly GraphBody[];
  /** True when no graph input, no random operator and no control flow can change its outputs. */
  readonly isConstant: boolean;
  /** The node as it stands in the skeleton; treat as read-only. */
  readonly proto: NodeProto;
}

/** Operators whose outputs differ from run to run. */
export const RANDOM_OPERATORS: ReadonlySet<string> = new Set([
  "Bernoulli",
  "Multinomial",
  "RandomNormal",
  "RandomNormalLike",
  "RandomUniform",
  "RandomUniformLike",
]);

/** The standard operators that hold graphs. */
const BODY_OPERATORS: ReadonlySet<string> = new Set(["If", "Loop", "Scan", "SequenceMap"]);

/** How to build a {@linkcode ModelGraph}. */
export interface ModelGraphOptions {
  /** What to call the model in errors. */
  readonly label: string;
  /** The level that a body belongs to; its values may be used from inside. */
  readonly outer?: ModelGraph;
  /** Operators (`domain:opType`) whose outputs differ from run to run, such as functions that draw. */
  readonly randomOperators?: ReadonlySet<string>;
}

/** One graph level with its indices. */
export class ModelGraph {
  /** Nodes in topological order. */
  readonly nodes: readonly GraphNode[];
  /** Names of inputs that must be fed: without those that have an initializer. */
  readonly inputs: readonly string[];
  /** Names of outputs in declared order. */
  readonly outputs: readonly string[];
  /** Initializers by name, sparse ones excluded. */
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** The outer level of a body, else null. */
  readonly outer: ModelGraph | null;
  /** The graph as it stands in the skeleton; treat as read-only. */
  readonly proto: GraphProto;
  readonly #producers = new Map<string, number>();
  readonly #consumers = new Map<string, number[]>();
  readonly #declared = new Map<string, ValueInfoProto>();
  readonly #sparse = new Set<string>();
  readonly #label: string;

  /**
   * Builds the indices.
   *
   * @throws {HooklineError} MODEL_DUPLICATE_NAME, MODEL_VALUE_MISSING, MODEL_CYCLE,
   * MODEL_DTYPE_UNKNOWN, or MODEL_MALFORMED for a graph in an operator that has none.
   */
  constructor(proto: GraphProto, options: ModelGraphOptions) {
    this.proto = proto;
    this.outer = options.outer ?? null;
    this.#label = options.label;
    this.initializers = this.#indexInitializers();
    this.#indexSparse();
    this.#indexInputs();
    const raw = proto.node.map((node) => this.#rawNode(node));
    raw.forEach((node, index) => this.#claimOutputs(node, index));
    const order = this.#topologicalOrder(raw);
    this.#producers.clear();
    order.forEach((rawIndex, index) => {
      for (const output of raw[rawIndex]?.outputs ?? []) {
        if (output !== "") this.#producers.set(output, index);
      }
    });
    const nodes: GraphNode[] = [];
    this.nodes = nodes; // already visible to the bodies that are built below
    for (const [index, rawIndex] of order.entries()) {
      nodes.push(this.#finishNode(raw[rawIndex] as RawNode, index, nodes, options));
    }
    this.inputs = proto.input.map((input) => input.name).filter((name) =>
      !this.initializers.has(name) && !this.#sparse.has(name)
    );
    this.outputs = proto.output.map((output) => output.name);
    for (const output of this.outputs) {
      this.#requireValue(output, `output of graph "${proto.name}"`);
    }
  }

  /** Index of the node that computes a value, or undefined for inputs, initializers and outer values. */
  producerOf(value: string): number | undefined {
    return this.#producers.get(value);
  }

  /** Indices of the nodes that use a value, also through a body, ascending, each once. */
  consumersOf(value: string): readonly number[] {
    return this.#consumers.get(value) ?? [];
  }

  /** The declaration of an input, output or value_info, or undefined. */
  declaredType(value: string): ValueInfoProto | undefined {
    return this.#declared.get(value);
  }

  /** True for initializers, outputs of constant nodes, and constant outer values. */
  isConstantValue(value: string): boolean {
    const producer = this.#producers.get(value);
    if (producer !== undefined) return this.nodes[producer]?.isConstant ?? false;
    if (this.initializers.has(value) || this.#sparse.has(value)) return true;
    if (this.#isInput(value)) return false;
    return this.outer?.isConstantValue(value) ?? false;
  }

  /** True when a name means something at this level or outside it. */
  hasValue(value: string): boolean {
    return this.#hasOwnValue(value) || (this.outer?.hasValue(value) ?? false);
  }

  /** True for a sparse initializer of this level. */
  isSparseInitializer(value: string): boolean {
    return this.#sparse.has(value);
  }

  #isInput(value: string): boolean {
    return this.proto.input.length > 0 && this.#inputNames.has(value);
  }

  #hasOwnValue(value: string): boolean {
    return this.#producers.has(value) || this.initializers.has(value) ||
      this.#inputNames.has(value) ||
      this.#sparse.has(value);
  }

  readonly #inputNames = new Set<string>();

  #indexInitializers(): Map<string, TensorProto> {
    const found = new Map<string, TensorProto>();
    for (const tensor of this.proto.initializer) {
      if (found.has(tensor.name)) throw this.#duplicate(tensor.name, "two initializers");
      if (dtypeFromOnnx(tensor.dataType) === undefined) {
        throw new HooklineError("MODEL_DTYPE_UNKNOWN", {
          message:
            `cannot use "${this.#label}": initializer "${tensor.name}" has the element type ${tensor.dataType}, which ONNX does not define`,
          fix: "export the model again, or update Hookline if the type is newer than ONNX 1.20",
          details: { tensor: tensor.name, onnxType: tensor.dataType },
        });
      }
      found.set(tensor.name, tensor);
    }
    return found;
  }

  #indexSparse(): void {
    for (const { values } of this.proto.sparseInitializer) {
      const name = values?.name ?? "";
      if (this.initializers.has(name) || this.#sparse.has(name)) {
        throw this.#duplicate(name, "two initializers");
      }
      this.#sparse.add(name);
    }
  }

  #indexInputs(): void {
    for (const value of this.proto.valueInfo) this.#declared.set(value.name, value);
    for (const value of this.proto.output) this.#declared.set(value.name, value);
    for (const value of this.proto.input) {
      if (this.#inputNames.has(value.name)) throw this.#duplicate(value.name, "two inputs");
      this.#inputNames.add(value.name);
      this.#declared.set(value.name, value);
      const type = value.type?.value;
      if (type?.case === "tensorType" && dtypeFromOnnx(type.value.elemType) === undefined) {
        throw new HooklineError("MODEL_DTYPE_UNKNOWN", {
          message:
            `cannot use "${this.#label}": input "${value.name}" has the element type ${type.value.elemType}, which ONNX does not define`,
          fix: "export the model again, or update Hookline if the type is newer than ONNX 1.20",
          details: { tensor: value.name, onnxType: type.value.elemType },
        });
      }
    }
  }

  #rawNode(proto: NodeProto): RawNode {
    return { proto, inputs: proto.input, outputs: proto.output, captures: capturesOf(proto) };
  }

  #claimOutputs(node: RawNode, index: number): void {
    for (const output of node.outputs) {
      if (output === "") continue;
      if (this.#producers.has(output)) throw this.#duplicate(output, "two nodes");
      if (this.#inputNames.has(output)) throw this.#duplicate(output, "an input and a node");
      if (this.initializers.has(output) || this.#sparse.has(output)) {
        throw this.#duplicate(output, "an initializer and a node");
      }
      this.#producers.set(output, index);
    }
  }

  /** Kahn's algorithm that always takes the ready node first in the file. */
  #topologicalOrder(raw: readonly RawNode[]): number[] {
    const waiting: number[] = [];
    const dependents: number[][] = raw.map(() => []);
    let isSorted = true;
    for (const [index, node] of raw.entries()) {
      const producers = new Set<number>();
      for (const value of usesOf(node)) {
        const producer = this.#producers.get(value);
        if (producer === undefined) {
          this.#requireValue(value, `node ${index} (${node.proto.opType} "${node.proto.name}")`);
        } else producers.add(producer);
      }
      for (const producer of producers) {
        if (producer >= index) isSorted = false;
        dependents[producer]?.push(index);
      }
      waiting.push(producers.size);
    }
    if (isSorted) return raw.map((_, index) => index);
    const ready = new MinHeap();
    waiting.forEach((count, index) => count === 0 && ready.push(index));
    const order: number[] = [];
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
      order.push(next);
      for (const dependent of dependents[next] ?? []) {
        const left = (waiting[dependent] ?? 0) - 1;
        waiting[dependent] = left;
        if (left === 0) ready.push(dependent);
      }
    }
    if (order.length < raw.length) {
      const stuck = raw.findIndex((_, index) => (waiting[index] ?? 0) > 0);
      const node = raw[stuck];
      throw new HooklineError("MODEL_CYCLE", {
        message: `cannot use "${this.#label}": ${
          raw.length - order.length
        } nodes depend on one another in a circle, among them ${node?.proto.opType} "${node?.proto.name}"`,
        fix: "export the model again; ONNX graphs are acyclic",
        details: { node: node?.proto.name ?? "", nodeIndex: stuck },
      });
    }
    return order;
  }

  #finishNode(
    raw: RawNode,
    index: number,
    done: readonly GraphNode[],
    options: ModelGraphOptions,
  ): GraphNode {
    const { proto } = raw;
    const bodies: GraphBody[] = [];
    for (const attribute of proto.attribute) {
      const graphs = attribute.g === undefined
        ? attribute.graphs
        : [attribute.g, ...attribute.graphs];
      for (const graph of graphs) {
        bodies.push({
          attributeName: attribute.name,
          graph: new ModelGraph(graph, { ...options, outer: this }),
        });
      }
    }
    const domain = proto.domain === "ai.onnx" ? "" : proto.domain;
    if (bodies.length > 0 && domain === "" && !BODY_OPERATORS.has(proto.opType)) {
      throw this.#strayBody(proto);
    }
    let isConstant = bodies.length === 0 && !RANDOM_OPERATORS.has(proto.opType) &&
      !(options.randomOperators?.has(`${proto.domain}:${proto.opType}`) ?? false);
    for (const value of new Set(usesOf(raw))) {
      const consumers = this.#consumers.get(value);
      if (consumers === undefined) this.#consumers.set(value, [index]);
      else consumers.push(index);
      if (!isConstant) continue;
      const producer = this.#producers.get(value);
      isConstant = producer !== undefined
        ? done[producer]?.isConstant ?? false
        : this.initializers.has(value) || this.#sparse.has(value) ||
          (!this.#inputNames.has(value) && (this.outer?.isConstantValue(value) ?? false));
    }
    return {
      index,
      name: proto.name,
      opType: proto.opType,
      domain,
      inputs: raw.inputs,
      captures: raw.captures,
      outputs: raw.outputs,
      bodies,
      isConstant,
      proto,
    };
  }

  #requireValue(value: string, user: string): void {
    if (this.hasValue(value)) return;
    throw new HooklineError("MODEL_VALUE_MISSING", {
      message: `cannot use "${this.#label}": ${user} uses "${value}", which nothing produces`,
      fix: "export the model again; the graph is incomplete",
      details: { value },
    });
  }

  /** ONNX Runtime 1.29 ends the process over a graph in a LayerNormalization. */
  #strayBody(proto: NodeProto): HooklineError {
    return new HooklineError("MODEL_MALFORMED", {
      message:
        `cannot use "${this.#label}": node "${proto.name}" holds a graph, which the operator ${proto.opType} does not have`,
      fix: "export the model again; only If, Loop, Scan and SequenceMap hold graphs",
      details: { node: proto.name, operator: proto.opType },
    });
  }

  #duplicate(value: string, what: string): HooklineError {
    return new HooklineError("MODEL_DUPLICATE_NAME", {
      message: `cannot use "${this.#label}": ${what} share the value name "${value}"`,
      fix: "export the model again; value names are unique within a graph",
      details: { value },
    });
  }
}

interface RawNode {
  readonly proto: NodeProto;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly captures: readonly string[];
}

function* usesOf(node: RawNode): Generator<string> {
  for (const value of node.inputs) if (value !== "") yield value;
  yield* node.captures;
}

/** A binary heap of numbers, smallest first. */
class MinHeap {
  readonly #items: number[] = [];

  push(value: number): void {
    const items = this.#items;
    let index = items.push(value) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((items[parent] as number) <= value) break;
      items[index] = items[parent] as number;
      index = parent;
    }
    items[index] = value;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && (items[child + 1] as number) < (items[child] as number)) {
        child++;
      }
      if ((items[child] as number) >= last) break;
      items[index] = items[child] as number;
      index = child;
    }
    items[index] = last;
    return top;
  }
}
