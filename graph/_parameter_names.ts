// What the names of parameters say: `encoder.layer.0.dense.weight` belongs to the module
// `encoder.layer.0.dense`, and the node that uses it probably does too. A parameter that several nodes
// use says nothing about any of them, because exporters merge equal weights. It knows names and uses
// only; how far they are trusted is for naming_evidence.

import { pathAndAncestors, pathComponents } from "./module_path.ts";
import type { GraphNode, ModelGraph } from "./model_graph.ts";

/** Longer names are not paths but accidents, and would cost time quadratic in their length. */
const NAME_LENGTH_MAX = 512;
const DEPTH_MAX = 48;
const QUANTIZATION_SUFFIX = /(?:_(?:quantized|scale|zero_point))+$/;
/** Constant operators that leave a parameter the same parameter. */
const TRANSPARENT_OPERATORS: ReadonlySet<string> = new Set([
  "Cast",
  "DequantizeLinear",
  "Identity",
  "Reshape",
  "Squeeze",
  "Transpose",
  "Unsqueeze",
]);

/** The module that a parameter's name puts it in, or null when the name is no dotted path. */
export function moduleOfParameter(name: string): string | null {
  if (name.length > NAME_LENGTH_MAX || name.includes("::") || name.includes("/")) return null;
  if (name.startsWith("p2o.")) return null; // Paddle2ONNX's helpers
  const bare = name.replace(QUANTIZATION_SUFFIX, "");
  const dot = bare.lastIndexOf(".");
  if (dot <= 0 || dot === bare.length - 1 || /^[\d.]+$/.test(bare)) return null;
  const path = bare.slice(0, dot);
  const components = pathComponents(path);
  if (components.length > DEPTH_MAX) return null;
  return components.every((part) => /^[\p{L}\p{N}_-]+$/u.test(part)) ? path : null;
}

/** The parameters of all levels of a model, as far as names go. */
export class ParameterNames {
  /** Modules that hold a parameter, in order of the parameters, and their ancestors. */
  readonly modulePaths: ReadonlySet<string>;
  /** Modules that hold a parameter themselves. */
  readonly owners: ReadonlySet<string>;
  readonly #runs = new Set<string>();
  readonly #byLastComponent = new Map<string, string[]>();
  readonly #votes = new Map<GraphNode, string[]>();
  readonly #constantNames: boolean;

  /** `constantNames`: outputs of Constant nodes are weights too, as Paddle2ONNX writes them. */
  constructor(levels: readonly ModelGraph[], constantNames: boolean) {
    this.#constantNames = constantNames;
    const owners = new Set<string>();
    const users = new Map<string, { module: string; nodes: Set<GraphNode> }>();
    for (const level of levels) {
      for (const name of level.initializers.keys()) {
        const module = moduleOfParameter(name);
        if (module !== null) owners.add(module);
      }
      for (const node of level.nodes) {
        if (node.isConstant) {
          const module = this.#parameterOutput(node);
          if (module !== null) owners.add(module);
          continue;
        }
        for (const input of node.inputs) {
          if (input === "" || !level.isConstantValue(input)) continue;
          const name = this.#parameterBehind(level, input);
          if (name === null) continue;
          const known = users.get(name.key);
          if (known === undefined) {
            users.set(name.key, { module: name.module, nodes: new Set([node]) });
          } else known.nodes.add(node);
        }
      }
    }
    for (const { module, nodes } of users.values()) {
      const [only] = nodes;
      if (nodes.size !== 1 || only === undefined) continue;
      const votes = this.#votes.get(only);
      if (votes === undefined) this.#votes.set(only, [module]);
      else if (!votes.includes(module)) votes.push(module);
    }
    this.owners = owners;
    const modulePaths = new Set<string>();
    for (const owner of owners) {
      for (const path of pathAndAncestors(owner)) {
        if (path !== "") modulePaths.add(path);
      }
    }
    this.modulePaths = modulePaths;
    for (const path of modulePaths) {
      const components = pathComponents(path);
      for (let start = components.length - 1; start >= 0; start--) {
        this.#runs.add(components.slice(start).join("."));
      }
      const last = components[components.length - 1] ?? "";
      const same = this.#byLastComponent.get(last);
      if (same === undefined) this.#byLastComponent.set(last, [path]);
      else same.push(path);
    }
  }

  /** Modules whose parameters this node alone uses. */
  votesOf(node: GraphNode): readonly string[] {
    return this.#votes.get(node) ?? [];
  }

  /** True when the components stand in this order, without a gap, in some parameter's module path. */
  isRun(dotted: string): boolean {
    return this.#runs.has(dotted);
  }

  /** Module paths that end in a component. */
  pathsEndingIn(component: string): readonly string[] {
    return this.#byLastComponent.get(component) ?? [];
  }

  #parameterOutput(node: GraphNode): string | null {
    const output = node.outputs[0] ?? "";
    if (node.opType === "Identity" || (this.#constantNames && node.opType === "Constant")) {
      return moduleOfParameter(output);
    }
    return null;
  }

  #parameterBehind(level: ModelGraph, value: string): { key: string; module: string } | null {
    let graph: ModelGraph | null = level;
    let name = value;
    for (let hops = 0; hops < 16; hops++) {
      const producer: number | undefined = graph.producerOf(name);
      if (producer === undefined) {
        if (graph.initializers.has(name)) {
          const module = moduleOfParameter(name);
          return module === null ? null : { key: name, module };
        }
        graph = graph.outer;
        if (graph === null) return null;
        continue;
      }
      const node: GraphNode | undefined = graph.nodes[producer];
      if (node === undefined || !node.isConstant) return null;
      const module = this.#parameterOutput(node);
      if (module !== null) return { key: name, module };
      if (!TRANSPARENT_OPERATORS.has(node.opType)) return null;
      name = node.inputs[0] ?? "";
      if (name === "") return null;
    }
    return null;
  }
}
