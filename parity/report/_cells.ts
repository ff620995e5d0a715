// Numbers of the heat map as text: four characters of base64url for the upper 24 bits of a float32, so five
// digits of each and a tenth of what JSON would take for a cell that is empty. `_page_values.ts` reads them.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** A NaN that no computation gives: nothing was measured here. */
const ABSENT_BITS = 0x7fffff;
const NAN_BITS = 0x7fc000;
const LARGEST = 3.4e38;

/** Writes numbers; null is a cell without one. What is too large for a float32 becomes its largest. */
export function encodeCells(values: Iterable<number | null>): string {
  const view = new DataView(new ArrayBuffer(4));
  let text = "";
  for (const value of values) {
    const bits = value === null ? ABSENT_BITS : bitsOf(value, view);
    text += (ALPHABET[bits >>> 18] ?? "") + (ALPHABET[(bits >>> 12) & 63] ?? "") +
      (ALPHABET[(bits >>> 6) & 63] ?? "") + (ALPHABET[bits & 63] ?? "");
  }
  return text;
}

function bitsOf(value: number, view: DataView): number {
  if (Number.isNaN(value)) return NAN_BITS;
  const isInfinite = Math.abs(value) === Infinity;
  view.setFloat32(0, isInfinite ? value : Math.max(-LARGEST, Math.min(LARGEST, value)));
  return isInfinite ? view.getUint32(0) >>> 8 : (view.getUint32(0) + 0x80) >>> 8;
}
