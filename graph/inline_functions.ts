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
  SparseTensorProtoSchema,
  type TensorProto,
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

/** Calls and bodies within one another. */
const DEPTH_MAX = 96;
/** Nodes and calls in all: functions that call one another twice double with every level. */
const NODE_COUNT_MAX = 500_000;

/** The key of a function or of a node that may call one. */
export function functionKey(domain: string, name: string, overload: string): string {
  return `${domain === "ai.onnx" ? "" : domain}:${name}:${overload}`;
}

/**
 * Inlines every call of a module function, nested ones too. A function that imports another version
 * of an operator set than the model does stays a call, and so do the calls in its body.
 *
 * @throws {HooklineError} MODEL_CYCLE when functions call one another in a circle, MODEL_TOO_DEEP when
 * calls and bodies nest more than 96 deep, MODEL_TOO_LARGE when inlining would exceed half a million
 * nodes.
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
    if (!agrees) continue;
    for (const entry of definition.opsetImport) {
      versions.set(normalDomain(entry.domain), entry.version);
    }
    inlinable.set(keyOf(definition), definition);
  }
  if (inlinable.size === 0 || model.graph === undefined) return { model, frames: new Map() };
  const inliner = new Inliner(model.graph, inlinable);
  const graph = inliner.inlined();
  const opsetImport = [...model.opsetImport];
  for (const definition of inlinable.values()) {
    for (const entry of definition.opsetImport) {
      if (opsetImport.some((known) => normalDomain(known.domain) === normalDomain(entry.domain))) {
        continue;
      }
      opsetImport.push(entry);
    }
  }
  const kept = model.functions.filter((definition) => !inlinable.has(keyOf(definition)));
  const called = functionsReached(model.functions, kept.flatMap((definition) => definition.node));
  const functions = model.functions.filter((definition) =>
    kept.includes(definition) || called.includes(definition)
  );
  return {
    model: copyMessage(ModelProtoSchema, model, { graph, opsetImport, functions }),
    frames: inliner.frames,
  };
}

function keyOf(definition: FunctionProto): string {
  return functionKey(definition.domain, definition.name, definition.overload);
}

/** The functions that some nodes call, directly or through others, in the order of the model. */
export function functionsReached(
  functions: readonly FunctionProto[],
  nodes: Iterable<NodeProto>,
): FunctionProto[] {
  const reached = new Set<string>();
  const reach = (node: NodeProto): void => {
    reached.add(functionKey(node.domain, node.opType, node.overload));
    for (const attribute of node.attribute) {
      attribute.g?.node.forEach(reach);
      for (const graph of attribute.graphs) graph.node.forEach(reach);
    }
  };
  for (const node of nodes) reach(node);
  const byKey = new Map(functions.map((definition) => [keyOf(definition), definition]));
  for (const key of reached) byKey.get(key)?.node.forEach(reach); // a Set also hands out what is added meanwhile
  return functions.filter((definition) => reached.has(keyOf(definition)));
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
interface Scope {
  /** The new name of a value. */
  readonly rename: (name: string) => string;
  /** The new name of a value that a body declares itself, whatever it is called outside. */
  readonly renameOwn: (name: string) => string;
  /** Attributes of the call, for nodes that refer to them. */
  readonly given: ReadonlyMap<string, AttributeProto>;
  /** The calls that led here, outermost first. */
  readonly frames: readonly FunctionFrame[];
  /** Keys of the functions that are being inlined. */
  readonly calling: ReadonlySet<string>;
  /** Calls and bodies around. */
  readonly depth: number;
}

const TOP: Scope = Object.freeze({
  rename: (name: string) => name,
  renameOwn: (name: string) => name,
  given: new Map(),
  frames: [],
  calling: new Set<string>(),
  depth: 0,
});

class Inliner {
  readonly frames = new Map<NodeProto, readonly FunctionFrame[]>();
  readonly #root: GraphProto;
  readonly #initializers: ReadonlySet<string>;
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #separator: string;
  #callCount = 0;
  #nodeCount = 0;

  constructor(root: GraphProto, functions: ReadonlyMap<string, FunctionProto>) {
    this.#root = root;
    this.#functions = functions;
    this.#initializers = new Set(root.initializer.map((tensor) => tensor.name));
    // `layer@0/x` cannot meet a name of the file unless the file has such names itself.
    let separator = "@";
    const names = [
      ...root.node.flatMap((node) => node.output),
      ...[...root.input, ...root.initializer].map((value) => value.name),
    ].filter((name) => name.includes("@"));
    while (names.some((name) => name.includes(separator))) separator += "@";
    this.#separator = separator;
  }

  inlined(): GraphProto {
    return this.#graph(this.#root, TOP);
  }

  #graph(graph: GraphProto, scope: Scope): GraphProto {
    if (scope.depth > DEPTH_MAX) throw tooDeep();
    const node: NodeProto[] = [];
    if (scope.frames.length === 0) {
      for (const inner of graph.node) this.#node(inner, scope, node);
      return copyMessage(GraphProtoSchema, graph, { node });
    }
    // A body may reuse a name that means something else outside: its own names stay its own.
    const own = ownNames(graph);
    const inside: Scope = {
      ...scope,
      rename: (name) => own.has(name) ? scope.renameOwn(name) : scope.rename(name),
    };
    for (const inner of graph.node) this.#node(inner, inside, node);
    const renamed = (values: GraphProto["input"]): GraphProto["input"] =>
      values.map((value) =>
        copyMessage(ValueInfoProtoSchema, value, { name: inside.rename(value.name) })
      );
    const tensor = (held: TensorProto): TensorProto =>
      copyMessage(TensorProtoSchema, held, { name: inside.rename(held.name) });
    return copyMessage(GraphProtoSchema, graph, {
      node,
      input: renamed(graph.input),
      output: renamed(graph.output),
      valueInfo: [],
      initializer: graph.initializer.map(tensor),
      sparseInitializer: graph.sparseInitializer.map((sparse) =>
        sparse.values === undefined
          ? sparse
          : copyMessage(SparseTensorProtoSchema, sparse, { values: tensor(sparse.values) })
      ),
      quantizationAnnotation: [],
    });
  }

  #node(node: NodeProto, scope: Scope, out: NodeProto[]): void {
    this.#count();
    const definition = this.#functions.get(functionKey(node.domain, node.opType, node.overload));
    const attribute = this.#attributes(node, scope);
    if (definition === undefined && scope.frames.length === 0 && attribute === node.attribute) {
      out.push(node);
      return;
    }
    const made = copyMessage(NodeProtoSchema, node, {
      attribute,
      input: node.input.map((name) => name === "" ? "" : scope.rename(name)),
      output: node.output.map((name) => name === "" ? "" : scope.rename(name)),
    });
    if (definition === undefined) this.#add(made, scope.frames, out);
    else this.#call(made, definition, { scope, out });
  }

  #add(node: NodeProto, frames: readonly FunctionFrame[], out: NodeProto[]): void {
    if (frames.length > 0) this.frames.set(node, frames);
    out.push(node);
  }

  #count(): void {
    if (++this.#nodeCount <= NODE_COUNT_MAX) return;
    throw new HooklineError("MODEL_TOO_LARGE", {
      message:
        `cannot inline the model's functions: they expand to more than ${NODE_COUNT_MAX} nodes`,
      fix: "export the model without nested functions",
    });
  }

  #attributes(node: NodeProto, scope: Scope): AttributeProto[] {
    if (scope.frames.length === 0 && !node.attribute.some(hasGraph)) return node.attribute;
    const inner = (graph: GraphProto): GraphProto =>
      this.#graph(graph, { ...scope, depth: scope.depth + 1 });
    const made: AttributeProto[] = [];
    for (const attribute of node.attribute) {
      if (attribute.refAttrName !== "") {
        const actual = scope.given.get(attribute.refAttrName);
        if (actual !== undefined) {
          made.push(copyMessage(AttributeProtoSchema, actual, { name: attribute.name }));
        }
        continue;
      }
      if (!hasGraph(attribute)) {
        made.push(attribute);
        continue;
      }
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
    { scope, out }: { readonly scope: Scope; readonly out: NodeProto[] },
  ): void {
    const key = keyOf(definition);
    if (scope.calling.has(key)) throw circle(definition);
    if (scope.depth >= DEPTH_MAX) throw tooDeep();
    const name = call.name === "" ? definition.name : call.name;
    const prefix = `${name}${this.#separator}${this.#callCount++}/`;
    const actual = new Map<string, string>();
    definition.input.forEach((name, index) => actual.set(name, call.input[index] ?? ""));
    const passedThrough: [string, string][] = [];
    definition.output.forEach((name, index) => {
      const outer = call.output[index] ?? "";
      if (actual.has(name)) passedThrough.push([actual.get(name) ?? "", outer]);
      else if (outer !== "") actual.set(name, outer);
    });
    const given = new Map<string, AttributeProto>();
    for (const attribute of definition.attributeProto) given.set(attribute.name, attribute);
    for (const attribute of call.attribute) given.set(attribute.name, attribute);
    const frames = [...scope.frames, {
      callName: call.name,
      domain: definition.domain,
      functionName: definition.name,
      overload: definition.overload,
      parameters: call.input.filter((name) => this.#initializers.has(name)),
    }];
    const renameOwn = (name: string): string => prefix + name;
    const inside: Scope = {
      rename: (name) => actual.get(name) ?? renameOwn(name),
      renameOwn,
      given,
      frames,
      calling: new Set(scope.calling).add(key),
      depth: scope.depth + 1,
    };
    for (const node of definition.node) this.#node(node, inside, out);
    for (const [from, to] of passedThrough) {
      if (from === "" || to === "") continue;
      this.#count();
      this.#add(
        create(NodeProtoSchema, { opType: "Identity", input: [from], output: [to] }),
        frames,
        out,
      );
    }
  }
}

function circle(definition: FunctionProto): HooklineError {
  return new HooklineError("MODEL_CYCLE", {
    message:
      `cannot inline function "${definition.name}": it calls itself, directly or in a circle`,
    fix: "export the model again; ONNX functions may not call one another in a circle",
    details: { function: definition.name },
  });
}

function tooDeep(): HooklineError {
  return new HooklineError("MODEL_TOO_DEEP", {
    message:
      `cannot inline the model's functions: calls and bodies nest more than ${DEPTH_MAX} deep`,
    fix: "export the model with fewer functions within functions",
  });
}

/** Names that a body declares or computes itself. */
function ownNames(graph: GraphProto): ReadonlySet<string> {
  const own = new Set<string>();
  for (const value of [...graph.input, ...graph.initializer]) own.add(value.name);
  for (const sparse of graph.sparseInitializer) own.add(sparse.values?.name ?? "");
  for (const node of graph.node) for (const output of node.output) own.add(output);
  return own;
}

function hasGraph(attribute: AttributeProto): boolean {
  return attribute.g !== undefined || attribute.graphs.length > 0;
}
