// When two parts of a model compute the same thing with other weights. A block is written down with
// numbers in the place of names, in node order, and the text is hashed. It knows no module tree and no
// session.
//
// Invariant: blocks of equal hash can share one session whose inputs are the weights that blockForm
// lists, position by position; what the list leaves out is equal in both, by value.

import { createHash, type Hash } from "node:crypto";
import type { TensorProto } from "onnx-buf";
import {
  attributesForm,
  countsByValue,
  type Form,
  sha256,
  sparseType,
  tensorType,
  tensorValue,
} from "./_attribute_form.ts";
import type { ModuleCall } from "./graph_module.ts";
import type { GraphBody, GraphNode, ModelGraph } from "./model_graph.ts";

/** A block without its names. */
export interface BlockForm {
  /** SHA-256 of the structure, in hexadecimal. */
  readonly hash: string;
  /**
   * Constants that count by dtype and shape alone, in order of first use: initializers, and outputs
   * of `Constant` nodes. The same position in two equal blocks is the same weight.
   */
  readonly weights: readonly string[];
  /**
   * True when values that do not count lie where no input can stand for them: in the body of an If,
   * Loop or Scan, in an attribute, or in a sparse initializer. Then the blocks are equal in structure,
   * but cannot share a session.
   */
  readonly hasFixedWeights: boolean;
}

/**
 * The hash of what a call computes, weights apart: SHA-256, 64 hexadecimal digits.
 *
 * What counts: operators with domain and overload; attributes by name and value; who feeds whom, at
 * which position; the number and order of inputs and outputs; bodies, with what they capture; the
 * constant nodes that feed the call; dtype and shape of initializers; and the value of constants that
 * are a single element, or few integers, bools or strings (shapes, axes, indices, epsilons, masks).
 * A constant counts the same as an initializer and as a `Constant` node, shared or repeated.
 *
 * What does not: names of values, nodes and graphs, documentation, metadata, other weights' values,
 * declared types of inputs. Weights in external files are never read. Two models are comparable when
 * they import the same operator sets.
 *
 * Quantized weights and their zero points count by shape, but a scale of one element counts by value
 * (ONNX Runtime fuses only constant scales), and so do int32 biases; such blocks are not equal.
 */
export function blockHash(graph: ModelGraph, call: ModuleCall): string {
  return blockForm(graph, call).hash;
}

/** The hash of {@linkcode blockHash}, and the weights that a shared session would take as inputs. */
export function blockForm(graph: ModelGraph, call: ModuleCall): BlockForm {
  const writer = new BlockWriter(graph);
  return writer.write(call);
}

/** One level with the canonical names of its values. */
class Scope {
  readonly tokens = new Map<string, string>();

  constructor(
    readonly graph: ModelGraph,
    readonly outer: Scope | null,
    /** True for the call's own level and those around it: an input can stand for its constants. */
    readonly isOpen: boolean,
  ) {}
}

/** The level that a name belongs to when it is used at `scope`; the outermost for an unknown one. */
function ownerOf(scope: Scope, value: string): Scope {
  const isOwn = scope.tokens.has(value) || scope.graph.producerOf(value) !== undefined ||
    scope.graph.initializers.has(value) || scope.graph.isSparseInitializer(value);
  return isOwn || scope.outer === null ? scope : ownerOf(scope.outer, value);
}

class BlockWriter {
  readonly #hash: Hash = createHash("sha256");
  readonly #weights: string[] = [];
  readonly #scope: Scope;
  #hasFixedWeights = false;
  #weightCount = 0;
  #nodeCount = 0;
  #bodyCount = 0;
  #strangerCount = 0;

  constructor(graph: ModelGraph) {
    this.#scope = openScope(graph);
  }

  write(call: ModuleCall): BlockForm {
    const scope = this.#scope;
    this.#line(["block", call.inputs.length, call.outputs.length]);
    call.inputs.forEach((value, index) => scope.tokens.set(value, `input ${index}`));
    for (const index of call.nodes) {
      const node = scope.graph.nodes[index];
      // Constant nodes are written where something uses them: exporters share them between blocks.
      if (node !== undefined && !node.isConstant) this.#node(scope, node);
    }
    this.#line(["outputs", call.outputs.map((value) => this.#token(scope, value))]);
    return Object.freeze({
      hash: this.#hash.digest("hex"),
      weights: Object.freeze(this.#weights),
      hasFixedWeights: this.#hasFixedWeights,
    });
  }

  #line(form: Form): void {
    this.#hash.update(`${JSON.stringify(form)}\n`);
  }

  #node(scope: Scope, node: GraphNode): void {
    for (const body of node.bodies) this.#body(scope, body);
    const number = this.#nodeCount++;
    this.#line(["node", this.#operator(scope, node)]);
    node.outputs.forEach((value, index) => {
      if (value !== "") scope.tokens.set(value, `node ${number}.${index}`);
    });
  }

  /** Everything that says what a node computes from its inputs, and which outputs it has. */
  #operator(scope: Scope, node: GraphNode): Form {
    const attributes = attributesForm(node.proto);
    if (attributes.hasWeights) this.#hasFixedWeights = true;
    return [
      node.domain,
      node.opType,
      node.proto.overload,
      attributes.form,
      withoutTail(node.inputs.map((value) => this.#token(scope, value))),
      withoutTail(node.outputs.map((value) => value === "" ? "" : "output")),
    ];
  }

  #body(outer: Scope, body: GraphBody): void {
    const scope = new Scope(body.graph, outer, false);
    const number = this.#bodyCount++;
    const { input } = body.graph.proto;
    this.#line(["body", body.attributeName, input.length]);
    input.forEach(({ name }, index) => scope.tokens.set(name, `body ${number}.${index}`));
    for (const node of body.graph.nodes) if (!node.isConstant) this.#node(scope, node);
    this.#line(["end", body.graph.outputs.map((value) => this.#token(scope, value))]);
  }

  /** The canonical name of a value. A constant is named by what it is, a weight by order of use. */
  #token(scope: Scope, value: string): string {
    if (value === "") return "";
    // Children first, on a list of its own: constant chains may be longer than the stack is deep.
    const waiting: { readonly scope: Scope; readonly value: string }[] = [{ scope, value }];
    for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
      const owner = ownerOf(next.scope, next.value);
      const producer = owner.graph.producerOf(next.value);
      const node = producer === undefined ? undefined : owner.graph.nodes[producer];
      if (!owner.tokens.has(next.value)) {
        if (node === undefined || !node.isConstant) {
          owner.tokens.set(next.value, this.#leaf(owner, next.value));
        } else {
          const missing = node.inputs.filter((input) =>
            input !== "" && !ownerOf(owner, input).tokens.has(input)
          );
          if (missing.length > 0) {
            for (const input of missing.reverse()) waiting.push({ scope: owner, value: input });
            continue;
          }
          this.#constant(owner, node);
        }
      }
      waiting.pop();
    }
    return ownerOf(scope, value).tokens.get(value) ?? "";
  }

  #constant(owner: Scope, node: GraphNode): void {
    const tensor = node.opType === "Constant" && node.domain === "" && node.outputs.length === 1
      ? node.proto.attribute.find((attribute) => attribute.name === "value")?.t
      : undefined;
    const [only] = node.outputs;
    if (tensor !== undefined && only !== undefined) {
      owner.tokens.set(only, this.#tensor(owner, only, tensor));
      return;
    }
    const digest = sha256(JSON.stringify(this.#operator(owner, node)));
    node.outputs.forEach((output, index) => {
      if (output !== "") owner.tokens.set(output, `constant ${digest}.${index}`);
    });
  }

  #leaf(owner: Scope, value: string): string {
    const tensor = owner.graph.initializers.get(value);
    if (tensor !== undefined) return this.#tensor(owner, value, tensor);
    const sparse = owner.graph.proto.sparseInitializer.find((held) => held.values?.name === value);
    if (sparse !== undefined) {
      this.#hasFixedWeights = true;
      return this.#weight(sparseType(sparse));
    }
    // Neither given nor computed here: a call that leaves out an input still hashes to something.
    return `stranger ${this.#strangerCount++}`;
  }

  #tensor(owner: Scope, value: string, tensor: TensorProto): string {
    if (countsByValue(tensor)) return `value ${JSON.stringify(tensorValue(tensor))}`;
    if (owner.isOpen) this.#weights.push(value);
    else this.#hasFixedWeights = true;
    return this.#weight(tensorType(tensor));
  }

  #weight(type: Form): string {
    const token = `weight ${this.#weightCount++}`;
    this.#line([token, type]);
    return token;
  }
}

function openScope(graph: ModelGraph): Scope {
  return new Scope(graph, graph.outer === null ? null : openScope(graph.outer), true);
}

/** Optional inputs and outputs that are left out at the end may be written or not. */
function withoutTail(tokens: readonly string[]): readonly string[] {
  let length = tokens.length;
  while (length > 0 && tokens[length - 1] === "") length--;
  return tokens.slice(0, length);
}
