// Modules that the user defines by their border: everything that the outputs need and that lies behind
// the inputs. It knows values of the top level only.

import { HooklineError } from "../errors/hookline_error.ts";
import { nearestNames } from "../errors/nearest_names.ts";
import type { ModelGraph } from "./model_graph.ts";

/** The border of a module that the user defines. */
export interface ModuleBoundary {
  /** Values where the module begins; left out, it begins at the model's inputs. */
  readonly inputs?: readonly string[];
  /** Values that the module computes. */
  readonly outputs: readonly string[];
}

/**
 * The live nodes between a boundary's inputs and outputs, ascending.
 *
 * @throws {HooklineError} OPTION_INVALID when the path is no module path, a value does not exist, or
 * nothing lies between.
 */
export function nodesBetween(
  graph: ModelGraph,
  path: string,
  boundary: ModuleBoundary,
): readonly number[] {
  if (path === "" || path.split(".").some((part) => part === "" || /[\s/]/.test(part))) {
    throw boundaryError(path, "is no module path", "use dotted names such as `head.pool`");
  }
  const { inputs, outputs } = (boundary as Partial<ModuleBoundary> | null) ?? {};
  if (!Array.isArray(outputs) || !(inputs === undefined || Array.isArray(inputs))) {
    throw boundaryError(
      path,
      "has no list of outputs, or inputs that are no list",
      'write { inputs: ["a"], outputs: ["b"] } with names of values',
    );
  }
  const stops = new Set(boundary.inputs ?? []);
  for (const value of [...stops, ...boundary.outputs]) {
    if (graph.hasValue(value)) continue;
    const names = graph.nodes.flatMap((node) => node.outputs);
    const nearest = nearestNames(value, names);
    throw boundaryError(
      path,
      `names the value "${value}", which the model does not have`,
      nearest.length === 0
        ? "print the model's values with `hookline inspect --values`"
        : `use one of ${nearest.map((name) => `"${name}"`).join(", ")}`,
    );
  }
  const found = new Set<number>();
  const pending = boundary.outputs.filter((value) => !stops.has(value));
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    const producer = graph.producerOf(value);
    const node = producer === undefined ? undefined : graph.nodes[producer];
    if (node === undefined || node.isConstant || found.has(node.index)) continue;
    found.add(node.index);
    for (const input of [...node.inputs, ...node.captures]) {
      if (input !== "" && !stops.has(input)) pending.push(input);
    }
  }
  if (found.size === 0) {
    throw boundaryError(path, "holds no node", "name outputs that nodes after the inputs compute");
  }
  return [...found].sort((left, right) => left - right);
}

function boundaryError(path: string, what: string, fix: string): HooklineError {
  return new HooklineError("OPTION_INVALID", {
    message: `cannot make the module "${path}" from its boundary: it ${what}`,
    fix,
    details: { module: path },
  });
}
