// One side of a matching: who reads what once Identity and casts between floats are looked through, and
// what a node looks like without its names. Folder-private.

import { toBinary } from "@bufbuild/protobuf";
import { AttributeProtoSchema, type TensorProto } from "onnx-buf";
import type { GraphNode, ModelGraph } from "../../graph/model_graph.ts";
import { usesOf } from "../../graph/sub_model.ts";
import { decodeTensorProto } from "../../graph/tensor_proto.ts";

/** A part of one side's graph. */
export interface AnchorSide {
  readonly graph: ModelGraph;
  /** Indices of live nodes. */
  readonly nodes: readonly number[];
}

/** Operators whose inputs may be swapped. */
export const COMMUTATIVE: ReadonlySet<string> = new Set([
  "Add",
  "And",
  "Equal",
  "Max",
  "Mean",
  "Min",
  "Mul",
  "Or",
  "Sum",
  "Xor",
]);

/** Numbers of float32, float16, float64 and bfloat16. Source: TensorProto.DataType, ONNX 1.20. */
const FLOATS: ReadonlySet<bigint> = new Set([1n, 10n, 11n, 16n]);
/** Constants of at most this many elements count by value where two nodes look alike. */
const SMALL_ELEMENT_COUNT = 64;

/** A part of a graph with its sources and users. */
export class SourceGraph {
  readonly graph: ModelGraph;
  /** Nodes that are not looked through, ascending. */
  readonly nodes: readonly number[];
  readonly #inside: ReadonlySet<number>;
  readonly #border: ReadonlySet<string>;
  readonly #sources = new Map<string, string>();
  readonly #users = new Map<string, number[]>();
  readonly #forms = new Map<string, string>();

  /** `border` are values that are never looked through. */
  constructor({ graph, nodes }: AnchorSide, border: ReadonlySet<string>) {
    this.graph = graph;
    this.#inside = new Set(nodes);
    this.#border = border;
    const all = [...this.#inside].sort((left, right) => left - right);
    this.nodes = all.filter((index) => !this.#isSeenThrough(index));
    for (const index of this.nodes) {
      for (const source of this.sourcesRead(index)) {
        const users = this.#users.get(source);
        if (users === undefined) this.#users.set(source, [index]);
        else users.push(index);
      }
    }
  }

  node(index: number): GraphNode {
    return this.graph.nodes[index] as GraphNode;
  }

  /** The node of this part that computes a value, or undefined. */
  producerOf(value: string): number | undefined {
    const producer = this.graph.producerOf(value);
    return producer !== undefined && this.#inside.has(producer) ? producer : undefined;
  }

  /** Where a value comes from: itself, or what Identity and casts between floats made it of. */
  sourceOf(value: string): string {
    const known = this.#sources.get(value);
    if (known !== undefined) return known;
    let source = value;
    while (!this.#border.has(source)) {
      const producer = this.producerOf(source);
      if (producer === undefined || !isTransparent(this.node(producer))) break;
      source = this.node(producer).inputs[0] as string;
    }
    this.#sources.set(value, source);
    return source;
  }

  /** Nodes that read a source. */
  usersOf(source: string): readonly number[] {
    return this.#users.get(source) ?? [];
  }

  /** The sources of the non-constant values that a node reads, bodies included, each once. */
  sourcesRead(index: number): readonly string[] {
    const values = usesOf(this.graph, index).filter((value) => !this.graph.isConstantValue(value));
    return [...new Set(values.map((value) => this.sourceOf(value)))];
  }

  /** The source of each declared input by position; null for constants and absent ones. */
  inputSources(index: number): readonly (string | null)[] {
    return this.node(index).inputs.map((value) =>
      value === "" || this.graph.isConstantValue(value) ? null : this.sourceOf(value)
    );
  }

  /** Names of the constants that a node reads. */
  constantsRead(index: number): readonly string[] {
    return usesOf(this.graph, index).filter((value) => this.graph.isConstantValue(value));
  }

  /** Operator, attributes and small constants as text; large weights count by shape. */
  formOf(index: number): string {
    const { domain, opType, proto } = this.node(index);
    const attributes = proto.attribute
      .map((attribute) => `${toBinary(AttributeProtoSchema, attribute)}`)
      .sort();
    const constants = this.constantsRead(index).map((value) => this.#constantForm(value));
    return JSON.stringify([domain, opType, attributes, constants]);
  }

  #constantForm(value: string): string {
    const known = this.#forms.get(value);
    if (known !== undefined) return known;
    this.#forms.set(value, ""); // graphs are acyclic; a body may still name a value again
    const tensor = this.graph.initializers.get(value);
    const producer = this.graph.producerOf(value);
    const form = tensor !== undefined
      ? tensorForm(tensor)
      : producer === undefined
      ? ""
      : this.#producerForm(this.node(producer), producer);
    this.#forms.set(value, form);
    return form;
  }

  #producerForm({ proto, opType }: GraphNode, index: number): string {
    const held = opType === "Constant" ? proto.attribute.find(({ t }) => t !== undefined)?.t : null;
    return held === undefined || held === null ? this.formOf(index) : tensorForm(held);
  }

  #isSeenThrough(index: number): boolean {
    const node = this.node(index);
    return isTransparent(node) && !this.#border.has(node.outputs[0] as string);
  }
}

/** Identity and casts to floats. What is cast from an integer is a source all the same: the integer. */
function isTransparent({ opType, domain, proto, inputs, outputs }: GraphNode): boolean {
  if (domain !== "" || inputs.length !== 1 || outputs.length !== 1) return false;
  if (opType === "Identity") return true;
  if (opType !== "Cast") return false;
  return proto.attribute.some(({ name, i }) => name === "to" && FLOATS.has(i));
}

function tensorForm(tensor: TensorProto): string {
  const type = `${tensor.dataType}[${tensor.dims}]`;
  const count = tensor.dims.reduce((product, size) => product * size, 1n);
  if (tensor.dataLocation === 1 || count > SMALL_ELEMENT_COUNT) return type;
  try {
    return `${type}${decodeTensorProto(tensor).data}`;
  } catch {
    return type; // a type that JavaScript cannot hold
  }
}

/**
 * What a node is and reads, with sources named by `nameOf`; null while one of them has no name. Constants
 * leave no trace: a weight may be an attribute in one version of an operator and an input in another.
 */
export function signatureOf(
  side: SourceGraph,
  index: number,
  nameOf: (source: string) => string | null,
): string | null {
  const { domain, opType, captures } = side.node(index);
  const names: string[] = [];
  for (const [position, source] of side.inputSources(index).entries()) {
    if (source === null) continue;
    const name = nameOf(source);
    if (name === null) return null;
    names.push(COMMUTATIVE.has(opType) ? name : `${position} ${name}`);
  }
  if (COMMUTATIVE.has(opType)) names.sort();
  const captured: string[] = [];
  for (const value of captures) {
    if (side.graph.isConstantValue(value)) continue;
    const name = nameOf(side.sourceOf(value));
    if (name === null) return null;
    captured.push(name);
  }
  return JSON.stringify([domain, opType, names, captured.sort()]);
}
