// Which module of the candidate is which module of the reference: by path, by a prefix that one side has
// alone or that the caller names, then by what the graphs say. It pairs calls, because a module that is
// called three times computes three things. Two modules that have one path are one module, whatever is
// in them: that is what makes an altered one findable.

import type { GraphModule, ModuleCall, ModuleTree } from "../../graph/graph_module.ts";
import type { ModelStructure } from "../../pipeline/model_structure.ts";
import { applyRule, guessPrefixes, type NameRule, parseNameRules } from "../trace_names.ts";
import type { UnmatchedModule } from "./compare_report.ts";
import {
  type CallPair,
  countModules,
  type MatchedBy,
  type ModuleMatch,
  modulesOf,
} from "./module_pairs.ts";
import { alignedShare, alignNodes, type HintUse, type NodeAlignment } from "./node_alignment.ts";
import { matchByParameters } from "./_parameter_match.ts";
import { nodesKey, partOf, StandIns } from "./_stand_ins.ts";

/**
 * Matches the modules of two models.
 *
 * @param map Renames that the caller gives: `REFERENCE_PREFIX=CANDIDATE_PREFIX`.
 * @throws {HooklineError} OPTION_INVALID for a rename that is none.
 */
export function matchModules(
  reference: ModelStructure,
  candidate: ModelStructure,
  map: readonly string[] = [],
): ModuleMatch {
  return new Matcher(reference, candidate, map).match();
}

interface Partner {
  readonly module: GraphModule;
  readonly by: MatchedBy;
}

/** The share of both graphs' nodes that must have partners, to take the two for one graph. */
const ONE_GRAPH = 0.95;

class Matcher {
  readonly #reference: ModelStructure;
  readonly #candidate: ModelStructure;
  readonly #rules: readonly NameRule[];
  readonly #partners = new Map<GraphModule, Partner>();
  readonly #taken = new Set<GraphModule>();
  readonly #notes: string[] = [];

  constructor(reference: ModelStructure, candidate: ModelStructure, map: readonly string[]) {
    this.#reference = reference;
    this.#candidate = candidate;
    this.#rules = parseNameRules(map);
  }

  match(): ModuleMatch {
    this.#matchByName();
    // Two files of one graph are aligned node by node, and names only say what parts are called. Where
    // the graphs differ, names say which parts belong together.
    let alignment = this.#align("decides");
    const share = alignedShare(this.#reference.graph, this.#candidate.graph, alignment);
    const isOneGraph = share >= ONE_GRAPH;
    if (!isOneGraph) alignment = this.#align("must agree");
    const stands = new StandIns(this.#reference, this.#candidate, alignment);
    this.#matchByNodes(stands);
    if (!isOneGraph) this.#matchByParameters();
    const pairs = this.#pairs(stands, isOneGraph);
    const found = new Set(pairs.map(({ module }) => module));
    const used = new Set(pairs.map(({ candidateModule }) => candidateModule));
    return {
      pairs,
      onlyReference: unmatched(this.#reference.tree, found),
      onlyCandidate: unmatched(this.#candidate.tree, used),
      matchedBy: countModules(pairs),
      alignment,
      isOneGraph,
      notes: this.#notes,
    };
  }

  #matchByName(): void {
    const wanted = new Map(
      modulesOf(this.#reference.tree).map((module) => [module.path, module] as const),
    );
    const take = (path: string | null, module: GraphModule, by: MatchedBy): boolean => {
      const partner = path === null ? undefined : wanted.get(path);
      if (partner === undefined || this.#partners.has(partner)) return false;
      this.#partners.set(partner, { module, by });
      this.#taken.add(module);
      return true;
    };
    // Named by topology, a path says where a module stands in its own file and nothing else.
    const candidates = modulesOf(this.#candidate.tree).filter((module) =>
      !isTopological(module) || isTopological(wanted.get(module.path))
    );
    const used = new Set<NameRule>();
    for (const module of candidates) {
      const rule = this.#rules.find((one) => take(applyRule(one, module.path), module, "prefix"));
      if (rule === undefined) {
        take(module.path, module, isTopological(module) ? "structure" : "path");
      } else used.add(rule);
    }
    for (const rule of this.#rules) {
      if (used.has(rule)) continue;
      this.#notes.push(`the rename ${rule.reference}=${rule.candidate} fits no module`);
    }
    const left = [...wanted.values()].filter((module) => !this.#partners.has(module));
    const right = candidates.filter((module) => !this.#taken.has(module));
    const { rules, ambiguous } = guessPrefixes(
      new Set(left.map(({ path }) => path)),
      new Set(right.map(({ path }) => path)),
    );
    if (ambiguous !== null) {
      this.#notes.push(`modules may be renamed by the prefix ${ambiguous}; say which with --map`);
    }
    for (const module of right) {
      rules.some((rule) => take(applyRule(rule, module.path), module, "prefix"));
    }
  }

  /** Modules without a common name whose nodes are partners. */
  #matchByNodes(stands: StandIns): void {
    const open = modulesOf(this.#candidate.tree).filter((module) => !this.#taken.has(module));
    const byFirst = new Map<string, GraphModule>();
    for (const module of open) {
      byFirst.set(nodesKey(this.#candidate.graph, module.calls.map(({ nodes }) => nodes)), module);
    }
    for (const module of modulesOf(this.#reference.tree)) {
      if (this.#partners.has(module)) continue;
      const parts = module.calls.map((call) => stands.of(call));
      if (parts.some((part) => part === null)) continue;
      const partner = byFirst.get(nodesKey(this.#candidate.graph, parts as number[][]));
      if (partner === undefined || this.#taken.has(partner)) continue;
      this.#take(module, partner);
    }
  }

  #matchByParameters(): void {
    const partners = new Map([...this.#partners].map(([one, { module }]) => [one, module]));
    matchByParameters(this.#reference, this.#candidate, partners);
    for (const [module, partner] of partners) {
      if (!this.#partners.has(module)) this.#take(module, partner);
    }
  }

  #take(module: GraphModule, partner: GraphModule): void {
    this.#partners.set(module, { module: partner, by: "structure" });
    this.#taken.add(partner);
  }

  #align(hints: HintUse): NodeAlignment {
    const names = new Map<GraphModule, string>();
    for (const [module, { module: partner }] of this.#partners) {
      names.set(module, `in ${module.path}`);
      names.set(partner, `in ${module.path}`);
    }
    return alignNodes(
      { graph: this.#reference.graph, hint: hintOf(this.#reference.tree, names) },
      { graph: this.#candidate.graph, hint: hintOf(this.#candidate.tree, names) },
      hints,
    );
  }

  #pairs(stands: StandIns, isOneGraph: boolean): CallPair[] {
    const pairs: CallPair[] = [];
    const root = [this.#reference.tree.get(""), this.#candidate.tree.get("")] as const;
    pairs.push({
      ...ROOT,
      className: root[0]?.className ?? null,
      reference: root[0]?.calls[0] as ModuleCall,
      candidate: root[1]?.calls[0] as ModuleCall,
    });
    for (const module of modulesOf(this.#reference.tree)) {
      const partner = this.#partners.get(module);
      const calls = partner?.module.calls ?? [];
      if (partner !== undefined && calls.length !== module.calls.length && !isOneGraph) {
        this.#notes.push(
          `${module.path} is called ${module.calls.length} times in the reference and ${calls.length} times in the candidate`,
        );
      }
      for (const [call, reference] of module.calls.entries()) {
        const stand = partner === undefined || isOneGraph ? stands.of(reference) : null;
        const own = calls[call];
        const strangers = calls.flatMap((one) => one.nodes);
        const nodes = stand === null
          ? own?.nodes
          : isOneGraph
          ? stands.joined(stand, strangers)
          : stand;
        if (nodes === undefined) continue;
        pairs.push({
          module: module.path,
          candidateModule: partner?.module.path ?? module.path,
          className: module.className,
          call,
          by: partner?.by ?? "structure",
          reference,
          candidate: partOf(this.#candidate.graph, nodes),
        });
      }
    }
    return pairs;
  }
}

const ROOT = { module: "", candidateModule: "", call: 0, by: "path" } as const;

function isTopological(module: GraphModule | undefined): boolean {
  return module?.evidence === "topology";
}

function unmatched(tree: ModuleTree, found: ReadonlySet<string>): UnmatchedModule[] {
  return tree.modules.flatMap(({ path, className, insideBody, calls }) => {
    if (path === "" || found.has(path) || (calls.length === 0 && insideBody === null)) return [];
    const why = insideBody === null
      ? "no module of the other side has its path or its structure"
      : `it lies in the body of ${insideBody}, which runs as a whole`;
    return [{ module: path, className, why }];
  });
}

/** The innermost module around each node that has a name in common with the other side. */
function hintOf(
  tree: ModuleTree,
  names: ReadonlyMap<GraphModule, string>,
): (node: number) => string {
  const hints = new Map<number, string>();
  for (const module of tree.modules) {
    const name = names.get(module);
    if (name === undefined) continue;
    for (const [index, call] of module.calls.entries()) {
      for (const node of call.nodes) hints.set(node, `${name}#${index}`);
    }
  }
  return (node) => hints.get(node) ?? "";
}
