import assert from "node:assert/strict";
import fc from "fast-check";
import { indexLiveGraph, isConvex, reentryLevels } from "../../graph/convexity.ts";
import type { ModelGraph } from "../../graph/model_graph.ts";
import { node } from "./_fixtures.ts";
import { graphOf } from "./_graphs.ts";

function chain(...texts: readonly string[]): ModelGraph {
  return graphOf({
    node: texts.map(node),
    input: [{ name: "x" }],
    output: [{ name: texts.at(-1)?.split(" -> ")[1] ?? "" }],
  });
}

Deno.test("isConvex() refuses a set that a path leaves and re-enters", () => {
  const graph = chain("Relu a x -> p", "Neg b p -> q", "Relu a q -> y");
  const live = indexLiveGraph(graph);
  assert.equal(isConvex(live, [0, 2]), false);
  assert.equal(isConvex(live, [0, 1]), true);
  assert.equal(isConvex(live, [0, 1, 2]), true);
  assert.equal(isConvex(live, []), true);
  assert.deepEqual(reentryLevels(live, [0, 2]), [[0], [2]]);
});

Deno.test("isConvex() allows nodes between that no path from the set reaches", () => {
  const graph = chain("Relu - x -> p", "Neg - x -> q", "Add - p q -> y");
  const live = indexLiveGraph(graph);
  assert.equal(isConvex(live, [0, 2]), true);
  assert.deepEqual(reentryLevels(live, [0, 2]), [[0, 2]]);
});

Deno.test("isConvex() sees long ways round and ignores constants", () => {
  const graph = chain(
    "Relu - x -> p",
    "Constant - -> c",
    "Neg - p -> q",
    "Abs - q -> r",
    "Add - p c -> s",
    "Mul - r s -> y",
  );
  const live = indexLiveGraph(graph);
  assert.equal(isConvex(live, [0, 4, 5]), false);
  assert.equal(isConvex(live, [0, 4]), true);
});

Deno.test("isConvex() agrees with the definition, and every level of reentryLevels() is convex", () => {
  const graphs = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), {
    minLength: 1,
    maxLength: 14,
  });
  fc.assert(fc.property(graphs, (rows) => {
    const values = ["x"];
    const texts = rows.map(([left, right], index) => {
      const text = `Add - ${values[left % values.length]} ${
        values[right % values.length]
      } -> v${index}`;
      values.push(`v${index}`);
      return text;
    });
    const graph = chain(...texts);
    const live = indexLiveGraph(graph);
    const set = rows.flatMap(([, , isIn], index) => isIn ? [index] : []);
    assert.equal(isConvex(live, set), isConvexByDefinition(live.predecessors, set));
    const levels = reentryLevels(live, set);
    assert.deepEqual(levels.flat().sort((a, b) => a - b), set);
    for (const level of levels) assert.equal(isConvex(live, level), true);
    assert.equal(levels.length <= 1, isConvex(live, set));
  }));
});

function isConvexByDefinition(
  predecessors: readonly (readonly number[])[],
  set: readonly number[],
): boolean {
  const ancestors = predecessors.map(() => new Set<number>());
  predecessors.forEach((direct, index) => {
    for (const from of direct) {
      ancestors[index]?.add(from);
      for (const further of ancestors[from] ?? []) ancestors[index]?.add(further);
    }
  });
  const inside = new Set(set);
  return !predecessors.some((_, outside) =>
    !inside.has(outside) && set.some((from) => ancestors[outside]?.has(from)) &&
    set.some((to) => ancestors[to]?.has(outside))
  );
}
