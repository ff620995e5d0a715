// The tensors of one run that nobody but sessions has seen. Their memory is given back the moment they
// are dropped: the collector, which knows little of memory outside its heap, would let a run's activations
// pile up to more than a block's weights. Invariant: a tensor that a hook or a caller has seen is theirs.

import type { HookOrder } from "../../hooks/order.ts";
import type { Tensor, TensorMap } from "../../tensor/tensor.ts";

/** Tensors that only sessions have seen. */
export class PrivateTensors {
  readonly #tensors = new Set<Tensor>();

  /** A session made these. */
  made(tensors: Iterable<Tensor>): void {
    for (const tensor of tensors) this.#tensors.add(tensor);
  }

  /** These go to a module's hooks, or come from them. */
  shown(tensors: TensorMap, order: HookOrder | null): void {
    if (order === null || !seesTensors(order)) return;
    for (const tensor of Object.values(tensors)) this.#tensors.delete(tensor);
  }

  /** Nothing reads this tensor any more: frees its memory if nobody else can know it. */
  drop(tensor: Tensor | undefined): void {
    if (tensor === undefined || !this.#tensors.delete(tensor)) return;
    const { data } = tensor;
    if (!ArrayBuffer.isView(data) || !(data.buffer instanceof ArrayBuffer)) return;
    if (data.byteLength === data.buffer.byteLength && !data.buffer.detached) {
      data.buffer.transfer(0);
    }
  }
}

/** False when no hook of the module can be given a tensor. */
function seesTensors(order: HookOrder): boolean {
  return order.entering.some(({ methods }) =>
    methods.preForward !== null || methods.newForward !== null || methods.postForward !== null
  );
}
