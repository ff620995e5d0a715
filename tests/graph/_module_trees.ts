// Module trees written by hand, for tests that need paths and classes but no model.

import { HooklineError } from "../../errors/hookline_error.ts";
import type { GraphModule, ModuleTree } from "../../graph/graph_module.ts";

/** A module by its path and, if need be, more. */
export type ModuleInit = Partial<GraphModule> & { readonly path: string };

const NO_EVIDENCE = {
  metadata: 0,
  nodeNames: 0,
  valueNames: 0,
  parameterNames: 0,
  functions: 0,
  topology: 0,
  user: 0,
  unassigned: 0,
};

/** A tree of these modules below a root, in this order; parents are the nearest prefixes. */
export function handTree(...inits: readonly (string | ModuleInit)[]): ModuleTree {
  const given = inits.map((init) => typeof init === "string" ? { path: init } : init);
  const paths = new Set(given.map((init) => init.path));
  const modules = [{ path: "", className: "Model" }, ...given].map((init, index): GraphModule => ({
    className: null,
    parent: parentOf(init.path, paths),
    children: given.filter(({ path }) => parentOf(path, paths) === init.path).map(({ path }) =>
      path
    ),
    calls: [{ nodes: [index], inputs: [], outputs: [], isConvex: true }],
    parameters: [],
    evidence: "nodeNames",
    isCuttable: true,
    reason: null,
    insideBody: null,
    ...init,
  }));
  return treeOf(modules);
}

/** A tree of finished modules. */
export function treeOf(modules: readonly GraphModule[]): ModuleTree {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  return { modules, evidence: NO_EVIDENCE, get: (path) => byPath.get(path) };
}

function parentOf(path: string, paths: ReadonlySet<string>): string | null {
  if (path === "") return null;
  for (let end = path.lastIndexOf("."); end > 0; end = path.lastIndexOf(".", end - 1)) {
    if (paths.has(path.slice(0, end))) return path.slice(0, end);
  }
  return "";
}

/** A check for assert.throws: the code, and what the error's fields hold. */
export function coded(code: string, details: Record<string, unknown> = {}, message = "") {
  return (error: unknown): boolean => {
    if (!(error instanceof HooklineError) || error.code !== code) throw error;
    for (const [key, value] of Object.entries(details)) {
      if (JSON.stringify(error.details[key]) !== JSON.stringify(value)) {
        throw new Error(`${key} is ${JSON.stringify(error.details[key])}: ${error.message}`);
      }
    }
    if (!error.message.includes(message)) throw new Error(`"${error.message}" lacks "${message}"`);
    if (error.fix === "" || error.message.endsWith(".")) throw new Error("malformed error");
    return true;
  };
}
