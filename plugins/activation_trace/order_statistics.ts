// Percentiles of a tensor, exact and without sorting or copying it. Elements are ranked by the bits of
// their float32, whose order, read the right way, is that of the numbers: one pass counts how often each
// upper half occurs, a second one counts the lower halves of the few upper halves in which a wanted rank
// lies. Small tensors are copied and sorted instead, which is quicker there.

import type { Tensor } from "../../mod.ts";
import type { FloatChunks } from "./float_chunks.ts";

/** Up to this many elements a sort is quicker than two tables of counts. */
const SORTED_LENGTH = 4096;
const HALVES = 65_536;

/**
 * Finds elements by rank. Keeps its tables between calls: 0.5 MB, and 0.25 MB for each upper half in
 * which a wanted rank lies (at most two for a percentile).
 */
export class OrderStatistics {
  #sorted: Float32Array<ArrayBuffer> | null = null;
  #upper: Uint32Array<ArrayBuffer> | null = null;
  #slots: Int8Array<ArrayBuffer> | null = null;
  #lower: Uint32Array<ArrayBuffer>[] = [];

  /**
   * The quantiles of a tensor that has elements and no NaN. The quantile q lies at rank q·(N − 1) of the
   * sorted elements, linear between the two around it, as `torch.quantile` has it.
   */
  quantiles(chunks: FloatChunks, value: Tensor, wanted: readonly number[]): number[] {
    const last = value.data.length - 1;
    const places = wanted.map((quantile) => {
      const rank = quantile * last;
      return { below: Math.floor(rank), above: Math.ceil(rank), share: rank - Math.floor(rank) };
    });
    const ranks = [...new Set(places.flatMap(({ below, above }) => [below, above]))]
      .sort((left, right) => left - right);
    const elements = last < SORTED_LENGTH
      ? this.#bySorting(chunks, value, ranks)
      : this.#byCounting(chunks, value, ranks);
    return places.map(({ below, above, share }) =>
      between(elements.get(below) as number, elements.get(above) as number, share)
    );
  }

  #bySorting(chunks: FloatChunks, value: Tensor, ranks: readonly number[]): Map<number, number> {
    this.#sorted ??= new Float32Array(SORTED_LENGTH);
    const sorted = this.#sorted.subarray(0, value.data.length);
    let at = 0;
    for (const chunk of chunks.of(value)) {
      sorted.set(chunk, at);
      at += chunk.length;
    }
    sorted.sort();
    return new Map(ranks.map((rank) => [rank, sorted[rank] as number]));
  }

  #byCounting(chunks: FloatChunks, value: Tensor, ranks: readonly number[]): Map<number, number> {
    const upper = this.#upper ??= new Uint32Array(HALVES);
    const slots = this.#slots ??= new Int8Array(HALVES);
    upper.fill(0);
    slots.fill(-1);
    for (const chunk of chunks.of(value)) countUpper(bitsOf(chunk), upper);
    const targets = seek(upper, ranks);
    const chosen = [...new Set(targets.map(({ half }) => half))];
    const lower = chosen.map((half, slot) => {
      slots[half] = slot;
      return (this.#lower[slot] ??= new Uint32Array(HALVES)).fill(0);
    });
    for (const chunk of chunks.of(value)) countLower(bitsOf(chunk), slots, lower);
    const found = new Map<number, number>();
    for (const [index, { half, before }] of targets.entries()) {
      const rank = ranks[index] as number;
      const counts = lower[chosen.indexOf(half)] as Uint32Array;
      const [target] = seek(counts, [rank - before]);
      found.set(rank, fromKey(half * HALVES + (target?.half ?? 0)));
    }
    return found;
  }
}

function bitsOf(chunk: Float32Array): Uint32Array {
  return new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length);
}

// The key of a float's bits: unsigned, ascending with the number, −0 just below 0.
function keyOf(bits: number): number {
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

function fromKey(key: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, (key & 0x80000000 ? key & 0x7fffffff : ~key) >>> 0);
  return view.getFloat32(0);
}

function countUpper(bits: Uint32Array, counts: Uint32Array): void {
  for (let index = 0; index < bits.length; index++) {
    const half = keyOf(bits[index] as number) >>> 16;
    counts[half] = (counts[half] as number) + 1;
  }
}

function countLower(bits: Uint32Array, slots: Int8Array, lower: readonly Uint32Array[]): void {
  for (let index = 0; index < bits.length; index++) {
    const key = keyOf(bits[index] as number);
    const slot = slots[key >>> 16] as number;
    if (slot < 0) continue;
    const counts = lower[slot] as Uint32Array;
    const half = key & 0xffff;
    counts[half] = (counts[half] as number) + 1;
  }
}

/** For each rank, ascending: the half whose elements it lies among, and how many stand before that half. */
function seek(
  counts: Uint32Array,
  ranks: readonly number[],
): { readonly half: number; readonly before: number }[] {
  const found: { half: number; before: number }[] = [];
  let before = 0;
  for (let half = 0; half < counts.length && found.length < ranks.length; half++) {
    const count = counts[half] as number;
    while (found.length < ranks.length && (ranks[found.length] as number) < before + count) {
      found.push({ half, before });
    }
    before += count;
  }
  return found;
}

/** Linear between two elements; infinities stay what they are. */
function between(below: number, above: number, share: number): number {
  if (share === 0 || below === above) return below;
  return Number.isFinite(above - below)
    ? below + (above - below) * share
    : below * (1 - share) + above * share;
}
