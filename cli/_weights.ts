// How large the weights of a model are, from their shapes alone: no element is read.

import type { TensorProto } from "onnx-buf";
import type { ModelGraph } from "../graph/model_graph.ts";
import type { GraphModule } from "../graph/graph_module.ts";
import { modelLevels } from "../graph/naming_evidence.ts";
import { dtypeFromOnnx, storedByteLength } from "../tensor/dtype.ts";

/** Elements and bytes of one or several weights. */
export interface WeightSize {
  /** Tensors. */
  readonly tensors: number;
  /** Elements of all of them. */
  readonly elements: number;
  /** Bytes of all of them as the file stores them. */
  readonly bytes: number;
}

/** The weights of a model by name. */
export class Weights {
  readonly #sizes = new Map<string, WeightSize>();
  readonly #initializers: ReadonlySet<string>;

  /** Looks at every level of the graph. */
  constructor(graph: ModelGraph) {
    const constants = new Map<string, WeightSize>();
    for (const { graph: level } of modelLevels(graph)) {
      for (const [name, tensor] of level.initializers) this.#add(name, sizeOf(tensor));
      for (const { values, indices, dims } of level.proto.sparseInitializer) {
        if (values === undefined) continue;
        const bytes = sizeOf(values).bytes + (indices === undefined ? 0 : sizeOf(indices).bytes);
        this.#add(values.name, { tensors: 1, elements: product(dims), bytes });
      }
      for (const { opType, outputs, proto } of level.nodes) {
        const tensor = opType === "Constant" ? proto.attribute.find(({ t }) => t)?.t : undefined;
        if (tensor !== undefined) constants.set(outputs[0] ?? "", sizeOf(tensor));
      }
    }
    this.#initializers = new Set(this.#sizes.keys());
    for (const [name, size] of constants) this.#add(name, size);
  }

  /** The size of the named weights together; a name that is no weight counts nothing. */
  of(names: Iterable<string>): WeightSize {
    let [tensors, elements, bytes] = [0, 0, 0];
    for (const name of names) {
      const size = this.#sizes.get(name);
      if (size === undefined) continue;
      tensors += size.tensors;
      elements += size.elements;
      bytes += size.bytes;
    }
    return { tensors, elements, bytes };
  }

  /** Every initializer, used or not, and what the modules use of constants as parameters. */
  all(modules: readonly GraphModule[]): WeightSize {
    return this.of(new Set([...this.#initializers, ...modules.flatMap((at) => at.parameters)]));
  }

  #add(name: string, size: WeightSize): void {
    if (!this.#sizes.has(name)) this.#sizes.set(name, size);
  }
}

function sizeOf(tensor: TensorProto): WeightSize {
  const elements = product(tensor.dims);
  const info = dtypeFromOnnx(tensor.dataType);
  const bytes = info === undefined || info.bitWidth === 0
    ? tensor.stringData.reduce((sum, text) => sum + text.length, 0)
    : storedByteLength(info, elements);
  return { tensors: 1, elements, bytes };
}

function product(dims: readonly bigint[]): number {
  return dims.reduce((count, size) => count * Number(size), 1);
}
