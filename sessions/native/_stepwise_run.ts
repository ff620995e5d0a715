// A chain's sessions one by one, as anybody would run them, and what is learned from that: what they make,
// and how long each takes. It keeps a value no longer than a session is left that reads it.

import { emptyTensorMap, type Tensor, tensorFault, type TensorMap } from "../../tensor/tensor.ts";
import type { ChainLink, ChainRunOptions } from "../engine.ts";
import { type CallTensor, callTensor } from "./_call_tensor.ts";

/** No session takes less, in milliseconds. */
export const LEAST_MS = 0.001;

/** One run. */
export class StepwiseRun {
  /** What each session took, in milliseconds. */
  readonly elapsedMs: Float64Array<ArrayBuffer>;
  /** What the sessions made; null when something of it is no array of numbers. */
  made: readonly CallTensor[] | null = [];
  readonly #links: readonly ChainLink[];
  readonly #wanted: readonly string[];
  readonly #options: ChainRunOptions;

  constructor(
    links: readonly ChainLink[],
    { wanted, options }: {
      /** The values that come out. */
      readonly wanted: readonly string[];
      readonly options: ChainRunOptions;
    },
  ) {
    this.#links = links;
    this.#wanted = wanted;
    this.#options = options;
    this.elapsedMs = new Float64Array(links.length);
  }

  /** Runs the sessions; throws what they throw, and what `around` rejected with. */
  async run(feeds: TensorMap): Promise<TensorMap> {
    const { signal, around = (_index, run) => run() } = this.#options;
    const values: Record<string, Tensor> = Object.assign(emptyTensorMap(), feeds);
    const last = this.#lastReads();
    for (const [index, { session, fetches }] of this.#links.entries()) {
      await around(index, async () => {
        const own = pick(values, session.inputs.map(({ name }) => name));
        const startMs = performance.now();
        const outputs = await session.run(own, fetches, { signal });
        this.elapsedMs[index] = Math.max(LEAST_MS, performance.now() - startMs);
        this.#describe(outputs, fetches);
        Object.assign(values, outputs);
        for (const name of last[index] ?? []) {
          discard(values[name] as Tensor);
          delete values[name];
        }
      });
    }
    return pick(values, this.#wanted);
  }

  #describe(outputs: TensorMap, fetches: readonly string[]): void {
    const described = describe(outputs, fetches);
    this.made = this.made === null || described === null ? null : [...this.made, ...described];
  }

  /** For each session the values inside the chain that nobody reads after it. */
  #lastReads(): readonly (readonly string[])[] {
    const last = new Map<string, number>();
    for (const [index, { session, fetches }] of this.#links.entries()) {
      for (const { name } of session.inputs) if (last.has(name)) last.set(name, index);
      for (const name of fetches) last.set(name, index);
    }
    for (const name of this.#wanted) last.delete(name);
    return this.#links.map((_, index) =>
      [...last].filter(([, reader]) => reader === index).map(([name]) => name)
    );
  }
}

/** Values as far as they are known beforehand; null when one of them is no sound array of numbers. */
export function describe(values: TensorMap, names: readonly string[]): CallTensor[] | null {
  const described: CallTensor[] = [];
  for (const name of names) {
    const value = values[name] as Tensor;
    if (tensorFault(value) !== null || value.dtype === "string") return null;
    described.push(callTensor(name, value));
  }
  return described;
}

/** Gives memory that nobody else has back at once: a long chain would hold all of its values otherwise. */
function discard({ data }: Tensor): void {
  if (ArrayBuffer.isView(data)) (data.buffer as ArrayBuffer).transfer(0);
}

function pick(values: TensorMap, names: readonly string[]): Record<string, Tensor> {
  const picked: Record<string, Tensor> = emptyTensorMap();
  for (const name of names) picked[name] = values[name] as Tensor;
  return picked;
}
