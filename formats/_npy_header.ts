// The text header of a .npy file: a Python dict literal with exactly three keys. Only the literals
// that numpy writes there are understood; nothing is evaluated.

/** The three facts of a .npy header. */
export interface NpyHeader {
  /** The type string, `<f4`. */
  readonly descr: string;
  /** True when the data lie column-major. */
  readonly fortranOrder: boolean;
  /** Dimension sizes as written; not yet checked against the data. */
  readonly shape: readonly number[];
}

/** A fault found in the header: what there was and what was wanted. */
export interface NpyHeaderFault {
  readonly found: string;
  readonly wanted: string;
}

const KEY = /\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*:\s*/y;
const STRING = /'([^'\\]*)'|"([^"\\]*)"/y;
const BOOL = /True|False/y;
const TUPLE = /\(([\dL,\s]*)\)/y;
const SEPARATOR = /\s*,\s*/y;
const END = /\s*\}\s*$/y;
const DIMENSION = /^\d+L?$/;

/** The header's facts, or what is wrong with its text. */
export function decodeNpyHeader(text: string): NpyHeader | NpyHeaderFault {
  const wanted = "a dict with the keys 'descr', 'fortran_order' and 'shape' alone";
  let position = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (match !== null) position = pattern.lastIndex;
    return match;
  };
  if (take(/\s*\{/y) === null) {
    return { found: "a header that is no dict", wanted };
  }
  let descr: string | null = null;
  let fortranOrder: boolean | null = null;
  let shape: number[] | null = null;
  while (take(END) === null) {
    const keyMatch = take(KEY);
    const key = keyMatch?.[1] ?? keyMatch?.[2];
    if (key === "descr" && descr === null) {
      const match = take(STRING);
      if (match === null) {
        return text[position] === "["
          ? { found: "a structured dtype", wanted: "one plain element type" }
          : { found: "a 'descr' that is no string", wanted };
      }
      descr = match[1] ?? match[2] ?? "";
    } else if (key === "fortran_order" && fortranOrder === null) {
      const match = take(BOOL);
      if (match === null) {
        return {
          found: "a 'fortran_order' that is neither True nor False",
          wanted,
        };
      }
      fortranOrder = match[0] === "True";
    } else if (key === "shape" && shape === null) {
      shape = decodeTuple(take(TUPLE)?.[1]);
      if (shape === null) {
        return { found: "a 'shape' that is no tuple of counts", wanted };
      }
    } else {
      return {
        found: key === undefined
          ? "a header that is no dict of plain literals"
          : `the unexpected or repeated key ${JSON.stringify(key.slice(0, 40))}`,
        wanted,
      };
    }
    if (take(SEPARATOR) === null) {
      if (take(END) !== null) break;
      return { found: "a header that is no dict of plain literals", wanted };
    }
  }
  if (descr === null || fortranOrder === null || shape === null) {
    return { found: "a header that lacks one of its keys", wanted };
  }
  return { descr, fortranOrder, shape };
}

/**
 * `3, 4` and `3,` are tuples, the empty text is the empty tuple, `3` is a number and so no tuple.
 */
function decodeTuple(inside: string | undefined): number[] | null {
  if (inside === undefined) return null;
  if (inside.trim() === "") return [];
  const parts = inside.split(",").map((part) => part.trim());
  if (parts.length < 2) return null;
  if (parts.at(-1) === "") parts.pop();
  const sizes: number[] = [];
  for (const part of parts) {
    if (!DIMENSION.test(part)) return null;
    sizes.push(Number.parseInt(part, 10));
  }
  return sizes;
}

/**
 * The header block of a .npy file, magic included, byte for byte as numpy 2 writes it: version 1.0
 * unless the header needs 2.0, room to grow the first axis, padded so that the data start at a
 * multiple of 64.
 */
export function encodeNpyHeader(
  descr: string,
  shape: readonly number[],
): Uint8Array {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  let text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const first = shape[0];
  if (first !== undefined) text += " ".repeat(21 - String(first).length);
  const prefixLength = text.length + 64 < 0x10000 ? 10 : 12;
  const padding = 64 - (prefixLength + text.length + 1) % 64;
  text += `${" ".repeat(padding)}\n`;
  const block = new Uint8Array(prefixLength + text.length);
  block.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, prefixLength === 10 ? 1 : 2]);
  const view = new DataView(block.buffer);
  if (prefixLength === 10) view.setUint16(8, text.length, true);
  else view.setUint32(8, text.length, true);
  block.set(new TextEncoder().encode(text), prefixLength);
  return block;
}
