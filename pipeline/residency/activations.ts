// How many bytes of activations a module needs while it runs, from the sizes of its weights alone: rows
// that pass through, times the widths of what matrices make of them. An estimate to plan memory with and
// no more: the scores of attention, which grow with the square of the rows, are not in it.

import type { GraphModule } from "../../graph/graph_module.ts";
import type { GraphNode } from "../../graph/model_graph.ts";
import type { ModelStructure } from "../model_structure.ts";

const BYTES = 4;
const MATRIX_PRODUCTS: readonly string[] = ["MatMul", "Gemm"];

/** Sizes of a model's symbolic dimensions. */
export type DimensionSizes = Readonly<Record<string, number>>;

/**
 * Bytes of activations of the largest of these modules; null when a size of the model's inputs is not
 * known.
 */
export function activationByteLength(
  structure: ModelStructure,
  modules: readonly GraphModule[],
  sizes: DimensionSizes,
): number | null {
  const rows = rowsOf(structure, sizes);
  if (rows === null) return null;
  return Math.max(0, ...modules.map((module) => rows * widthOf(structure, module) * BYTES));
}

/** Rows that pass through the model: every size of its largest input but the last, features. */
function rowsOf({ inputs }: ModelStructure, sizes: DimensionSizes): number | null {
  let most = 1;
  for (const { shape } of inputs) {
    if (shape === null) return null;
    let rows = 1;
    const leading = shape.length > 2 ? shape.slice(0, -1) : shape;
    for (const size of leading) {
      const known = typeof size === "number" ? size : sizes[size ?? ""];
      if (known === undefined) return null;
      rows *= known;
    }
    most = Math.max(most, rows);
  }
  return most;
}

/**
 * Elements of a row: what all matrices of the module put out, twice. Fewer are alive at once; allocators
 * keep what was freed in pieces. Measured: 0.9 of the memory that a first run takes beside weights.
 */
function widthOf({ graph }: ModelStructure, module: GraphModule): number {
  let width = 0;
  for (const index of module.calls.flatMap((call) => call.nodes)) {
    const node = graph.nodes[index];
    if (node === undefined || !MATRIX_PRODUCTS.includes(node.opType)) continue;
    for (const value of node.inputs) {
      const dims = graph.initializers.get(value)?.dims.map(Number) ?? [];
      if (dims.length === 2) width += isTransposed(node) ? dims[0] ?? 0 : dims[1] ?? 0;
    }
  }
  return 2 * width;
}

function isTransposed(node: GraphNode): boolean {
  return node.proto.attribute.some((attribute) =>
    attribute.name === "transB" && attribute.i === 1n
  );
}
