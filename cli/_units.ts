// Numbers as people read them. Documents for machines never use these.

import type { ValueSpec } from "../sessions/engine.ts";

/** `1.94 GiB`, `640 B`. */
export function bytesText(byteLength: number): string {
  return scaled(byteLength, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], " ");
}

/** `520.6M`, `768`. */
export function countText(count: number): string {
  return scaled(count, 1000, ["", "k", "M", "G", "T"], "");
}

/** `3 modules`, `1 module`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `input_ids int64[batch, sequence]`. */
export function specText(spec: ValueSpec): string {
  if (!spec.isTensor) return `${spec.name} (no tensor)`;
  const shape = spec.shape === null
    ? "[…]"
    : `[${spec.shape.map((size) => size ?? "?").join(", ")}]`;
  return `${spec.name} ${spec.dtype ?? "?"}${shape}`;
}

/** Milliseconds with three significant digits. */
export function millisecondsText(elapsedMs: number): string {
  return `${Number(elapsedMs.toPrecision(3))} ms`;
}

function scaled(value: number, base: number, units: readonly string[], gap: string): string {
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  const shown = unit === 0 ? String(value) : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return `${shown}${units[unit] === "" ? "" : gap}${units[unit]}`;
}
