// Puts the bodies of model-local functions in the place of their calls, so that what lies inside a
// module function can be named, tapped and cut like everything else. Operator libraries
// (`pkg.onnxscript.torch_lib`, say) stay calls: their functions are operators, not modules. The whole
// plan never sees this: it runs the file untouched.
//
// Source: ONNX 1.20 IR.md, "Functions": attribute references, default attributes, name scoping.

import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type FunctionProto,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { copyMessage } from "./copy_message.ts";
import type { FunctionFrame } from "./function_frame.ts";

/** A model without module functions, and where each inlined node came from. */
export interface InlinedModel {
  readonly model: ModelProto;
  /** For each inlined node the calls it came from, outermost first. */
  readonly frames: ReadonlyMap<NodeProto, readonly FunctionFrame[]>;
}

const DEPTH_MAX = 64;
const NODE_COUNT_MAX = 2_000_000;

/** The key of a function or of a node that may call one. */
export function functionKey(domain: string, name: string, overload: string): string {
  return `${domain === "ai.onnx" ? "" : domain}:${name}:${overload}`;
}

/**
 * Inlines every call of a module function, nested ones too. A function that imports another version
 * of an operator set than the model does stays a call.
 *
 * @throws {HooklineError} MODEL_CYCLE when functions call one another in a circle, MODEL_TOO_LARGE
 * when inlining would exceed two million nodes.
 */
export function inlineFunctions(model: ModelProto): InlinedModel {
  const versions = new Map(
    model.opsetImport.map((entry) => [normalDomain(entry.domain), entry.version]),
  );
  const inlinable = new Map<string, FunctionProto>();
  for (const definition of model.functions) {
    if (isOperatorLibrary(definition.domain)) continue;
    const agrees = definition.opsetImport.every((entry) => {
      const version = versions.get(normalDomain(entry.domain));
      return version === undefined || version === entry.version;
    });
    if (agrees) {
      inlinable.set(
        functionKey(definition.domain, definition.name, definition.overload),
        definition,
      );
    }
  }
  if (inlinable.size === 0 || model.graph === undefined) return { model, frames: new Map() };
  const inliner = new Inliner(model.graph, inlinable);
  const graph = inliner.graph(model.graph, IDENTITY, [], 0);
  const opsetImport = [...model.opsetImport];
  for (const definition of inlinable.values()) {
    for (const entry of definition.opsetImport) {
      if (opsetImport.some((known) => normalDomain(known.domain) === normalDomain(entry.domain))) {
        continue;
      }
      opsetImport.push(entry);
    }
  }
  const functions = model.functions.filter((definition) =>
    !inlinable.has(functionKey(definition.domain, definition.name, definition.overload))
  );
  return {
    model: copyMessage(ModelProtoSchema, model, { graph, opsetImport, functions }),
    frames: inliner.frames,
  };
}

function normalDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}

function isOperatorLibrary(domain: string): boolean {
  return domain.endsWith("torch_lib") || domain.endsWith("torch_lib.common") ||
    domain === "pkg.onnxscript" ||
    domain === "this";
}

/** How names of one scope become names of the scope that it is put into. */
type Rename = (name: string) => string;
const IDENTITY: Rename = (name) => name;

class Inliner {
  readonly frames = new Map<NodeProto, readonly FunctionFrame[]>();
  readonly #initializers: ReadonlySet<string>;
  #callCount = 0;
  #nodeCount = 0;

  constructor(root: GraphProto, readonly functions: ReadonlyMap<string, FunctionProto>) {
    this.#initializers = new Set(root.initializer.map((tensor) => tensor.name));
  }

  graph(
    graph: GraphProto,
    rename: Rename,
    frames: readonly FunctionFrame[],
    depth: number,
  ): GraphProto {
    const node: NodeProto[] = [];
    for (const inner of graph.node) this.#node(inner, rename, NO_ATTRIBUTES, frames, depth, node);
    if (rename === IDENTITY) return copyMessage(GraphProtoSchema, graph, { node });
    const renamed = (values: GraphProto["input"]): GraphProto["input"] =>
      values.map((value) => copyMessage(ValueInfoProtoSchema, value, { name: rename(value.name) }));
    return copyMessage(GraphProtoSchema, graph, {
      node,
      input: renamed(graph.input),
      output: renamed(graph.output),
      valueInfo: [],
      initializer: graph.initializer.map((tensor) =>
        copyMessage(TensorProtoSchema, tensor, { name: rename(tensor.name) })
      ),
    });
  }

  #node(
    node: NodeProto,
    rename: Rename,
    given: ReadonlyMap<string, AttributeProto>,
    frames: readonly FunctionFrame[],
    depth: number,
    out: NodeProto[],
  ): void {
    const attribute = this.#attributes(node, rename, given, frames, depth);
    const input = node.input.map((name) => name === "" ? "" : rename(name));
    const output = node.output.map((name) => name === "" ? "" : rename(name));
    const definition = this.functions.get(functionKey(node.domain, node.opType, node.overload));
    if (definition !== undefined) {
      this.#call(
        copyMessage(NodeProtoSchema, node, { attribute, input, output }),
        definition,
        frames,
        depth,
        out,
      );
      return;
    }
    if (++this.#nodeCount > NODE_COUNT_MAX) {
      throw new HooklineError("MODEL_TOO_LARGE", {
        message:
          `cannot inline the model's functions: they expand to more than ${NODE_COUNT_MAX} nodes`,
        fix: "export the model without nested functions",
      });
    }
    const made = frames.length === 0 && attribute === node.attribute
      ? node
      : copyMessage(NodeProtoSchema, node, { attribute, input, output });
    if (frames.length > 0) this.frames.set(made, frames);
    out.push(made);
  }

  #attributes(
    node: NodeProto,
    rename: Rename,
    given: ReadonlyMap<string, AttributeProto>,
    frames: readonly FunctionFrame[],
    depth: number,
  ): AttributeProto[] {
    if (rename === IDENTITY && node.attribute.every((attribute) => !hasGraph(attribute))) {
      return node.attribute;
    }
    const made: AttributeProto[] = [];
    for (const attribute of node.attribute) {
      if (attribute.refAttrName !== "") {
        const actual = given.get(attribute.refAttrName);
        if (actual !== undefined) {
          made.push(copyMessage(AttributeProtoSchema, actual, { name: attribute.name }));
        }
        continue;
      }
      if (!hasGraph(attribute)) {
        made.push(attribute);
        continue;
      }
      const inner = (graph: GraphProto): GraphProto => this.graph(graph, rename, frames, depth);
      made.push(copyMessage(AttributeProtoSchema, attribute, {
        ...(attribute.g === undefined ? {} : { g: inner(attribute.g) }),
        graphs: attribute.graphs.map(inner),
      }));
    }
    return made;
  }

  #call(
    call: NodeProto,
    definition: FunctionProto,
    frames: readonly FunctionFrame[],
    depth: number,
    out: NodeProto[],
  ): void {
    if (depth >= DEPTH_MAX) {
      throw new HooklineError("MODEL_CYCLE", {
        message:
          `cannot inline function "${definition.name}": calls nest more than ${DEPTH_MAX} deep`,
        fix: "export the model again; ONNX functions may not call one another in a circle",
        details: { function: definition.name },
      });
    }
    const prefix = `${call.name === "" ? definition.name : call.name}@${this.#callCount++}/`;
    const actual = new Map<string, string>();
    definition.input.forEach((name, index) => actual.set(name, call.input[index] ?? ""));
    const passedThrough: [string, string][] = [];
    definition.output.forEach((name, index) => {
      const outer = call.output[index] ?? "";
      if (actual.has(name)) passedThrough.push([actual.get(name) ?? "", outer]);
      else if (outer !== "") actual.set(name, outer);
    });
    const rename: Rename = (name) => actual.get(name) ?? prefix + name;
    const given = new Map<string, AttributeProto>();
    for (const attribute of definition.attributeProto) given.set(attribute.name, attribute);
    for (const attribute of call.attribute) given.set(attribute.name, attribute);
    const inner = [...frames, {
      callName: call.name,
      domain: definition.domain,
      functionName: definition.name,
      overload: definition.overload,
      parameters: call.input.filter((name) => this.#initializers.has(name)),
    }];
    for (const node of definition.node) this.#node(node, rename, given, inner, depth + 1, out);
    for (const [from, to] of passedThrough) {
      if (from === "" || to === "") continue;
      const identity = create(NodeProtoSchema, { opType: "Identity", input: [from], output: [to] });
      this.frames.set(identity, inner);
      out.push(identity);
    }
  }
}

const NO_ATTRIBUTES: ReadonlyMap<string, AttributeProto> = new Map();

function hasGraph(attribute: AttributeProto): boolean {
  return attribute.g !== undefined || attribute.graphs.length > 0;
}
