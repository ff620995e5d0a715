// Tensors between the host and a plugin in another realm: plain entries that name their bytes, and the
// bytes themselves beside them. Everything that comes from the other side is hostile and is checked here
// before it is a Tensor. It knows no transport. Invariant: what `decodeTensors` returns has known names,
// a known dtype, a shape that multiplies out, and memory that nobody else holds.

import { dtypeInfo } from "../../tensor/dtype.ts";
import {
  emptyTensorMap,
  type Tensor,
  type TensorData,
  tensorFault,
  type TensorMap,
} from "../../tensor/tensor.ts";

/** One tensor on its way: `buffer` is the place of its bytes in the message's list of buffers. */
export interface WireTensor {
  /** The value's name. */
  readonly name: string;
  /** Element type. */
  readonly dtype: string;
  /** Dimension sizes. */
  readonly shape: readonly number[];
  /** The name of the typed array's constructor; absent for strings. */
  readonly kind?: string;
  /** Where its bytes are; absent for strings. */
  readonly buffer?: number;
  /** The elements of a string tensor. */
  readonly strings?: readonly string[];
}

/** Tensors and the bytes that go with them. */
export interface EncodedTensors {
  /** The entries, in the order of the map. */
  readonly entries: readonly WireTensor[];
  /** The bytes of each, as views of the tensors' own memory: nothing is copied. */
  readonly bytes: readonly Uint8Array<ArrayBuffer>[];
}

/** Why a message of a plugin was not believed; its text goes to the audit log. */
export class WireFault extends Error {
  /** Always `"WireFault"`. */
  override readonly name = "WireFault";
}

const DIMENSION_LIMIT = 64;
const NAME_LIMIT = 1024;

type Kind = new (buffer: ArrayBuffer) => Exclude<TensorData, readonly string[]>;

const KINDS: ReadonlyMap<string, Kind> = new Map(
  ([
    Float32Array,
    Float64Array,
    Uint8Array,
    Int8Array,
    Uint16Array,
    Int16Array,
    Uint32Array,
    Int32Array,
    BigInt64Array,
    BigUint64Array,
    ...(typeof globalThis.Float16Array === "function" ? [Float16Array] : []),
  ] as readonly Kind[]).map((kind) => [kind.name, kind]),
);

/** The entries and bytes of a map; `from` is how many buffers of the message come before. */
export function encodeTensors(map: TensorMap, from = 0): EncodedTensors {
  const entries: WireTensor[] = [];
  const bytes: Uint8Array<ArrayBuffer>[] = [];
  for (const [name, { dtype, shape, data }] of Object.entries(map)) {
    if (!ArrayBuffer.isView(data)) {
      entries.push({ name, dtype, shape: [...shape], strings: [...data] });
      continue;
    }
    const buffer = data.buffer as ArrayBuffer;
    entries.push({
      name,
      dtype,
      shape: [...shape],
      kind: data[Symbol.toStringTag],
      buffer: from + bytes.length,
    });
    bytes.push(new Uint8Array(buffer, data.byteOffset, data.byteLength));
  }
  return { entries, bytes };
}

/**
 * The tensors of a message from a plugin.
 *
 * @throws {WireFault} when anything in it is not what it must be.
 */
export function decodeTensors(
  entries: unknown,
  buffers: unknown,
  knownNames: readonly string[],
): TensorMap {
  if (!Array.isArray(entries) || !Array.isArray(buffers)) {
    throw new WireFault("its tensors are no list");
  }
  if (entries.length > knownNames.length) {
    throw new WireFault("it names more tensors than there are");
  }
  const map = emptyTensorMap();
  const used = new Set<number>();
  for (const entry of entries as readonly unknown[]) {
    const { name, ...value } = decodeEntry(entry, buffers, used);
    if (!knownNames.includes(name)) {
      throw new WireFault(`"${name.slice(0, 80)}" is none of ${knownNames.join(", ")}`);
    }
    if (Object.hasOwn(map, name)) throw new WireFault(`it names "${name}" twice`);
    map[name] = Object.freeze(value);
  }
  return map;
}

function decodeEntry(
  entry: unknown,
  buffers: readonly unknown[],
  used: Set<number>,
): Tensor & { readonly name: string } {
  if (typeof entry !== "object" || entry === null) throw new WireFault("a tensor is no object");
  const { name, dtype, shape, kind, buffer, strings } = entry as Record<string, unknown>;
  if (typeof name !== "string" || name.length > NAME_LIMIT) {
    throw new WireFault("a tensor has no name");
  }
  const info = typeof dtype === "string" ? dtypeInfo(dtype) : undefined;
  if (info === undefined) throw new WireFault(`"${name}" has an unknown dtype`);
  if (!Array.isArray(shape) || shape.length > DIMENSION_LIMIT) {
    throw new WireFault(`"${name}" has no shape`);
  }
  const sizes = Object.freeze([...shape]) as readonly number[];
  const data = strings === undefined
    ? decodeBytes(name, { kind, buffer, buffers, used })
    : decodeStrings(name, strings);
  const found = { name, dtype: info.dtype, shape: sizes, data };
  const fault = tensorFault(found);
  if (fault !== null) throw new WireFault(`"${name}" ${fault}`);
  return found;
}

function decodeStrings(name: string, strings: unknown): readonly string[] {
  if (!Array.isArray(strings) || !strings.every((item) => typeof item === "string")) {
    throw new WireFault(`"${name}" holds something else than strings`);
  }
  return strings;
}

function decodeBytes(name: string, { kind, buffer, buffers, used }: {
  readonly kind: unknown;
  readonly buffer: unknown;
  readonly buffers: readonly unknown[];
  readonly used: Set<number>;
}): Exclude<TensorData, readonly string[]> {
  const Data = typeof kind === "string" ? KINDS.get(kind) : undefined;
  if (Data === undefined) throw new WireFault(`"${name}" has an unknown kind of array`);
  if (typeof buffer !== "number" || used.has(buffer)) {
    throw new WireFault(`"${name}" shares its bytes with another tensor`);
  }
  const bytes = buffers[buffer];
  // Not shared and not resizable: nobody can change it once it is ours.
  if (!(bytes instanceof ArrayBuffer) || bytes.resizable || bytes.detached) {
    throw new WireFault(`"${name}" has no bytes of its own`);
  }
  if (bytes.byteLength % (Data as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT) {
    throw new WireFault(`"${name}" has a broken last element`);
  }
  used.add(buffer);
  return new Data(bytes);
}
