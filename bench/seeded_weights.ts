// Weights out of a seed: the same name, seed and shape give the same bits on every machine and in any
// order of writing. It knows distributions and element types, no graph and no file.
//
// The generator is xorshift32, one step an element; the sum of its four bytes is close enough to a
// normal distribution for a matrix product and costs no logarithm, so that 2 GB are filled in seconds.

/** The element types that the generator can fill. */
export type WeightDtype = "float32" | "float16";

/** One weight: what the model calls it, its shape, and how its elements are distributed. */
export interface WeightSpec {
  /** The initializer's name. */
  readonly name: string;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** Mean of the elements. */
  readonly mean: number;
  /** Standard deviation of the elements. */
  readonly deviation: number;
}

/** Receives the elements' bytes piece by piece; a piece is only valid during the call. */
export type ByteSink = (chunk: Uint8Array) => void;

/** Elements that are made at a time: no more than these are ever in memory. */
const CHUNK_ELEMENT_COUNT = 65_536;
/** The sum of four bytes: its mean, and its standard deviation √(4·(256²−1)/12). */
const SUM_MEAN = 510;
const SUM_DEVIATION = Math.sqrt(65_535 / 3);

/** Bytes of one element. */
export function elementByteLength(dtype: WeightDtype): number {
  return dtype === "float32" ? 4 : 2;
}

/** The number of elements of a weight. */
export function weightElementCount(spec: WeightSpec): number {
  return spec.shape.reduce((product, size) => product * size, 1);
}

/** Makes a weight's elements, row-major and little-endian, and hands them on in pieces. */
export function streamWeight(
  spec: WeightSpec,
  dtype: WeightDtype,
  seed: number,
  sink: ByteSink,
): void {
  const count = weightElementCount(spec);
  const length = Math.min(count, CHUNK_ELEMENT_COUNT);
  const chunk = dtype === "float32" ? new Float32Array(length) : new Float16Array(length);
  const bytes = new Uint8Array(chunk.buffer);
  const scale = spec.deviation / SUM_DEVIATION;
  let state = startState(spec.name, seed);
  for (let done = 0; done < count; done += length) {
    const filled = Math.min(length, count - done);
    for (let index = 0; index < filled; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      const sum = (state & 255) + ((state >>> 8) & 255) + ((state >>> 16) & 255) + (state >>> 24);
      chunk[index] = spec.mean + (sum - SUM_MEAN) * scale;
    }
    sink(bytes.subarray(0, filled * chunk.BYTES_PER_ELEMENT));
  }
}

/** Mixes name and seed (FNV-1a, then the finisher of splitmix32); never 0, where xorshift would stay. */
function startState(name: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return (hash ^ (hash >>> 15)) || 1;
}
