// How many bytes a module's first run takes beside weights, from the sizes of its weights alone: rows that
// pass through, times the widths of what matrices make of them. An estimate to plan memory with and no
// more: the scores of attention, which grow with the square of the rows, are not in it.

import type { GraphModule } from "../../graph/graph_module.ts";
import type { GraphNode } from "../../graph/model_graph.ts";
import type { ResidencyStrategy } from "../../hooks/residency_request.ts";
import type { Engine } from "../../sessions/engine.ts";
import type { ModelStructure } from "../model_structure.ts";

const BYTES = 4;
const MATRIX_PRODUCTS: readonly string[] = ["MatMul", "Gemm"];

/**
 * The first run of each session of the native engine has what a module takes in and puts out twice: in
 * ONNX Runtime's arena, which keeps it, and in JavaScript's memory. Later runs put out into JavaScript's
 * memory at once. Counts where every module has a session of its own that stays.
 */
const BORDER_COPIES = 2;
/** Code and tables that the native engine touches when it first runs. Measured: 1.1 to 1.4 MiB. */
const FIRST_RUN_BYTES = 1.3 * 2 ** 20;

/** Sizes of a model's symbolic dimensions. */
export type DimensionSizes = Readonly<Record<string, number>>;

/**
 * Bytes of activations of the largest of these modules; null when a size of the model's inputs is not
 * known. Measured, 8 and 24 blocks of 640 wide and more, 4 to 512 tokens: the peak that they are a part of
 * is within 5 % on the native engine and up to 8 % too high on the napi engine. Narrower models are small
 * enough for what the process itself takes to count: 10 % low at 320 wide, more below.
 */
export function activationByteLength(
  structure: ModelStructure,
  modules: readonly GraphModule[],
  { sizes, engine, strategy }: {
    readonly sizes: DimensionSizes;
    readonly engine: Engine["name"];
    readonly strategy: ResidencyStrategy;
  },
): number | null {
  const rows = rowsOf(structure, sizes);
  if (rows === null) return null;
  if (modules.length === 0) return 0;
  const isDoubled = engine === "native" && (strategy === "mapped" || strategy === "prepacked");
  const widths = modules.map((module) => {
    const { inner, border } = widthsOf(structure, module);
    return inner + (isDoubled ? BORDER_COPIES * border : 0);
  });
  return Math.ceil(rows * Math.max(...widths) * BYTES + (isDoubled ? FIRST_RUN_BYTES : 0));
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
 * Elements of a row. Inside: what all matrices of the module put out, twice. Fewer are alive at once;
 * allocators keep what was freed in pieces. At the border: what the first matrix takes and the last one
 * puts out.
 */
function widthsOf(
  { graph }: ModelStructure,
  module: GraphModule,
): { readonly inner: number; readonly border: number } {
  const matrices: { readonly rows: number; readonly columns: number }[] = [];
  for (const index of module.calls.flatMap((call) => call.nodes)) {
    const node = graph.nodes[index];
    if (node === undefined || !MATRIX_PRODUCTS.includes(node.opType)) continue;
    for (const value of node.inputs) {
      const [first, second, ...more] = graph.initializers.get(value)?.dims.map(Number) ?? [];
      if (first === undefined || second === undefined || more.length > 0) continue;
      matrices.push(
        isTransposed(node) ? { rows: second, columns: first } : { rows: first, columns: second },
      );
    }
  }
  return {
    inner: 2 * matrices.reduce((sum, { columns }) => sum + columns, 0),
    border: (matrices[0]?.rows ?? 0) + (matrices.at(-1)?.columns ?? 0),
  };
}

function isTransposed(node: GraphNode): boolean {
  return node.proto.attribute.some((attribute) =>
    attribute.name === "transB" && attribute.i === 1n
  );
}
