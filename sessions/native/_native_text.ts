// Text and lists of text as C takes them: UTF-8 with a zero at the end, and arrays of addresses.
// An address keeps nothing alive: a list holds the bytes that it points to, and whoever passes its
// pointer holds the list.

const ENCODER = new TextEncoder();

/** The bytes of a C string. A zero inside would end it early, so there is none. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("a name holds a zero character");
  const bytes = ENCODER.encode(text);
  const terminated = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  terminated.set(bytes);
  return terminated;
}

/** A path as the C API of this system takes it: UTF-16 on Windows, UTF-8 elsewhere. */
export function encodePath(path: string): Uint8Array<ArrayBuffer> {
  if (Deno.build.os !== "windows") return encodeText(path);
  if (path.includes("\0")) throw new TypeError("a path holds a zero character");
  const units = new Uint16Array(new ArrayBuffer(2 * (path.length + 1)));
  for (let index = 0; index < path.length; index++) units[index] = path.charCodeAt(index);
  return new Uint8Array(units.buffer);
}

/** The address of a typed array's memory. The memory lies outside the heap and does not move. */
export function addressOf(array: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(array as Uint8Array<ArrayBuffer>));
}

/** The pointer to a typed array's memory. */
export function pointerTo(array: ArrayBufferView<ArrayBuffer>): Deno.PointerValue {
  return Deno.UnsafePointer.of(array as Uint8Array<ArrayBuffer>);
}

/** The handle that a call wrote into its out cell. */
export function handleIn(cell: BigUint64Array<ArrayBuffer>, index = 0): Deno.PointerObject {
  const handle = Deno.UnsafePointer.create(cell[index] as bigint);
  if (handle === null) throw new Error("ONNX Runtime returned no handle");
  return handle;
}

/** A cell for one result. Its memory lies outside the heap, so that it may be used by another thread. */
export function outCell(length = 1): BigUint64Array<ArrayBuffer> {
  return new BigUint64Array(new ArrayBuffer(8 * Math.max(1, length)));
}

/** A C array of C strings. */
export class TextList {
  /** The strings. */
  readonly texts: readonly string[];
  /** The C array. */
  readonly addresses: BigUint64Array<ArrayBuffer>;
  /** Points to the C array, as long as this object lives. */
  readonly pointer: Deno.PointerValue;
  /** Kept because `addresses` points into them. */
  readonly #bytes: readonly Uint8Array<ArrayBuffer>[];

  constructor(texts: readonly string[]) {
    this.texts = texts;
    this.#bytes = texts.map(encodeText);
    this.addresses = outCell(texts.length);
    this.#bytes.forEach((bytes, index) => this.addresses[index] = addressOf(bytes));
    this.pointer = pointerTo(this.addresses);
  }
}
