// Numbers as the page reads, ranks and writes them. These functions are part of the page: their text is
// put into it, so each may use nothing but its arguments and the other functions that are put there. The
// server side calls them too.

/** The number at a place of what `encodeCells` wrote; null where nothing was measured. */
export function cellAt(cells: string, at: number): number | null {
  let bits = 0;
  for (let place = 4 * at; place < 4 * at + 4; place++) {
    const code = cells.charCodeAt(place);
    const six = code > 96 // a to z
      ? code - 71
      : code === 95 // _
      ? 63
      : code > 64 // A to Z
      ? code - 65
      : code > 47 // 0 to 9
      ? code + 4
      : 62; // -
    bits = 64 * bits + six;
  }
  if (bits === 0x7fffff) return null;
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, 256 * bits);
  return view.getFloat32(0);
}

/** The level of a number, 0 to 7; -1 where there is none. */
export function levelOf(value: number | null, edges: readonly number[]): number {
  if (value === null) return -1;
  const size = Math.abs(value);
  if (!(size < Infinity)) return 7;
  if (size === 0) return 0;
  for (let at = 0; at < edges.length; at++) {
    if (size <= (edges[at] as number)) return at + 1;
  }
  return 6;
}

/** A number in three digits. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if (!(size < Infinity) || size === 0) return String(value + 0);
  return size >= 1e5 || size < 1e-3
    ? value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(value.toPrecision(3)));
}

/** A number of a measure as it stands beside a module. */
export function valueText(value: number | null, isTolerance: boolean): string {
  if (value === null) return "";
  if (isTolerance && !(value < Infinity)) return "not comparable";
  return isTolerance && value !== 0 ? `${numberText(value)} ×` : numberText(value);
}
