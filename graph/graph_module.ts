// What a module is: a named set of nodes with a boundary. It knows no hook and no session; how the
// name was found is in module_tree.

/** Where a module's name came from. */
export type EvidenceKind =
  | "metadata"
  | "nodeNames"
  | "valueNames"
  | "parameterNames"
  | "functions"
  | "topology"
  | "user";

/** One call of a module: the nodes that compute it once. */
export interface ModuleCall {
  /** Indices of its live nodes in the graph level it lies in, ascending. */
  readonly nodes: readonly number[];
  /** Non-constant values that it uses and does not compute, in order of first use. */
  readonly inputs: readonly string[];
  /** Values that it computes and that are used outside it or are graph outputs, in node order. */
  readonly outputs: readonly string[];
  /** False when a path leaves the call and comes back: then it cannot run alone. */
  readonly isConvex: boolean;
}

/** A named part of the model. */
export interface GraphModule {
  /** Dotted path as in `named_modules()`; `""` is the root. */
  readonly path: string;
  /** Class name where the file has one: `BertLayer`. */
  readonly className: string | null;
  /** The path of the nearest enclosing module; null for the root. */
  readonly parent: string | null;
  /** Paths of the modules directly below, in order of first use. */
  readonly children: readonly string[];
  /** Its calls in execution order; one for most modules. */
  readonly calls: readonly ModuleCall[];
  /** Initializers (and constants with weight data) that its nodes use, in order of first use. */
  readonly parameters: readonly string[];
  /** Where the name came from. */
  readonly evidence: EvidenceKind;
  /** True when it can run alone, so that hooks may change, replace, skip or move it. */
  readonly isCuttable: boolean;
  /** Why it is not cuttable, or what is uncertain about it; null when there is nothing to say. */
  readonly reason: string | null;
  /** The node (name or operator) whose If, Loop or Scan body it lies in; null at the top level. */
  readonly insideBody: string | null;
}

/** Live nodes of a model by what named them. */
export interface EvidenceCounts {
  /** Named by exporter metadata. */
  readonly metadata: number;
  /** Named by scopes in node names. */
  readonly nodeNames: number;
  /** Named by scopes in value names. */
  readonly valueNames: number;
  /** Named by the parameters that they use. */
  readonly parameterNames: number;
  /** Named by the function calls that they came from. */
  readonly functions: number;
  /** Grouped by the graph's bottlenecks. */
  readonly topology: number;
  /** Named by boundaries that the user gave. */
  readonly user: number;
  /** Named by nothing: they belong to a parent, or to the root alone. */
  readonly unassigned: number;
}

/** The modules of a model. */
export interface ModuleTree {
  /** All modules, the root first, then by first node; bodies' modules follow their control-flow node. */
  readonly modules: readonly GraphModule[];
  /** What named the live nodes. */
  readonly evidence: EvidenceCounts;
  /** The module of a path, or undefined. */
  get(path: string): GraphModule | undefined;
}
